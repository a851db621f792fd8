package grafana

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
)

// What several dashboards ask of the sessions. InfluxDB has a session, once it
// has ended, at its start.

// sum is the sum of a field over the sessions, in units of by.
func sum(field string, by int) influxQuery {
	return series(fmt.Sprintf(`SELECT sum(%q)/%d AS "sum" FROM "session" WHERE %s`, field, by, where("estate", "building")), "")
}

func charges() influxQuery {
	return series(`SELECT count("energy_wh") AS "count" FROM "session" WHERE `+where("estate", "building"), "次数")
}

// daily is the sum a day and building.
func daily(field string, by int) influxQuery {
	return series(fmt.Sprintf(`SELECT sum(%q)/%d AS "sum" FROM "session" WHERE %s GROUP BY time(1d), "building" fill(0)`, field, by, where("estate", "building"))+inZone,
		"[[tag_building]]号楼")
}

func energy(title, about string, s size) *stat.PanelBuilder {
	return number(title, about, s, sum("energy_wh", 1000)).Unit(kWh).Decimals(1).HideTimeOverride(true).Thresholds(steps(blue))
}

func money(title, about string, s size, field string) *stat.PanelBuilder {
	return number(title, about, s, sum(field, 100)).Unit(yuan).Decimals(2).HideTimeOverride(true).Thresholds(steps(blue))
}

func stacked() cog.Builder[common.StackingConfig] {
	return common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A")
}

// to is a link of all values of a panel.
func to(title, uid string, pairs ...string) []cog.Builder[dashboard.DashboardLink] {
	return []cog.Builder[dashboard.DashboardLink]{shown[dashboard.DashboardLink]{
		link(title, uid, pairs...), func(l *dashboard.DashboardLink) { l.Placement = nil },
	}}
}
