package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// The colours, as Grafana names them.
const (
	green  = "green"
	blue   = "blue"
	yellow = "yellow"
	orange = "orange"
	red    = "red"
	purple = "purple"
	grey   = "#8e8e8e"
)

// The units whose own form in Grafana would be English, or change to MWh and K.
const (
	kWh  = "suffix:kWh"
	yuan = "suffix:元"
)

// word is what people read for a value.
type word struct{ value, text, color string }

// The same words as on the page of the gateway.
func stateWords() []word {
	return []word{
		{"idle", "空闲", green}, {"plugged", "已插未充", yellow}, {"charging", "充电中", blue}, {"full", "已充满", purple},
		{"fault", "故障", red}, {"unknown", "未知", grey},
	}
}

func severityWords() []word {
	return []word{{"critical", "严重", red}, {"warning", "警告", orange}, {"info", "提示", blue}}
}

func reasonWords() []word {
	return []word{
		{"full", "充满", ""}, {"unplugged", "拔出", ""}, {"time_limit", "时间到", ""}, {"energy_limit", "电量到", ""}, {"overload", "过载", red},
		{"over_temperature", "温度过高", red}, {"low_power", "功率过低", ""}, {"remote", "远程停止", ""}, {"power_failure", "停电", orange},
		{"fault", "故障", red}, {"lost", "失去联系", orange}, {"replaced", "换了下一单", ""}, {"unknown", "未知", ""},
	}
}

func ruleWords() []word {
	return []word{
		{"over_power", "功率过大", ""}, {"second_load", "中途加负载", ""}, {"two_tapers", "一口两充", ""}, {"excess_energy", "电量过多", ""},
		{"over_time", "充电过久", ""}, {"resistive_load", "疑似电热器", ""}, {"hot_burst", "疑似电水壶/吹风机", ""}, {"cycling_load", "疑似冰箱等电器", ""},
		{"profile_mismatch", "与往常不同", ""}, {"card_concurrency", "一卡多充", ""}, {"household_volume", "用电量偏多", ""},
		{"silent_bike", "久未来充", ""}, {"back_to_back", "连续充电", ""}, {"overstay", "充满占位", ""}, {"port_temperature", "插口温度高", ""},
		{"zombie_bike", "疑似僵尸车", ""}, {"unauthorised_draw", "未刷卡用电", ""}, {"meter_imbalance", "总表不平", ""},
		{"device_alarm", "设备告警", ""}, {"pile_offline", "桩离线", ""},
	}
}

// qualities may be joined by "+".
func qualityWords() []dashboard.ValueMapping {
	var m []dashboard.ValueMapping
	for _, w := range []word{
		{"disputed", "有争议", red}, {"late", "补传", yellow}, {"estimated", "估算", yellow}, {"measured", "实测", ""},
	} {
		m = append(m, matching("/.*"+w.value+".*/", result(w, len(m))))
	}
	return m
}

// masked hides a room as the notice board does, all but its last two characters
// and at least one: 3-502 is 3号楼*02室.
func masked() []dashboard.ValueMapping {
	return []dashboard.ValueMapping{
		matching(`/^([^-]+)-..*?(.{0,2})$/`, result(word{text: "$1号楼*$2室"}, 0)),
		matching(`/^.*$/`, result(word{text: "（已隐去）"}, 1)),
	}
}

func result(w word, index int) dashboard.ValueMappingResult {
	r := dashboard.ValueMappingResult{Text: &w.text, Index: cog.ToPtr(int32(index))}
	if w.color != "" {
		r.Color = &w.color
	}
	return r
}

// mapped makes value mappings of words.
func mapped(words ...word) []dashboard.ValueMapping {
	m := dashboard.NewValueMap()
	for i, w := range words {
		m.Options[w.value] = result(w, i)
	}
	return []dashboard.ValueMapping{{ValueMap: m}}
}

func matching(pattern string, r dashboard.ValueMappingResult) dashboard.ValueMapping {
	m := dashboard.NewRegexMap()
	m.Options.Pattern, m.Options.Result = pattern, r
	return dashboard.ValueMapping{RegexMap: m}
}
