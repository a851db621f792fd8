package safety

import (
	"fmt"

	"pilewatch/devices"
)

// hotBurst sees a kettle, a hair dryer or the like: at least 1,200 W for a
// minute, within 10 minutes.
//
// Why: heating elements draw 800-2,000 W for 1-10 minutes (kettle 3-6 min), and
// no charger of an e-bike does (domain.md, Other loads; the measured
// appliances of the labelled traces). It is said as soon as two samples are at or over the
// threshold and stand for a minute together; what goes on longer stays flagged,
// and over_power follows after its 5 minutes. An induction hob, on for 5-30 s at
// a time, counts by its sum. It is over 10 minutes after the last such sample.
//
// How it can be wrong: a spike of the meter; therefore never one sample alone,
// unless the energy register confirms it: it went further than the power before
// or after explains, by what critical_w delivers in hold_min.
//
// Too coarse: from 150 s between reports on, a kettle of 3 minutes is one sample
// or none. There a burst is seen only where the register confirms it; without a
// register only one that lasts for two reports.
type hotBurst struct {
	t      thresholds
	power  int64 // mW
	energy int64 // mWh
	hold   devices.Millis
	window devices.Millis
}

var (
	hotBurstDefaults = map[string]float64{"critical_w": 1200, "hold_min": 1, "window_min": 10}
	hotBurstMax      = map[string]float64{"window_min": 20, "hold_min": 20}
)

func newHotBurst(t thresholds) detector {
	r := &hotBurst{t: t, power: t.mW("critical_w"), hold: t.minutes("hold_min"), window: t.minutes("window_min")}
	r.energy = r.power * int64(r.hold) / mwhDivisor
	return r
}

func (r *hotBurst) see(p *port, stands level) level {
	if stands == none && p.Recent.top() < r.power {
		return none
	}
	last, ok := p.Recent.last()
	if stands == none && int64(p.Recent.newest.W) < r.power && (!ok || int64(last.W) < r.power) {
		return none // only a sample over the threshold, or the one after it, raises
	}
	n, held, confirmed := r.burst(p)
	switch {
	case n >= 2 && held >= r.hold || confirmed:
		return critical
	case n > 0:
		return unsure
	}
	return none
}

// burst looks at the last window: how many samples are over the threshold, how
// long they stand for, and whether the register confirms one.
func (r *hotBurst) burst(p *port) (n int, held devices.Millis, confirmed bool) {
	var b [windowSize]sample
	all := p.Recent.back(&b, r.window)
	for i, s := range all {
		if int64(s.W) < r.power || all[0].T-s.T > r.window {
			continue
		}
		n++
		span := devices.Millis(0)
		if i+1 < len(all) {
			span = s.T - all[i+1].T
			confirmed = confirmed || r.extra(all[i+1].W, s.Reg, span)
		}
		if i > 0 {
			next := all[i-1]
			span = max(span, next.T-s.T)
			confirmed = confirmed || r.extra(next.W, next.Reg, next.T-s.T)
		}
		held += min(span, 60_000)
	}
	return n, held, confirmed
}

// extra reports whether a step delivered more than the power of its quiet end
// explains, by a burst.
func (r *hotBurst) extra(quiet, reg int32, span devices.Millis) bool {
	return span <= longestStep && int64(reg)-int64(quiet)*int64(span)/mwhDivisor >= r.energy
}

func (r *hotBurst) tell(p *port, _ level) story {
	var peak int64
	var b [windowSize]sample
	for _, x := range p.Recent.back(&b, r.window) {
		if p.Recent.newest.T-x.T <= r.window {
			peak = max(peak, int64(x.W))
		}
	}
	_, held, confirmed := r.burst(p)
	s := story{suspicion: "appliance"}
	s.zh = fmt.Sprintf("短时间功率达到 %s W，像电水壶、电吹风一类的电热电器", whole(peak))
	s.en = fmt.Sprintf("a short burst of %s W, like a kettle, a hair dryer or another heating appliance", whole(peak))
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"peak_w": watts(peak), "held_s": int64(held / 1000), "by_register": confirmed, "thresholds": r.t}
	s.curve = p.Recent.stretch(15 * 60_000)
	return s
}
