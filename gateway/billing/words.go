package billing

import (
	"strings"

	"pilewatch/gateway/session"
	"pilewatch/gateway/view"
)

// words gives text in the language of an export.
type words struct{ english bool }

// pick gives the text for who reads.
func (w words) pick(chinese, english string) string {
	if w.english {
		return english
	}
	return chinese
}

// pricing says how a line was priced, and for an adjustment of which month it is.
func (w words) pricing(ln *Line) string {
	if ln.Session.Tariff == "" {
		return ""
	}
	text := w.pick("单一电价", "flat")
	if len(ln.Session.Bands) > 1 {
		text = w.pick("分时电价", "time of use")
	}
	switch {
	case ln.Service == nil:
	case ln.Service.ByPower:
		text += w.pick("，服务费按功率时长", ", service by power and hour")
	default:
		text += w.pick("，服务费按电量", ", service per kWh")
	}
	return w.adjusts(ln) + text
}

// adjusts marks an adjustment; "" for another line.
func (w words) adjusts(ln *Line) string {
	switch ln.Kind {
	case KindLate:
		return w.pick("补记（"+ln.Of+"漏计）：", "adjustment, late for "+ln.Of+": ")
	case KindCorrection:
		return w.pick("补记（更正"+ln.Of+"）：", "adjustment, corrects "+ln.Of+": ")
	}
	return ""
}

// of gives the Chinese word for a value of a closed set; the value itself in
// English, and where there is none.
func (w words) of(chinese map[string]string, value string) string {
	if word, ok := chinese[value]; ok && !w.english {
		return word
	}
	return value
}

var severityWords = map[string]string{"info": "提示", "warning": "警告", "critical": "严重"}

var statusWords = map[string]string{"open": "待处理", "acknowledged": "已跟进", "confirmed": "已核实", "false_alarm": "误报", "resolved": "已解决"}

var suspicionWords = map[string]string{
	"power_strip": "插线板", "appliance": "其他电器", "oversize_charger": "大功率充电器", "overlong": "充电过久", "home_charging": "在家充电", "hardware": "设备或线路", "none": "",
}

var reasonWords = map[string]string{
	"full": "充满", "unplugged": "拔出", "time_limit": "到时", "energy_limit": "到量", "overload": "过载", "over_temperature": "过温", "low_power": "功率过低",
	"remote": "远程停止", "power_failure": "断电", "fault": "故障", "lost": "失联", "replaced": "换单", "unknown": "未知",
}

var qualityWords = strings.NewReplacer("measured", "实测", "estimated", "估算", "late", "补传", "disputed", "有争议")

// rule is the name of a rule in Chinese; its id in English.
func (w words) rule(id string) string {
	zh, _ := view.RuleName(id)
	return w.pick(zh, id)
}

func (w words) quality(q session.Quality) string {
	if w.english {
		return q.String()
	}
	return qualityWords.Replace(q.String())
}

// band is a price band's name.
func (w words) band(name string) string {
	if name == "flat" {
		return w.pick("全天", "all day")
	}
	return name
}

// service says how a service fee is computed.
func (w words) service(ln *Line) string {
	s := ln.Service
	switch {
	case s == nil:
		return ""
	case s.ByPower && ln.Session.PeakMW > s.UpToMW: // the last tier holds for all above it
		return w.pick("最高档 每小时"+s.PerHour.String()+"元", "last tier: "+s.PerHour.String()+" yuan an hour")
	case s.ByPower:
		return w.pick("功率≤"+trim(watts(s.UpToMW))+"W 每小时"+s.PerHour.String()+"元", "up to "+trim(watts(s.UpToMW))+" W: "+s.PerHour.String()+" yuan an hour")
	}
	return w.pick("每千瓦时"+s.PerKWh.String()+"元", s.PerKWh.String()+" yuan a kWh")
}

// bandsText writes the bands as a computation.
func (w words) bandsText(ln *Line) string {
	var parts []string
	for _, b := range ln.Session.Bands {
		if b.EnergyMWh != 0 || len(ln.Session.Bands) == 1 {
			parts = append(parts, w.band(b.Name)+" "+kWh(b.EnergyMWh)+"×"+b.Price.String())
		}
	}
	return strings.Join(parts, " + ")
}

func (w words) buildingName(b string) string {
	if b == "" {
		return w.pick("未知楼号", "Unknown building")
	}
	return w.pick(b+"号楼", "Building "+b)
}
