package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// safetyPage is 安全: what looks unsafe, and whom to visit.
func safetyPage() page {
	figure, chosen := size{6, 4}, where("estate", "building", "severity")
	at := where("estate", "building", "pile", "port", "severity")
	curve := func(port string) *dashboard.DashboardLinkBuilder { // four hours of it
		return link("看当时的曲线", safetyUID, "var-pile", "${__data.fields.pile}", "var-port", port, "time", "${__value.time}", "time.window", "14400000")
	}
	place := []column{
		{name: "building", title: "楼号", width: 60},
		{name: "pile", title: "充电桩", width: 80, link: curve("$__all")},
		{name: "port", title: "插口", width: 60, link: curve("${__data.fields.port}")},
	}
	when := column{name: "Time", title: "时间", unit: "time:MM-DD HH:mm", width: 110}
	severity := column{name: "severity", title: "级别", width: 70, words: mapped(severityWords()...)}
	rule := column{name: "rule", title: "类型", width: 220, words: mapped(ruleWords()...)}
	message := column{name: "message", title: "说明"}
	return page{
		uid: safetyUID, title: "安全", about: "疑似不安全的用电：什么、哪里、什么时候，当时的曲线，该去看谁。What looks unsafe, and whom to visit.",
		from: "now-7d", refresh: "5m", flags: flagsAt(`"severity" =~ /^${severity:regex}$/`, "estate", "building", "pile", "port"),
		variables: []cog.Builder[dashboard.VariableModel]{estateVariable(), buildingVariable(), pilesVariable(), portVariable(), severityVariable()},
		panels: []cog.Builder[dashboard.Panel]{
			open("未解除：严重", "请尽快到现场。Critical flags that are open.", figure, "critical", red),
			open("未解除：警告", "请上门了解情况并提供帮助。Warnings that are open.", figure, "warning", orange),
			open("未解除：提示", "仅供了解。Notes that are open.", figure, "info", blue),
			number("这段时间的提醒", "按上面所选的级别。Flags raised in the time that is looked at.", figure,
				series(`SELECT count("raised") AS "count" FROM "flag" WHERE `+at+` AND "raised" = 1`, "")).Unit("suffix:条").Thresholds(steps(blue)),

			list("提醒", "点充电桩或插口，看当时的曲线。Flags; a click on the pile or port shows the curve of that time.", size{12, 12},
				append([]column{when, severity, rule}, append(place[1:3:3], message)...),
				rows(`SELECT "severity", "rule", "pile", "port", "message" FROM "flag" WHERE `+at+` AND "raised" = 1 ORDER BY time DESC LIMIT 500`)),
			lines("功率曲线", "每个桩里功率最大的插口；先在上面选充电桩和插口，或点左边的提醒。竖线是提醒，指上去看说明。The port of most power, with the flags.", size{12, 12},
				series(`SELECT max("power_w") AS "w" FROM "port_power" WHERE `+where("estate", "building", "pile", "port")+
					` GROUP BY time($__interval), "pile" fill(none)`, "[[tag_pile]]")).
				Unit("watt").Min(0).Interval("1m").Thresholds(steps("transparent", step{600, orange}, step{1000, red})).ThresholdsStyle(dashed()),

			list("按类型", "Flags by rule.", size{8, 9}, []column{rule, {name: "count", title: "次数", unit: "suffix:条", whole: true}},
				rows(`SELECT count("raised") AS "count" FROM "flag" WHERE `+at+` AND "raised" = 1 GROUP BY "rule"`)).
				WithTransformation(sorted("次数")),
			gauges("按楼", "Flags by building.", size{8, 9},
				series(`SELECT count("raised") AS "count" FROM "flag" WHERE `+chosen+` AND "raised" = 1 GROUP BY "building"`, "[[tag_building]]号楼")).
				Unit("suffix:条"),
			bars("按日", "Flags a day.", size{8, 9},
				series(`SELECT count("raised") AS "count" FROM "flag" WHERE `+at+` AND "raised" = 1 GROUP BY time(1d), "severity" fill(0)`+inZone, "[[tag_severity]]")).
				Unit("suffix:条").Decimals(0).OverrideByName("critical", named("严重", red)).OverrideByName("warning", named("警告", orange)).
				OverrideByName("info", named("提示", blue)),

			list("走访清单", "最近 30 天疑似要上门看看的：插线板、电器、大充电器、久未来充电、久未使用的车。是去了解情况、提供帮助，不是去查处。Whom to visit, to offer help.",
				size{24, 10}, append(append([]column{when, rule}, place...), message),
				rows(`SELECT "rule", "building", "pile", "port", "message" FROM "flag" WHERE `+where("estate", "building")+
					` AND "raised" = 1 AND "rule" =~ /^(`+visitRules+`)$/ ORDER BY time DESC LIMIT 200`)).
				TimeFrom("30d").HideTimeOverride(true),
		},
	}
}

// visitRules are the rules for which somebody goes and asks.
const visitRules = "silent_bike|zombie_bike|household_volume|card_concurrency|back_to_back|over_power|second_load|two_tapers|excess_energy|over_time|resistive_load|hot_burst|cycling_load"

// open counts the flags of a severity that are open in the whole estate.
func open(title, about string, s size, severity, color string) cog.Builder[dashboard.Panel] {
	return number(title, about, s, present(`sum(pilewatch_flags_open{severity="`+severity+`"})`, "")).
		Unit("suffix:条").Thresholds(steps(green, step{1, color}))
}

func named(name, color string) []dashboard.DynamicConfigValue {
	return []dashboard.DynamicConfigValue{
		{Id: "displayName", Value: name},
		{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": color}},
	}
}
