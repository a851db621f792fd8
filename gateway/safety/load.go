package safety

import "pilewatch/devices"

// load is what draws power at a port, as far as its curve tells: since when
// without a rest, at which level, and whether something was added to it.
type load struct {
	Running bool           `json:"running,omitempty"`
	Since   devices.Millis `json:"since,omitempty"`  // beginning of this stretch, or of the rest
	Level   int64          `json:"level,omitempty"`  // mW, a mean of about two minutes
	Before  int64          `json:"before,omitempty"` // Level before the last rest or hole; 0 for none
	Rested  bool           `json:"rested,omitempty"` // it was a rest
	Starts  int            `json:"starts,omitempty"` // stretches of this session
	Rises   int            `json:"rises,omitempty"`  // rises of this session that no single charger makes
	Rise    rise           `json:"rise"`
}

// rise is a sudden rise of a running load, for as long as it lasts.
type rise struct {
	At   devices.Millis `json:"at,omitempty"`   // first sample on the new level; 0: there is none
	From int64          `json:"from,omitempty"` // mW, median of the time before
	Low  devices.Millis `json:"low,omitempty"`  // since when it is down again; 0: it is up
	Told bool           `json:"told,omitempty"` // counted among Rises
}

const (
	// restMW is the power under which nothing charges.
	restMW = 10_000
	// holeTime is how long nothing may be heard of a load for it to be the same.
	holeTime = 4 * 60_000
	// levelTime is the time constant of load.Level.
	levelTime = 120_000
	// A rise is at least riseMW and riseShare (thousandths) over the median of
	// riseBefore, of which riseKnown must be known.
	riseMW     = 40_000
	riseShare  = 100
	riseBefore = 15 * 60_000
	riseKnown  = 8 * 60_000
	// settleTime is how long a charger takes to start.
	settleTime = 10 * 60_000
	// dipTime is the longest dip after which power that comes back is no rise.
	dipTime = 20 * 60_000
	// riseHeld is how long a rise lasts before it is more than a pulse.
	riseHeld = 2 * 60_000
	// riseLost is how long power may fall back within a rise.
	riseLost = 90_000
)

// follow takes the newest reading of the port.
func (l *load) follow(p *port) {
	mW, gap := int64(p.W), p.Step.For
	switch {
	case mW < restMW:
		if l.Running {
			l.Running, l.Since, l.Before, l.Rested, l.Rise = false, p.Now, l.Level, true, rise{}
		}
	case !l.Running || gap > max(holeTime, 3*p.Interval):
		if l.Running {
			l.Before, l.Rested = l.Level, false
		}
		l.Running, l.Since, l.Level, l.Rise = true, p.Now, mW, rise{}
		l.Starts++
	default:
		l.rise(p, mW)
		l.Level += (mW - l.Level) * int64(gap) / int64(gap+levelTime)
	}
}

// begin starts the count of a new session: what ran before it is another load.
func (l *load) begin(start devices.Millis) {
	l.Since, l.Before, l.Starts, l.Rises, l.Rise = max(l.Since, start), 0, 0, 0, rise{}
	if l.Running {
		l.Starts = 1
	}
}

// rise begins, keeps or drops a rise.
func (l *load) rise(p *port, mW int64) {
	r, now, last := &l.Rise, p.Now, p.Now-p.Step.For
	switch {
	case r.At != 0 && mW >= r.From+riseFloor(r.From)*7/10:
		r.Low = 0
		if !r.Told && now-r.At >= riseHeld {
			r.Told = true
			l.Rises++
		}
	case r.At != 0:
		if r.Low == 0 {
			r.Low = now
		}
		if max(now-r.Low, p.Step.For) >= riseLost {
			*r = rise{}
		}
	case last-l.Since >= settleTime && mW >= l.Level+riseFloor(l.Level):
		from, known := p.Recent.quantile(max(l.Since, last-riseBefore), last, 500)
		if known >= riseKnown && mW >= from+riseFloor(from) && !l.recovers(p, mW) {
			*r = rise{At: now, From: from}
		}
	}
}

func riseFloor(from int64) int64 { return max(riseMW, from*riseShare/1000) }

// recovers reports whether the port was on this level within dipTime: then power
// comes back, and nothing was added.
func (l *load) recovers(p *port, mW int64) bool {
	n := 0
	for i := 0; i < p.Recent.len(); i++ {
		s := p.Recent.at(i)
		if p.Now-s.T > dipTime+2*p.Interval || s.T < l.Since {
			return false
		}
		if s.T < p.Now && int64(s.W) >= mW*93/100 {
			if n++; n >= 2 {
				return true
			}
		}
	}
	return false
}

// another reports whether, after a rest or a hole, something else draws: on
// another level than before. Over a hole, a charger may have gone on to its taper.
func (l *load) another() bool {
	return l.Before > 0 && (l.Level > l.Before*115/100 || l.Rested && l.Level < l.Before*85/100)
}

// oneCharger reports whether the curve of this session is, so far, what one
// charger could draw: it started once or came back after an interruption, and
// nothing was added to it.
func (l *load) oneCharger() bool { return l.Rises == 0 && l.Rise.At == 0 && l.Starts <= 3 }
