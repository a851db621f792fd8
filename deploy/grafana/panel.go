package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// size is a panel's width, in 24ths, and height, in rows of 30 pixels.
type size struct{ w, h uint32 }

// builder is what the builders of all kinds of panels have.
type builder[B any] interface {
	Title(string) B
	Description(string) B
	Datasource(common.DataSourceRef) B
	Height(uint32) B
	Span(uint32) B
	WithTarget(cog.Builder[variants.Dataquery]) B
}

// begin sets what every panel has. Its queries are of one data source.
func begin[B builder[B]](b B, title, about string, s size, queries ...query) B {
	b = b.Title(title).Description(about).Height(s.h).Span(s.w).Datasource(queries[0].source())
	for i, q := range queries {
		b = b.WithTarget(q.ref(string(rune('A' + i))))
	}
	return b
}

// number is one large figure, or one for each series; 0 where there is nothing.
func number(title, about string, s size, queries ...query) *stat.PanelBuilder {
	return begin(stat.NewPanelBuilder(), title, about, s, queries...).
		NoValue("0").Orientation(common.VizOrientationAuto).GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).JustifyMode(common.BigValueJustifyModeCenter).
		ReduceOptions(last()).Thresholds(steps(green)).ColorScheme(scheme(dashboard.FieldColorModeIdThresholds))
}

// tiles are coloured fields with their names.
func tiles(title, about string, s size, queries ...query) *stat.PanelBuilder {
	return number(title, about, s, queries...).ColorMode(common.BigValueColorModeBackgroundSolid).TextMode(common.BigValueTextModeValueAndName)
}

// lines are curves over time.
func lines(title, about string, s size, queries ...query) *timeseries.PanelBuilder {
	return begin(timeseries.NewPanelBuilder(), title, about, s, queries...).
		ColorScheme(scheme(dashboard.FieldColorModeIdPaletteClassic)).Tooltip(tip()).Legend(legend()).
		LineWidth(2).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
		SpanNulls(common.BoolOrFloat64{Float64: cog.ToPtr(float64(15 * 60 * 1000))}) // a gap of a quarter of an hour is seen
}

// bars are sums, stacked; the legend has the sum of all.
func bars(title, about string, s size, queries ...query) *timeseries.PanelBuilder {
	return begin(timeseries.NewPanelBuilder(), title, about, s, queries...).
		ColorScheme(scheme(dashboard.FieldColorModeIdPaletteClassic)).Tooltip(tip()).Legend(legend("sum")).
		DrawStyle(common.GraphDrawStyleBars).LineWidth(1).FillOpacity(70).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
}

// timeline shows states as coloured bands.
func timeline(title, about string, s size, words []word, queries ...query) *statetimeline.PanelBuilder {
	return begin(statetimeline.NewPanelBuilder(), title, about, s, queries...).
		Mappings(mapped(words...)).ShowValue(common.VisibilityModeAuto).MergeValues(true).RowHeight(0.8).FillOpacity(80).
		Legend(legend()).Tooltip(tip())
}

// gauges are horizontal bars, one for each series.
func gauges(title, about string, s size, queries ...query) *bargauge.PanelBuilder {
	return begin(bargauge.NewPanelBuilder(), title, about, s, queries...).
		NoValue("0").Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic).ValueMode(common.BarGaugeValueModeText).
		ReduceOptions(last()).Min(0).Thresholds(steps(blue)).ColorScheme(scheme(dashboard.FieldColorModeIdThresholds))
}

// column is one of a table, in its order.
type column struct {
	name, title string // in the answer, and for people
	unit        string
	whole       bool // without decimals
	width       int
	words       []dashboard.ValueMapping
	link        *dashboard.DashboardLinkBuilder
}

// list is a table with the columns of its answer; the time is shown only where it
// is one of them.
func list(title, about string, s size, columns []column, queries ...query) *table.PanelBuilder {
	b := begin(table.NewPanelBuilder(), title, about, s, queries...).NoValue("—").ShowHeader(true).CellHeight(common.TableCellHeightMd).Footer(footer()).
		WithTransformation(organized(columns))
	for _, c := range columns {
		if p := c.properties(); len(p) > 0 { // Grafana fails on an override without any
			b.OverrideByName(c.title, p)
		}
	}
	return b
}

// footer has a figure under each column of numbers, by the calculation; none without one.
func footer(calcs ...string) *common.TableFooterOptionsBuilder {
	return common.NewTableFooterOptionsBuilder().Show(len(calcs) > 0).Reducer(append([]string{}, calcs...)).CountRows(false)
}

// organized names and orders the columns, and hides the time where it is none of them.
func organized(columns []column) dashboard.DataTransformerConfig {
	order, names, hidden := map[string]int{}, map[string]string{}, map[string]bool{"Time": true}
	for i, c := range columns {
		order[c.name], names[c.name] = i, c.title
		delete(hidden, c.name)
	}
	return transformation("organize", map[string]any{"excludeByName": hidden, "indexByName": order, "renameByName": names})
}

func transformation(id string, options any) dashboard.DataTransformerConfig {
	return dashboard.DataTransformerConfig{Id: id, Options: options}
}

func (c column) properties() []dashboard.DynamicConfigValue {
	var p []dashboard.DynamicConfigValue
	set := func(id string, v any) { p = append(p, dashboard.DynamicConfigValue{Id: id, Value: v}) }
	if c.unit != "" {
		set("unit", c.unit)
	}
	if c.whole {
		set("decimals", 0)
	}
	if c.width > 0 {
		set("custom.width", c.width)
	}
	if c.words != nil {
		set("mappings", c.words)
		set("custom.cellOptions", map[string]any{"type": "color-text"})
	}
	if c.link != nil {
		if l, err := c.link.Build(); err == nil { // a title and an address: it can't fail
			set("links", []map[string]any{{"title": l.Title, "url": *l.Url}})
		}
	}
	return p
}

// sorted puts the rows with the most of a column first.
func sorted(by string) dashboard.DataTransformerConfig {
	return transformation("sortBy", map[string]any{"fields": map[string]any{}, "sort": []map[string]any{{"field": by, "desc": true}}})
}

func first(n int) dashboard.DataTransformerConfig {
	return transformation("limit", map[string]any{"limitField": n})
}

func last() *common.ReduceDataOptionsBuilder {
	return common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}).Fields("").Values(false)
}

func legend(calcs ...string) *common.VizLegendOptionsBuilder {
	if calcs == nil {
		calcs = []string{}
	}
	return common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs(calcs)
}

func scheme(mode dashboard.FieldColorModeId) *dashboard.FieldColorBuilder {
	return dashboard.NewFieldColorBuilder().Mode(mode)
}

// step is the colour from a value on.
type step struct {
	from  float64
	color string
}

// steps gives thresholds: the colour at first, then those from their values on.
func steps(base string, more ...step) *dashboard.ThresholdsConfigBuilder {
	s := []dashboard.Threshold{{Color: base}}
	for _, m := range more {
		s = append(s, dashboard.Threshold{Value: &m.from, Color: m.color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(s)
}

// dashed draws the thresholds into a curve.
func dashed() *common.GraphThresholdsStyleConfigBuilder {
	return common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed)
}
