package safety

import (
	"math"
	"slices"

	"pilewatch/devices"
)

// stages: a charger is at its full power within seconds of its start, but for
// the pre-charge of an empty pack at a tenth to a fifth of it. A second plug
// leaves reports in between.
func (m *model) stages(p *port) (f finding) {
	full := int64(m.Ticks.median(0, 2))
	if int64(m.Ticks.low(0, 2))*10 < full*9 {
		return f // it does not stay
	}
	var first, firstMid, last devices.Millis
	low, mid := 0, 0
	var b [windowSize]sample
	for _, s := range slices.Backward(p.Recent.back(&b, p.Now-m.Since)) {
		if s.T < m.Since {
			continue
		}
		if last != 0 {
			break
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

// rise: nothing makes a running charger draw more at once and for good. In its
// taper it is held against how it would have gone on falling.
func (m *model) rise(x *limits) (f finding) {
	r := &m.Ticks
	c := r.until(0, x.hold+minute/2)
	for (r.age(c) < x.hold-minute || c < 2) && c+1 < r.n {
		c++ // reports come more seldom: three of them
	}
	if r.age(c) < x.hold-minute || c+3 >= r.n || devices.Millis(r.t[c])*100+m.Zero-m.Since < settling {
		return f
	}
	jump, earlier := r.w[c]-r.w[c+2], r.w[c+2]-r.w[min(c+4, r.n-1)] // over two ticks: one may hold both levels
	if int64(jump)*2 < x.step {
		return f
	}
	before := max(r.median(c+1, c+5), r.median(c+1, c+3))
	share, steep := x.stepShare, int32(3)
	drift, noise := m.drift(c + 1)
	if noise *= 7; drift == 0 {
		noise = m.noise(c+1) * 4
	} else { // it is known less well
		before -= int32(drift * int64(r.age(c+2)-r.age(c+1)) / minute)
		share, steep = share*3/2, 2
	}
	if r.age(c+1)-r.age(c) > riseSpan {
		share = max(share, riseCoarse)
	}
	up := m.above(c, before, drift)
	if up*2 < noise {
		return f
	}
	if int64(up) < max(x.step, int64(before)*share/1000) || int64(before) < x.least || int64(before)*1000 < int64(m.Peak)*150 {
		return f
	}
	at, low := m.Zero+devices.Millis(r.t[c])*100, before+up
	if int64(before)*1000 < int64(low)*stageLeast && at-m.Since < preCharge {
		return f
	}
	if jump*4 < up*steep || jump < 2*earlier || m.cameBack(c, low, drift) {
		return f // a ramp, or the end of a dip
	}
	return finding{Before: before, After: low, At: at}
}

// drift is how fast the power fell in the 8 minutes before a tick, in mW a
// minute, and how far its ticks were off that line in the mean; 0 where it did not
// fall along a line, or reports are too seldom to tell.
func (m *model) drift(i int) (rate int64, noise int32) {
	r := &m.Ticks
	j := r.until(i, r.age(i)+8*minute)
	if j-i < 6 {
		return 0, 0
	}
	low, high := int64(r.median(i, i+2)), int64(r.median(j-2, j))
	if (high-low)*1000 < low*driftLeast {
		return 0, 0
	}
	span, sum, off := int64(r.age(j-1)-r.age(i+1)), int64(0), 0
	for k := i; k <= j; k++ {
		line := low + (high-low)*int64(r.age(k)-r.age(i+1))/span
		d := int64(r.w[k]) - line
		if d = max(d, -d); d*1000 > line*driftOff {
			off++
		}
		sum += d
	}
	if off > 1 {
		return 0, 0
	}
	return (high - low) * minute / span, int32(sum / int64(j-i+1))
}

// noise is how far apart the middle half of the ticks of a quarter of an hour
// before tick i is: 1.3 sigma.
func (m *model) noise(i int) int32 {
	var b [tickCount]int32
	s := m.Ticks.sorted(&b, i, m.Ticks.until(i, m.Ticks.age(i)+15*minute))
	if len(s) < 8 {
		return 0 // too few to tell
	}
	return s[len(s)*3/4] - s[len(s)/4]
}

// above is by how much the ticks since tick c lie over a level that goes on
// falling, but for the lowest of them.
func (m *model) above(c int, level int32, drift int64) int32 {
	r := &m.Ticks
	lowest, second := int32(math.MaxInt32), int32(math.MaxInt32)
	for k := range c + 1 {
		up := r.w[k] - level + int32(drift*int64(r.age(c+1)-r.age(k))/minute)
		switch {
		case up < lowest:
			lowest, second = up, lowest
		case up < second:
			second = up
		}
	}
	if c < 3 {
		return lowest
	}
	return second
}

// cameBack reports whether the power was up there less than 20 minutes before
// tick c, and fell from it at once, more than its taper does: then it is the end
// of a dip.
func (m *model) cameBack(c int, level int32, drift int64) bool {
	r := &m.Ticks
	for i := c + 1; i+1 < r.n && r.age(i)-r.age(c) <= dipTime; i++ {
		j := i + 1
		if i+2 < r.n && r.w[i+2] > r.w[j] {
			j = i + 2
		}
		high := r.w[j]
		fell := high - r.w[i] - int32(drift*int64(r.age(j)-r.age(i))/minute)
		if high*103/100 >= level && fell*2 >= level-r.w[c+1] {
			return true
		}
	}
	return false
}

// sudden: two readings in a row far over all that this charge drew before. One
// may be the meter's; the third alone within two hours is not, nor is one that
// the energy register confirms.
func (m *model) sudden(p *port, x *limits) (f finding) {
	if m.Since == 0 || m.Peak == 0 || p.Now-m.Since < settling || p.Step.For > 150*second {
		return f
	}
	base, now := m.Most, p.Recent.newest
	limit := int64(base) + max(x.surge, int64(base)*x.surgeShare/1000)
	if int64(now.W) < limit || int64(base)*1000 < int64(now.W)*stageLeast && p.Now-m.Since < preCharge {
		return f
	}
	last, ok := p.Recent.last()
	if !ok {
		return f
	}
	f = finding{Before: base, After: now.W, At: now.T, Times: 1}
	switch {
	case int64(last.W) >= limit:
		f.After = min(now.W, last.W)
	case byRegister(now, last, base):
	default:
		lone := &m.odd().Lone
		first := lone[1]
		lone[0], lone[1] = now.T, lone[0]
		if f.Times = 3; first == 0 || now.T-first > loneSpan {
			return finding{}
		}
	}
	return f
}

// byRegister reports whether the energy register confirms the newest reading.
func byRegister(now, last sample, base int32) bool {
	span := now.T - last.T
	return now.Reg >= 0 && span <= longestStep && int64(now.Reg)-int64(max(base, last.W))*int64(span)/mwhDivisor >= surgeEnergy
}
