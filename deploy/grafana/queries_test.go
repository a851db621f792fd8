package grafana

import (
	"encoding/json"
	"errors"
	"fmt"
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
		if len(a.faults(d, curve, nil)) == 0 {
			a.t.Errorf("%s instead of %s was not found", to, from)
		}
	}
}

// variables asks for the values of a dashboard's variables.
func (a *asker) variables(d dashboard.Dashboard) values {
	a.t.Helper()
	of := values{}
	for _, v := range d.Templating.List {
		switch v.Type {
		case dashboard.VariableTypeCustom:
			for _, o := range v.Options {
				of[v.Name] = append(of[v.Name], *o.Value.String)
			}
		case dashboard.VariableTypeQuery:
			q := influxText(a.t, v.Query.Map["query"].(string), nil, span{}, "1m")
			rows, err := a.influx.Ask(database, q)
			if err != nil {
				a.t.Fatalf("%s, variable %s: %v\n%s", *d.Title, v.Name, err, q)
			}
			for _, r := range rows {
				of[v.Name] = append(of[v.Name], r["value"].(string))
			}
		}
		if len(of[v.Name]) == 0 {
			a.t.Errorf("%s: the variable %s has no value", *d.Title, v.Name)
		}
		if v.IncludeAll != nil && *v.IncludeAll && *v.AllValue != everything {
			a.t.Errorf("%s: All of %s is %q", *d.Title, v.Name, *v.AllValue)
		}
	}
	return of
}

// faults runs a panel's queries with all values of the variables, with each
// alone, and with two, and gives what is wrong with the answers.
func (a *asker) faults(d dashboard.Dashboard, p dashboard.Panel, of values) (faults []error) {
	a.t.Helper()
	s := spanOf(a.t, a.now, d.Time.From, d.Time.To, p.TimeFrom, p.TimeShift)
	step := "1s"
	if p.Interval != nil {
		step = *p.Interval
	}
	columns := map[string]bool{}
	for _, target := range p.Targets {
		text, ask := a.query(target, s, step)
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(d.Templating.List, func(v dashboard.VariableModel) bool { return v.Name == m[1] }) {
				return append(faults, fmt.Errorf("%s is no variable of the dashboard: %s", m[0], text))
			}
		}
		rows, err := a.answer(target, ask(nil))
		if err == nil {
			err = a.right(p, target, rows, s)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w\n%s", err, ask(nil)))
			continue
		}
		for _, r := range rows {
			for c := range r {
				columns[c] = true
			}
		}
		for name, choices := range of {
			if !strings.Contains(text, "$"+name) && !strings.Contains(text, "${"+name) {
				continue
			}
			if err := a.each(target, name, choices, ask, len(rows) > 0); err != nil {
				faults = append(faults, err)
			}
		}
	}
	if len(faults) == 0 {
		faults = tableFaults(p, columns)
	}
	return faults
}

// reference is that to a variable; $timeFilter and $__interval are Grafana's own.
var reference = regexp.MustCompile(`\$\{?([a-z]+)\b`)

// each asks with each value of a variable, and with two of them.
func (a *asker) each(target variants.Dataquery, name string, choices []string, ask func(values) string, filled bool) error {
	with := 0
	sets := [][]string{choices[:min(2, len(choices))]}
	for _, c := range choices {
		sets = append(sets, []string{c})
	}
	for _, set := range sets {
		rows, err := a.answer(target, ask(values{name: set}))
		if err != nil {
			return fmt.Errorf("%s is %v: %w\n%s", name, set, err, ask(values{name: set}))
		}
		if len(rows) > 0 {
			with++
		}
	}
	if filled && with == 0 {
		return fmt.Errorf("there is something for all, and nothing for any of %s %v", name, choices)
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

var errEmpty = errors.New("nothing came back")

// right says what is wrong with an answer for a panel.
func (a *asker) right(p dashboard.Panel, target variants.Dataquery, rows []realserver.Row, s span) error {
	if len(rows) == 0 {
		short := s.to.Sub(s.from) < 12*time.Hour           // in the night nobody has charged today
		before := s.to.Before(a.filled.Add(24 * time.Hour)) // a month that the demonstration does not know
		if short || before {
			return nil
		}
		return errEmpty
	}
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
				if math.IsNaN(v) || math.IsInf(v, 0) {
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

