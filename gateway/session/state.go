package session

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/lines"
	"pilewatch/gateway/tariff"
)

// State is everything that the fold remembers. Its exported fields may be read
// by who holds it still; only Step changes them.
type State struct {
	Piles map[string]*PileState
	// Settings are those last given to Step.
	rules *rules
}

// PileState is what is known of one pile.
type PileState struct {
	Name         string         `json:"name"`
	Registered   bool           `json:"-"`
	Building     string         `json:"-"` // from the registry
	MaxPortMW    int64          `json:"-"` // from the registry
	LastReceived devices.Millis `json:"received"`
	Status       devices.Status `json:"status"` // the newest of each field
	Ports        []*PortState   `json:"ports"`  // ascending by number

	NewestStatus devices.Millis `json:"newest_status,omitempty"`
	Events       []eventKey     `json:"events,omitempty"` // the last few of the pile as a whole
	Seqs         []seqKey       `json:"seqs,omitempty"`   // as those of a port, for what the pile says of itself
}

// PortState is what is known of one port.
type PortState struct {
	Number   uint8             `json:"n"`
	State    devices.PortState `json:"state,omitempty"` // as last stated; StateNone when never, or forgotten
	Last     devices.Reading   `json:"last"`            // the newest applied sample
	TotalMWh int64             `json:"total"`           // energy of all steps ever, in a session or not: never falls
	Open     *OpenSession      `json:"open,omitempty"`

	LastReceived  devices.Millis `json:"received"`
	Newest        devices.Millis `json:"newest,omitempty"`         // newest applied device time
	NewestReading devices.Millis `json:"newest_reading,omitempty"` // the same, of readings proper
	Hit           *candidate     `json:"hit,omitempty"`
	PendingCard   string         `json:"pending_card,omitempty"`
	PendingAt     devices.Millis `json:"pending_at,omitempty"`
	Closed        []closedRef    `json:"closed,omitempty"` // the last few sessions, oldest first
	Events        []eventKey     `json:"events,omitempty"` // the last few events, oldest first
	Seqs          []seqKey       `json:"seqs,omitempty"`   // message counters of the last ten minutes, where there is no device time
}

// OpenSession is a session that has not ended.
type OpenSession struct {
	Session
	// Plan is the tariff fixed at the start; nil where none was valid.
	Plan *tariff.Tariff `json:"plan,omitempty"`
	// Base says that Last is where the session's next step begins; without it
	// the next reading is the session's first.
	Base bool `json:"base"`
	// First says that no step was taken yet: an order's register begins at 0.
	First    bool           `json:"first"`
	LowSince devices.Millis `json:"low_since,omitempty"`
	Low      *Session       `json:"low,omitempty"` // the session as it was at LowSince
	// NewOrder says that its order is known to have begun with it.
	NewOrder bool `json:"new_order,omitempty"`
	// SettledReason is that of the pile's settlement, when SettledMWh is one.
	SettledReason string `json:"settled_reason,omitempty"`
	// Lost says that it was closed by the clock and may reopen.
	Lost bool `json:"lost,omitempty"`

	split *splitter
}

// candidate is a first reading at or over StartMW that may open a session when
// the next one is too.
type candidate struct {
	Before  devices.Reading `json:"before"` // the reading before it
	HasPrev bool            `json:"has_prev"`
	First   devices.Reading `json:"first"`
}

type closedRef struct {
	Start     devices.Millis `json:"start"`
	End       devices.Millis `json:"end"`
	ID        string         `json:"id"`
	Order     string         `json:"order,omitempty"`
	EnergyMWh int64          `json:"mwh"`
	Settled   bool           `json:"settled,omitempty"`
}

// eventKey is what makes an event the same again.
type eventKey struct {
	Time  devices.Millis    `json:"t"`
	Kind  devices.EventKind `json:"k"`
	Alarm string            `json:"a,omitempty"` // two alarms may come at once
}

type seqKey struct {
	Seq      int64             `json:"s"`
	Received devices.Millis    `json:"r"`
	Kind     devices.EventKind `json:"k"` // EventNone for a reading
}

// How much a port remembers: enough for what a broker or a pile repeats soon
// after; the ledger answers for what is older.
const (
	keepClosed = 4
	keepEvents = 8
	keepSeqs   = 512
)

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
		return p.Ports[i] // the usual case: ports 1 to n, all heard of
	}
	i, ok := slices.BinarySearchFunc(p.Ports, port, func(q *PortState, n uint8) int { return cmp.Compare(q.Number, n) })
	if ok {
		return p.Ports[i]
	}
	return nil
}

func (s *State) pile(name string) *PileState {
	p := s.Piles[name]
	if p == nil {
		p = &PileState{Name: name}
		p.register(s.rules)
		s.Piles[name] = p
	}
	return p
}

func (p *PileState) register(r *rules) {
	info, ok := r.Piles[p.Name]
	p.Registered, p.Building, p.MaxPortMW = ok, info.Building, DefaultMaxPortMW
	if info.MaxPortMW > 0 {
		p.MaxPortMW = info.MaxPortMW
	}
}

func (p *PileState) port(number uint8) *PortState {
	if q := p.find(number); q != nil {
		return q
	}
	q := &PortState{Number: number}
	i, _ := slices.BinarySearchFunc(p.Ports, number, func(q *PortState, n uint8) int { return cmp.Compare(q.Number, n) })
	p.Ports = slices.Insert(p.Ports, i, q)
	return q
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

// stateFile is the head of a checkpoint; a line for each pile follows.
type stateFile struct {
	Settings Settings     `json:"settings"`
	Piles    []*PileState `json:"piles,omitempty"` // as older programs wrote them
}

// WriteTo writes the state for a checkpoint: the same state, the same bytes.
func (s *State) WriteTo(w io.Writer) (int64, error) {
	return lines.Write(w, stateFile{Settings: s.rules.Settings}, func(yield func(*PileState) bool) {
		for _, n := range s.names() {
			if !yield(s.Piles[n]) {
				return
			}
		}
	})
}

// ReadFrom makes the state what WriteTo wrote. With an error it stays as it was.
func (s *State) ReadFrom(r io.Reader) (int64, error) {
	var f stateFile
	n, err := lines.Read(r, &f, func(p *PileState) { f.Piles = append(f.Piles, p) })
	if err != nil {
		return n, fmt.Errorf("checkpoint of the session state: %w", err)
	}
	fresh, err := NewState(f.Settings)
	if err != nil {
		return n, err
	}
	for _, p := range f.Piles {
		p.register(fresh.rules)
		fresh.Piles[p.Name] = p
	}
	*s = *fresh
	return n, nil
}
