package grafana

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// page is one dashboard.
type page struct {
	uid, title, about string
	from, refresh     string // how far it looks back, and how often it looks again
	variables         []cog.Builder[dashboard.VariableModel]
	panels            []cog.Builder[dashboard.Panel] // from left to right, in rows of 24
	flags             string                         // the query of the annotations; "" for none
}

// build gives the dashboard, with links to all of them.
func (p page) build(all []page) (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder(p.title).Uid(p.uid).Description(p.about).Tags([]string{"pilewatch"}).
		Time(p.from, "now").Refresh(p.refresh).Timezone(zone).WeekStart("monday").Timepicker(times()).
		Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).Variables(p.variables)
	for _, other := range all {
		b.Link(shown[dashboard.DashboardLink]{
			dashboard.NewDashboardLinkBuilder(other.title).Type(dashboard.DashboardLinkTypeLink).Icon("dashboard").
				Url("/d/" + other.uid).Tooltip(other.about).KeepTime(false).IncludeVars(other.uid != p.uid),
			func(l *dashboard.DashboardLink) { l.Placement = nil },
		})
	}
	for i, panel := range p.panels {
		b.WithPanel(shown[dashboard.Panel]{panel, func(p *dashboard.Panel) { p.Id = cog.ToPtr(uint32(i + 1)) }})
	}
	if p.flags != "" {
		b.Annotation(shown[dashboard.AnnotationQuery]{
			dashboard.NewAnnotationQueryBuilder().Name("提醒").Enable(true).IconColor(red).
				Datasource(source(influxType, influxUID)).Target(events(p.flags, "message", "severity")),
			func(a *dashboard.AnnotationQuery) { a.Placement, a.BuiltIn = nil, nil },
		})
	}
	return b.Build()
}

// shown is what a builder builds with a last touch. The links and the switch of
// the annotations stay in sight: the SDK would put them into a menu.
type shown[T any] struct {
	of    cog.Builder[T]
	touch func(*T)
}

// Build implements cog.Builder.
func (s shown[T]) Build() (T, error) {
	v, err := s.of.Build()
	if err == nil {
		s.touch(&v)
	}
	return v, err
}

// times are the spans that people ask for, a click each.
func times() cog.Builder[dashboard.TimePickerConfig] {
	var ranges []cog.Builder[dashboard.TimeOption]
	for _, r := range [][3]string{
		{"今天", "now/d", "now"},
		{"昨天", "now-1d/d", "now-1d/d"},
		{"最近24小时", "now-24h", "now"},
		{"最近7天", "now-7d", "now"},
		{"最近30天", "now-30d", "now"},
		{"本月", "now/M", "now"},
		{"上月", "now-1M/M", "now-1M/M"},
		{"今年", "now/y", "now"},
	} {
		ranges = append(ranges, dashboard.NewTimeOptionBuilder().Display(r[0]).From(r[1]).To(r[2]))
	}
	return dashboard.NewTimePickerBuilder().RefreshIntervals([]string{"30s", "1m", "5m", "15m", "1h"}).QuickRanges(ranges)
}

// The variables. Each narrows those behind it.
func estateVariable() *dashboard.QueryVariableBuilder { return many(choice("estate", "小区")) }
func buildingVariable() *dashboard.QueryVariableBuilder {
	return many(choice("building", "楼号", "estate"))
}
func pilesVariable() *dashboard.QueryVariableBuilder {
	return many(choice("pile", "充电桩", "estate", "building"))
}
func portVariable() *dashboard.QueryVariableBuilder {
	return many(choice("port", "插口", "estate", "building", "pile"))
}

// choice is a variable with the values of a tag, one at a time.
func choice(tag, label string, within ...string) *dashboard.QueryVariableBuilder {
	q := fmt.Sprintf(`SHOW TAG VALUES FROM "port_power" WITH KEY = %q`, tag)
	for i, v := range within {
		q += fmt.Sprintf(` %[1]s "%[2]s" =~ /^${%[2]s:regex}$/`, []string{"WHERE", "AND"}[min(i, 1)], v)
	}
	return dashboard.NewQueryVariableBuilder(tag).Label(label).Datasource(source(influxType, influxUID)).
		Query(dashboard.StringOrMap{Map: map[string]any{"query": q, "refId": "Variable"}}).Definition(q).
		Refresh(dashboard.VariableRefreshOnDashboardLoad).Sort(dashboard.VariableSortNaturalAsc).AllowCustomValue(false)
}

// many lets several values be chosen, and all: what has no such tag, as a pile
// that is not in the registry has no building, is among all.
func many(v *dashboard.QueryVariableBuilder) *dashboard.QueryVariableBuilder {
	return v.Multi(true).IncludeAll(true).AllValue(".*").Current(option([]string{"All"}, []string{"$__all"}))
}

func option(texts, values []string) dashboard.VariableOption {
	return dashboard.VariableOption{
		Selected: cog.ToPtr(true),
		Text:     dashboard.StringOrArrayOfString{ArrayOfString: texts},
		Value:    dashboard.StringOrArrayOfString{ArrayOfString: values},
	}
}

// severityVariable is the choice of severities; what only informs is off at first.
func severityVariable() *dashboard.CustomVariableBuilder {
	b := dashboard.NewCustomVariableBuilder("severity").Label("级别").Multi(true).IncludeAll(true).AllValue(".*")
	var values string
	var options []dashboard.VariableOption
	var texts, chosen []string
	for i, w := range severityWords() {
		if i > 0 {
			values += ", "
		}
		values += w.text + " : " + w.value
		o := dashboard.VariableOption{
			Selected: cog.ToPtr(w.value != "info"),
			Text:     dashboard.StringOrArrayOfString{String: &w.text},
			Value:    dashboard.StringOrArrayOfString{String: &w.value},
		}
		if *o.Selected {
			texts, chosen = append(texts, w.text), append(chosen, w.value)
		}
		options = append(options, o)
	}
	return b.Values(dashboard.StringOrMap{String: &values}).Options(options).Current(option(texts, chosen))
}

// link leads to a dashboard with variables set: pairs of a name and what Grafana
// puts in for it.
func link(title, uid string, pairs ...string) *dashboard.DashboardLinkBuilder {
	url := "/d/" + uid + "?${estate:queryparam}"
	for i := 0; i+1 < len(pairs); i += 2 {
		url += "&" + pairs[i] + "=" + pairs[i+1]
	}
	return dashboard.NewDashboardLinkBuilder(title).Url(url)
}

// tip shows all series at a time, the largest first.
func tip() *common.VizTooltipOptionsBuilder {
	return common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)
}
