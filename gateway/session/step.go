package session

import (
	"slices"
	"strings"
	"time"

	"pilewatch/devices"
)

// Input is one thing that happened. Exactly one of the pointers is set, or none
// for the passing of time alone.
type Input struct {
	Received devices.Millis // when the gateway received it
	Reading  *devices.Reading
	Event    *devices.Event
	Status   *devices.Status
	Settings *Settings
	Prior    *Prior // for a settlement: what the ledger knows that the state no longer holds
}

// Prior is what the ledger knows of a settled order: its closed session, or, with
// no ID, how many sessions of the port began in the second in which it did.
type Prior struct {
	ID        string         `json:"id,omitempty"`
	Start     devices.Millis `json:"start,omitempty"`
	EnergyMWh int64          `json:"mwh,omitempty"`
	Taken     int            `json:"taken,omitempty"`
}

// Outcome says what became of an input.
type Outcome uint8

// The outcomes.
const (
	// Applied: the state took it in.
	Applied Outcome = iota
	// Stale: older than the newest applied one, so it changes no session. It may
	// be late, or the repetition of something that the state no longer holds.
	Stale
	// Duplicate: the same again; it changed nothing.
	Duplicate
)

// Step is the fold: it applies one input to s, appends to out what changed and
// returns it. It fails only for settings that cannot be used, and then changes nothing.
func Step(s *State, in Input, out []Change) ([]Change, Outcome, error) {
	f := folder{s: s, r: s.rules, out: out}
	switch {
	case in.Reading != nil:
		return f.done(f.reading(in.Reading, in.Received))
	case in.Event != nil:
		return f.done(f.event(in.Event, in.Received, in.Prior))
	case in.Status != nil:
		return f.done(f.status(in.Status, in.Received))
	case in.Settings != nil:
		return out, Applied, s.configure(*in.Settings)
	default:
		f.tick(in.Received)
		return f.done(Applied)
	}
}

// folder carries one step: the state, the rules in force and what changed.
type folder struct {
	s   *State
	r   *rules
	out []Change
}

func (f *folder) done(o Outcome) ([]Change, Outcome, error) { return f.out, o, nil }

func (f *folder) emit(k ChangeKind, s *Session) {
	f.out = append(f.out, Change{Kind: k, Session: s.Clone()})
}

func (s *State) configure(set Settings) error {
	r, err := set.compile()
	if err != nil {
		return err
	}
	s.rules = r
	for _, p := range s.Piles {
		p.register(r)
	}
	return nil
}

func (f *folder) status(st *devices.Status, received devices.Millis) Outcome {
	p := f.s.pile(st.Pile)
	switch {
	case !st.DeviceTime:
		if st.Has.Has(devices.HasSeq) && !newSeq(&p.seqs, seqKey{Seq: st.Seq, Received: received}) {
			return Duplicate
		}
	case st.Time == p.newestStatus:
		return Duplicate
	case st.Time < p.newestStatus:
		return Stale
	default:
		p.newestStatus = st.Time
	}
	again := st.Has == devices.HasOnline && p.Status.Has.Has(devices.HasOnline) && p.Status.Online == st.Online
	if again && received.Sub(p.LastReceived) < wordEvery {
		return Duplicate // a word that is known, and a sign of life that is not needed
	}
	p.LastReceived = max(p.LastReceived, received)
	merge(&p.Status, st)
	return Applied
}

// wordEvery is after which silence a pile's word counts although it is the same.
const wordEvery = 10 * time.Minute

func merge(into, st *devices.Status) {
	into.Pile, into.Time, into.DeviceTime = st.Pile, st.Time, st.DeviceTime
	into.Has |= st.Has
	if st.Has.Has(devices.HasEnergy) {
		into.MainMWh = st.MainMWh
	}
	if st.Has.Has(devices.HasTemperature) {
		into.TempMC = st.TempMC
	}
	if st.Has.Has(devices.HasRSSI) {
		into.RSSI = st.RSSI
	}
	if st.Has.Has(devices.HasOnline) {
		into.Online = st.Online
	}
}

// reading applies one sample of a port.
func (f *folder) reading(in *devices.Reading, received devices.Millis) Outcome {
	p := f.s.pile(in.Pile)
	q := f.s.port(p, in.Port)
	if o := q.seen(in, received); o != Applied {
		return o
	}
	p.LastReceived = max(p.LastReceived, received)
	if p.Status.Has.Has(devices.HasOnline) && !p.Status.Online {
		p.Status.Online = true // it speaks again
	}
	at, r := port{folder: f, pile: p, PortState: q}, sampleOf(in)
	at.gap(r.Time)
	step := at.count(&r.Sample)
	if q.Open != nil && q.Open.another(r.Card, r.Order) {
		before := q.Open.Order
		at.close(ReasonReplaced, q.Open.lastTime(q))
		if r.State != devices.StateIdle {
			at.open(r.Time, r.Card, r.Order)
			q.Open.NewOrder = before != "" && r.Order != "" && r.Order != before
		}
	}
	if q.Open != nil {
		at.charge(&r, step)
	} else {
		at.mayOpen(&r, step)
	}
	q.keep(&r.Sample, received)
	if r.DeviceTime {
		q.newestReading = r.Time
	}
	if r.State != devices.StateNone && r.State != devices.StateUnknown {
		q.State = r.State
	}
	return Applied
}

// keep makes a sample the port's newest. An order has one copy, its session's.
func (q *PortState) keep(r *Sample, received devices.Millis) {
	order := q.Last.Order
	if q.Open != nil && q.Open.Order == r.Order {
		order = q.Open.Order
	}
	q.Last, q.LastReceived = *r, received
	if order == r.Order {
		q.Last.Order = order
	}
	if r.DeviceTime {
		q.newest = r.Time
	}
}

// seen tells a new reading from a repeated and from a stale one.
func (q *PortState) seen(r *devices.Reading, received devices.Millis) Outcome {
	switch {
	case !r.DeviceTime:
		if r.Has.Has(devices.HasSeq) && !newSeq(&q.remembered().seqs, seqKey{Seq: r.Seq, Received: received}) {
			return Duplicate
		}
	case r.Time == q.newestReading:
		return Duplicate
	case r.Time < q.newest:
		return Stale
	}
	return Applied
}

// tick closes what was not heard of for LostAfter by the clock on the wall.
func (f *folder) tick(now devices.Millis) {
	first := len(f.out)
	for _, p := range f.s.Piles {
		for i := range p.Ports {
			q := &p.Ports[i]
			o := q.Open
			if now.Sub(q.LastReceived) <= f.r.LostAfter || o == nil || o.Lost {
				continue
			}
			o.Lost = true
			o.finish(ReasonLost, o.lastTime(q))
			f.emit(Closed, &o.Session)
		}
	}
	slices.SortFunc(f.out[first:], func(a, b Change) int { return strings.Compare(a.Session.ID, b.Session.ID) })
}
