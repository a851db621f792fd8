package safety

import (
	"fmt"

	"pilewatch/devices"
)

// overTime sees a load that draws over 20 W for longer than a charge takes: 8 h
// (warning), 10 h (critical).
//
// Why: a charge takes 3-9 h (domain.md, Charger and battery electricity); a pile
// should cut off at 12 h; a charger that does not end heats a full battery, and
// what draws for a day is no charger. Only the time that it draws is counted:
// plugged in long after full is overstay.
//
// How it can be wrong: a large lead-acid pack on a small charger, in winter: it
// is worth a look all the same. Another bike after the first in one session: the
// clock begins again when after a rest the level is another; where it happens to
// be the same, the two charges are counted as one.
//
// A hole in the readings counts where the register says that power flowed.
type overTime struct {
	t              thresholds
	draw           int64
	warn, critical devices.Millis
}

var overTimeDefaults = map[string]float64{"warn_h": 8, "critical_h": 10, "draw_w": 20}

// timeMemory is what the rule remembers of a session.
type timeMemory struct {
	Drawn   devices.Millis `json:"drawn,omitempty"`
	Stretch devices.Millis `json:"stretch,omitempty"` // the stretch that was compared with the one before
}

func newOverTime(t thresholds) detector {
	return &overTime{t: t, draw: t.mW("draw_w"), warn: t.hours("warn_h"), critical: t.hours("critical_h")}
}

func (r *overTime) see(p *port, stands level) level {
	if !p.Charge.open() {
		return none
	}
	m := &p.Charge.Time
	r.count(p, m)
	draws := int64(p.W) > r.limit(p)
	switch {
	case draws && m.Drawn > r.critical:
		return critical
	case draws && m.Drawn > r.warn:
		return warning
	case stands > none:
		if mean, ok := p.Recent.mean(20 * 60_000); !ok || mean > r.draw*8/10 {
			return unsure
		}
	}
	return none
}

// limit is the power over which it counts: a float of up to 15 % of what the
// charge drew (30 W, for hours) is no charging.
func (r *overTime) limit(p *port) int64 {
	if m := p.Charge.model(); m != nil {
		return max(r.draw, int64(m.Most)*15/100)
	}
	return r.draw
}

// count adds the newest step to the time that is drawn, and begins again when
// another load follows a rest.
func (r *overTime) count(p *port, m *timeMemory) {
	by := &p.Step
	draw := r.limit(p)
	if int64(p.W) > draw && (int64(by.Before) > draw && by.For <= maxGap || int64(by.Reg)*mwhDivisor > draw*int64(by.For)) {
		m.Drawn += min(by.For, p.Now-p.Charge.Start) // what was before it was no part of it
	}
	l := &p.Load
	if l.Running && l.Since != m.Stretch && p.Now-l.Since >= 3*60_000 {
		m.Stretch = l.Since
		if l.another() {
			m.Drawn = p.Now - l.Since
		}
	}
}

func (r *overTime) tell(p *port, l level) story {
	c := p.Charge
	limit := r.t["warn_h"]
	if l == critical {
		limit = r.t["critical_h"]
	}
	s := story{suspicion: "overlong"}
	s.zh = fmt.Sprintf("本次充电累计用电已超过 %s 小时，目前 %s W", trim(limit), whole(int64(p.W)))
	s.en = fmt.Sprintf("it has drawn power for more than %s hours, now %s W", trim(limit), whole(int64(p.W)))
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"drawn_s": int64(c.Time.Drawn / 1000), "power_w": watts(int64(p.W)), "thresholds": r.t}
	s.curve = c.Model.Curve.curve()
	return s
}
