package safety

import "pilewatch/devices"

// stand: a taper of one charger never stands still above its float. It is held
// against the slowest taper of the table: over the whole span, or over a shorter
// one, more strictly, high above any float.
func (m *model) stand(x *limits) (f finding) {
	r, ok := &m.Ticks, false
	level := r.median(0, r.until(0, 5*minute-30*second))
	now := m.perMille(level)
	if now >= standLeast && now <= standMost && level >= taperLeast {
		f, ok = m.stands(level, x.span, x.standShare, x)
		if !ok && now >= 600 {
			f, ok = m.stands(level, x.span*2/3, x.standShare/2, x)
		}
	}
	if !ok {
		m.Held = 0
		return finding{}
	}
	if m.Held++; m.Held < 2 || m.stepped(f.After) {
		return finding{}
	}
	return f
}

// perMille is a level as a share of the peak.
func (m *model) perMille(level int32) int64 { return int64(level) * 1000 / int64(max(1, m.Peak)) }

// stepped reports whether the level was reached in one step less than 40 minutes
// ago, give or take the mains voltage: a pulse charger falls in steps, and stands on
// each for 20, in winter for 35.
func (m *model) stepped(level int32) bool {
	r := &m.Ticks
	k := 0
	for k < r.n && int64(r.w[k])*100 <= int64(level)*107 {
		k++
	}
	if k == r.n || r.age(k) >= stepLongest {
		return false
	}
	before := r.until(k, r.age(k)+10*minute)
	fall := r.w[before] - level
	return int64(r.w[min(k+1, r.n-1)]-r.w[max(0, k-2)])*10 >= int64(fall)*6
}

// stands reports whether the fall to a level over a span is under a share, in per
// cent, of what one charger would have fallen by.
func (m *model) stands(level int32, span devices.Millis, share int64, x *limits) (f finding, ok bool) {
	r := &m.Ticks
	i := r.until(0, span)
	j := r.until(i, span+5*minute)
	if r.age(i) < span-5*minute || i+1 >= r.n {
		return f, false
	}
	was := r.median(i, j)
	if m.perMille(was) > standMost+20 {
		return f, false
	}
	if low, _ := r.span(0, j); int64(low)*1000 < int64(level)*700 {
		return f, false // a dip hides the slope
	}
	mins := int64(r.age(i)) / minute
	// What one charger would have fallen by, per mille: (1 - float/level) x span/tau, less a tenth for its bend.
	one := (1000 - x.float*1000/m.perMille(level)) * mins / x.tau * 9 / 10
	return finding{Before: was, After: level}, int64(was-level)*100_000/int64(was) <= one*share
}

// knee: one charger falls ever more slowly. A fall that has slowed, and then
// grows to four times as fast again, is a second taper.
func (m *model) knee(x *limits) (f finding) {
	r := &m.Ticks
	top := r.median(0, 2)
	if int64(top)*1000 >= int64(m.Peak)*taperMost {
		m.Slow, m.Fell = -1, r.t[0]
		return f
	}
	i := r.until(0, kneeSpan)
	k := r.until(i, 2*kneeSpan)
	if i < 1 || k <= i || r.t[k] < m.Fell {
		return f
	}
	now, lo := m.slope(0, i)
	was, _ := m.slope(i, k)
	if int64(lo)*2 < int64(top) { // a dip: what is before it cannot be compared
		m.Slow, m.Fell = -1, r.t[0]
		return f
	}
	if m.Slow < 0 || was < m.Slow {
		m.Slow = max(0, was)
	}
	if top < taperLeast {
		return f // the steps of a watt in which it is reported are a good part of it
	}
	least, again := m.Slow+kneeMore, x.again*int64(max(m.Slow, 30))
	if i < 6 { // of few ticks it is known less well
		least, again = least+kneeMore/2, again*5/4
	}
	if int64(top)*1000 < int64(m.Peak)*kneeLeast || now < least || int64(now) < again || m.drops(i) {
		return f
	}
	before := r.median(i, i+2)
	if int64(before)*1000 > int64(m.Peak)*standMost {
		return f // what slowed was no taper yet
	}
	return finding{Before: before, After: top, Times: now}
}

// slope is how fast the power fell between two ticks, in 1/10,000 a minute, and
// the lowest tick between them.
func (m *model) slope(i, j int) (rate, low int32) {
	r := &m.Ticks
	a, b := int64(r.w[j]), int64(r.w[i])
	if j-i >= 6 { // of few ticks a median would be another one
		a, b = int64(r.median(max(0, j-1), j+1)), int64(r.median(max(0, i-1), i+1))
	}
	low = r.w[i]
	for k := i; k <= j; k++ {
		low = min(low, r.w[k])
	}
	ms := int64(r.age(j) - r.age(i))
	return int32((a - b) * 20_000 / max(1, a+b) * minute / max(1, ms)), low
}

// drops reports whether half of the fall since tick i was one step: a charger
// that ends, or a load that was taken away. Of few ticks, each is a good part of it.
func (m *model) drops(i int) bool {
	r := &m.Ticks
	fall, over, part := r.w[i]-r.w[0], 2, int32(2)
	if i < 6 {
		over, part = 1, 1
		fall = fall * 11 / 20
	}
	for k := 0; k+over <= i; k++ {
		if (r.w[k+over]-r.w[k])*part > fall {
			return true
		}
	}
	return false
}
