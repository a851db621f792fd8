package safety

import (
	"fmt"

	"pilewatch/devices"
)

// secondLoad sees that something was added to a load that was running: after the
// first 10 minutes the power rises suddenly by 80 W and by 35 % of the median of
// the 15 minutes before, and stays up for 10 minutes.
//
// Why: a charger holds its current, and its power rises by 8-15 % over hours
// (domain.md, Charger and battery electricity); a second charger on a strip adds
// its whole power at once.
//
// Not a second load: what follows a rest or a hole (resumption after a power
// cut, another bike), a top-up or a pulse after full (it begins under min_w, or
// decays at once), power that comes back to where it was within 20 minutes (a
// dip), the start of a charger, and a slow ramp.
//
// How it can be wrong: a charger that pre-charges an empty pack for more than 10
// minutes at over min_w. A small second load beside a large one is under 35 %,
// and is not seen; nor is one that runs for less than 10 minutes at a time. On the
// labelled traces 60 W, 20 % and 5 minutes find some more of both at no more
// false alarms: to be tried on an estate's own past before it is switched on.
type secondLoad struct {
	t                thresholds
	step, share, min int64
	hold             devices.Millis
}

var (
	secondLoadDefaults = map[string]float64{"step_w": 80, "step_percent": 35, "hold_min": 10, "min_w": 30}
	secondLoadMax      = map[string]float64{"hold_min": 20}
)

// secondMemory is what the rule remembers of a session.
type secondMemory struct {
	From int64 `json:"from,omitempty"` // mW, the load to which something was added, when a flag was raised
}

func newSecondLoad(t thresholds) detector {
	return &secondLoad{t: t, step: t.mW("step_w"), share: int64(t["step_percent"] * 10), min: t.mW("min_w"), hold: t.minutes("hold_min")}
}

func (r *secondLoad) see(p *port, stands level) level {
	if stands != none {
		return r.goes(p)
	}
	rise := p.Load.Rise
	if rise.At == 0 || rise.From < r.min || p.Recent.at(0).T-rise.At < r.hold {
		return none
	}
	// Four fifths of the time over the threshold, and three samples: a pulse is not.
	limit := rise.From + max(r.step, rise.From*r.share/1000)
	low, _ := p.Recent.quantile(p.Recent.at(0).T-r.hold, p.Recent.at(0).T, 200)
	if low < limit || p.Recent.above(p.Recent.at(0).T-rise.At, limit) < 3 {
		return none
	}
	p.Charge.Second.From = rise.From
	return warning
}

// goes reports whether the added load is gone: 5 minutes on the level before it.
func (r *secondLoad) goes(p *port) level {
	mean, ok := p.Recent.mean(5 * 60_000)
	if ok && mean < p.Charge.Second.From*11/10 {
		return none
	}
	return unsure
}

func (r *secondLoad) tell(p *port, _ level) story {
	from := p.Charge.Second.From
	to, _ := p.Recent.quantile(p.Recent.at(0).T-r.hold, p.Recent.at(0).T, 500)
	s := story{suspicion: "power_strip"}
	s.zh = fmt.Sprintf("充电中途功率由 %s W 突升到 %s W，并保持 %d 分钟，像同一插口又接入了一个负载", whole(from), whole(to), int(r.t["hold_min"]))
	s.en = fmt.Sprintf("in mid-charge the power rose at once from %s W to %s W and stayed for %d minutes, as if something more were plugged in", whole(from), whole(to), int(r.t["hold_min"]))
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"before_w": watts(from), "after_w": watts(to), "step_w": watts(to - from), "step_at": int64(p.Load.Rise.At / 1000), "thresholds": r.t}
	s.curve = p.Recent.stretch(p.Recent.at(0).T - p.Load.Rise.At + 15*60_000)
	return s
}
