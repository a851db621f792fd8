package grafana

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// pilePage is 充电桩: one pile and its ports.
func pilePage() page {
	figure, at := size{4, 4}, labels("estate", "pile")
	return page{
		uid: pileUID, title: "充电桩", about: "一个充电桩：各插口现在怎样、功率和温度曲线、充电记录。One pile and its ports.",
		from: "now-24h", refresh: "1m", flags: flagsAt(`"severity" != 'info'`, "estate", "pile", "port"),
		variables: []cog.Builder[dashboard.VariableModel]{
			estateVariable(), buildingVariable(), choice("pile", "充电桩", "estate", "building"), portVariable(),
		},
		panels: []cog.Builder[dashboard.Panel]{
			number("通信", "10 分钟没有消息，或说自己离线，就是离线。Whether it is heard.", figure, present("min(pilewatch_pile_up{"+at+"})", "通信")).
				Mappings(mapped(word{"1", "在线", green}, word{"0", "离线", red})).NoValue("没有消息"),
			number("多久没有消息", "距最后一条消息。Since its last message.", figure,
				present("(time() - max(pilewatch_pile_last_seen_timestamp_seconds{"+at+"})) / 60", "")).
				Unit("suffix:分钟").Decimals(0).Thresholds(steps(green, step{3, yellow}, step{10, red})).NoValue("没有消息"),
			number("现在功率", "各插口之和。Power now.", figure, present("sum(pilewatch_port_power_watts{"+at+"})", "")).
				Unit("watt").Decimals(1).Thresholds(steps(blue)),
			number("桩内温度", "充电桩自己测的。Temperature in the pile.", figure, present("max(pilewatch_pile_temperature_celsius{"+at+"})", "")).
				Unit("celsius").Decimals(1).Thresholds(steps(green, step{50, orange}, step{65, red})).NoValue("没有测"),
			number("信号强度", "桩的无线信号，-85 dBm 以下容易掉线。Radio signal.", figure,
				series(`SELECT last("rssi") AS "rssi" FROM "pile_status" WHERE `+where("estate", "pile"), "")).
				Unit("dBm").Thresholds(steps(red, step{-90, orange}, step{-80, green})).NoValue("没有测"),
			number("今日充电量", "今天开始、已结束的充电。Energy today.", figure,
				series(`SELECT sum("energy_wh")/1000 AS "sum" FROM "session" WHERE `+where("estate", "pile"), "")).
				Unit(kWh).Decimals(1).TimeFrom(today).HideTimeOverride(true).Thresholds(steps(blue)),

			tiles("插口现状", "每个插口现在的状态。The ports now.", size{24, 5}, present(portStates(labels("estate", "pile", "port")), "{{port}}号插口")).
				Mappings(numbered(stateWords())).NoValue("没有数据"),
			timeline("插口状态", "什么时候空闲，什么时候在充。States over time.", size{24, 9}, stateWords(),
				series(`SELECT last("state") AS "state" FROM "port_power" WHERE `+where("estate", "pile", "port")+
					` GROUP BY time($__interval), "pile", "port" fill(none)`, "[[tag_port]]号插口")).Interval("1m").SpanNullsThreshold(15 * 60 * 1000),
			lines("功率曲线", "虚线：600 W 警告，1000 W 严重。红线处有提醒。Power, with the flags.", size{24, 10}, powerOf("estate", "pile", "port")).
				Unit("watt").Min(0).Interval("1m").Thresholds(steps("transparent", step{600, orange}, step{1000, red})).ThresholdsStyle(dashed()),
			lines("温度", "插口和桩内；虚线：65 °C 警告，80 °C 严重。Temperatures.", size{24, 8},
				series(`SELECT max("temperature_c") AS "t" FROM "port_power" WHERE `+where("estate", "pile", "port")+
					` GROUP BY time($__interval), "pile", "port" fill(none)`, "[[tag_port]]号插口"),
				series(`SELECT max("temperature_c") AS "t" FROM "pile_status" WHERE `+where("estate", "pile")+
					` GROUP BY time($__interval), "pile" fill(none)`, "[[tag_pile]]桩内")).
				Unit("celsius").Interval("5m").Thresholds(steps("transparent", step{65, orange}, step{80, red})).ThresholdsStyle(dashed()),
			list("充电记录", "已结束的充电，最新的在前。Sessions that have ended.", size{24, 10}, []column{
				{name: "Time", title: "开始", unit: "time:MM-DD HH:mm", width: 130},
				{name: "port", title: "插口", width: 70},
				{name: "kwh", title: "电量", unit: kWh},
				{name: "minutes", title: "时长", unit: "suffix:分", whole: true},
				{name: "peak_w", title: "峰值功率", unit: "watt", whole: true},
				{name: "stop_reason", title: "结束原因", words: mapped(reasonWords()...)},
				{name: "fee", title: "费用", unit: yuan},
				{name: "quality", title: "数据", words: qualityWords()},
			}, rows(`SELECT "port", "energy_wh"/1000 AS "kwh", "duration_s"/60 AS "minutes", "peak_w", "stop_reason", "total_fee_fen"/100 AS "fee", "quality" FROM "session" WHERE `+
				where("estate", "pile", "port")+" ORDER BY time DESC LIMIT 500")).Decimals(2),
		},
	}
}

// powerOf is the power of each port.
func powerOf(variables ...string) influxQuery {
	return series(`SELECT mean("power_w") AS "w" FROM "port_power" WHERE `+where(variables...)+
		` GROUP BY time($__interval), "pile", "port" fill(none)`, "[[tag_pile]] [[tag_port]]号插口")
}

// flagsAt are the flags that were raised, for annotations.
func flagsAt(condition string, variables ...string) string {
	return `SELECT "message", "severity" FROM "flag" WHERE ` + where(variables...) + ` AND "raised" = 1 AND ` + condition
}

// portStates is the place of each port's state among the words: every state has
// a series, and that of the present one is 1.
func portStates(in string) string {
	var terms []string
	for i, w := range stateWords() {
		terms = append(terms, fmt.Sprintf("%d * sum by (pile, port) (pilewatch_port_state{state=%q,%s})", i, w.value, in))
	}
	return strings.Join(terms, " + ")
}

// numbered maps the place of a word to its text.
func numbered(words []word) []dashboard.ValueMapping {
	for i := range words {
		words[i].value = fmt.Sprint(i)
	}
	return mapped(words...)
}
