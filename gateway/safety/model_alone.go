package safety

import "pilewatch/devices"

// uneven: noise and dips go down; peaks over a steady level are another load's.
func (m *model) uneven(x *limits) (f finding) {
	r := &m.Ticks
	j := r.until(0, 30*minute)
	if j < 20 || devices.Millis(r.at(j).T)*100+m.Zero-m.Since < settled {
		return f
	}
	var b [tickCount]int32
	n := 0
	for k := 0; k <= j; k++ {
		b[n] = r.at(k).W
		n++
	}
	s := b[:n]
	sortInt32(s)
	mid := s[n/2]
	if mid < 25_000 || int64(mid)*1000 < int64(m.Most)*standLeast {
		return f
	}
	if int64(s[n*3/4]-s[n/4])*1000 > int64(mid)*steadyMost {
		return f
	}
	limit := int64(mid) + max(5_000, int64(mid)*x.peak/1000)
	for int64(r.at(j).W) > limit {
		j-- // what it began with is no peak: a step down
	}
	for k := range j {
		if int64(r.at(k).W) > limit {
			f.Times++
		}
	}
	if int64(f.Times) < x.peaks {
		return finding{}
	}
	f.Before, f.After = mid, s[n-1]
	return f
}

// level: over four hours a charger rises, or falls.
func (m *model) level(now devices.Millis, x *limits) (f finding) {
	if m.Early == 0 && now-m.Since >= 20*minute {
		m.Early = m.Ticks.median(0, m.Ticks.until(0, 10*minute))
	}
	if m.Early == 0 || now-m.Since < x.flat {
		return f
	}
	b := m.Ticks.median(0, m.Ticks.until(0, 10*minute))
	if int64(b)*1000 > int64(m.Early)*1012 || int64(b)*1000 < int64(m.Early)*975 || int64(m.Peak)*1000 > int64(m.Early)*1025 || b < 25_000 {
		return f
	}
	return finding{Before: m.Early, After: b}
}

// short: what heats draws much for minutes and is then off at once. A charger of
// that power goes on for an hour, and tapers.
func (m *model) short(now devices.Millis) (f finding) {
	long := now - m.Since
	if long < minute || m.Ticks.n < 2 || m.Beat.N != 1 { // the first of the session
		return f
	}
	return finding{At: now, After: m.Ticks.median(0, medianOf), Times: int32(long / second)}
}
