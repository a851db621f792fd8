package alert

import (
	"encoding/json"
	"strings"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/view"
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

// bases are what the flags of each rule of the public interface stand on.
var bases = map[string]basis{
	"over_power":        measured,
	"second_load":       shape,
	"two_tapers":        shape,
	"excess_energy":     measured,
	"over_time":         measured,
	"resistive_load":    shape,
	"hot_burst":         measured,
	"cycling_load":      shape,
	"profile_mismatch":  habit,
	"card_concurrency":  measured,
	"household_volume":  habit,
	"silent_bike":       habit,
	"back_to_back":      measured,
	"overstay":          measured,
	"port_temperature":  measured,
	"zombie_bike":       habit,
	"unauthorised_draw": measured,
	"meter_imbalance":   measured,
	ruleAlarm:           said,
	ruleOffline:         silence,
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
	return l.pick(view.RuleName(f.Rule))
}

// howSure says how sure a flag is; "" where that is not known.
func (l language) howSure(f *ledger.Flag) string {
	b, ok := bases[f.Rule]
	if !ok {
		return ""
	}
	return sureness[b][l]
}

// howSureShort is the first word of that: 把握：高.
func (l language) howSureShort(f *ledger.Flag) string {
	word, _, found := strings.Cut(l.howSure(f), l.pick("：", ": "))
	if !found {
		return ""
	}
	return l.pick("把握："+word, "how sure: "+word)
}
