package safety

import "pilewatch/devices"

// uneven: noise and dips go down; peaks over a steady level are another load's.
func (m *model) uneven(x *limits) (f finding) {
	r := &m.Ticks
	j := r.until(0, 30*minute)
	if j < 20 || devices.Millis(r.t[j])*100+m.Zero-m.Since < settling {
		return f
	}
	low, high := r.span(0, j)
	if int64(high-low)*1000 <= int64(low)*x.peak {
		return f
	}
	var b [tickCount]int32
	s := r.sorted(&b, 0, j)
	n := len(s)
	mid := s[n/2]
	if mid < 25_000 || int64(mid)*1000 < int64(m.Most)*standLeast {
		return f
	}
	noise := int64(s[n*3/4] - s[n/4]) // of its middle half: 1.3 sigma
	if noise*1000 > int64(mid)*steadyMost {
		return f
	}
	limit := int64(mid) + max(5_000, int64(mid)*x.peak/1000, 3*noise)
	for int64(r.w[j]) > limit {
		j-- // what it began with is no peak: a step down
	}
	for k := range j { // ticks in a row are one
		if int64(r.w[k]) > limit && int64(r.w[k+1]) <= limit {
			f.Times++
		}
	}
	if int64(f.Times) < x.peaks {
		return finding{}
	}
	f.Before, f.After = mid, s[n-1]
	return f
}

// level: over four hours a charger's power rises, or falls, by more than it
// wavers: the level of now and that of 40 minutes ago are still that of the start.
// What draws as much as a heater does it in three, held to half of that and less; what is
// under the power of any charger of a bike need not last so long.
func (m *model) level(now devices.Millis, x *limits) (f finding) {
	age := now - m.Since
	if m.Early == 0 && age >= 20*minute {
		m.Early = m.Ticks.middle(0, m.Ticks.until(0, 10*minute))
	}
	flat, same, peak := x.flat, int64(levelSame), int64(levelPeak)
	switch {
	case int64(m.Most) < x.small:
		flat = x.smallFlat
	case m.Early >= heatLeast && age < flat:
		flat, same, peak = flat*3/4, same/2, 1000+(peak-1000)*2/5
	}
	if m.Early == 0 || age < flat || m.found(steady).At != 0 || int64(m.Peak)*1000 > int64(m.Early)*peak {
		return f
	}
	r := &m.Ticks
	if far := int64(r.w[0] - m.Early); max(far, -far)*1000 > int64(m.Early)*same*4 {
		return f // no need to look closer
	}
	off := int32(int64(m.Early) * same / 1000)
	i, j, k := r.until(0, 10*minute), r.until(0, 30*minute), r.until(0, 40*minute)
	if !r.middleWithin(0, i, m.Early-off, m.Early+off) || !r.middleWithin(j, k, m.Early-off, m.Early+off) {
		return f
	}
	b := r.middle(0, i)
	if b < 25_000 {
		return f
	}
	return finding{Before: m.Early, After: b, Times: int32(age / minute)}
}

// moves reports whether the power rose since its start, or falls, as that of a
// battery does within hours, and no heater's.
func (m *model) moves() bool {
	now := int64(m.Ticks.middle(0, m.Ticks.until(0, 10*minute)))
	return m.Early > 0 && max(now-int64(m.Early), int64(m.Early)-now)*1000 > int64(m.Early)*levelSame
}

// settles: a compressor draws a tenth more and over when it starts, and within
// minutes comes down to a level on which it stands until it is off. A charger
// starts on its level or under it, and one that starts near the end of its taper
// goes on falling, or falls in steps. age is that of the stretch, and least is how
// long it is looked at.
func (m *model) settles(age, least devices.Millis, x *limits) (f finding) {
	r := &m.Ticks
	if age < least || age > 15*minute {
		return f
	}
	stand := r.until(0, r.age(r.n-1)-4*minute+second)
	if stand < 2 || stand+3 >= r.n {
		return f
	}
	var b [tickCount]int32
	s := r.sorted(&b, 0, stand)
	mid := int64(s[len(s)/2])
	spread := int64(s[len(s)*3/4] - s[len(s)/4])
	fall := int64(r.middle(stand/2+1, stand) - r.middle(0, stand/2))
	start, then := int64(max(r.w[r.n-1], r.w[r.n-2])), int64(r.w[r.n-3])
	if mid < max(40_000, int64(m.Most)/2) || spread*1000 > mid*steadyMost || fall*1000 > mid*settleFall || start*1000 < mid*x.start || (start-then)*3 < start-mid {
		return f
	}
	return finding{Before: int32(start), After: int32(mid)}
}

// short: what heats draws much for minutes and is then off at once. A charger of
// that power goes on for an hour, and tapers.
func (m *model) short(now devices.Millis) (f finding) {
	long := now - m.Since
	if long < minute || m.Ticks.n < 2 || m.Rests != 1 { // the first of the session
		return f
	}
	return finding{At: now, After: m.Ticks.median(0, medianOf), Times: int32(long / second)}
}
