package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// billingPage is 用电与账单: energy and fees. The bill itself is `pilewatch export`.
func billingPage() page {
	figure, in := size{4, 4}, where("estate", "building")
	return page{
		uid: billingUID, title: "用电与账单",
		about: "电量和费用：各楼、各户（房号隐去一部分）、峰谷、损耗。供查看；收费以导出的账单为准。Energy and fees, to look at; the bill is what is exported.",
		from:  "now-30d", refresh: "15m",
		variables: []cog.Builder[dashboard.VariableModel]{estateVariable(), buildingVariable()},
		panels: []cog.Builder[dashboard.Panel]{
			energy("本月电量", "本月开始、已结束的充电。Energy this month.", figure).TimeFrom(month),
			energy("上月电量", "上月全月。All of last month.", figure).TimeFrom(month).TimeShift("1M/M"),
			money("本月电费", "Electricity fee this month.", figure, "electricity_fee_fen").TimeFrom(month),
			money("本月服务费", "Service fee this month.", figure, "service_fee_fen").TimeFrom(month),
			money("本月合计", "电费加服务费。Both, this month.", figure, "total_fee_fen").TimeFrom(month),
			money("上月合计", "上月全月。All of last month.", figure, "total_fee_fen").TimeFrom(month).TimeShift("1M/M"),

			bars("每日电量", "各楼，按充电开始的日子。Energy a day.", size{12, 9}, daily("energy_wh", 1000)).Unit(kWh).Decimals(1),
			bars("每日费用", "各楼，电费加服务费。Fees a day.", size{12, 9}, daily("total_fee_fen", 100)).Unit(yuan).Decimals(2),

			list("各楼用电和费用", "右上角选时间：例如本月、上月。By building, for the time that is chosen.", size{12, 10}, []column{
				{name: "building", title: "楼号", width: 80},
				{name: "count", title: "次数", unit: "suffix:次", whole: true},
				{name: "kwh", title: "电量", unit: kWh},
				{name: "electricity", title: "电费", unit: yuan},
				{name: "service", title: "服务费", unit: yuan},
				{name: "total", title: "合计", unit: yuan},
			}, rows(`SELECT count("energy_wh") AS "count", sum("energy_wh")/1000 AS "kwh", sum("electricity_fee_fen")/100 AS "electricity", sum("service_fee_fen")/100 AS "service", sum("total_fee_fen")/100 AS "total" FROM "session" WHERE `+
				in+` GROUP BY "building"`)).Decimals(2).
				Footer(footer("sum")),
			list("用电最多的住户", "前 15 户，房号隐去一部分。不登记的卡不在其中。Households that use most, masked.", size{12, 10}, []column{
				{name: "household", title: "住户", words: masked()},
				{name: "count", title: "次数", unit: "suffix:次", whole: true},
				{name: "kwh", title: "电量", unit: kWh},
				{name: "total", title: "费用", unit: yuan},
			}, rows(`SELECT count("energy_wh") AS "count", sum("energy_wh")/1000 AS "kwh", sum("total_fee_fen")/100 AS "total" FROM "session" WHERE `+
				in+` AND "household" != '' GROUP BY "household"`)).Decimals(2).
				WithTransformation(sorted("电量")).WithTransformation(first(15)),

			bars("峰谷用电", "谷 22 时到次日 6 时，峰 6 时到 22 时；一根柱从前一晚 22 时算起。按功率估算。Night and day, from the power.", size{12, 10},
				series("SELECT first("+bands, "谷 22–6 时"), series(`SELECT sum("wh") - first(`+bands, "峰 6–22 时")).
				Unit(kWh).Decimals(1).OverrideByName("谷 22–6 时", named("谷 22–6 时", blue)).OverrideByName("峰 6–22 时", named("峰 6–22 时", orange)),
			lines("总表与插口", "每日：桩的总表，和它各插口之和。差是损耗。Main meters against ports, a day.", size{12, 10},
				series(`SELECT sum("wh")/1000 AS "kwh" FROM (`+advance("main_energy_wh", "pile_status", `"pile"`)+`) WHERE $timeFilter GROUP BY time(1d) fill(none)`+inZone, "总表"),
				series(`SELECT sum("wh")/1000 AS "kwh" FROM (`+advance("energy_wh", "port_power", `"pile", "port"`)+`) WHERE $timeFilter GROUP BY time(1d) fill(none)`+inZone, "插口合计")).
				Unit(kWh).Decimals(1).Min(0).ShowPoints(common.VisibilityModeAlways).SpanNulls(common.BoolOrFloat64{Bool: cog.ToPtr(true)}),
			losses(),
		},
	}
}

// bands are the sums of 8 hours from 6, 14 and 22 o'clock, and then days from 22
// o'clock on: the first sum of such a day is the night's. What is missing is 0,
// or else the first sum of a day without a night would be its morning.
const bands = `"wh") AS "kwh" FROM (SELECT sum("w")/1000 AS "wh" FROM (SELECT mean("power_w") AS "w" FROM "port_power" WHERE ` +
	`$timeFilter AND "estate" =~ /^${estate:regex}$/ AND "building" =~ /^${building:regex}$/ GROUP BY time(1h), "pile", "port" fill(none)) ` +
	`WHERE $timeFilter GROUP BY time(8h, 6h) fill(0)` + inZone + `) WHERE $timeFilter GROUP BY time(1d, 22h) fill(none)` + inZone

// advance is what a register went on by, a day. One that falls back counts
// nothing that day; the first day of the time that is looked at has nothing
// before it.
func advance(field, measurement, by string) string {
	return `SELECT non_negative_difference(last("` + field + `")) AS "wh" FROM "` + measurement + `" WHERE ` + where("estate", "building") +
		` GROUP BY time(1d), ` + by + ` fill(none)` + inZone
}

// calculated adds a column that is calculated of two others.
func calculated(name, left, operator, right string) dashboard.DataTransformerConfig {
	return transformation("calculateField", map[string]any{
		"mode": "binary", "alias": name,
		"binary": map[string]any{
			"left": map[string]any{"matcher": map[string]any{"id": "byName", "options": left}}, "operator": operator,
			"right": map[string]any{"matcher": map[string]any{"id": "byName", "options": right}},
		},
	})
}

// losses are what the main meter of a pile counts more than its ports.
func losses() cog.Builder[dashboard.Panel] {
	columns := []column{
		{name: "pile", title: "充电桩", width: 160},
		{name: "main", title: "总表", unit: kWh},
		{name: "ports", title: "插口合计", unit: kWh},
		{name: "loss", title: "损耗", unit: kWh},
		{name: "share", title: "损耗率", unit: "percentunit"},
	}
	return list("各桩损耗", "总表减插口；超过 5% 请检查线路，可能有人在插口前接线。没有总表的桩不在其中。Losses by pile.", size{24, 10}, columns,
		rows(`SELECT sum("wh")/1000 AS "main" FROM (`+advance("main_energy_wh", "pile_status", `"pile"`)+`) WHERE $timeFilter GROUP BY "pile"`),
		rows(`SELECT sum("wh")/1000 AS "ports" FROM (`+advance("energy_wh", "port_power", `"pile", "port"`)+`) WHERE $timeFilter GROUP BY "pile"`)).
		Decimals(2).
		Transformations([]dashboard.DataTransformerConfig{
			transformation("joinByField", map[string]any{"byField": "pile", "mode": "inner"}),
			calculated("loss", "main", "-", "ports"),
			calculated("share", "loss", "/", "main"),
			transformation("filterFieldsByName", map[string]any{"include": map[string]any{"names": []string{"pile", "main", "ports", "loss", "share"}}}),
			organized(columns),
		}).
		OverrideByName("损耗率", []dashboard.DynamicConfigValue{
			{Id: "thresholds", Value: map[string]any{"mode": "absolute", "steps": []map[string]any{{"value": nil, "color": green}, {"value": 0.05, "color": red}}}},
			{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}},
		})
}
