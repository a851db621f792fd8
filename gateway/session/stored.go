package session

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/lines"
	"pilewatch/gateway/tariff"
)

// storedHead is the head of a checkpoint; a line for each pile follows.
type storedHead struct {
	Settings Settings      `json:"settings"`
	Piles    []*storedPile `json:"piles,omitempty"` // as older programs wrote them
}

// storedPile is a pile in a checkpoint. What is zero is left out.
type storedPile struct {
	Name         string          `json:"name"`
	LastReceived devices.Millis  `json:"received,omitempty"`
	Status       *devices.Status `json:"status,omitempty"`
	Ports        []storedPort    `json:"ports,omitempty"`
	NewestStatus devices.Millis  `json:"newest_status,omitempty"`
	Events       []eventKey      `json:"events,omitempty"`
	Seqs         []seqKey        `json:"seqs,omitempty"`
}

type storedPort struct {
	Number        uint8             `json:"n"`
	State         devices.PortState `json:"state,omitempty"`
	Last          *Sample           `json:"last,omitempty"`
	TotalMWh      int64             `json:"total,omitempty"`
	Open          *storedOpen       `json:"open,omitempty"`
	LastReceived  devices.Millis    `json:"received,omitempty"`
	Newest        devices.Millis    `json:"newest,omitempty"`
	NewestReading devices.Millis    `json:"newest_reading,omitempty"`
	Hit           *candidate        `json:"hit,omitempty"`
	PendingCard   string            `json:"pending_card,omitempty"`
	PendingAt     devices.Millis    `json:"pending_at,omitempty"`
	Closed        []storedRef       `json:"closed,omitempty"`
	Events        []eventKey        `json:"events,omitempty"`
	Seqs          []seqKey          `json:"seqs,omitempty"`
}

type storedOpen struct {
	OpenSession
	Plan json.RawMessage `json:"plan,omitempty"` // a tariff, the same text for many sessions
}

type storedRef struct {
	Start     devices.Millis `json:"start"`
	End       devices.Millis `json:"end"`
	ID        string         `json:"id,omitempty"` // as older programs wrote it
	Nth       int            `json:"nth,omitempty"`
	Order     string         `json:"order,omitempty"`
	EnergyMWh int64          `json:"mwh"`
	Settled   bool           `json:"settled,omitempty"`
}

// WriteTo writes the state for a checkpoint: the same state, the same bytes.
func (s *State) WriteTo(w io.Writer) (int64, error) {
	st := storer{plans: map[*tariff.Tariff]json.RawMessage{}}
	n, err := lines.Write(w, storedHead{Settings: s.rules.Settings}, func(yield func(*storedPile) bool) {
		for _, name := range s.names() {
			if !yield(st.pile(s.Piles[name])) {
				return
			}
		}
	})
	return n, err
}

// storer makes lines of piles, one after the other in the same place.
type storer struct {
	line  storedPile
	plans map[*tariff.Tariff]json.RawMessage
}

func (st *storer) pile(p *PileState) *storedPile {
	ports := st.line.Ports[:0]
	for i := range p.Ports {
		ports = append(ports, st.port(&p.Ports[i]))
	}
	st.line = storedPile{Name: p.Name, LastReceived: p.LastReceived, Ports: ports, NewestStatus: p.newestStatus, Events: p.events.keys(), Seqs: p.seqs}
	if p.Status != (devices.Status{}) {
		st.line.Status = &p.Status
	}
	return &st.line
}

func (st *storer) port(q *PortState) storedPort {
	f := storedPort{
		Number: q.Number, State: q.State, TotalMWh: q.TotalMWh,
		LastReceived: q.LastReceived, Newest: q.newest, NewestReading: q.newestReading,
	}
	if q.Last.Port != 0 {
		f.Last = &q.Last
	}
	if q.Open != nil {
		f.Open = &storedOpen{*q.Open, st.plan(q.Open.Plan)}
	}
	if had := q.past; had != nil {
		f.Hit, f.Events, f.Seqs = had.hit, had.events.keys(), had.seqs
		if had.pending != nil {
			f.PendingCard, f.PendingAt = had.pending.card, had.pending.at
		}
		for _, c := range had.closed.refs() {
			f.Closed = append(f.Closed, storedRef{Start: c.Start, End: c.End, Nth: c.Nth, Order: c.Order, EnergyMWh: c.EnergyMWh, Settled: c.Settled})
		}
	}
	return f
}

func (st *storer) plan(t *tariff.Tariff) json.RawMessage {
	if t == nil {
		return nil
	}
	text, ok := st.plans[t]
	if !ok {
		text, _ = json.Marshal(t) // it was made of what was read
		st.plans[t] = text
	}
	return text
}

// ReadFrom makes the state what WriteTo wrote. With an error it stays as it was.
func (s *State) ReadFrom(r io.Reader) (int64, error) {
	var head storedHead
	re := restorer{plans: map[string]*tariff.Tariff{}, texts: lines.Texts{}}
	n, err := lines.Read(r, &head, func(p *storedPile) { re.add(&head, p) })
	if err != nil {
		return n, fmt.Errorf("checkpoint of the session state: %w", err)
	}
	re.begin(&head)
	for _, p := range head.Piles {
		re.add(&head, p)
	}
	if re.err != nil {
		return n, re.err
	}
	*s = *re.state
	return n, nil
}

// restorer makes piles of lines. Of a text that many have it keeps one copy.
type restorer struct {
	state *State
	err   error
	plans map[string]*tariff.Tariff
	texts lines.Texts
}

func (re *restorer) begin(head *storedHead) {
	if re.state == nil && re.err == nil {
		re.state, re.err = NewState(head.Settings)
	}
}

func (re *restorer) add(head *storedHead, f *storedPile) {
	if re.begin(head); re.err != nil {
		return
	}
	p := &PileState{
		Name: f.Name, LastReceived: f.LastReceived, Ports: make([]PortState, len(f.Ports)),
		newestStatus: f.NewestStatus, events: packKeys(f.Events), seqs: slices.Clone(f.Seqs),
	}
	if f.Status != nil {
		p.Status = *f.Status
	}
	p.register(re.state.rules)
	for i := range f.Ports {
		re.port(p, &p.Ports[i], &f.Ports[i])
	}
	re.state.Piles[p.Name] = p
}

func (re *restorer) port(p *PileState, q *PortState, f *storedPort) {
	*q = PortState{
		Number: f.Number, State: f.State, TotalMWh: f.TotalMWh,
		LastReceived: f.LastReceived, newest: f.Newest, newestReading: f.NewestReading,
	}
	if f.Open != nil {
		q.Open = re.open(p, f.Open)
	}
	if f.Last != nil {
		q.keep(f.Last, f.LastReceived)
		q.newest = f.Newest
	}
	had := past{hit: f.Hit, events: packKeys(f.Events), seqs: slices.Clone(f.Seqs)}
	if f.PendingCard != "" || f.PendingAt != 0 {
		had.pending = &pending{f.PendingCard, f.PendingAt}
	}
	var refs []closedRef
	for _, c := range f.Closed {
		refs = append(refs, closedRef{Start: c.Start, End: c.End, Order: c.Order, EnergyMWh: c.EnergyMWh, Nth: max(c.Nth, nth(c.ID)), Settled: c.Settled})
	}
	had.closed = packRefs(refs)
	if had.hit != nil || had.pending != nil || had.closed != "" || had.events != "" || len(had.seqs) > 0 {
		q.past = &had
	}
}

func (re *restorer) open(p *PileState, f *storedOpen) *OpenSession {
	o := f.OpenSession
	o.Plan = re.plan(f.Plan, o.Start)
	o.SettledReason = re.texts.One(o.SettledReason)
	re.share(p, &o.Session)
	if o.Low != nil {
		re.share(p, o.Low)
		o.Low.ID = o.ID
	}
	return &o
}

// share lets a session have the texts that others have.
func (re *restorer) share(p *PileState, s *Session) {
	s.Pile, s.Building, s.Tariff, s.Reason = p.Name, re.texts.One(s.Building), re.texts.One(s.Tariff), re.texts.One(s.Reason)
	if h := re.state.rules.holder(s.Card, s.Start).Household; h == s.Household {
		s.Household = h
	}
	s.Bands = slices.Clone(s.Bands) // what was read has room for more
	for i := range s.Bands {
		s.Bands[i].Name = re.texts.One(s.Bands[i].Name)
	}
}

// plan gives the one copy of a tariff: that of the settings, where it is the same.
func (re *restorer) plan(text json.RawMessage, start devices.Millis) *tariff.Tariff {
	if len(text) == 0 {
		return nil
	}
	t, ok := re.plans[string(text)]
	if !ok {
		t = &tariff.Tariff{}
		if err := json.Unmarshal(text, t); err != nil {
			re.err = fmt.Errorf("checkpoint of the session state: a tariff: %w", err)
			return nil
		}
		if now := re.state.rules.tariffs.At(start); now != nil && reflect.DeepEqual(now, t) {
			t = now
		}
		re.plans[string(text)] = t
	}
	return t
}
