package grafana

import (
	"cmp"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"pilewatch/gateway/safety"
	"pilewatch/gateway/view"
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
	plain  = "text" // as other text; without a colour Grafana takes that of the lowest threshold, which is green
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
	words := make([]word, len(safety.IDs))
	for i, id := range safety.IDs {
		zh, _ := view.RuleName(id)
		words[i] = word{id, zh, ""}
	}
	return words
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
	return dashboard.ValueMappingResult{Text: &w.text, Index: cog.ToPtr(int32(index)), Color: cog.ToPtr(cmp.Or(w.color, plain))}
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
