package safety

import (
	"slices"

	"pilewatch/devices"
)

// deviceAlarm passes on what a pile itself says is wrong: smoke, water,
// over-temperature, short, leakage, a welded relay (critical), or something
// that it has no name for (warning).
//
// Why: the pile's own sensors are nearer than any curve (domain.md, What the
// devices send: DNY alarm 42, OpenEVSE faults).
//
// Piles do not say that an alarm is over. It stands for hold_min at least, and
// each repetition holds it anew; then it is cleared when the port, or any port
// of the pile for an alarm of the whole pile, states that it is idle, plugged,
// charging or full; or after quiet_h for ports that state nothing.
//
// How it can be wrong: a sensor that is dirty or broken. Smoke, water and heat
// are worth the walk.
type deviceAlarm struct {
	hold, quiet devices.Millis
}

var deviceAlarmDefaults = map[string]float64{"hold_min": 60, "quiet_h": 24}

func newDeviceAlarm(t thresholds) detector {
	return &deviceAlarm{hold: t.minutes("hold_min"), quiet: t.hours("quiet_h")}
}

// alarm is when an alarm was given last, and how often since it stands.
type alarm struct {
	Kind  string         `json:"kind"`
	Last  devices.Millis `json:"last"`
	First devices.Millis `json:"first"`
	Times int            `json:"times"`
}

func (r *deviceAlarm) event(e *Engine, a *active, at place, ev *devices.Event) {
	if ev.Kind != devices.EventAlarm {
		return
	}
	kind, p := ev.Alarm, at.port.more()
	if !slices.Contains(devices.Alarms, kind) {
		kind = "other"
	}
	i := slices.IndexFunc(p.Alarms, func(x alarm) bool { return x.Kind == kind })
	if i >= 0 {
		p.Alarms[i].Last = max(p.Alarms[i].Last, ev.Time)
		p.Alarms[i].Times++
		return
	}
	p.Alarms = append(p.Alarms, alarm{kind, ev.Time, ev.Time, 1})
	l := critical
	if kind == "other" {
		l = warning
	}
	e.raise(at, a, kind, l, ev.Time, r.tell(kind))
}

// reading clears alarms that are over, of the port and of its pile.
func (r *deviceAlarm) reading(e *Engine, a *active, at place, now *devices.Reading) {
	r.over(e, a, at, now)
	r.over(e, a, place{at.pile, at.pile.Whole}, now)
}

func (r *deviceAlarm) over(e *Engine, a *active, at place, now *devices.Reading) {
	if at.port == nil || at.port.Rare == nil || len(at.port.Rare.Alarms) == 0 {
		return
	}
	at.port.Rare.Alarms = slices.DeleteFunc(at.port.Rare.Alarms, func(x alarm) bool {
		age := now.Time - x.Last
		if over := age >= r.hold && sound(now.State) || age >= r.quiet; !over {
			return false
		}
		e.clear(at, a.ID, x.Kind, now.Time)
		return true
	})
}

// sound reports whether a port states that it works.
func sound(s devices.PortState) bool {
	switch s {
	case devices.StateIdle, devices.StatePlugged, devices.StateCharging, devices.StateFull:
		return true
	}
	return false
}

func (r *deviceAlarm) tell(kind string) story {
	zh, en := alarmName(kind)
	s := story{suspicion: "hardware", zh: "设备报警：" + zh, en: "the pile itself raised an alarm: " + en}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	if kind == "smoke" { // nobody is to touch a switch beside a fire
		s.adviceZH = "如有明火或浓烟，请远离并立即拨打119；没有时，在安全处断开该桩电源，不要触碰插口，再联系设备维护人员。"
		s.adviceEN = "With flames or thick smoke keep away and call the fire brigade (119) at once; else switch the pile's power off from a safe place, touch no port, and call the maintainer."
	}
	s.numbers = numbers{"alarm": kind}
	return s
}

func alarmName(kind string) (zh, en string) {
	switch kind {
	case "smoke":
		return "烟雾", "smoke"
	case "water":
		return "水浸", "water"
	case "over_temperature":
		return "过热", "over-temperature"
	case "short":
		return "短路", "short circuit"
	case "leakage":
		return "漏电", "leakage current"
	case "relay_welded":
		return "继电器粘连（插口断不开电）", "a welded relay (the port cannot be switched off)"
	}
	return "未说明的故障", "a fault without a name"
}
