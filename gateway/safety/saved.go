package safety

import (
	"pilewatch/devices"
	"pilewatch/gateway/lines"
)

// What follows is a state as checkpoints have it: flat, and without what is empty. In
// memory it is packed, for a city has a million ports.

// savedPile is a line of a checkpoint.
type savedPile struct {
	pile
	Whole *savedPort  `json:"whole,omitempty"`
	Ports []savedPort `json:"ports,omitempty"`
}

type savedPort struct {
	Number   uint8             `json:"n"`
	Newest   devices.Millis    `json:"newest,omitempty"`
	Now      devices.Millis    `json:"now,omitempty"`
	W        int32             `json:"w,omitempty"`
	Step     step              `json:"step,omitzero"`
	Interval devices.Millis    `json:"interval,omitempty"`
	Register savedRegister     `json:"register,omitzero"`
	Recent   []int64           `json:"recent,omitempty"`
	Joined   uint16            `json:"joined,omitempty"`
	Load     load              `json:"load,omitzero"`
	Charge   *savedCharge      `json:"charge,omitempty"`
	Ticked   bool              `json:"ticked,omitempty"`
	State    devices.PortState `json:"state,omitempty"`
	Draws    devices.Millis    `json:"draws,omitempty"`
	Floats   bool              `json:"floats,omitempty"`
	Full     devices.Millis    `json:"full,omitempty"`
	Rhythm   *savedBeat        `json:"rhythm,omitempty"`
	Heat     *heat             `json:"heat,omitempty"`
	Flags    flags             `json:"flags,omitempty"`
	Alarms   []alarm           `json:"alarms,omitempty"`
}

type savedRegister struct {
	MWh   int64          `json:"mwh,omitempty"`
	Order string         `json:"order,omitempty"`
	Kind  devices.Fields `json:"kind,omitempty"`
}

type savedCharge struct {
	ID        string         `json:"id,omitempty"`
	Open      bool           `json:"open,omitempty"`
	Card      string         `json:"card,omitempty"`
	Building  string         `json:"building,omitempty"`
	Household string         `json:"household,omitempty"`
	Start     devices.Millis `json:"start,omitempty"`
	PackMWh   int64          `json:"pack,omitempty"`
	EnergyMWh int64          `json:"mwh,omitempty"`
	Model     *savedModel    `json:"model,omitempty"`
	Usual     int32          `json:"usual,omitempty"`
	Seen      seen           `json:"seen,omitempty"`
	Full      bool           `json:"full,omitempty"`
	Time      timeMemory     `json:"time,omitzero"`
}

type savedModel struct {
	course
	Bin   bin       `json:"bin,omitzero"`
	Ticks []int32   `json:"ticks,omitempty"`
	Beat  savedBeat `json:"beat,omitzero"`
	odds
	Curve savedCurve `json:"curve,omitzero"`
}

type savedBeat struct {
	beat
	turns
}

type savedCurve struct {
	Begin devices.Millis `json:"begin,omitempty"`
	Width devices.Millis `json:"width,omitempty"`
	N     int32          `json:"n,omitempty"`
	W     []int32        `json:"w,omitempty"` // mW, the mean of each point; noPoint where nothing was heard
}

func (p *pile) save(x *savedPile) {
	x.pile, x.Whole, x.Ports = *p, nil, x.Ports[:0]
	if p.Whole != nil {
		whole := p.Whole.save()
		x.Whole = &whole
	}
	for _, q := range p.Ports {
		x.Ports = append(x.Ports, q.save())
	}
}

func (p *port) save() savedPort {
	x := savedPort{
		Number: p.Number, Newest: p.Newest, Now: p.Now, W: p.W, Step: p.Step, Interval: p.Interval, Recent: p.Recent.flat(), Joined: p.Joined,
		Register: savedRegister{p.Register.MWh, p.Register.Order, p.Kind}, Load: p.Load, Ticked: p.Ticked, State: p.State, Heat: p.Heat,
	}
	if c := p.Charge; c != nil {
		x.Charge = &savedCharge{
			ID: c.ID, Open: c.Open, Card: c.Card, Building: c.Building, Household: c.Household, Start: c.Start,
			PackMWh: c.PackMWh, EnergyMWh: c.EnergyMWh, Model: c.Model.save(), Usual: c.Usual, Seen: c.Seen, Full: c.Full, Time: c.Time,
		}
	}
	if r := p.Rare; r != nil {
		x.Draws, x.Floats, x.Full, x.Flags, x.Alarms = r.Draws, r.Floats, r.Full, r.Flags, r.Alarms
		if r.Rhythm != nil {
			beat := r.Rhythm.save()
			x.Rhythm = &beat
		}
	}
	return x
}

func (m *model) save() *savedModel {
	if m == nil {
		return nil
	}
	x := &savedModel{course: m.course, Bin: m.Bin, Ticks: m.Ticks.flat(), Beat: m.Beat.save()}
	if m.Odd != nil {
		x.odds = *m.Odd
	}
	var b [sketchSize]int32
	x.Curve = savedCurve{m.Curve.begin, m.Curve.width, m.Curve.count, append([]int32(nil), m.Curve.points(&b)...)}
	return x
}

func (b *beat) save() savedBeat {
	x := savedBeat{beat: *b}
	if b.turns != nil {
		x.turns = *b.turns
	}
	return x
}

// loader makes piles of what was saved. A text that repeats is kept once.
type loader struct {
	texts lines.Texts
	room  []byte
	err   error
}

func (l *loader) note(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *loader) pile(x *savedPile) *pile {
	p := x.pile
	if p.Meter != nil {
		p.Meter.Day = l.texts.One(p.Meter.Day)
		if *p.Meter == (meter{}) {
			p.Meter = nil
		}
	}
	p.Ports = make([]*port, len(x.Ports))
	for i := range x.Ports {
		p.Ports[i] = l.port(&x.Ports[i])
	}
	if x.Whole != nil {
		if whole := l.port(x.Whole); whole.Rare != nil {
			p.Whole = whole
		}
	}
	return &p
}

func (l *loader) port(x *savedPort) *port {
	recent, err := windowFrom(x.Recent, l.room)
	l.note(err)
	p := &port{
		Number: x.Number, Newest: x.Newest, Now: x.Now, W: x.W, Step: x.Step, Interval: x.Interval, Recent: recent, Joined: x.Joined,
		Register: register{x.Register.MWh, l.texts.One(x.Register.Order)}, Kind: x.Register.Kind, Load: x.Load, Ticked: x.Ticked, State: x.State,
	}
	if x.Heat != nil && *x.Heat != (heat{}) {
		p.Heat = x.Heat
	}
	if c := x.Charge; c != nil && c.ID != "" {
		p.Charge = &charge{
			ID: c.ID, Open: c.Open, Card: l.texts.One(c.Card), Building: l.texts.One(c.Building), Household: l.texts.One(c.Household), Start: c.Start,
			PackMWh: c.PackMWh, EnergyMWh: c.EnergyMWh, Model: l.model(c.Model), Usual: c.Usual, Seen: c.Seen, Full: c.Full, Time: c.Time,
		}
	}
	p.Rare = &rare{Draws: x.Draws, Floats: x.Floats, Full: x.Full, Flags: x.Flags}
	for _, a := range x.Alarms {
		a.Kind = l.texts.One(a.Kind)
		p.Rare.Alarms = append(p.Rare.Alarms, a)
	}
	if x.Rhythm != nil && x.Rhythm.N > 0 {
		p.Rare.Rhythm = x.Rhythm.load()
	}
	p.spare()
	return p
}

func (l *loader) model(x *savedModel) *model {
	if x == nil {
		return nil
	}
	m := &model{course: x.course, Bin: x.Bin, Beat: *x.Beat.load()}
	if x.odds != (odds{}) {
		m.Odd = &odds{}
		*m.Odd = x.odds
	}
	l.note(m.Ticks.read(x.Ticks))
	l.note(m.Curve.read(&x.Curve, l.room))
	return m
}

func (x *savedBeat) load() *beat {
	b := x.beat
	if x.turns != (turns{}) {
		b.turns = &turns{}
		*b.turns = x.turns
	}
	return &b
}

func (l *loader) cards(saved map[string]*cardMemory) map[string]*cardMemory {
	out := make(map[string]*cardMemory, len(saved))
	for id, c := range saved {
		c.Pile, c.Month = l.texts.One(c.Pile), l.texts.One(c.Month)
		out[l.texts.One(id)] = c
	}
	return out
}
