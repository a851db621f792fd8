package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const (
	overviewUID = "pilewatch-estate"
	pileUID     = "pilewatch-pile"
	safetyUID   = "pilewatch-safety"
	billingUID  = "pilewatch-billing"
	gatewayUID  = "pilewatch-gateway"
)

// chargingW is the power from which a port counts as in use: session.idle_w.
const chargingW = "5"

// The figures of the month and the day end now, whatever the dashboard looks at.
const (
	today = "now/d"
	month = "now/M"
)

// overviewPage is 小区总览: the estate on one screen.
func overviewPage() page {
	figure, in := size{4, 4}, labels("estate", "building")
	return page{
		uid: overviewUID, title: "小区总览", about: "一屏看清：谁在充、用了多少、哪里要去看一看。The estate at a glance.",
		from: "now-24h", refresh: "1m",
		variables: []cog.Builder[dashboard.VariableModel]{estateVariable(), buildingVariable()},
		panels: []cog.Builder[dashboard.Panel]{
			number("正在充电", "功率达到 "+chargingW+" W 的插口。Ports in use.", figure,
				present("count(pilewatch_port_power_watts{"+in+"} >= "+chargingW+") or vector(0)", "插口")).
				Unit("suffix:个").Thresholds(steps(blue)),
			number("空闲插口", "充电桩说空闲的插口。Free ports.", figure,
				present(`sum(pilewatch_port_state{state="idle",`+in+"}) or vector(0)", "插口")).
				Unit("suffix:个").Thresholds(steps(red, step{1, orange}, step{5, green})),
			number("现在总功率", "所有插口的功率之和。Power now.", figure,
				present("sum(pilewatch_port_power_watts{"+in+"})", "功率")).
				Unit("watt").Decimals(1).Thresholds(steps(blue)),
			number("离线充电桩", "10 分钟没有消息，或说自己离线。Piles offline.", figure,
				present("count(pilewatch_pile_up{"+in+"} == 0) or vector(0)", "桩")).
				Unit("suffix:个").Thresholds(steps(green, step{1, red})),
			number("未解除的严重提醒", "整个小区；请尽快到现场。Critical flags that are open.", figure,
				present(`sum(pilewatch_flags_open{severity="critical"})`, "严重")).
				Unit("suffix:条").Thresholds(steps(green, step{1, red})).DataLinks(to("看安全", safetyUID)),
			number("未解除的警告", "整个小区；请上门了解情况。Warnings that are open.", figure,
				present(`sum(pilewatch_flags_open{severity="warning"})`, "警告")).
				Unit("suffix:条").Thresholds(steps(green, step{1, orange})).DataLinks(to("看安全", safetyUID)),

			energy("今日充电量", "今天 0 时以来开始、已结束的充电。Energy today.", figure).TimeFrom(today),
			energy("昨日同一时段", "昨天 0 时到现在这个钟点。The same hours yesterday.", figure).TimeFrom(today).TimeShift("1d"),
			energy("本月充电量", "本月 1 日以来开始、已结束的充电。Energy this month.", figure).TimeFrom(month),
			energy("上月充电量", "上月全月。All of last month.", figure).TimeFrom(month).TimeShift("1M/M"),
			number("今日充电次数", "今天开始、已结束的充电。Sessions today.", figure, charges()).Unit("suffix:次").TimeFrom(today).HideTimeOverride(true),
			number("本月充电次数", "本月开始、已结束的充电。Sessions this month.", figure, charges()).Unit("suffix:次").TimeFrom(month).HideTimeOverride(true),

			lines("各楼功率", "各楼插口的功率之和，5 分钟平均。Power by building.", size{16, 9},
				series(`SELECT sum("w") AS "w" FROM (SELECT mean("power_w") AS "w" FROM "port_power" WHERE `+where("estate", "building")+
					` GROUP BY time($__interval), "building", "pile", "port" fill(none)) WHERE $timeFilter GROUP BY time($__interval), "building" fill(none)`,
					"[[tag_building]]号楼")).
				Unit("watt").Min(0).Interval("5m").Stacking(stacked()).FillOpacity(40),
			tiles("楼栋图：空闲插口", "一格一幢楼：绿有空，橙剩一个，红已满；点一下看这幢楼的充电桩。The buildings, and their free ports; a click leads to the piles.", size{8, 9},
				present(`sum by (building) (pilewatch_port_state{state="idle",`+in+"})", "{{building}}号楼")).
				Thresholds(steps(red, step{1, orange}, step{2, green})).
				DataLinks(to("看这幢楼", pileUID, "var-building", "${__field.labels.building}")),

			bars("每日充电量", "最近 30 天，按充电开始的日子。Energy a day.", size{16, 9}, daily("energy_wh", 1000)).
				Unit(kWh).Decimals(1).TimeFrom("30d").HideTimeOverride(true),
			list("最近的提醒", "最近 30 天的严重和警告。The latest flags.", size{8, 9}, []column{
				{name: "Time", title: "时间", unit: "time:MM-DD HH:mm", width: 110},
				{name: "severity", title: "级别", width: 70, words: mapped(severityWords()...)},
				{name: "message", title: "说明", link: link("看安全", safetyUID)},
			}, rows(`SELECT "severity", "message" FROM "flag" WHERE `+where("estate", "building")+
				` AND "raised" = 1 AND "severity" != 'info' ORDER BY time DESC LIMIT 20`)).
				TimeFrom("30d").HideTimeOverride(true),
		},
	}
}
