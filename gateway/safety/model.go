package safety

import "pilewatch/devices"

// model follows one charge as one charger would draw it, and keeps what one
// charger does not explain. It exists while a session is open, is of constant
// size, and looks only at what has been.
//
// One charger (domain.md, Charger and battery electricity; the measured packs of
// the labelled traces) starts within seconds, holds or slowly raises its power,
// falls once, ever more slowly but never to a stand at a high level, and floats
// low or stops. So the following needs a second load, or a charger that does not
// end: a start in stages, a sudden rise that stays, a fall that comes to a stand,
// a fall that slows and then grows fast again, peaks above a steady level, the
// same power on and off at an even beat, a power that neither rises nor falls
// for hours. Each is a method that is asked after each tick.
type model struct {
	Zero  devices.Millis `json:"zero"`  // from which ticks count their time
	Since devices.Millis `json:"since"` // first reading of this stretch; 0: it rests
	Peak  int32          `json:"peak"`  // mW, the highest median of the stretch
	Early int32          `json:"early"` // mW, the level after its start; 0: not known yet
	Slow  int32          `json:"slow"`  // slowest fall of this taper, 1/10,000 a minute; -1: none was measured
	Held  int32          `json:"held"`  // ticks in a row at which the fall stood still
	Looks bool           `json:"looks"` // the start of this stretch was looked at
	Fell  int32          `json:"fell"`  // tick time since which it falls
	Most  int32          `json:"most"`  // mW, highest Peak of the session
	Bin   bin            `json:"bin"`
	Ticks ticks          `json:"ticks"`
	Beat  beat           `json:"beat"`
	Brief finding        `json:"brief"` // the stretch that ended last, when it was short

	Found [kinds]finding `json:"found"`
}

// bin gathers the readings of one tick.
type bin struct {
	T   devices.Millis `json:"t"`   // of the first
	End devices.Millis `json:"end"` // of the newest reading
	W   int64          `json:"w"`   // their sum
	N   int64          `json:"n"`
}

// kind says how a curve is not that of one charger.
type kind uint8

const (
	inStages kind = iota
	risen
	comesToStand
	fallsAgain
	peaks
	beating
	steady
	brief
	surge
	kinds
)

// finding is something that one charger does not explain. At is 0 where there is none.
type finding struct {
	At     devices.Millis `json:"at,omitempty"`
	Before int32          `json:"before,omitempty"` // mW
	After  int32          `json:"after,omitempty"`  // mW
	Peak   int32          `json:"peak,omitempty"`   // mW
	Times  int32          `json:"times,omitempty"`
}

const (
	second = 1000
	minute = 60 * second

	settled     = 5 * minute  // from a start to a steady power
	preCharge   = 30 * minute // an empty pack is pre-charged for so long at most
	kneeSpan    = 15 * minute
	standLeast  = 180 // per mille of the peak: under this it may be the end of a taper
	standMost   = 900 // per mille of the peak: over this it has not begun to fall
	stageLeast  = 300 // per mille of the full power: under this it is pre-charge
	stageMost   = 900
	stepLongest = 40 * minute
	kneeLeast   = 350   // per mille of the peak
	kneeMore    = 220   // 1/10,000 a minute
	steadyMost  = 50    // per mille: spread of a steady level
	surgeEnergy = 4_000 // mWh
)

// limits are the thresholds of the rules that ask the model.
type limits struct {
	hold       devices.Millis // second_load
	step       int64          // mW
	stepShare  int64          // per mille of the power before
	least      int64          // mW
	surge      int64          // mW
	surgeShare int64          // per mille of the highest power before
	span       devices.Millis // two_tapers
	float      int64          // per mille of the peak
	tau        int64          // minutes
	standShare int64          // per cent of what one charger would have fallen by
	again      int64          // times the slowest rate
	peak       int64          // cycling_load: per mille over the level
	peaks      int64
	flat       devices.Millis // resistive_load
}

// add takes a reading; true when it completed a tick. interval is at which the
// port reports.
func (m *model) add(now devices.Millis, mW int32, interval devices.Millis) bool {
	if m.Bin.End != 0 && now-m.Bin.End > max(holeTime, 3*interval) {
		m.rest(m.Bin.End)
	}
	gap := now - m.Bin.End
	m.Bin.End = now
	switch running := int64(mW) >= restMW; {
	case !running && m.Since != 0:
		m.rest(now)
	case running && m.Since == 0:
		m.start(now)
	}
	if m.Since == 0 {
		return false
	}
	if m.Bin.N == 0 {
		m.Bin.T = now
	}
	m.Bin.W += int64(mW)
	m.Bin.N++
	if now-m.Bin.T < tickWidth/2 && gap < tickWidth {
		return false
	}
	m.tick()
	return true
}

// tick makes one of what was gathered.
func (m *model) tick() {
	if b := &m.Bin; b.N > 0 {
		m.Ticks.push(tick{T: int32((b.End - m.Zero) / 100), W: int32(b.W / b.N)})
		b.W, b.N = 0, 0
	}
}

func (m *model) start(now devices.Millis) {
	m.Since, m.Peak, m.Early, m.Slow, m.Held, m.Looks = now, 0, 0, -1, 0, false
	m.Ticks.n, m.Fell = 0, 0
	m.Beat.on(now)
}

func (m *model) rest(now devices.Millis) {
	if m.Since != 0 {
		m.tick()
		m.note(beating, now, m.Beat.off(m, now))
		m.Brief = m.short(now)
	}
	m.Since, m.Bin.W, m.Bin.N = 0, 0, 0
}

// plain reports whether one charger explains all that was seen.
func (m *model) plain() bool {
	for k := range m.Found {
		if m.Found[k].At != 0 {
			return false
		}
	}
	return true
}

// look asks every question after a tick.
func (m *model) look(p *port, x *limits) {
	if m.Ticks.n < 3 {
		return
	}
	m.Peak = max(m.Peak, m.Ticks.low(0, 2))
	m.Most = max(m.Most, m.Peak)
	now := p.Now
	if !m.Looks && now-m.Since >= settled {
		m.Looks = true
		m.note(inStages, now, m.stages(p))
	}
	m.note(risen, now, m.rise(x))
	m.note(comesToStand, now, m.stand(x))
	m.note(fallsAgain, now, m.knee(x))
	m.note(peaks, now, m.uneven(x))
	m.note(steady, now, m.level(now, x))
}

// note keeps a finding: the first of its kind, and the newest of a rise.
func (m *model) note(k kind, now devices.Millis, f finding) {
	if f.After == 0 || m.Found[k].At != 0 && k != risen && k != surge {
		return
	}
	if f.At == 0 {
		f.At = now
	}
	f.Peak = m.Peak
	m.Found[k] = f
}

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
	if r.age(c) < x.hold-minute || c+3 >= r.n || devices.Millis(r.at(c).T)*100+m.Zero-m.Since < settled {
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

// stand: a taper of one charger never stands still above its float. It is held
// against the slowest taper of the table: over the whole span, or over a shorter
// one, more strictly, high above any float.
func (m *model) stand(x *limits) (f finding) {
	f, ok := m.stands(x.span, x.standShare, standLeast, x)
	if !ok {
		f, ok = m.stands(x.span*2/3, x.standShare/2, 600, x)
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

// stepped reports whether the level was reached in one step less than 40 minutes
// ago: a pulse charger falls in steps, and stands on each for 20, in winter for 35.
func (m *model) stepped(level int32) bool {
	r := &m.Ticks
	k := 0
	for k < r.n && int64(r.at(k).W)*100 <= int64(level)*104 {
		k++
	}
	if k == r.n || r.age(k) >= stepLongest {
		return false
	}
	before := r.until(k, r.age(k)+10*minute)
	fall := r.at(before).W - level
	return int64(r.at(min(k+1, r.n-1)).W-r.at(max(0, k-2)).W)*10 >= int64(fall)*6
}

// stands reports whether the fall over a span is under a share, in per cent, of
// what one charger would have fallen by, at least per mille of the peak.
func (m *model) stands(span devices.Millis, share, least int64, x *limits) (f finding, ok bool) {
	r := &m.Ticks
	i := r.until(0, span)
	j := r.until(i, span+5*minute)
	if r.age(i) < span-5*minute || i+1 >= r.n || m.Peak == 0 {
		return f, false
	}
	a, b := r.median(i, j), r.median(0, r.until(0, 5*minute-30*second))
	now, was := int64(b)*1000/int64(m.Peak), int64(a)*1000/int64(m.Peak)
	if now < least || was > standMost+20 || now > standMost || b < 20_000 {
		return f, false
	}
	for k := 0; k <= j; k++ {
		if int64(r.at(k).W)*1000 < int64(b)*700 {
			return f, false // a dip hides the slope
		}
	}
	mins := int64(r.age(i)) / minute
	// What one charger would have fallen by, per mille: (1 - float/level) x span/tau, less a tenth for its bend.
	one := (1000 - x.float*1000/now) * mins / x.tau * 9 / 10
	return finding{Before: a, After: b}, int64(a-b)*100_000/int64(a) <= one*share
}

// knee: one charger falls ever more slowly. A fall that has slowed, and then
// grows to four times as fast again, is a second taper.
func (m *model) knee(x *limits) (f finding) {
	r := &m.Ticks
	top := r.median(0, 2)
	if int64(top)*1000 >= int64(m.Peak)*965 {
		m.Slow, m.Fell = -1, r.at(0).T
		return f
	}
	i := r.until(0, kneeSpan)
	k := r.until(i, 2*kneeSpan)
	if i < 1 || k <= i || r.at(k).T < m.Fell {
		return f
	}
	now, lo := m.slope(0, i)
	was, _ := m.slope(i, k)
	if int64(lo)*2 < int64(top) { // a dip: what is before it cannot be compared
		m.Slow, m.Fell = -1, r.at(0).T
		return f
	}
	if m.Slow < 0 || was < m.Slow {
		m.Slow = max(0, was)
	}
	if int64(top)*1000 < int64(m.Peak)*kneeLeast || now < m.Slow+kneeMore || int64(now) < x.again*int64(max(m.Slow, 30)) || m.drops(i) {
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
	a, b := int64(r.median(max(0, j-1), j+1)), int64(r.median(max(0, i-1), i+1))
	low = r.at(i).W
	for k := i; k <= j; k++ {
		low = min(low, r.at(k).W)
	}
	ms := int64(r.age(j) - r.age(i))
	return int32((a - b) * 20_000 / max(1, a+b) * minute / max(1, ms)), low
}

// drops reports whether half of the fall since tick i was one step: a charger
// that ends, or a load that was taken away.
func (m *model) drops(i int) bool {
	r := &m.Ticks
	fall := r.at(i).W - r.at(0).W
	for k := 0; k+2 <= i; k++ {
		if (r.at(k+2).W-r.at(k).W)*2 > fall {
			return true
		}
	}
	return false
}

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

// sudden: two readings in a row far over all that this charge drew before. One
// may be the meter's.
func (m *model) sudden(p *port, x *limits) (f finding) {
	if m.Since == 0 || m.Peak == 0 || p.Now-m.Since < settled || p.Recent.len() < 2 || p.Step.For > 150*second {
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
