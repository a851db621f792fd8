package safety

import "fmt"

// twoTapers sees that a fall in power is not the end of one charge: it comes to a
// stand at a level where one charger would go on falling, or it slows and then
// grows to again_factor times as fast. The one is a second charger that still
// holds its current, or one charger that does not end; the other is the second
// taper.
//
// Why: one charger's power falls once, exponentially, to a float of 5-15 % of its
// peak (domain.md). At a level L of the peak, with a float F, a taper of 90
// minutes (the slowest of the table is 70, and cold or age make it slower) falls by
// (1 - F/L) x (1 - exp(-12/90)) in 12 minutes: 9 % at half of the peak. What falls by less than stand_percent of that, twice
// in a row, stands. The table's threshold (two falls of 25 % of the peak with 15
// minutes of plateau between) sees the second taper only when it is over, hours
// after the first.
//
// How it can be wrong: a charger that steps down to a second constant current,
// or one that is stuck: the visit finds out, and both are worth one. Two bikes
// that begin together and taper within ten minutes of each other cannot be told
// from one by power alone.
type twoTapers struct{ t thresholds }

var (
	twoTapersDefaults = map[string]float64{"stand_min": 12, "stand_percent": 45, "float_percent": 15, "tau_min": 90, "again_factor": 2}
	twoTapersMax      = map[string]float64{"stand_min": 30}
)

func newTwoTapers(t thresholds) detector { return &twoTapers{t} }

func (r *twoTapers) limit(x *limits) {
	x.span, x.standShare = r.t.minutes("stand_min"), int64(r.t["stand_percent"])
	x.float, x.tau, x.again = int64(r.t["float_percent"]*10), max(1, int64(r.t["tau_min"])), int64(r.t["again_factor"])
}

func (r *twoTapers) see(p *port, stands level) level {
	return p.Charge.found(stands, fallsAgain, comesToStand)
}

func (r *twoTapers) tell(p *port, _ level) story {
	m := p.Charge.Model
	k := p.Charge.newest(fallsAgain, comesToStand)
	f := m.found(k)
	peak, now := whole(int64(f.Peak)), whole(int64(f.After))
	s := story{suspicion: "power_strip"}
	if k == fallsAgain {
		s.zh = fmt.Sprintf("功率从最高 %s W 开始下降后变缓，降到 %s W 前后又再次加快，像两块电池先后充满", peak, whole(int64(f.Before)))
		s.en = fmt.Sprintf("the power fell from its peak of %s W, slowed, and near %s W began to fall fast again, as if two batteries were filling up one after the other", peak, whole(int64(f.Before)))
	} else {
		s.zh = fmt.Sprintf("功率从最高 %s W 降到 %s W 后停住不再下降，像还有一个充电器在充，或充电器充满后没有停", peak, now)
		s.en = fmt.Sprintf("the power fell from its peak of %s W to %s W and then stood still, as if another charger were still charging, or this one did not end", peak, now)
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"peak_w": watts(int64(f.Peak)), "before_w": watts(int64(f.Before)), "level_w": watts(int64(f.After)),
		"way": map[kind]string{fallsAgain: "second_taper", comesToStand: "stand"}[k], "thresholds": r.t}
	s.curve = p.Charge.Model.Curve.curve()
	return s
}

// found raises a flag for the first finding of these kinds that was not told of.
func (c *charge) found(stands level, kinds ...kind) level {
	if stands != none {
		return unsure // it is of the whole session, and ends with it
	}
	m := c.model()
	if m == nil || m.Odd == nil {
		return none
	}
	for _, k := range kinds {
		if m.Odd.Found[k].At != 0 && !m.Odd.Told[k] {
			m.Odd.Told[k] = true
			return warning
		}
	}
	return none
}

// newest is the kind that was found last.
func (c *charge) newest(kinds ...kind) kind {
	best := kinds[0]
	for _, k := range kinds[1:] {
		if c.Model.found(k).At > c.Model.found(best).At {
			best = k
		}
	}
	return best
}
