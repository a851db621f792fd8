package safety

import "pilewatch/devices"

// load is what draws power at a port: since when without a rest, and at which level.
type load struct {
	Since   devices.Millis `json:"since,omitempty"`  // beginning of this stretch, or of the rest
	Level   int32          `json:"level,omitempty"`  // mW, a mean of about two minutes
	Before  int32          `json:"before,omitempty"` // Level before the last rest or hole; 0 for none
	Starts  int32          `json:"starts,omitempty"` // stretches of this session
	Running bool           `json:"running,omitempty"`
	Rested  bool           `json:"rested,omitempty"` // it was a rest
}

const (
	// restMW is the power under which nothing charges.
	restMW = 10_000
	// holeTime is how long nothing may be heard of a load for it to be the same.
	holeTime = 4 * 60_000
	// levelTime is the time constant of load.Level.
	levelTime = 120_000
	// dipTime is the longest dip after which power that comes back is no rise.
	dipTime = 20 * 60_000
)

// follow takes the newest reading of the port.
func (l *load) follow(p *port) {
	mW, gap := p.W, int64(p.Step.For)
	switch {
	case mW < restMW:
		if l.Running {
			l.Running, l.Since, l.Before, l.Rested = false, p.Now, l.Level, true
		}
	case !l.Running || gap > max(holeTime, 3*int64(p.Interval)):
		hole := l.Running
		if hole {
			l.Before, l.Rested = l.Level, false
		}
		l.Running, l.Since, l.Level = true, p.Now, mW
		if !hole || l.another() { // what was missing is no start
			l.Starts++
		}
	default:
		l.Level += int32(int64(mW-l.Level) * gap / (gap + levelTime))
	}
}

// begin starts the count of a new session: what ran before it is another load.
func (l *load) begin(start devices.Millis) {
	l.Since, l.Before, l.Starts = max(l.Since, start), 0, 0
	if l.Running {
		l.Starts = 1
	}
}

// another reports whether, after a rest or a hole, something else draws: on
// another level than before. Over a hole, a charger may have gone on to its taper.
func (l *load) another() bool {
	now, was := int64(l.Level), int64(l.Before)
	return was > 0 && (now > was*115/100 || l.Rested && now < was*85/100)
}
