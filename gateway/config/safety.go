package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Safety says which overuse rules run, and with which thresholds.
type Safety struct {
	Rules    map[string]Rule // by rule id; those that the file speaks of
	Holidays []Days          // when people are away, and no bike is missed
}

// Days is a span of days, both included, as 2006-01-02 in the estate's zone.
type Days struct{ From, To string }

// Rule is what the file says of an overuse rule.
type Rule struct {
	Enabled *bool              // nil: as the rule has it
	Values  map[string]float64 // thresholds; the unit is in the name: warn_kwh, critical_w, hold_min
}

// RuleIDs are the ids of the overuse rules in the public interface.
var RuleIDs = []string{"over_power", "second_load", "two_tapers", "excess_energy", "over_time", "resistive_load",
	"hot_burst", "cycling_load", "profile_mismatch", "card_concurrency", "household_volume", "silent_bike",
	"back_to_back", "overstay", "port_temperature", "zombie_bike", "unauthorised_draw", "meter_imbalance",
	"device_alarm", "pile_offline"}

// readHoliday reads a span of days: {from: 2027-02-05, to: 2027-02-21}.
func (c *Config) readHoliday(n node) {
	var d Days
	n.object(fields{"from": checked(&d.From, checkDay), "to": checked(&d.To, checkDay)})
	if d.To == "" {
		d.To = d.From
	}
	if d.From == "" || d.To < d.From {
		n.bad("expected from, and to not before it, such as {from: 2027-02-05, to: 2027-02-21}")
		return
	}
	c.Safety.Holidays = append(c.Safety.Holidays, d)
}

func checkDay(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Errorf("%q: expected a day such as 2027-02-05", s)
	}
	return nil
}

func (c *Config) readRules(n node) {
	known := fields{}
	for _, id := range RuleIDs {
		known[id] = func(n node) { c.Safety.Rules[id] = readRule(n) }
	}
	n.object(known)
}

// maxThreshold is above any threshold that a rule could have, whatever its unit.
const maxThreshold = 1e9

// LoadRules reads a file of thresholds alone: what stands under safety.rules in a
// configuration. The error joins every [Problem].
func LoadRules(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w; give a file such as: over_power: {warn_w: 700}", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("rules: %s is over %d bytes: give a file of thresholds", path, maxFile)
	}
	doc := &document{file: path, dir: filepath.Dir(path), positions: map[string]position{}}
	c := defaults(doc.dir)
	c.File, c.positions = path, doc.positions
	if root := doc.parse(data); root != nil {
		c.readRules(node{doc: doc, yaml: root, at: position{root.Line, root.Column}})
	}
	if err := doc.bad.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readRule(n node) Rule {
	r := Rule{Values: map[string]float64{}}
	if n.yaml.Kind != yaml.MappingNode {
		n.expected("thresholds, or enabled: false")
		return r
	}
	for _, e := range n.entries() {
		if e.name == "enabled" {
			r.Enabled = readBool(e.value)
		} else if x, ok := e.value.number(0, maxThreshold); ok {
			r.Values[e.name] = x
		}
	}
	for _, warn := range slices.Sorted(maps.Keys(r.Values)) {
		unit, ok := strings.CutPrefix(warn, "warn_")
		if critical, both := r.Values["critical_"+unit]; ok && both && critical < r.Values[warn] {
			n.below("critical_"+unit).bad("under %s: expected it to be higher", warn)
		}
	}
	return r
}

func readBool(n node) *bool {
	var b bool
	if n.yaml.Kind != yaml.ScalarNode || n.yaml.ShortTag() != "!!bool" || n.yaml.Decode(&b) != nil {
		n.expected("true or false")
		return nil
	}
	return &b
}

// CheckRules holds the thresholds against those that each rule knows, by rule id;
// a rule that is not in known, or nil there, is one of a later version. The error
// lists every threshold that is unknown, with its place in the file.
func (c *Config) CheckRules(known map[string][]string) error {
	var bad problems
	for _, id := range slices.Sorted(maps.Keys(c.Safety.Rules)) {
		if known[id] == nil {
			continue // a rule of a later version: its thresholds wait for it
		}
		for _, name := range slices.Sorted(maps.Keys(c.Safety.Rules[id].Values)) {
			if !slices.Contains(known[id], name) {
				choices := append([]string{"enabled"}, known[id]...)
				bad = append(bad, c.Problemf("safety.rules."+id+segment("x", name), "unknown threshold: expected %s", oneOf(choices)))
			}
		}
	}
	return bad.err()
}
