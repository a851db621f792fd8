package safety

import (
	"fmt"
	"math"
)

// secondLoad sees that more than one thing draws from a port, by how it comes:
//   - a sudden rise of a running load by step_w and step_percent, held for
//     hold_min; in a taper, half as much again over where it would have fallen to;
//     always by more than the noise before it;
//   - two reports in a row surge_w and surge_percent over all that the session
//     drew before (one, where the energy register confirms it), or the third that
//     stands alone within two hours;
//   - a start in stages: reports between a quarter and nine tenths of what it
//     draws then, as when the second plug goes in a minute after the first.
//
// Why: a charger holds its current, and its power rises by 8-15 % over hours; it
// is at its full power within seconds (domain.md, Charger and battery
// electricity). On the 374 normal labelled traces no running charge rose by more
// than 3.0 % of its power at once and for good, and none had two reports on the
// way up, at 30 s or at 60 s; so the thresholds of the table (80 W, 35 %, 10
// min), which miss nine of ten small second loads, are 6 W, 4 % and 5 min here.
//
// Not a second load: what follows a rest or a hole (resumption after a power
// cut, another bike), a pulse after full (it begins under 15 % of the charge's
// power, or is not held), power that comes back to where it was within 20
// minutes (a dip), pre-charge of an empty pack (under a quarter of the power
// after it, in the first 30 minutes), a slow ramp.
//
// How it can be wrong: a charger with a fan or a second stage that switches on
// in mid-charge; a change of the mains voltage by 4 % at once, on a charger that
// does not regulate. Between reports that are over 150 s apart, what is sudden
// cannot be told from the end of a lithium charge's rise: there a step counts from 10 %
// on. The start in stages needs reports every 60 s or oftener:
// where a pile reports more seldom it is not looked for.
type secondLoad struct{ t thresholds }

var (
	secondLoadDefaults = map[string]float64{"step_w": 6, "step_percent": 4, "hold_min": 5, "min_w": 20, "surge_w": 150, "surge_percent": 25}
	secondLoadMax      = map[string]float64{"hold_min": 20}
)

// unlimited are the thresholds of rules that are off: nothing reaches them.
var unlimited = limits{hold: 4 * minute, step: math.MaxInt32, surge: math.MaxInt32, span: 12 * minute, tau: 70, standShare: -1000,
	again: math.MaxInt32, peak: math.MaxInt32, peaks: math.MaxInt32, start: math.MaxInt32, flat: math.MaxInt64}

func newSecondLoad(t thresholds) detector { return &secondLoad{t} }

func (r *secondLoad) limit(x *limits) {
	x.hold, x.step, x.stepShare, x.least = r.t.minutes("hold_min"), r.t.mW("step_w"), int64(r.t["step_percent"]*10), r.t.mW("min_w")
	x.surge, x.surgeShare = r.t.mW("surge_w"), int64(r.t["surge_percent"]*10)
}

func (r *secondLoad) see(p *port, stands level) level {
	m := p.Charge.model()
	switch {
	case m == nil, m.Odd == nil && stands == none:
		return none
	case m.Odd == nil:
		return unsure
	case stands != none:
		return r.goes(p)
	}
	for _, k := range [...]kind{surge, risen, inStages} {
		if f := m.Odd.Found[k]; f.At > m.Odd.Calm {
			m.Odd.Second, m.Odd.Way = f, k
			return warning
		}
	}
	return none
}

// goes reports whether the added load is gone: 5 minutes near the level before it.
func (r *secondLoad) goes(p *port) level {
	f := &p.Charge.Model.Odd.Second
	mean, ok := p.Recent.mean(5 * minute)
	if ok && p.Now-f.At > 6*minute && mean < int64(f.Before+(f.After-f.Before)/5) {
		p.Charge.Model.Odd.Calm = p.Now
		return none
	}
	return unsure
}

func (r *secondLoad) tell(p *port, _ level) story {
	m := p.Charge.Model.Odd
	f := m.Second
	from, to := whole(int64(f.Before)), whole(int64(f.After))
	s := story{suspicion: "power_strip"}
	if f.After-f.Before >= 500_000 {
		s.suspicion = "appliance" // no charger of an e-bike adds so much
	}
	switch m.Way {
	case inStages:
		s.zh = fmt.Sprintf("刚接上时功率分两级上升，先停在约 %s W，再升到 %s W，像先后插了两个充电器", from, to)
		s.en = fmt.Sprintf("at the start the power rose in two stages, to about %s W and then to %s W, as if two chargers were plugged in one after the other", from, to)
	case surge:
		s.zh = fmt.Sprintf("充电中途功率由不超过 %s W 突升到 %s W，像同一插口又接入了别的电器", from, to)
		s.en = fmt.Sprintf("in mid-charge the power rose at once from no more than %s W to %s W, as if something else were plugged in", from, to)
	default:
		hold := trim(r.t["hold_min"])
		s.zh = fmt.Sprintf("充电中途功率由 %s W 突升到 %s W，并保持 %s 分钟，像同一插口又接入了一个负载", from, to, hold)
		s.en = fmt.Sprintf("in mid-charge the power rose at once from %s W to %s W and stayed for %s minutes, as if something more were plugged in", from, to, hold)
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"before_w": watts(int64(f.Before)), "after_w": watts(int64(f.After)), "step_w": watts(int64(f.After - f.Before)),
		"step_at": int64(f.At / 1000), "way": [...]string{"start_in_stages", "rise"}[min(1, int(m.Way))], "thresholds": r.t}
	if m.Way == surge {
		s.numbers["way"] = "surge"
	}
	s.curve = p.Recent.stretch(p.Now - f.At + preCharge + 2*minute) // so that it can be judged again: no pre-charge
	return s
}
