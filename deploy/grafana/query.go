package grafana

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// The data sources, by the uid that provisioning gives them.
const (
	influxUID, influxType = "pilewatch-influxdb", "influxdb"
	promUID, promType     = "pilewatch-prometheus", "prometheus"
)

func source(kind, uid string) common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(kind), Uid: cog.ToPtr(uid)}
}

// query is one query of a panel.
type query interface {
	cog.Builder[variants.Dataquery]
	source() common.DataSourceRef
	ref(id string) query // the same, with its letter in the panel
}

// influxQuery is a query in InfluxQL as Grafana keeps it; the SDK has no type
// for it.
type influxQuery struct {
	RefID        string                `json:"refId"`
	Datasource   *common.DataSourceRef `json:"datasource"`
	Query        string                `json:"query"`
	RawQuery     bool                  `json:"rawQuery"`
	ResultFormat string                `json:"resultFormat,omitempty"` // time_series or table
	Alias        string                `json:"alias,omitempty"`        // [[tag_x]] is the value of a tag

	// Of an annotation: the columns that hold its text and tags.
	FromAnnotations bool   `json:"fromAnnotations,omitempty"`
	TextEditor      bool   `json:"textEditor,omitempty"`
	TextColumn      string `json:"textColumn,omitempty"`
	TagsColumn      string `json:"tagsColumn,omitempty"`
}

// series asks for one series for each group.
func series(q, alias string) influxQuery {
	return influxQuery{Query: q, RawQuery: true, ResultFormat: "time_series", Alias: alias}
}

// rows asks for a table: the time, the tags it is grouped by, the columns.
func rows(q string) influxQuery {
	return influxQuery{Query: q, RawQuery: true, ResultFormat: "table"}
}

// events asks for annotations.
func events(q, text, tags string) influxQuery {
	return influxQuery{
		RefID: "Anno", Query: q, RawQuery: true, ResultFormat: "time_series",
		FromAnnotations: true, TextEditor: true, TextColumn: text, TagsColumn: tags,
	}
}

func (q influxQuery) source() common.DataSourceRef { return source(influxType, influxUID) }

func (q influxQuery) ref(id string) query { q.RefID = id; return q }

// Build implements cog.Builder.
func (q influxQuery) Build() (variants.Dataquery, error) {
	ds := q.source()
	q.Datasource = &ds
	return q, q.Validate()
}

// ImplementsDataqueryVariant marks a query.
func (q influxQuery) ImplementsDataqueryVariant() {}

// DataqueryType is the type of the data source.
func (q influxQuery) DataqueryType() string { return influxType }

// Equals implements variants.Dataquery.
func (q influxQuery) Equals(other variants.Dataquery) bool { return reflect.DeepEqual(q, other) }

// Validate fails where the query is none.
func (q influxQuery) Validate() error {
	if !strings.HasPrefix(q.Query, "SELECT ") {
		return fmt.Errorf("not a query: %q", q.Query)
	}
	return nil
}

// promQuery is a query in PromQL.
type promQuery struct {
	expr, legend, id string
	now              bool // the present value only
}

// present asks for the values of now; legend names each, {{label}} in it.
func present(expr, legend string) promQuery {
	return promQuery{expr: expr, legend: legend, now: true}
}

// course asks for the course over time.
func course(expr, legend string) promQuery { return promQuery{expr: expr, legend: legend} }

func (q promQuery) source() common.DataSourceRef { return source(promType, promUID) }

func (q promQuery) ref(id string) query { q.id = id; return q }

// Build implements cog.Builder.
func (q promQuery) Build() (variants.Dataquery, error) {
	b := prometheus.NewDataqueryBuilder().Datasource(q.source()).RefId(q.id).Expr(q.expr).LegendFormat(q.legend)
	if q.now {
		return b.Instant().Build()
	}
	return b.Range().Build()
}

// where gives the conditions of an InfluxQL query: the time that is looked at,
// and the variables that narrow it. A variable's text is made a regular
// expression by Grafana itself: its InfluxDB plugin has done that differently
// from version to version.
func where(variables ...string) string {
	var b strings.Builder
	b.WriteString("$timeFilter")
	for _, v := range variables {
		fmt.Fprintf(&b, ` AND "%[1]s" =~ /^${%[1]s:regex}$/`, v)
	}
	return b.String()
}

// labels gives the label matchers of a PromQL query for variables.
func labels(variables ...string) string {
	matchers := make([]string, len(variables))
	for i, v := range variables {
		matchers[i] = fmt.Sprintf(`%[1]s=~"$%[1]s"`, v)
	}
	return strings.Join(matchers, ",")
}

// zone is where days and months begin. InfluxQL takes no variable there.
const zone = "Asia/Shanghai"

const inZone = " tz('" + zone + "')"
