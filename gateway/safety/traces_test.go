package safety

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// trace is a line of the labelled traces.
type trace struct {
	ID       string       `json:"id"`
	Label    int          `json:"label"`
	Class    string       `json:"class"`
	Tier     string       `json:"tier"`
	Onset    float64      `json:"onset_s"`
	Points   [][2]float64 `json:"points"`
	Desc     []string     `json:"desc"`
	EnergyWh []float64    `json:"energy_wh"`
}

// dataFile finds a file of the shared data beside the repository; it skips the
// test where there is none.
func dataFile(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no repository around the test")
		}
	}
	path := filepath.Join(dir, "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the labelled traces are not here: %v", err)
	}
	return path
}

func loadTraces(t testing.TB, name string) []trace {
	t.Helper()
	f, err := os.Open(dataFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []trace
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var x trace
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// every keeps one point of n, as a pile would that reports more seldom.
func (x trace) every(n int) trace {
	var points [][2]float64
	var energy []float64
	for i := 0; i < len(x.Points); i += n {
		points = append(points, x.Points[i])
		if i < len(x.EnergyWh) {
			energy = append(energy, x.EnergyWh[i])
		}
	}
	x.Points, x.EnergyWh = points, energy
	return x
}

// rules gives the rules that told of a trace, as "id" or, for info, "(id)", and
// when the first flag of warning or more came, in seconds; -1 for never.
func (x *trace) rules(t testing.TB, rules Rules) (ids []string, first float64) {
	t.Helper()
	r := newRig(t)
	r.e = New(rules)
	for i, p := range x.Points {
		r.read(t0+devices.Millis(p[0]*1000), p[1], func(y *devices.Reading) {
			if i < len(x.EnergyWh) {
				y.EnergyMWh, _ = devices.Milli(x.EnergyWh[i])
				y.Has |= devices.HasEnergy
			}
		})
	}
	r.e.Settle(r.collect)
	first = -1
	for _, c := range r.log {
		id := c.Flag.Rule
		if c.Flag.Severity == ledger.Info {
			id = "(" + id + ")"
		} else if first < 0 {
			first = c.Flag.RaisedAt.Sub(t0).Seconds()
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, first
}

// tally counts the flags of one class.
type tally struct {
	label       int
	tier, class string
	total, hit  int
	rules       map[string]int
	minutes     []float64 // from the onset to the flag
}

func tallyUp(t *testing.T, traces []trace, rules Rules) []*tally {
	by := map[string]*tally{}
	for i := range traces {
		x := &traces[i]
		key := fmt.Sprint(x.Label, x.Tier, x.Class)
		if by[key] == nil {
			by[key] = &tally{label: x.Label, tier: x.Tier, class: x.Class, rules: map[string]int{}}
		}
		y := by[key]
		y.total++
		ids, first := x.rules(t, rules)
		for _, id := range ids {
			y.rules[id]++
		}
		if os.Getenv("MISSES") != "" && (first >= 0) != (x.Label == 1) {
			t.Log(x.ID, x.Label, x.Tier, x.Class, x.Desc, ids)
		}
		if first >= 0 {
			y.hit++
			y.minutes = append(y.minutes, (first-x.Onset)/60)
		}
	}
	all := slices.Collect(maps.Values(by))
	slices.SortFunc(all, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.worst(), b.worst()), cmp.Compare(a.tier+a.class, b.tier+b.class))
	})
	return all
}

// worst sorts the classes that are judged worst to the front.
func (y *tally) worst() float64 {
	share := float64(y.hit) / float64(y.total)
	if y.label == 0 {
		return -share
	}
	return share
}

// TestLabelledTraces prints how the rules do on the development split, worst
// class first, and holds floors under it.
func TestLabelledTraces(t *testing.T) {
	for _, c := range []struct {
		file                string
		keep                int
		falseAlarms, recall float64 // of easy ones
	}{
		{"dev_30s.ndjson", 1, 0.02, 0.86},
		{"dev_60s.ndjson", 1, 0.02, 0.85},
		{"dev_60s.ndjson", 5, 0.04, 0.70},
	} {
		traces := loadTraces(t, c.file)
		for i := range traces {
			traces[i] = traces[i].every(c.keep)
		}
		easy := [2][2]int{}
		var b strings.Builder
		for _, y := range tallyUp(t, traces, Defaults()) {
			slices.Sort(y.minutes)
			fmt.Fprintf(&b, "%d %-5s %-22s %3d/%3d %5.1f %%", y.label, y.tier, y.class, y.hit, y.total, 100*float64(y.hit)/float64(y.total))
			if y.label == 1 && y.hit > 0 {
				fmt.Fprintf(&b, "  median %4.0f min", y.minutes[y.hit/2])
			}
			fmt.Fprintf(&b, "  %v\n", y.rules)
			if y.tier == "easy" {
				easy[y.label][0] += y.hit
				easy[y.label][1] += y.total
			}
		}
		t.Logf("%s, every %d. report:\n%s", c.file, c.keep, b.String())
		falseAlarms := float64(easy[0][0]) / float64(easy[0][1])
		recall := float64(easy[1][0]) / float64(easy[1][1])
		if falseAlarms > c.falseAlarms || recall < c.recall {
			t.Errorf("%s: false alarms of easy normals %.3f, at most %.3f; recall of easy unsafe ones %.3f, at least %.3f",
				c.file, falseAlarms, c.falseAlarms, recall, c.recall)
		}
	}
}
