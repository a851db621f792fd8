package grafana

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"

	"pilewatch/gateway/realserver"
)

// asker runs the queries of panels as Grafana would.
type asker struct {
	t      *testing.T
	influx *realserver.InfluxServer
	prom   *realserver.Prom
	now    time.Time
	filled time.Time // from when there are data
}

// A panel that shows nothing, or an error, on a new demonstration fails the build.
func TestEveryQueryAnswersOnTheDemosMonth(t *testing.T) {
	all := checkedIn(t)
	a := demo(t)
	for _, d := range all {
		of := a.variables(d)
		for _, p := range panels(d) {
			for _, fault := range a.faults(d, p, of) {
				t.Errorf("%s/%s: %v", *d.Title, *p.Title, fault)
			}
		}
		for _, n := range d.Annotations.List {
			p := dashboard.Panel{Type: "annotation", Targets: []variants.Dataquery{n.Target}}
			for _, fault := range a.faults(d, p, of) {
				t.Errorf("%s, annotations: %v", *d.Title, fault)
			}
		}
	}
	a.findsFault(all)
}

// findsFault breaks queries and sees that it is told.
func (a *asker) findsFault(all []dashboard.Dashboard) {
	a.t.Helper()
	d := all[slices.IndexFunc(all, func(d dashboard.Dashboard) bool { return *d.Uid == pileUID })]
	curve := panels(d)[slices.IndexFunc(panels(d), func(p dashboard.Panel) bool { return *p.Title == "功率曲线" })]
	good := curve.Targets[0].(influxQuery)
	for from, to := range map[string]string{
		`FROM "port_power"`: `FROM "port_powers"`, "mean(": "average(", `"power_w"`: `"power"`, `GROUP BY`: `GROUP`, `, "port" fill`: ` fill`, "${pile:": "${pole:",
	} {
		bad := good
		if bad.Query = strings.Replace(good.Query, from, to, 1); bad.Query == good.Query {
			a.t.Fatalf("%s is not in %s", from, good.Query)
		}
		curve.Targets = []variants.Dataquery{bad}
		if len(a.faults(d, curve, a.variables(d))) == 0 {
			a.t.Errorf("%s instead of %s was not found", to, from)
		}
	}
}

// choices are a variable with its values.
type choices struct {
	name    string
	values  []string
	at      []string // what is chosen at first; nil is All
	several bool     // several may be chosen, and All
}

// variables asks for the values of a dashboard's variables.
func (a *asker) variables(d dashboard.Dashboard) (all []choices) {
	a.t.Helper()
	for _, v := range d.Templating.List {
		c := choices{name: v.Name, several: v.Multi != nil && *v.Multi}
		if v.Type == dashboard.VariableTypeCustom {
			for _, o := range v.Options {
				c.values = append(c.values, *o.Value.String)
			}
		} else {
			q := influxText(a.t, v.Query.Map["query"].(string), nil, span{}, "1m")
			rows, err := a.influx.Ask(database, q)
			if err != nil {
				a.t.Fatalf("%s, variable %s: %v\n%s", *d.Title, v.Name, err, q)
			}
			for _, r := range rows {
				c.values = append(c.values, r["value"].(string))
			}
		}
		switch {
		case len(c.values) == 0:
			a.t.Fatalf("%s: the variable %s has no value", *d.Title, v.Name)
		case !c.several:
			c.at = c.values[:1]
		case *v.AllValue != everything:
			a.t.Errorf("%s: All of %s is %q", *d.Title, v.Name, *v.AllValue)
		case v.Current.Value.ArrayOfString[0] != "$__all":
			c.at = v.Current.Value.ArrayOfString
		}
		all = append(all, c)
	}
	return all
}

// faults runs a panel's queries as they are at first, then with each value of
// each variable, with two and with all, and gives what is wrong with the answers.
func (a *asker) faults(d dashboard.Dashboard, p dashboard.Panel, variables []choices) (faults []error) {
	a.t.Helper()
	s := spanOf(a.t, a.now, d.Time.From, d.Time.To, p.TimeFrom, p.TimeShift)
	if p.Type == "annotation" { // a day may pass without a flag
		s.from = a.filled
	}
	step := "1s"
	if p.Interval != nil {
		step = *p.Interval
	}
	columns := map[string]bool{}
	for _, target := range p.Targets {
		rows, err := a.asked(p, target, variables, s, step)
		if err != nil {
			faults = append(faults, err)
		}
		for _, r := range rows {
			for c := range r {
				columns[c] = true
			}
		}
	}
	if len(faults) == 0 {
		faults = tableFaults(p, columns)
	}
	return faults
}

// asked runs one query, and gives all that came back.
func (a *asker) asked(p dashboard.Panel, target variants.Dataquery, variables []choices, s span, step string) (all []realserver.Row, err error) {
	text, expand := a.query(target, s, step)
	base, used := values{}, variables[:0:0]
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		i := slices.IndexFunc(variables, func(c choices) bool { return c.name == m[1] })
		if i < 0 {
			return nil, fmt.Errorf("%s is no variable of the dashboard: %s", m[0], text)
		}
		base[m[1]] = variables[i].at
		used = append(used, variables[i])
	}
	try := func(v values) (int, error) {
		began := time.Now()
		rows, err := a.answer(target, expand(v))
		a.t.Logf("%6d rows in %4d ms: %s", len(rows), time.Since(began).Milliseconds(), expand(v))
		if err == nil && len(rows) > 0 {
			err = right(p, target, rows)
		}
		if err != nil {
			return 0, fmt.Errorf("%w\n%s", err, expand(v))
		}
		all = append(all, rows...)
		return len(rows), nil
	}
	n, err := try(base)
	if err != nil {
		return nil, err
	}
	for _, c := range used {
		if err := c.each(base, n > 0, try); err != nil {
			return nil, err
		}
	}
	short := s.to.Sub(s.from) < 12*time.Hour            // in the night nobody has charged today
	before := s.to.Before(a.filled.Add(24 * time.Hour)) // a month that the demonstration does not know
	if len(all) == 0 && !short && !before {
		return nil, fmt.Errorf("nothing came back\n%s", expand(base))
	}
	return all, nil
}

// reference is that to a variable; $timeFilter and $__interval are Grafana's own.
var reference = regexp.MustCompile(`\$\{?([a-z]+)\b`)

// each tries a query with each value of the variable, and with two and all of
// them where they can be chosen.
func (c choices) each(base values, filled bool, try func(values) (int, error)) error {
	var sets [][]string
	if c.several && base[c.name] != nil {
		sets = append(sets, nil)
	}
	if c.several && len(c.values) > 1 {
		sets = append(sets, c.values[:2])
	}
	for _, v := range c.values {
		sets = append(sets, []string{v})
	}
	with := 0
	for _, set := range sets {
		if set != nil && slices.Equal(set, base[c.name]) { // asked already
			if filled {
				with++
			}
			continue
		}
		v := maps.Clone(base)
		v[c.name] = set
		n, err := try(v)
		if err != nil {
			return err
		}
		if n > 0 && set != nil {
			with++
		}
	}
	if filled && with == 0 {
		return fmt.Errorf("there is something at first, and nothing for any of %s %v", c.name, c.values)
	}
	return nil
}

// query gives a target's text and how it is asked with variables put in.
func (a *asker) query(target variants.Dataquery, s span, step string) (text string, ask func(values) string) {
	switch q := target.(type) {
	case influxQuery:
		return q.Query, func(v values) string { return influxText(a.t, q.Query, v, s, step) }
	case *prometheus.Dataquery:
		return q.Expr, func(v values) string { return promText(a.t, q.Expr, v, s) }
	}
	a.t.Fatalf("a query of type %T", target)
	return "", nil
}

// answer is what comes back, a row for each sample.
func (a *asker) answer(target variants.Dataquery, text string) ([]realserver.Row, error) {
	if _, ok := target.(influxQuery); ok {
		return a.influx.Ask(database, text)
	}
	samples, err := a.prom.Ask(text)
	var rows []realserver.Row
	for _, s := range samples {
		r := realserver.Row{"value": s.Value}
		for name, v := range s.Labels {
			r[name] = v
		}
		rows = append(rows, r)
	}
	return rows, err
}

// right says what is wrong with an answer for a panel.
func right(p dashboard.Panel, target variants.Dataquery, rows []realserver.Row) error {
	for _, name := range namedBy(target) {
		if v, ok := rows[0][name].(string); !ok || v == "" {
			return fmt.Errorf("the series are named by %s, which they do not have: %v", name, rows[0])
		}
	}
	numbers := 0
	for _, r := range rows {
		for c, v := range r {
			switch v := v.(type) {
			case json.Number:
				if c != "time" {
					numbers++
				}
			case float64:
				if math.IsInf(v, 0) || math.IsNaN(v) && !quantile(target) {
					return fmt.Errorf("%s is %v", c, v)
				}
				numbers++
			}
		}
	}
	switch p.Type {
	case "state-timeline":
		for _, r := range rows {
			if state, _ := r["state"].(string); mappedText(p.FieldConfig.Defaults.Mappings, state) == "" {
				return fmt.Errorf("the state %q has no word", state)
			}
		}
	case "annotation":
		q := target.(influxQuery)
		for _, c := range []string{q.TextColumn, q.TagsColumn} {
			if v, _ := rows[0][c].(string); v == "" {
				return fmt.Errorf("an annotation without %s: %v", c, rows[0])
			}
		}
	case "table":
	default:
		if numbers == 0 {
			return fmt.Errorf("no number in it: %v", rows[0])
		}
		if p.Type == "timeseries" && numbers < 2 && target.DataqueryType() == influxType {
			return fmt.Errorf("one point is no curve: %v", rows[0])
		}
	}
	return words(p, rows)
}

// quantile reports whether a query is one, which is no number while there is
// nothing to take it of.
func quantile(target variants.Dataquery) bool {
	q, ok := target.(*prometheus.Dataquery)
	return ok && strings.HasPrefix(q.Expr, "histogram_quantile(")
}

var nameParts = regexp.MustCompile(`\[\[tag_(\w+)\]\]|\{\{(\w+)\}\}`)

// namedBy gives the tags or labels that a query's series are named by.
func namedBy(target variants.Dataquery) (names []string) {
	text := ""
	switch q := target.(type) {
	case influxQuery:
		text = q.Alias
	case *prometheus.Dataquery:
		text = *q.LegendFormat
	}
	for _, m := range nameParts.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1]+m[2])
	}
	return names
}

// words sees that every text for which a table has words has one.
func words(p dashboard.Panel, rows []realserver.Row) error {
	for name, title := range renamed(p) {
		mappings := override(p, title, "mappings")
		if mappings == nil {
			continue
		}
		for _, r := range rows {
			v, ok := r[name].(string)
			if ok && v != "" && mappedText(mappings, v) == "" {
				return fmt.Errorf("%s %q has no word", title, v)
			}
		}
	}
	return nil
}

// tableFaults sees that a table's columns are those of the answers, or calculated.
func tableFaults(p dashboard.Panel, columns map[string]bool) (faults []error) {
	if p.Type != "table" || len(columns) == 0 {
		return nil
	}
	calculated := map[string]bool{}
	for _, tr := range p.Transformations {
		if tr.Id == "calculateField" {
			calculated[tr.Options.(map[string]any)["alias"].(string)] = true
		}
	}
	names := renamed(p)
	for name := range names {
		if name != "Time" && !columns[name] && !calculated[name] {
			faults = append(faults, fmt.Errorf("the column %s is not in the answer", name))
		}
	}
	for c := range columns {
		if c != "time" && names[c] == "" {
			faults = append(faults, fmt.Errorf("the answer's column %s has no title", c))
		}
	}
	return faults
}

// renamed gives a table's columns with their titles.
func renamed(p dashboard.Panel) map[string]string {
	names := map[string]string{}
	for _, tr := range p.Transformations {
		if tr.Id == "organize" {
			for name, title := range tr.Options.(map[string]any)["renameByName"].(map[string]any) {
				names[name] = title.(string)
			}
		}
	}
	return names
}

// override gives the value mappings that a column has of its own.
func override(p dashboard.Panel, title, id string) (mappings []dashboard.ValueMapping) {
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options != title {
			continue
		}
		for _, property := range o.Properties {
			if property.Id != id {
				continue
			}
			raw, _ := json.Marshal(property.Value)
			_ = json.Unmarshal(raw, &mappings)
		}
	}
	return mappings
}
