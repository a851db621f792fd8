package safety

import (
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// port is what is remembered of one port. Its size does not grow. A city has a
// million: what few of them have stands behind a pointer.
type port struct {
	Newest   devices.Millis // newest device time
	Now      devices.Millis // time of the newest reading
	Step     step           // what led to it
	W        int32          // its power, mW
	Joined   uint16         // readings in the newest sample of Recent
	Kind     devices.Fields // the field that Register was read from; 0 for none
	Number   uint8
	State    devices.PortState // as stated last
	Ticked   bool              // the newest reading completed a tick of the model
	Interval devices.Millis    // at which it reports, as learned
	Register register
	Load     load
	Recent   window
	Charge   *charge // nil before the first session, and when the last cannot go on
	Heat     *heat   // nil for a port without a sensor
	Rare     *rare
}

// rare is what few ports have at a time.
type rare struct {
	Draws  devices.Millis // since when it draws without a session
	Full   devices.Millis // since when it is full and plugged in
	Floats bool           // a session ended by low power, and its charger may still be there
	Rhythm *beat          // of the session before
	Flags  flags
	Alarms []alarm
}

// more is for what few ports have.
func (p *port) more() *rare {
	if p.Rare == nil {
		p.Rare = &rare{}
	}
	return p.Rare
}

// spare gives back the room when it has none of that any more.
func (p *port) spare() {
	if r := p.Rare; r != nil && r.Draws == 0 && r.Full == 0 && !r.Floats && r.Rhythm == nil && r.Flags == nil && len(r.Alarms) == 0 {
		p.Rare = nil
	}
}

// float notes whether a session ended by low power.
func (p *port) float(floats bool) {
	if floats || p.Rare != nil {
		p.more().Floats = floats
		p.spare()
	}
}

// flags are those of the port; of no port, none.
func (p *port) flags() flags {
	if p == nil || p.Rare == nil {
		return nil
	}
	return p.Rare.Flags
}

// step is what lies between the newest reading and the one before it.
type step struct {
	For    devices.Millis `json:"for,omitempty"`
	Before int32          `json:"before,omitempty"` // power at its beginning, mW
	Reg    int32          `json:"reg,omitempty"`    // how far the register went, mWh; -1 for unknown
}

// restedWithin reports whether the register says that nothing was drawn for a
// third of the step or more: a rest between two reports that did not see it. The
// register may count in whole watt-hours.
func (s *step) restedWithin(w int32) bool {
	return s.Reg >= 0 && s.For > 100*second && int64(s.Reg+2000)*mwhDivisor*3 < int64(min(s.Before, w))*int64(s.For)*2
}

// register is the newest reading of an energy register.
type register struct {
	MWh   int64
	Order string // of which it is, where it is the register of an order
}

// charge is what is known of the session of a port, and what rules remember of
// it: a new session begins with an empty one.
type charge struct {
	ID        string
	Card      string
	Building  string
	Household string
	Start     devices.Millis
	PackMWh   int64      // nominal energy of the one registered pack; 0: not known
	EnergyMWh int64      // since the start, as far as the readings tell
	Time      timeMemory //
	Model     *model     // while it is open
	Usual     int32      // mW, of the card's charges; 0: not known
	Seen      seen       // rules that raised a flag
	Open      bool       //
	Full      bool       // the port said so since it began
}

// open reports whether there is a session that is open.
func (c *charge) open() bool { return c != nil && c.Open }

// charging is the session of the port that is open; nil where there is none, or no port.
func (p *port) charging() *charge {
	if p == nil || !p.Charge.open() {
		return nil
	}
	return p.Charge
}

// of reports whether the charge is that of a session.
func (c *charge) of(s *session.Session) bool { return c != nil && c.ID == s.ID }

// model is that of the charge; nil where there is none.
func (c *charge) model() *model {
	if c == nil {
		return nil
	}
	return c.Model
}

// The bounds of a step that is believed, as the session fold has them.
const (
	maxGap     = 15 * 60_000
	maxPortMW  = 1_000_000
	slackMWh   = 10_000
	mwhDivisor = 3_600_000 // mW x ms in a mWh
)

// take remembers a reading; false for one that says nothing new of the power: it
// is late, or at the same time as another.
func (p *port) take(r *devices.Reading) bool {
	if r.DeviceTime {
		if r.Time <= p.Newest {
			return false
		}
		p.Newest = r.Time
	}
	if r.Time < p.Now-maxGap {
		p.forget() // the clock was set back: what was seen cannot be lined up with what comes
	}
	if r.Time <= p.Now {
		return false
	}
	now := sample{T: r.Time, W: int32(max(0, min(r.PowerMW, devices.MaxPowerMW))), Reg: p.read(r)}
	if p.Now == 0 {
		p.Step = step{For: maxGap + 1, Reg: -1}
		p.see(now, now.W)
	} else {
		p.Step = step{For: r.Time - p.Now, Before: p.W, Reg: now.Reg}
		p.learn(p.Step.For)
		p.keep(now)
	}
	p.Now, p.W = now.T, now.W
	p.Load.follow(p)
	p.Charge.add(now, p.Step)
	if m := p.Charge.model(); m != nil {
		if p.Step.restedWithin(now.W) {
			m.rest(now.T)
		}
		p.Ticked = m.add(now.T, now.W, p.Interval)
	}
	return true
}

// forget drops the curve of a port whose clock cannot be followed.
func (p *port) forget() {
	p.Now, p.Recent, p.Load, p.Register, p.Kind = 0, window{}, load{}, register{}, 0
	if m := p.Charge.model(); m != nil {
		p.Charge.Model = &model{Curve: m.Curve}
		if m.Odd != nil {
			p.Charge.Model.Odd = &odds{told: m.Odd.told}
		}
	}
}

// keep adds a sample to the recent past. Those closer than the grain become one,
// their mean.
func (p *port) keep(s sample) {
	if s.T-p.Recent.newest.T >= grain {
		p.see(s, p.W)
		return
	}
	p.Joined++ // within the grain there are few milliseconds
	p.Recent.join(s, int32(p.Joined))
}

// see adds a sample of its own; before is the power of the reading before it.
func (p *port) see(s sample, before int32) {
	p.Joined = 1
	if !p.Charge.open() && int64(s.W) < restMW && int64(before) < restMW && !p.flags().stand() {
		p.Recent.pushIdle(s)
		return
	}
	p.Recent.push(s)
}

// learn follows the interval at which the port reports. A hole teaches nothing.
func (p *port) learn(step devices.Millis) {
	switch {
	case p.Interval == 0:
		p.Interval = min(step, maxGap)
	case step <= 4*p.Interval:
		p.Interval += (step - p.Interval) / 8
	case step <= maxGap:
		p.Interval += (step - p.Interval) / 32
	}
}

// late reports whether the newest report came later than the port's others do.
func (p *port) late() bool { return p.Step.For*4 > p.Interval*5 }

// read gives how far the register went since the last reading, in mWh; -1 where
// there is none, it began anew, or power could not have delivered that.
func (p *port) read(r *devices.Reading) int32 {
	now, kind := register{MWh: r.EnergyMWh}, r.Has&devices.HasEnergy
	if kind == 0 && r.Has.Has(devices.HasOrderEnergy) {
		now, kind = register{r.OrderMWh, r.Order}, devices.HasOrderEnergy
	}
	before, was := p.Register, p.Kind
	p.Register, p.Kind = now, kind
	if kind == 0 || kind != was || now.Order != before.Order {
		return -1
	}
	advance := now.MWh - before.MWh
	ms := int64(min(r.Time-p.Now, 24*3_600_000))
	if advance < 0 || advance > maxPortMW*3/2*ms/mwhDivisor+slackMWh {
		return -1
	}
	return int32(advance)
}

// begin starts the memory of a new session, with what is known from its start on.
func (p *port) begin(s *session.Session) {
	p.Charge = &charge{ID: s.ID, Open: true, Start: s.Start, Model: &model{course: course{Zero: s.Start}}}
	if r := p.Rare; r != nil && r.Rhythm != nil {
		if s.Start-r.Rhythm.turns.End <= beatRest {
			p.Charge.Model.Beat = *r.Rhythm
		}
		r.Rhythm = nil
		p.spare()
	}
	p.Charge.name(s)
	p.Load.begin(s.Start)
	var b [windowSize]sample
	all := p.Recent.all(&b)
	for i, x := range slices.Backward(all) {
		if x.T < s.Start {
			continue
		}
		by := step{For: maxGap + 1, Reg: -1}
		if i+1 < len(all) {
			before := all[i+1]
			by = step{For: x.T - before.T, Before: before.W, Reg: x.Reg}
			if before.T < s.Start && by.For > maxGap {
				by.Reg = -1 // what the register did in the time before is not this session's
			}
		}
		p.Charge.add(x, by)
		p.Charge.Model.add(x.T, x.W, p.Interval)
	}
}

// end closes the session. Its curve says nothing of what comes after it.
func (p *port) end(at devices.Millis) {
	if m := p.Charge.Model; m != nil && m.Beat.turns != nil && m.Beat.turns.N > 0 {
		beat := m.Beat
		p.more().Rhythm = &beat // of a load that rests for longer than a session waits
	}
	p.Charge.Open, p.Charge.Model, p.Ticked = false, nil, false
	p.Recent.cut(at)
}

// resume goes on with a session that the clock had closed too early.
func (p *port) resume() {
	p.Charge.Open = true
	if p.Charge.Model == nil {
		p.Charge.Model = &model{course: course{Zero: p.Now}}
	}
	p.Charge.add(sample{T: p.Now, W: p.W}, p.Step) // the reading that showed it
}

// name takes over what a session says of who charges.
func (c *charge) name(s *session.Session) {
	c.Card, c.Building, c.Household = s.Card, s.Building, s.Household
}

// add counts a step and the sample at its end.
func (c *charge) add(s sample, by step) {
	if !c.open() {
		return
	}
	switch {
	case by.Reg >= 0:
		c.EnergyMWh += int64(by.Reg)
	case by.For <= maxGap:
		c.EnergyMWh += (int64(by.Before) + int64(s.W)) * int64(by.For) / (2 * mwhDivisor)
	}
	c.Model.Curve.add(s.T, int64(s.W))
}

// oneCharger reports whether the curve of the session is, so far, one that one
// charger could draw, which may have been interrupted.
func (p *port) oneCharger() bool {
	m := p.Charge.model()
	return p.Load.Starts <= 3 && (m == nil || m.plain())
}

// ask puts the model's questions to the newest reading.
func (p *port) ask(x *limits) {
	m := p.Charge.model()
	if m == nil {
		return
	}
	if p.Ticked {
		p.Ticked = false
		m.look(p, x)
	}
	if b := m.brief(); b.At == p.Now && b.At != 0 {
		m.note(settled, p.Now, m.settles(devices.Millis(b.Times)*second, 6*minute, x))
	}
	if p.W > m.Most {
		m.note(surge, p.Now, m.sudden(p, x))
	}
}

// stepMWh is the energy of the newest step, as far as the readings tell.
func (p *port) stepMWh() int64 {
	switch by := &p.Step; {
	case by.Reg >= 0:
		return int64(by.Reg)
	case by.For <= maxGap:
		return (int64(by.Before) + int64(p.W)) * int64(by.For) / (2 * mwhDivisor)
	}
	return 0
}

// early is the plateau of a session that is about to close; 0 where it is not known.
func (c *charge) early(s *session.Session) int32 {
	if !c.of(s) || c.Model == nil {
		return 0
	}
	return c.Model.Early
}

// full reports whether the port said of a session that is about to close that its
// battery was full. The session's reason is how it closed, which is that somebody
// unplugged it.
func (c *charge) full(s *session.Session) bool { return c.of(s) && c.Full }
