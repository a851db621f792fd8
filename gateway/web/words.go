package web

import "fmt"

// language is one of those that the page speaks.
type language int

const (
	chinese language = iota
	english
)

// String is the language as the page's html element has it.
func (l language) String() string { return [...]string{"zh-CN", "en"}[l] }

// pick gives the text in the language; the Chinese one where there is no other.
func (l language) pick(zh, en string) string {
	if l == english && en != "" {
		return en
	}
	return zh
}

// word gives a word of the page. It fails for one that is not in the list, which
// a test would see.
func (l language) word(key string) (string, error) {
	w, ok := words[key]
	if !ok {
		return "", fmt.Errorf("the page has no word %q", key)
	}
	return w[l], nil
}

// label gives the word for a value of a closed set, such as a stop reason; the
// value itself where there is none.
func (l language) label(prefix, value string) string {
	if w, ok := words[prefix+value]; ok {
		return w[l]
	}
	return value
}

// words are all that the page says by itself, in Chinese and English.
var words = map[string][2]string{
	"title":     {"充电桩", "Charging piles"},
	"other":     {"English", "中文"},
	"updated":   {"更新于", "Updated"},
	"live":      {"实时更新", "Live"},
	"not_live":  {"连接断开，正在重连", "Connection lost, trying again"},
	"trouble":   {"网关有故障，数据可能不是最新的", "The gateway has a fault; this may not be up to date"},
	"no_ledger": {"账本暂时读不到，请稍后再看或联系维护人员", "The ledger cannot be read now: look again later, or call who runs the gateway"},

	"in_use":      {"正在使用", "In use"},
	"of_ports":    {"共 %d 个插口", "of %d ports"},
	"power_now":   {"当前功率", "Power now"},
	"of_online":   {"在线的桩合计", "all piles online"},
	"energy":      {"今日用电", "Energy today"},
	"energy_note": {"今天开始的充电", "of sessions begun today"},
	"kwh":         {"度", "kWh"},
	"count":       {"今日充电", "Sessions today"},
	"times":       {"次", ""},
	"count_note":  {"其中 %d 次正在充", "still going on: %d"},
	"open_flags":  {"待处理提醒", "Open flags"},
	"flags_unit":  {"条", ""},
	"flags_note":  {"其中严重 %d 条", "critical: %d"},
	"offline":     {"离线", "Offline"},
	"online":      {"在线", "Online"},
	"piles_down":  {"%d 个桩离线", "piles offline: %d"},

	"flags":        {"提醒", "Flags"},
	"no_flags":     {"目前没有需要处理的提醒。", "Nothing needs attention now."},
	"more_flags":   {"另有 %d 条未列出", "Not listed: %d more"},
	"cleared":      {"最近 24 小时已解除的提醒", "Cleared within the last 24 hours"},
	"advice":       {"建议", "Advice"},
	"household":    {"户号", "Household"},
	"since":        {"起", "since"},
	"acknowledged": {"已有人跟进", "acknowledged"},
	"confirmed":    {"已核实", "confirmed"},
	"false_alarm":  {"误报", "false alarm"},
	"resolved":     {"已解决", "resolved"},

	"say_acknowledged": {"我来处理", "I see to it"},
	"say_confirmed":    {"情况属实", "It is so"},
	"say_false_alarm":  {"是误报", "False alarm"},
	"say_resolved":     {"已解决", "Resolved"},
	"back":             {"返回首页", "All flags"},
	"trail":            {"处理记录", "Who did what"},
	"no_trail":         {"还没有人处理。", "Nobody has said anything yet."},
	"told":             {"通知记录", "Who was told"},
	"step_raised":      {"新提醒", "raised"},
	"step_cleared":     {"已解除", "cleared"},
	"step_repeated":    {"再次提醒", "told again"},
	"state_waiting":    {"待发送", "waiting"},
	"state_sent":       {"已送达", "sent"},
	"state_refused":    {"被拒收", "refused for good"},
	"state_dropped":    {"无需再发", "not needed any more"},
	"channels":         {"通知渠道", "Channels of alerts"},
	"channel_ok":       {"正常", "OK"},
	"channel_failing":  {"发送失败", "failing"},
	"waits":            {"待发送 %d 条", "waiting: %d"},
	"last_sent":        {"最近送达", "last sent"},
	"failing_since":    {"自", "since"},
	"refused":          {"被拒收 %d 条", "refused: %d"},

	"critical": {"严重", "Critical"},
	"warning":  {"警告", "Warning"},
	"info":     {"提示", "Note"},

	"piles":        {"插口现状", "Ports now"},
	"no_piles":     {"还没有充电桩：请登记充电桩，或等待第一条数据。", "No piles yet: register them, or wait for the first message."},
	"building":     {"%s号楼", "Building %s"},
	"unregistered": {"未登记的充电桩", "Unregistered piles"},
	"last_seen":    {"最后收到", "last heard"},
	"never_seen":   {"从未收到数据", "never heard"},
	"port":         {"%d号插口", "port %d"},
	"whole_pile":   {"整桩", "whole pile"},
	"has_flag":     {"有提醒", "flagged"},

	"state_idle":     {"空闲", "Free"},
	"state_plugged":  {"已插未充", "Plugged"},
	"state_charging": {"充电中", "Charging"},
	"state_full":     {"已充满", "Full"},
	"state_fault":    {"故障", "Fault"},
	"state_unknown":  {"未知", "Unknown"},
	"state_none":     {"无数据", "No data"},

	"sessions":    {"最近的充电", "Recent sessions"},
	"no_sessions": {"还没有充电记录。", "No sessions yet."},
	"start":       {"开始", "Start"},
	"where":       {"桩和插口", "Pile and port"},
	"duration":    {"时长", "Time"},
	"used":        {"电量", "Energy"},
	"peak":        {"峰值", "Peak"},
	"fee":         {"费用", "Fee"},
	"ended":       {"结束原因", "Ended"},
	"going_on":    {"正在充电", "Going on"},

	"reason_full":             {"充满", "Full"},
	"reason_unplugged":        {"拔出", "Unplugged"},
	"reason_time_limit":       {"时间到", "Time limit"},
	"reason_energy_limit":     {"电量到", "Energy limit"},
	"reason_overload":         {"过载", "Overload"},
	"reason_over_temperature": {"温度过高", "Too hot"},
	"reason_low_power":        {"功率过低", "Low power"},
	"reason_remote":           {"远程停止", "Stopped remotely"},
	"reason_power_failure":    {"停电", "Power failure"},
	"reason_fault":            {"故障", "Fault"},
	"reason_lost":             {"失去联系", "Lost contact"},
	"reason_replaced":         {"换了下一单", "Next session began"},
	"reason_unknown":          {"未知", "Unknown"},

	"exports":    {"导出", "Exports"},
	"this_month": {"本月充电明细（Excel 可打开）", "Sessions of this month (CSV)"},
	"last_month": {"上月充电明细（Excel 可打开）", "Sessions of last month (CSV)"},
}
