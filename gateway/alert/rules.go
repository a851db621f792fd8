package alert

import (
	"encoding/json"
	"strings"

	"pilewatch/gateway/ledger"
)

// language is one of those that messages are written in.
type language int

const (
	chinese language = iota
	english
)

// pick gives the text in the language; the Chinese one where there is no other.
func (l language) pick(zh, en string) string {
	if l == english && en != "" {
		return en
	}
	return zh
}

// basis is what a rule's flags stand on, and so how sure they are.
type basis int

const (
	said     basis = iota // by the device
	silence               // of a pile
	measured              // a limit was passed
	shape                 // of a power curve
	habit                 // of a household
)

// sureness says in words how sure a flag is.
var sureness = [...][2]string{
	said:     {"高：设备自己报告的", "high: the device itself reports it"},
	silence:  {"高：网关收不到它的数据", "high: the gateway hears nothing from there"},
	measured: {"高：实测值超过限值", "high: a measured value is over its limit"},
	shape:    {"中：由功率曲线推断，请到现场核实", "medium: concluded from the power curve, to be seen on the spot"},
	habit:    {"低：由用电习惯推断，可能另有原因", "low: concluded from habits, there may be other reasons"},
}

// ruleWords is the name of a rule as people say it, and what its flags stand on.
type ruleWords struct {
	zh, en string
	basis  basis
}

// rules are those of the public interface.
var rules = map[string]ruleWords{
	"over_power":        {"功率过大", "power over the limit", measured},
	"second_load":       {"疑似一口多用（插线板）", "second load, perhaps a power strip", shape},
	"two_tapers":        {"疑似两个充电器同充", "two chargers on one port", shape},
	"excess_energy":     {"单次充电量过大", "too much energy for one charge", measured},
	"over_time":         {"充电时间过长", "charging for too long", measured},
	"resistive_load":    {"疑似电热类电器", "a heater rather than a charger", shape},
	"hot_burst":         {"疑似大功率电器（水壶等）", "a strong appliance such as a kettle", measured},
	"cycling_load":      {"疑似间歇运行的电器（冰箱等）", "an appliance that cycles, such as a fridge", shape},
	"profile_mismatch":  {"与平时的车不像", "not the usual bike", habit},
	"card_concurrency":  {"同时使用的插口多于登记车辆", "more ports at once than bikes", measured},
	"household_volume":  {"用电量超过登记车辆所需", "more energy than the bikes need", habit},
	"silent_bike":       {"登记车辆久未来充电", "a registered bike stopped coming", habit},
	"back_to_back":      {"连续多次充电", "one charge after another", measured},
	"overstay":          {"充满后久占插口", "plugged in long after full", measured},
	"port_temperature":  {"插口过热", "hot port", measured},
	"zombie_bike":       {"登记车辆久未使用", "a registered bike nobody uses", habit},
	"unauthorised_draw": {"未刷卡用电", "power without a session", measured},
	"meter_imbalance":   {"总表与分口电量不符", "main meter and ports differ", measured},
	ruleAlarm:           {"设备报警", "alarm of the device", said},
	ruleOffline:         {"充电桩失去联系", "pile off line", silence},
}

const ruleAlarm = "device_alarm"

// alarms are the alarms of devices: whoever reads no more than the title has to
// know that there is smoke.
var alarms = map[string][2]string{
	"smoke":            {"烟雾报警", "smoke alarm"},
	"water":            {"水浸报警", "water alarm"},
	"over_temperature": {"过热报警", "over-temperature alarm"},
	"short":            {"短路报警", "short-circuit alarm"},
	"leakage":          {"漏电报警", "leakage current alarm"},
	"relay_welded":     {"继电器粘连报警（插口断不开电）", "welded relay alarm (the port cannot be switched off)"},
}

// alarmOf is the alarm that a flag is about; "" where its evidence names none.
func alarmOf(f *ledger.Flag) string {
	var e struct{ Alarm string }
	if f.Rule != ruleAlarm || json.Unmarshal(f.Evidence, &e) != nil {
		return ""
	}
	return e.Alarm
}

// sameName reports whether two flags are of one rule and, alarms of devices, of
// one alarm: smoke is not more of the same as heat.
func sameName(a, b *ledger.Flag) bool { return a.Rule == b.Rule && alarmOf(a) == alarmOf(b) }

// ruleName is what a flag is about, in a few words.
func (l language) ruleName(f *ledger.Flag) string {
	if f.Rule == ruleOffline && f.Pile == "" {
		return l.pick("多台充电桩同时失去联系（疑似停电）", "many piles off line at once, as in a power cut")
	}
	if a, ok := alarms[alarmOf(f)]; ok {
		return l.pick(a[0], a[1])
	}
	if r, ok := rules[f.Rule]; ok {
		return l.pick(r.zh, r.en)
	}
	return f.Rule
}

// howSure says how sure a flag is; "" where that is not known.
func (l language) howSure(f *ledger.Flag) string {
	r, ok := rules[f.Rule]
	if !ok {
		return ""
	}
	return sureness[r.basis][l]
}

// howSureShort is the first word of that: 把握：高.
func (l language) howSureShort(f *ledger.Flag) string {
	word, _, found := strings.Cut(l.howSure(f), l.pick("：", ": "))
	if !found {
		return ""
	}
	return l.pick("把握："+word, "how sure: "+word)
}
