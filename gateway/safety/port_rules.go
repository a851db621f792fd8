package safety

import (
	"fmt"
	"time"

	"pilewatch/devices"
)

// unauthorisedDraw sees power without a session: over 5 W for 10 minutes at a
// port that says it is idle, or says nothing.
//
// Why: power on an idle port is a tap, or a relay that does not open (domain.md,
// Overuse rules). A welded relay that the pile itself tells of is device_alarm.
//
// Not unauthorised: what a charger draws on after its session ended by low power at
// a port that states nothing, until the port is seen without power: a float wavers
// about session.idle_w for hours, and nobody has unplugged it.
//
// How it can be wrong: a meter that shows some watts for nothing: then it stands
// on every idle port of the pile, and min_w wants to be higher. Something small
// that is plugged in, within a report, in the place of such a charger.
type unauthorisedDraw struct {
	t    thresholds
	min  int64 // mW
	hold devices.Millis
}

var unauthorisedDrawDefaults = map[string]float64{"min_w": 5, "hold_min": 10}

func newUnauthorisedDraw(t thresholds) detector {
	return &unauthorisedDraw{t, t.mW("min_w"), t.minutes("hold_min")}
}

func (r *unauthorisedDraw) see(p *port, stands level) level {
	silent := p.State == devices.StateNone || p.State == devices.StateUnknown
	draws := !p.Charge.open() && int64(p.W) > r.min && (p.State == devices.StateIdle || silent)
	if p.Charge.open() || p.W < emptyMW {
		p.float(false)
	}
	if !draws && p.Rare == nil {
		return none
	}
	m := p.more()
	switch {
	case !draws, silent && m.Floats:
		m.Draws = 0
		p.spare()
		return none
	case m.Draws == 0 || p.Step.For > maxGap:
		m.Draws = p.Now
	case p.Now-m.Draws >= r.hold:
		return critical
	}
	if stands > none {
		return unsure
	}
	return none
}

// emptyMW is the power under which nothing is plugged in.
const emptyMW = 1_000

func (r *unauthorisedDraw) tell(p *port, _ level) story {
	s := story{suspicion: "hardware"}
	s.zh = fmt.Sprintf("插口没有充电单，却已持续 %s 分钟用电，目前 %s W", trim(r.t["hold_min"]), whole(int64(p.W)))
	s.en = fmt.Sprintf("the port has no session and yet has drawn power for %s minutes, now %s W", trim(r.t["hold_min"]), whole(int64(p.W)))
	s.adviceZH = "请看看插口上接的是什么、插口断电后是否仍有电（继电器粘连）；若有人在用，请帮助刷卡充电；断不开电的请停用该口，联系设备维护人员。"
	s.adviceEN = "See what is plugged in, and whether the port stays live when it is off (a welded relay); if somebody uses it, help to start a charge with a card; a port that cannot be switched off is to be closed, and the maintainer called."
	s.numbers = numbers{"power_w": watts(int64(p.W)), "since": int64(p.Rare.Draws / 1000), "thresholds": r.t}
	s.curve = p.Recent.stretch(20 * minute)
	return s
}

// overstay sees a bike that stays plugged in for 60 minutes after it was full
// (占位), by day: nobody has to get up at night, and a night's time does not count.
//
// Why: there are about as many ports as bikes, and one that is full keeps another
// waiting (domain.md, The estate and Overuse rules). None is a danger, and there
// are many: it is info, for the page, and no message.
//
// How it can be wrong: a pile that says full while the charger rests.
type overstay struct {
	t     thresholds
	after devices.Millis
}

var overstayDefaults = map[string]float64{"after_min": 60, "night_from_h": 23, "night_to_h": 7}

func newOverstay(t thresholds) detector { return &overstay{t, t.minutes("after_min")} }

func (r *overstay) event(*Engine, *active, place, *devices.Event) {}

func (r *overstay) reading(e *Engine, a *active, at place, x *devices.Reading) {
	p := at.port.Rare
	was := p != nil && p.Full != 0
	switch full := x.State == devices.StateFull || x.State == devices.StatePlugged && was; {
	case !full && was:
		p.Full = 0
		e.clear(at, a.ID, "", x.Time)
		at.port.spare()
		return
	case !full:
		return
	case !was:
		p = at.port.more()
		p.Full = x.Time
	}
	if x.Time-p.Full < r.after || p.Flags.level(a.ID) > none {
		return
	}
	now := x.Time.Time().In(e.loc)
	from, to := int(r.t["night_from_h"]), int(r.t["night_to_h"])
	night := now.Hour() >= from || now.Hour() < to
	if from < to {
		night = now.Hour() >= from && now.Hour() < to
	}
	morning := devices.MillisOf(time.Date(now.Year(), now.Month(), now.Day(), to, 0, 0, 0, e.loc))
	begun := p.Full
	if morning <= x.Time && morning > begun {
		begun = morning
	}
	if night || x.Time-begun < r.after {
		return
	}
	s := story{suspicion: "none"}
	mins := int64((x.Time - p.Full) / minute)
	s.zh = fmt.Sprintf("充满后仍插着已 %d 分钟", mins)
	s.en = fmt.Sprintf("it has been plugged in for %d minutes since it was full", mins)
	s.adviceZH, s.adviceEN = "请提醒充满后拔下，把插口让给邻居。", "Ask to unplug it when it is full, so that a neighbour can charge."
	s.numbers = numbers{"minutes": mins, "full_since": int64(p.Full / 1000), "thresholds": r.t}
	if c := at.port.Charge; c.open() {
		s.curve = c.Model.Curve.curve()
	}
	e.raise(at, a, "", info, x.Time, s)
}

// portTemperature sees a hot port: 65 °C or 15 °C more within 10 minutes
// (warning), 80 °C (critical).
//
// Why: a bad contact heats the plug long before it burns (domain.md, Overuse
// rules). How it can
// be wrong: a sensor in the sun; one that jumps: therefore never one reading alone.
type portTemperature struct {
	t                    thresholds
	warn, critical, rise int64 // m°C
	span                 devices.Millis
}

var portTemperatureDefaults = map[string]float64{"warn_c": 65, "critical_c": 80, "rise_c": 15, "rise_min": 10}

func newPortTemperature(t thresholds) detector {
	return &portTemperature{t, int64(t["warn_c"] * 1000), int64(t["critical_c"] * 1000), int64(t["rise_c"] * 1000), t.minutes("rise_min") / 2}
}

// heat is the recent temperature of a port, m°C.
type heat struct {
	At   devices.Millis `json:"at,omitempty"`
	From devices.Millis `json:"from,omitempty"`
	Last int32          `json:"last,omitempty"`
	Low  [2]int32       `json:"low,omitempty"` // lowest of this span and of the one before
}

func (r *portTemperature) event(*Engine, *active, place, *devices.Event) {}

func (r *portTemperature) reading(e *Engine, a *active, at place, x *devices.Reading) {
	h := at.port.Heat
	if !x.Has.Has(devices.HasTemperature) {
		return
	}
	if h == nil {
		h = &heat{}
		at.port.Heat = h
	}
	if x.Time <= h.At {
		return
	}
	now, before := x.TempMC, h.Last
	two := h.At != 0 && x.Time-h.At <= maxGap
	switch {
	case !two || h.From == 0:
		h.Low, h.From = [2]int32{now, now}, x.Time
	case x.Time-h.From >= r.span:
		h.Low, h.From = [2]int32{now, h.Low[0]}, x.Time
	default:
		h.Low[0] = min(h.Low[0], now)
	}
	h.Last, h.At = now, x.Time
	l, stands := r.judge(int64(min(now, before)), int64(min(h.Low[0], h.Low[1])), two), at.port.flags().level(a.ID)
	switch {
	case l > none && l > stands:
		s := r.tell(int64(now), int64(min(h.Low[0], h.Low[1])))
		s.curve = at.port.Recent.stretch(30 * minute)
		e.raise(at, a, "", l, x.Time, s)
	case l == none && stands > none && float64(now) < (r.t["warn_c"]-5)*1000:
		e.clear(at, a.ID, "", x.Time)
	}
}

func (r *portTemperature) judge(both, low int64, two bool) level {
	switch {
	case !two:
		return none
	case both >= r.critical:
		return critical
	case both >= r.warn, both-low >= r.rise:
		return warning
	}
	return none
}

func (r *portTemperature) tell(mC, low int64) story {
	s := story{suspicion: "hardware"}
	c := fmt.Sprintf("%.1f", float64(mC)/1000)
	s.zh, s.en = "插口温度 "+c+" °C，过高", "the port is at "+c+" °C: too hot"
	if mC < int64(r.t["warn_c"]*1000) {
		from, mins := fmt.Sprintf("%.1f", float64(low)/1000), trim(r.t["rise_min"])
		s.zh = fmt.Sprintf("插口温度 %s 分钟内由 %s °C 升到 %s °C，上升过快", mins, from, c)
		s.en = fmt.Sprintf("the port's temperature rose from %s °C to %s °C within %s minutes: too fast", from, c, mins)
	}
	s.adviceZH = "如有明火或浓烟，请远离并立即拨打119。没有的，在安全处停下充电、稍凉后看看插头是否松动、发黑，帮助换一个插口，并请设备维护人员检查该口。"
	s.adviceEN = "With flames or thick smoke keep away and call the fire brigade (119) at once. Else stop the charge from a safe place, let it cool, see whether the plug is loose or blackened, help to move to another socket, and have the maintainer look at this one."
	s.numbers = numbers{"temperature_c": float64(mC/100) / 10, "rose_from_c": float64(low/100) / 10, "thresholds": r.t}
	return s
}

// meterImbalance sees a tap upstream of the ports: over a day the pile's main meter
// counts 5 % and 1 kWh more than its ports together.
//
// Why: the two see the same current but for what is taken between them (domain.md,
// Overuse rules).
//
// How it can be wrong: readings that were lost where ports have no register; the
// pile's own use, which is why 1 kWh a day is free.
type meterImbalance struct{ t thresholds }

var meterImbalanceDefaults = map[string]float64{"percent": 5, "least_kwh": 1}

// meter is a pile's main meter at the beginning of a day.
type meter struct {
	Day   string `json:"day,omitempty"`
	Main  int64  `json:"main,omitempty"`  // mWh
	Ports int64  `json:"ports,omitempty"` // mWh of the ports until then
}

func newMeterImbalance(t thresholds) detector { return &meterImbalance{t} }

func (r *meterImbalance) status(e *Engine, a *active, p *pile, s *devices.Status) {
	if !s.Has.Has(devices.HasEnergy) {
		return
	}
	today := s.Time.Time().In(e.loc).Format("2006-01-02")
	var was meter
	if p.Meter != nil {
		was = *p.Meter
	}
	if today == was.Day {
		return
	}
	p.Meter = &meter{today, s.MainMWh, p.PortsMWh}
	if was.Day == "" || s.MainMWh < was.Main || today < was.Day {
		return
	}
	main, ports := s.MainMWh-was.Main, p.PortsMWh-was.Ports
	stands := p.Whole.flags().level(a.ID) > none
	if lost := main - ports; lost <= r.t.mWh("least_kwh") || lost*1000 <= main*int64(r.t["percent"]*10) {
		if stands {
			e.clear(place{p, p.Whole}, a.ID, "", s.Time)
		}
		return
	}
	if stands {
		return
	}
	at := place{p, p.place(0)}
	x := story{suspicion: "hardware"}
	x.zh = fmt.Sprintf("总表一天走了 %s 度，各插口合计只有 %s 度，可能有插口之前的用电", kWh(main), kWh(ports))
	x.en = fmt.Sprintf("in a day the main meter counted %s kWh and the ports only %s kWh: something may draw before the ports", kWh(main), kWh(ports))
	x.adviceZH = "请从总表到各插口看一遍：有没有接在插口之前的线或设备（照明、监控也算），插口读数是否有缺；不要拆线，查明后请电工处理。"
	x.adviceEN = "Look along the line from the main meter to the ports: is anything connected before them (lighting and cameras count), or are readings of ports missing? Take nothing apart; have an electrician see to what you find."
	x.numbers = numbers{"main_wh": watts(main), "ports_wh": watts(ports), "since": was.Day, "thresholds": r.t}
	e.raise(at, a, "", warning, s.Time, x)
}
