package safety

import (
	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// port is what is remembered of one port. Its size does not grow.
type port struct {
	Number   uint8             `json:"n"`
	Newest   devices.Millis    `json:"newest,omitempty"` // newest device time
	Now      devices.Millis    `json:"now"`              // time of the newest reading
	W        int32             `json:"w"`                // its power, mW
	Step     step              `json:"step"`             // what led to it
	Interval devices.Millis    `json:"interval"`         // at which it reports, as learned
	Register register          `json:"register"`
	Recent   window            `json:"recent"`
	Joined   int64             `json:"joined"` // readings in the newest sample of Recent
	Load     load              `json:"load"`
	Charge   charge            `json:"charge"`
	Ticked   bool              `json:"ticked,omitempty"` // the newest reading completed a tick of the model
	State    devices.PortState `json:"state,omitempty"`  // as stated last
	Draws    devices.Millis    `json:"draws,omitempty"`  // since when it draws without a session
	Floats   bool              `json:"floats,omitempty"` // a session ended by low power, and its charger may still be there
	Full     devices.Millis    `json:"full,omitempty"`   // since when it is full and plugged in
	Rhythm   *beat             `json:"rhythm,omitempty"` // of the session before
	Heat     heat              `json:"heat"`
	Flags    flags             `json:"flags,omitempty"`
	Alarms   []alarm           `json:"alarms,omitempty"`
}

// step is what lies between the newest reading and the one before it.
type step struct {
	For    devices.Millis `json:"for"`
	Before int32          `json:"before"` // power at its beginning, mW
	Reg    int32          `json:"reg"`    // how far the register went, mWh; -1 for unknown
}

// restedWithin reports whether the register says that nothing was drawn for a
// third of the step or more: a rest between two reports that did not see it. The
// register may count in whole watt-hours.
func (s *step) restedWithin(w int32) bool {
	return s.Reg >= 0 && s.For > 100*second && int64(s.Reg+2000)*mwhDivisor*3 < int64(min(s.Before, w))*int64(s.For)*2
}

// register is the newest reading of an energy register.
type register struct {
	MWh   int64  `json:"mwh,omitempty"`
	Order string `json:"order,omitempty"`
	// Kind is the field that it was read from; 0 for none.
	Kind devices.Fields `json:"kind,omitempty"`
}

// charge is what is known of the session of a port, and what rules remember of
// it: a new session begins with an empty one.
type charge struct {
	ID        string         `json:"id,omitempty"` // "" before the first
	Open      bool           `json:"open,omitempty"`
	Card      string         `json:"card,omitempty"`
	Building  string         `json:"building,omitempty"`
	Household string         `json:"household,omitempty"`
	Start     devices.Millis `json:"start,omitempty"`
	PackMWh   int64          `json:"pack,omitempty"`  // nominal energy of the one registered pack; 0: not known
	EnergyMWh int64          `json:"mwh,omitempty"`   // since the start, as far as the readings tell
	Model     *model         `json:"model,omitempty"` // while it is open
	Usual     int32          `json:"usual,omitempty"` // mW, of the card's charges; 0: not known
	Seen      seen           `json:"seen,omitempty"`  // rules that raised a flag
	Full      bool           `json:"full,omitempty"`  // the port said so since it began
	Time      timeMemory     `json:"time"`
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
	if m := p.Charge.Model; m != nil {
		if p.Step.restedWithin(now.W) {
			m.rest(now.T)
		}
		p.Ticked = m.add(now.T, now.W, p.Interval)
	}
	return true
}

// forget drops the curve of a port whose clock cannot be followed.
func (p *port) forget() {
	p.Now, p.Recent, p.Load, p.Register = 0, window{}, load{}, register{}
	if m := p.Charge.Model; m != nil {
		p.Charge.Model = &model{Curve: m.Curve, told: m.told}
	}
}

// keep adds a sample to the recent past. Those closer than the grain become one,
// their mean.
func (p *port) keep(s sample) {
	if s.T-p.Recent.at(0).T >= grain {
		p.see(s, p.W)
		return
	}
	p.Joined++
	p.Recent.join(s, p.Joined)
}

// see adds a sample of its own; before is the power of the reading before it.
func (p *port) see(s sample, before int32) {
	p.Joined = 1
	if !p.Charge.Open && int64(s.W) < restMW && int64(before) < restMW && !p.Flags.stand() {
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
	now := register{Kind: r.Has & devices.HasEnergy, MWh: r.EnergyMWh}
	if now.Kind == 0 && r.Has.Has(devices.HasOrderEnergy) {
		now = register{Kind: devices.HasOrderEnergy, MWh: r.OrderMWh, Order: r.Order}
	}
	before := p.Register
	p.Register = now
	if now.Kind == 0 || now.Kind != before.Kind || now.Order != before.Order {
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
	p.Charge = charge{ID: s.ID, Open: true, Start: s.Start, Model: &model{Zero: s.Start}}
	if p.Rhythm != nil && s.Start-p.Rhythm.End <= beatRest {
		p.Charge.Model.Beat = *p.Rhythm
	}
	p.Rhythm = nil
	p.Charge.name(s)
	p.Load.begin(s.Start)
	for i := p.Recent.len() - 1; i >= 0; i-- {
		x := p.Recent.at(i)
		if x.T < s.Start {
			continue
		}
		by := step{For: maxGap + 1, Reg: -1}
		if i+1 < p.Recent.len() {
			before := p.Recent.at(i + 1)
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
	if m := p.Charge.Model; m != nil && m.Beat.N > 0 {
		p.Rhythm = &m.Beat // of a load that rests for longer than a session waits
	}
	p.Charge.Open, p.Charge.Model, p.Ticked = false, nil, false
	p.Recent.cut(at)
}

// resume goes on with a session that the clock had closed too early.
func (p *port) resume() {
	p.Charge.Open = true
	if p.Charge.Model == nil {
		p.Charge.Model = &model{Zero: p.Now}
	}
	p.Charge.add(sample{T: p.Now, W: p.W}, p.Step) // the reading that showed it
}

// name takes over what a session says of who charges.
func (c *charge) name(s *session.Session) {
	c.Card, c.Building, c.Household = s.Card, s.Building, s.Household
}

// add counts a step and the sample at its end.
func (c *charge) add(s sample, by step) {
	if !c.Open {
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
	m := p.Charge.Model
	return p.Load.Starts <= 3 && (m == nil || m.plain())
}

// ask puts the model's questions to the newest reading.
func (p *port) ask(x *limits) {
	m := p.Charge.Model
	if m == nil {
		return
	}
	if p.Ticked {
		p.Ticked = false
		m.look(p, x)
	}
	if b := &m.Brief; b.At == p.Now && b.At != 0 {
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
	if c.ID != s.ID || c.Model == nil {
		return 0
	}
	return c.Model.Early
}

// full reports whether the port said of a session that is about to close that its
// battery was full. The session's reason is how it closed, which is that somebody
// unplugged it.
func (c *charge) full(s *session.Session) bool { return c.ID == s.ID && c.Full }
