package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// gatewayPage is 网关健康: for who looks after the gateway.
func gatewayPage() page {
	figure, chart, in := size{4, 4}, size{12, 8}, labels("estate")
	return page{
		uid: gatewayUID, title: "网关健康", about: "网关本身：收得到吗、存得下吗、送得出吗。供维护人员。Whether the gateway hears, stores and delivers.",
		from: "now-3h", refresh: "30s",
		variables: []cog.Builder[dashboard.VariableModel]{estateVariable()},
		panels: []cog.Builder[dashboard.Panel]{
			number("消息服务器", "与 MQTT 服务器的连接。The broker.", figure, present("min(pilewatch_mqtt_connected)", "")).
				Mappings(mapped(word{"1", "已连接", green}, word{"0", "断开", red})).NoValue("网关没有运行"),
			number("账本", "能不能写入；写不进时不确认消息，不丢。The ledger.", figure, present("min(pilewatch_ledger_writable)", "")).
				Mappings(mapped(word{"1", "正常", green}, word{"0", "无法写入", red})).NoValue("网关没有运行"),
			number("离线充电桩", "Piles offline.", figure, present("count(pilewatch_pile_up{"+in+"} == 0) or vector(0)", "")).
				Unit("suffix:个").Thresholds(steps(green, step{1, red})),
			number("等待写入 InfluxDB", "还没有送出的条数；InfluxDB 停机时会涨，恢复后自己补上。Waiting for InfluxDB.", figure,
				present(`sum(pilewatch_sink_backlog_readings{sink="influxdb"})`, "")).
				Unit("suffix:条").Decimals(0).Thresholds(steps(green, step{10_000, orange}, step{1_000_000, red})).NoValue("没有配置"),
			number("未登记的充电桩", "有数据但不在登记表里：请登记。Piles that are not in the registry.", figure, present("sum(pilewatch_piles_unregistered)", "")).
				Unit("suffix:个").Thresholds(steps(green, step{1, orange})),
			number("版本", "The program's version.", figure, present("pilewatch_build_info", "{{version}}")).
				TextMode(common.BigValueTextModeName).NoValue("网关没有运行"),

			lines("收到的报文", "每秒，按解码器。Messages a second.", chart,
				course("sum by (decoder) (rate(pilewatch_messages_received_total[$__rate_interval]))", "{{decoder}}")).Unit("suffix:条/秒").Min(0),
			lines("入账的读数", "每秒。Readings committed a second.", chart,
				course("sum(rate(pilewatch_readings_committed_total[$__rate_interval]))", "读数")).Unit("suffix:条/秒").Min(0),
			lines("处理时间", "从收到到入账，和 95% 的写盘时间。Lag, and commits.", chart,
				course("max(pilewatch_ingest_lag_seconds)", "从收到到入账"),
				course("histogram_quantile(0.95, sum by (le) (rate(pilewatch_commit_duration_seconds_bucket[$__rate_interval])))", "写盘（95%）")).
				Unit("suffix:秒").Min(0).Thresholds(steps("transparent", step{1, orange}, step{10, red})).ThresholdsStyle(dashed()),
			lines("积压：最久等了多久", "送往各处的，最早一条等了多久。How long the oldest entry waits.", chart,
				course("max by (sink) (pilewatch_sink_oldest_unsent_seconds)", "{{sink}}")).
				Unit("suffix:秒").Min(0).Thresholds(steps("transparent", step{60, orange}, step{600, red})).ThresholdsStyle(dashed()),
			lines("没有采用的数据", "每小时：读不懂的、重复的、迟到的、旧的保留消息、来不及收的。Rejects and drops an hour.", chart,
				course("sum(increase(pilewatch_messages_rejected_total[1h]))", "读不懂"),
				dropped("duplicate", "重复"), dropped("late", "迟到（已存，不改账）"), dropped("retained", "旧的保留消息"), dropped("overflow", "来不及收")).
				Unit("suffix:条").Decimals(0).Min(0),
			lines("写出结果", "每小时：成功、重试、被拒。Deliveries to sinks an hour.", chart,
				course(`sum by (sink) (increase(pilewatch_sink_writes_total{result="ok"}[1h]))`, "{{sink}} 成功"),
				course(`sum by (sink) (increase(pilewatch_sink_writes_total{result="error"}[1h]))`, "{{sink}} 重试"),
				course(`sum by (sink) (increase(pilewatch_sink_writes_total{result="rejected"}[1h]))`, "{{sink}} 被拒")).
				Unit("suffix:条").Decimals(0).Min(0),
			lines("告警送达", "每小时，各渠道；没有配置渠道时是 0。Alert deliveries an hour.", chart,
				delivered("ok", "送达"), delivered("error", "重试"), delivered("rejected", "被拒")).Unit("suffix:条").Decimals(0).Min(0),
			lines("账本与内存", "Size of the ledger, and memory.", chart,
				course("max(pilewatch_ledger_size_bytes)", "账本"), course(`max(process_resident_memory_bytes and on (instance) pilewatch_build_info)`, "内存")).Unit("bytes").Min(0),
			gauges("各桩多久没有消息", "10 分钟算离线。Since each pile's last message.", size{24, 9},
				present("(time() - pilewatch_pile_last_seen_timestamp_seconds{"+in+"}) / 60", "{{pile}}")).
				Unit("suffix:分钟").Decimals(1).Max(10).Thresholds(steps(green, step{3, yellow}, step{10, red})),
		},
	}
}

func dropped(reason, name string) promQuery {
	return course(`sum(increase(pilewatch_readings_dropped_total{reason="`+reason+`"}[1h]))`, name)
}

// delivered counts by channel; without a channel there is a line at 0.
func delivered(result, name string) promQuery {
	return course(`sum by (channel) (increase(pilewatch_alert_deliveries_total{result="`+result+`"}[1h])) or label_replace(vector(0), "channel", "没有渠道", "", "")`, "{{channel}} "+name)
}
