package session

import (
	"cmp"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// State is everything that the fold remembers. Its exported fields may be read
// by who holds it still; only Step changes them.
type State struct {
	Piles map[string]*PileState
	// rules are the settings last given to Step.
	rules *rules
	// latest is the pile that was last asked for by who steps the state: the ports
	// of a message are all of one.
	latest *PileState
}

// PileState is what is known of one pile.
type PileState struct {
	Name         string
	Registered   bool
	Building     string // from the registry
	MaxPortMW    int64  // from the registry
	LastReceived devices.Millis
	Status       devices.Status // the newest of each field
	Ports        []PortState    // ascending by number

	newestStatus devices.Millis
	events       eventKeys // the last few of the pile as a whole
	seqs         []seqKey  // as those of a port, for what the pile says of itself
}

// PortState is what is known of one port. A city has a million: it is 128 bytes,
// and what not every port has stands behind a pointer.
type PortState struct {
	Last     Sample // the newest applied one
	TotalMWh int64  // energy of all steps ever, in a session or not: never falls
	Open     *OpenSession

	LastReceived  devices.Millis
	newest        devices.Millis // newest applied device time
	newestReading devices.Millis // the same, of readings proper
	past          *past          // nil until there is something to remember

	Number uint8
	State  devices.PortState // as last stated; StateNone when never, or forgotten
}

// Sample is what is kept of a reading: all but the pile, which is known, and
// what only names the next session.
type Sample struct {
	Order      string            `json:"Order,omitempty"`
	Time       devices.Millis    `json:"Time,omitempty"`
	PowerMW    int64             `json:"PowerMW,omitempty"`
	EnergyMWh  int64             `json:"EnergyMWh,omitempty"`
	OrderMWh   int64             `json:"OrderMWh,omitempty"`
	VoltageMV  int32             `json:"VoltageMV,omitempty"`
	CurrentMA  int32             `json:"CurrentMA,omitempty"`
	TempMC     int32             `json:"TempMC,omitempty"`
	PFMilli    int16             `json:"PFMilli,omitempty"`
	Has        devices.Fields    `json:"Has,omitempty"`
	Port       uint8             `json:"Port,omitempty"` // 0: there is no sample
	State      devices.PortState `json:"State,omitempty"`
	DeviceTime bool              `json:"DeviceTime,omitempty"`
}

// named is a sample with the card that its reading named.
type named struct {
	Sample
	Card string `json:"Card,omitempty"`
}

func sampleOf(r *devices.Reading) named {
	return named{Card: r.Card, Sample: Sample{
		Order: r.Order, Time: r.Time, PowerMW: r.PowerMW, EnergyMWh: r.EnergyMWh, OrderMWh: r.OrderMWh,
		VoltageMV: r.VoltageMV, CurrentMA: r.CurrentMA, TempMC: r.TempMC, PFMilli: r.PFMilli,
		Has: r.Has, Port: r.Port, State: r.State, DeviceTime: r.DeviceTime,
	}}
}

// OpenSession is a session that has not ended.
type OpenSession struct {
	Session
	// Plan is the tariff fixed at the start; nil where none was valid.
	Plan     *tariff.Tariff `json:"-"`
	LowSince devices.Millis `json:"low_since,omitempty"`
	Low      *Session       `json:"low,omitempty"` // the session as it was at LowSince
	// SettledReason is that of the pile's settlement, when SettledMWh is one.
	SettledReason string `json:"settled_reason,omitempty"`
	// Base says that Last is where the session's next step begins; without it
	// the next reading is the session's first.
	Base bool `json:"base"`
	// First says that no step was taken yet: an order's register begins at 0.
	First bool `json:"first"`
	// NewOrder says that its order is known to have begun with it.
	NewOrder bool `json:"new_order,omitempty"`
	// Lost says that it was closed by the clock and may reopen.
	Lost bool `json:"lost,omitempty"`
}

// NewState gives an empty state under the given settings.
func NewState(s Settings) (*State, error) {
	r, err := s.compile()
	if err != nil {
		return nil, err
	}
	return &State{Piles: map[string]*PileState{}, rules: r}, nil
}

// Settings are those in force.
func (s *State) Settings() Settings { return s.rules.Settings }

// Heard is when anything was last received; 0 for never.
func (s *State) Heard() (at devices.Millis) {
	for _, p := range s.Piles {
		at = max(at, p.LastReceived)
	}
	return at
}

// Port finds a port; nil when it was never heard of.
func (s *State) Port(pile string, port uint8) *PortState {
	if p := s.Piles[pile]; p != nil {
		return p.find(port)
	}
	return nil
}

func (p *PileState) find(port uint8) *PortState {
	if i := int(port) - 1; i >= 0 && i < len(p.Ports) && p.Ports[i].Number == port {
		return &p.Ports[i] // the usual case: ports 1 to n, all heard of
	}
	if i, ok := p.search(port); ok {
		return &p.Ports[i]
	}
	return nil
}

func (p *PileState) search(port uint8) (i int, ok bool) {
	return slices.BinarySearchFunc(p.Ports, port, func(q PortState, n uint8) int { return cmp.Compare(q.Number, n) })
}

// known finds a pile for who steps the state; nil when it was never heard of.
func (s *State) known(name string) *PileState {
	if s.latest != nil && s.latest.Name == name {
		return s.latest
	}
	p := s.Piles[name]
	if p != nil {
		s.latest = p
	}
	return p
}

// pile finds a pile, or begins to remember it.
func (s *State) pile(name string) *PileState {
	if p := s.known(name); p != nil {
		return p
	}
	p := &PileState{Name: name}
	p.register(s.rules)
	s.Piles[name], s.latest = p, p
	return p
}

func (p *PileState) register(r *rules) {
	info, ok := r.Piles[p.Name]
	p.Registered, p.Building, p.MaxPortMW = ok, info.Building, DefaultMaxPortMW
	if info.MaxPortMW > 0 {
		p.MaxPortMW = info.MaxPortMW
	}
}

// port finds a port of a pile, or begins to remember it. Where the registry says
// how many there are, there is room for no more.
func (s *State) port(p *PileState, number uint8) *PortState {
	if q := p.find(number); q != nil {
		return q
	}
	if n := len(p.Ports); n == cap(p.Ports) {
		p.Ports = append(make([]PortState, 0, max(n+1, min(s.rules.Piles[p.Name].Ports, 255))), p.Ports...)
	}
	i, _ := p.search(number)
	p.Ports = slices.Insert(p.Ports, i, PortState{Number: number})
	return &p.Ports[i]
}

// names gives the piles' names in order, so that what a fold does to all of
// them is the same each time.
func (s *State) names() []string {
	names := make([]string, 0, len(s.Piles))
	for n := range s.Piles {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
