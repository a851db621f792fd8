package safety

import (
	"fmt"

	"pilewatch/devices"
)

// resistiveLoad sees a load that no battery is behind: one of brief_w and more
// that is switched off at once after brief_min or less; or one that for flat_h
// neither rises nor falls: three quarters of that from 300 W on, small_h where it
// never draws small_w.
//
// Why: what heats draws the same from the first second to the last; a charger's
// power rises by 8-15 % before it tapers (domain.md). The table's threshold
// (300 W, 2 % for 20 min, one drop of 80 %) contradicts the measured packs: a
// lithium charger of 700 W holds its power within 1 % for an hour, and 35 of 40
// early unplugs look just so. So what is short must draw more than most
// chargers do, and what is not must be flat for longer than a charge holds: after
// four hours every normal labelled charge was 2.8 % off its start or had been 5 %
// over it. The smallest charger of the table draws 110 W, the smallest measured
// one 76 W; what is under small_w all the time needs less patience.
//
// How it can be wrong: somebody who unplugs a very large charger after some
// minutes; a very large pack on a small lithium charger; the charger of a toy.
type resistiveLoad struct {
	t     thresholds
	brief int32
	most  devices.Millis
}

var resistiveLoadDefaults = map[string]float64{"brief_w": 550, "brief_min": 20, "flat_h": 4, "small_w": 55, "small_h": 1.5}

func newResistiveLoad(t thresholds) detector {
	return &resistiveLoad{t, int32(t.mW("brief_w")), t.minutes("brief_min")}
}

func (r *resistiveLoad) limit(x *limits) {
	x.flat, x.small, x.smallFlat = r.t.hours("flat_h"), r.t.mW("small_w"), r.t.hours("small_h")
}

func (r *resistiveLoad) see(p *port, stands level) level {
	m := p.Charge.model()
	if m != nil && m.Odd != nil && stands == none {
		if f := m.Odd.Brief; f.At == p.Now && f.After >= r.brief && f.Times <= int32(r.most/second) && (!p.late() || !near(p.W, f.After)) {
			m.note(brief, p.Now, f)
		}
	}
	return p.Charge.found(stands, brief, steady)
}

// near reports whether a load still draws what it drew. When its report was late too,
// as where readings are timed by their receipt, the register stood still for that,
// and nothing was off.
func near(now, was int32) bool {
	return int64(now)*10 >= int64(was)*9 && int64(now)*10 <= int64(was)*11
}

func (r *resistiveLoad) tell(p *port, _ level) story {
	k := p.Charge.newest(brief, steady)
	f := p.Charge.Model.found(k)
	s := story{suspicion: "appliance"}
	if k == brief {
		s.zh = fmt.Sprintf("约 %s W 的负载只用了 %d 分钟就一下子断开，像电热电器", whole(int64(f.After)), (f.Times+30)/60)
		s.en = fmt.Sprintf("a load of about %s W ran for %d minutes only and was off at once, like a heating appliance", whole(int64(f.After)), (f.Times+30)/60)
	} else {
		hours := float64(f.Times/6) / 10
		s.zh = fmt.Sprintf("%s 小时以来功率一直是 %s W 左右，不升也不降，不像在给电池充电", trim(hours), whole(int64(f.After)))
		s.en = fmt.Sprintf("for %s hours the power has been about %s W and neither rose nor fell, unlike a battery's charge", trim(hours), whole(int64(f.After)))
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"power_w": watts(int64(f.After)), "way": map[kind]string{brief: "brief", steady: "flat"}[k], "thresholds": r.t}
	s.curve = p.Charge.Model.Curve.curve()
	return s
}
