package safety

import "pilewatch/devices"

// stages: a charger is at its full power within seconds of its start, but for
// the pre-charge of an empty pack at a tenth to a fifth of it. A second plug
// leaves reports in between.
func (m *model) stages(p *port) (f finding) {
	w := &p.Recent
	full := int64(m.Ticks.median(0, 2))
	if int64(m.Ticks.low(0, 2))*10 < full*9 {
		return f // it does not stay
	}
	var first, firstMid, last devices.Millis
	low, mid := 0, 0
	for i := w.len() - 1; i >= 0 && last == 0; i-- {
		s := w.at(i)
		if s.T < m.Since {
			continue
		}
		switch share := int64(s.W) * 1000 / full; {
		case share > stageMost:
			last = s.T
		case share >= stageLeast:
			if mid == 0 {
				firstMid, f.Before = s.T, s.W
			}
			f.Before = max(f.Before, s.W)
			mid++
		default:
			low++
		}
		if first == 0 {
			first = s.T
		}
	}
	held := mid >= 2 && last-firstMid >= 45*second
	short := mid == 1 && low == 1 && last-first >= minute && int64(f.Before)*1000 >= full*300 && int64(f.Before)*1000 <= full*850
	if last == 0 || last-m.Since > 4*minute || !held && !short {
		return finding{}
	}
	f.After, f.At = int32(full), last
	return f
}

// rise: nothing makes a running charger draw more at once and for good.
func (m *model) rise(x *limits) (f finding) {
	r := &m.Ticks
	c := r.until(0, x.hold+minute/2)
	for (r.age(c) < x.hold-minute || c < 2) && c+1 < r.n {
		c++ // reports come more seldom: three of them
	}
	if r.age(c) < x.hold-minute || c+3 >= r.n || devices.Millis(r.at(c).T)*100+m.Zero-m.Since < settling {
		return f
	}
	before := max(r.median(c+1, c+5), r.median(c+1, c+3))
	low := r.low(0, c)
	up := low - before
	if int64(up) < max(x.step, int64(before)*x.stepShare/1000) || int64(before) < x.least || int64(before)*1000 < int64(m.Peak)*150 {
		return f
	}
	at := m.Zero + devices.Millis(r.at(c).T)*100
	if int64(before)*1000 < int64(low)*stageLeast && at-m.Since < preCharge {
		return f
	}
	jump, earlier := r.at(c).W-r.at(c+2).W, r.at(c+2).W-r.at(min(c+4, r.n-1)).W // over two ticks: one may hold both levels
	if jump*4 < up*3 || jump < 2*earlier || m.cameBack(c, low) {
		return f // a ramp, or the end of a dip
	}
	return finding{Before: before, After: low, At: at}
}

// cameBack reports whether the power was up there less than 20 minutes before
// tick c, and fell from it at once: then it is the end of a dip.
func (m *model) cameBack(c int, level int32) bool {
	r := &m.Ticks
	for i := c + 1; i+1 < r.n && r.age(i)-r.age(c) <= dipTime; i++ {
		high := r.at(i + 1).W
		if i+2 < r.n {
			high = max(high, r.at(i+2).W)
		}
		if high*103/100 >= level && (high-r.at(i).W)*2 >= level-r.at(c+1).W {
			return true
		}
	}
	return false
}

// sudden: two readings in a row far over all that this charge drew before. One
// may be the meter's.
func (m *model) sudden(p *port, x *limits) (f finding) {
	if m.Since == 0 || m.Peak == 0 || p.Now-m.Since < settling || p.Recent.len() < 2 || p.Step.For > 150*second {
		return f
	}
	base := m.Most
	now, last := p.Recent.at(0), p.Recent.at(1)
	limit := int64(base) + max(x.surge, int64(base)*x.surgeShare/1000)
	if int64(base)*1000 < int64(now.W)*stageLeast && p.Now-m.Since < preCharge {
		return f
	}
	switch {
	case int64(now.W) < limit:
		return f
	case int64(last.W) >= limit:
		return finding{Before: base, After: min(now.W, last.W), At: now.T}
	case m.byRegister(p, base):
		return finding{Before: base, After: now.W, At: now.T}
	}
	return f
}

// byRegister reports whether the energy register confirms the newest reading.
func (m *model) byRegister(p *port, base int32) bool {
	s := p.Recent.at(0)
	span := s.T - p.Recent.at(1).T
	return s.Reg >= 0 && span <= longestStep && int64(s.Reg)-int64(max(base, p.Recent.at(1).W))*int64(span)/mwhDivisor >= surgeEnergy
}
