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
	course
	Bin   bin
	Beat  beat
	Odd   *odds // nil while one charger explains it
	Curve sketch
	Ticks ticks
}

// course is how far a model has come with what draws without a rest.
type course struct {
	Zero  devices.Millis `json:"zero,omitempty"`  // from which ticks count their time
	Since devices.Millis `json:"since,omitempty"` // first reading of this stretch; 0: it rests
	Peak  int32          `json:"peak,omitempty"`  // mW, the highest median of the stretch
	Early int32          `json:"early,omitempty"` // mW, the level after its start; 0: not known yet
	Slow  int32          `json:"slow,omitempty"`  // slowest fall of this taper, 1/10,000 a minute; -1: none was measured
	Held  int32          `json:"held,omitempty"`  // ticks in a row at which the fall stood still
	Fell  int32          `json:"fell,omitempty"`  // tick time since which it falls
	Most  int32          `json:"most,omitempty"`  // mW, highest Peak of the session
	Rests int32          `json:"rests,omitempty"` // stretches that ended
	Looks bool           `json:"looks,omitempty"` // the start of this stretch was looked at
}

// odds are what one charger does not explain.
type odds struct {
	Lone  [2]devices.Millis `json:"lone,omitzero"`  // the newest readings far over the charge, one alone each
	Brief finding           `json:"brief,omitzero"` // the stretch that ended last, when it was short
	Found [kinds]finding    `json:"found,omitzero"`
	told
}

// told is what flags were raised for.
type told struct {
	Told   [kinds]bool    `json:"told,omitzero"`
	Second finding        `json:"second,omitzero"` // what second_load was raised for
	Way    kind           `json:"way,omitempty"`
	Calm   devices.Millis `json:"calm,omitempty"` // when second_load was cleared last
}

// bin gathers the readings of one tick.
type bin struct {
	T   devices.Millis `json:"t,omitempty"`   // of the first
	End devices.Millis `json:"end,omitempty"` // of the newest reading
	W   int64          `json:"w,omitempty"`   // their sum
	N   int64          `json:"n,omitempty"`
}

// odd is where what one charger does not explain is noted.
func (m *model) odd() *odds {
	if m.Odd == nil {
		m.Odd = &odds{}
	}
	return m.Odd
}

// found is the finding of a kind.
func (m *model) found(k kind) finding {
	if m.Odd == nil {
		return finding{}
	}
	return m.Odd.Found[k]
}

// brief is the stretch that ended last, when it was short.
func (m *model) brief() finding {
	if m.Odd == nil {
		return finding{}
	}
	return m.Odd.Brief
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
	settled
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

	settling    = 5 * minute  // from a start to a steady power
	preCharge   = 30 * minute // an empty pack is pre-charged for so long at most
	kneeSpan    = 15 * minute
	standLeast  = 180 // per mille of the peak: under this it may be the end of a taper
	standMost   = 900 // per mille of the peak: over this it has not begun to fall
	stageLeast  = 300 // per mille of the full power: under this it is pre-charge
	stageMost   = 900
	stepLongest = 40 * minute
	kneeLeast   = 300          // per mille of the peak
	kneeMore    = 100          // 1/10,000 a minute
	riseSpan    = 150 * second // between two reports that are further apart, a lithium charge rises by
	riseCoarse  = 100          // per mille: the last tenth of its voltage comes within some minutes
	taperLeast  = 20_000       // mW: under this nothing is told from a taper
	taperMost   = 930          // per mille of the peak: over this it is no taper yet
	steadyMost  = 50           // per mille: spread of a steady level
	driftLeast  = 40           // per mille: a fall in 8 minutes that is a taper
	driftOff    = 60           // per mille: how far off its line a tick of a taper may be
	loneSpan    = 120 * minute
	surgeEnergy = 4_000   // mWh
	levelSame   = 20      // per mille: a level that did not change
	heatLeast   = 300_000 // mW: the least that a heater draws
	levelPeak   = 1050    // per mille of the level: a steady load's highest
	holeMost    = 20 * minute
	holeLeast   = 850  // per mille of the power before a hole: one charger that has not begun to fall
	holeTaper   = 350  // and one in its taper, whose time constant is 20 minutes or more
	holeHigh    = 1150 // at most
	settleFall  = 25   // per mille of the level that a compressor settles on
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
	start      int64          // per mille of the level
	flat       devices.Millis // resistive_load
	small      int64          // mW
	smallFlat  devices.Millis
}

// add takes a reading; true when it completed a tick. interval is at which the
// port reports.
func (m *model) add(now devices.Millis, mW int32, interval devices.Millis) bool {
	if m.Bin.End != 0 && now-m.Bin.End > max(holeTime, 3*interval) {
		m.hole(now, mW)
	}
	m.note(beating, now, m.Beat.follow(now, mW))
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
		m.Ticks.push(int32((b.End-m.Zero)/100), int32(b.W/b.N))
		b.W, b.N = 0, 0
	}
}

func (m *model) start(now devices.Millis) {
	m.Since, m.Peak, m.Early, m.Slow, m.Held, m.Looks = now, 0, 0, -1, 0, false
	m.Ticks.n, m.Fell = 0, 0
}

func (m *model) rest(now devices.Millis) {
	if m.Since != 0 {
		m.tick()
		m.note(beating, now, m.Beat.off(now))
		m.Rests++
		if f := m.short(now); f.At != 0 || m.Odd != nil {
			m.odd().Brief = f
		}
	}
	m.Since, m.Bin.W, m.Bin.N = 0, 0, 0
}

// hole: nobody knows what was between two reports that are far apart. It is no
// rest, of which a beat is made. Where the power is what the charge could have gone
// on to, it is the same charge, with the same peak: the rest of a taper is not held
// against where the reports began again. Anything else is another.
func (m *model) hole(now devices.Millis, mW int32) {
	if m.Since == 0 {
		return // it rested, and the register or the next reading says whether it still does
	}
	m.tick()
	if now-m.Bin.End > holeMost || !m.goesOn(int64(mW)) {
		m.Beat.forget()
		m.rest(m.Bin.End)
		return
	}
	m.Ticks.n, m.Slow, m.Held = 0, -1, 0
	m.Fell = int32((now + 2*tickWidth - m.Zero) / 100) // after the first tick, so that a slope is never taken of what is left of a window
}

// goesOn reports whether one charger could draw so much a while after its newest tick.
func (m *model) goesOn(mW int64) bool {
	if m.Ticks.n == 0 || m.Peak == 0 {
		return false
	}
	was, least := int64(m.Ticks.median(0, 2)), int64(holeLeast)
	if was*1000 < int64(m.Peak)*taperMost {
		least = holeTaper
	}
	return mW*1000 >= was*least && mW*1000 <= was*holeHigh
}

// plain reports whether one charger explains all that was seen.
func (m *model) plain() bool {
	if m.Odd != nil {
		for k := range m.Odd.Found {
			if m.Odd.Found[k].At != 0 {
				return false
			}
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
	if !m.Looks && now-m.Since >= settling {
		m.Looks = true
		m.note(inStages, now, m.stages(p))
	}
	m.note(risen, now, m.rise(x))
	m.note(comesToStand, now, m.stand(x))
	m.note(fallsAgain, now, m.knee(x))
	if m.found(peaks).At == 0 {
		m.note(peaks, now, m.uneven(x))
	}
	m.note(steady, now, m.level(now, x))
	m.note(settled, now, m.settles(now-m.Since, 10*minute, x))
}

// note keeps a finding: the first of its kind, and the newest of a rise.
func (m *model) note(k kind, now devices.Millis, f finding) {
	if f.After == 0 || k != risen && k != surge && m.found(k).At != 0 {
		return
	}
	if f.At == 0 {
		f.At = now
	}
	f.Peak = m.Peak
	m.odd().Found[k] = f
}
