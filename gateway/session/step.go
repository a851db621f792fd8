package session

import (
	"slices"
	"strconv"
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
	Prior    *Prior // for a settlement: what the ledger knows of an order that the state no longer holds
}

// Prior is a closed session of an order, from the ledger.
type Prior struct {
	ID        string         `json:"id"`
	Start     devices.Millis `json:"start"`
	EnergyMWh int64          `json:"mwh"`
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
		for _, q := range p.Ports {
			if q.Open != nil {
				q.Open.split = nil // the time zone may be another
			}
		}
	}
	return nil
}

func (f *folder) status(st *devices.Status, received devices.Millis) Outcome {
	p := f.s.pile(st.Pile)
	if st.DeviceTime {
		if st.Time == p.NewestStatus {
			return Duplicate
		}
		if st.Time < p.NewestStatus {
			return Stale
		}
		p.NewestStatus = st.Time
	}
	if st.Has == devices.HasOnline && p.Status.Has.Has(devices.HasOnline) && p.Status.Online == st.Online {
		return Duplicate // a retained word, heard again
	}
	p.LastReceived = max(p.LastReceived, received)
	merge(&p.Status, st)
	return Applied
}

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
func (f *folder) reading(r *devices.Reading, received devices.Millis) Outcome {
	p := f.s.pile(r.Pile)
	q := p.port(r.Port)
	if o := q.seen(r, received); o != Applied {
		return o
	}
	p.LastReceived = max(p.LastReceived, received)
	if p.Status.Has.Has(devices.HasOnline) && !p.Status.Online {
		p.Status.Online = true // it speaks again
	}
	at := port{folder: f, pile: p, PortState: q}
	at.gap(r.Time)
	at.count(r)
	if q.Open != nil && r.State != devices.StateIdle && q.Open.another(r.Card, r.Order) {
		at.close(ReasonReplaced, q.Open.lastTime(q))
		at.open(r.Time, r.Card, r.Order)
	}
	if q.Open != nil {
		at.charge(r)
	} else {
		at.mayOpen(r)
	}
	q.Last, q.LastReceived = *r, received
	if r.DeviceTime {
		q.Newest, q.NewestReading = r.Time, r.Time
	}
	if r.State != devices.StateNone && r.State != devices.StateUnknown {
		q.State = r.State
	}
	return Applied
}

// seen tells a new reading from a repeated and from a stale one.
func (q *PortState) seen(r *devices.Reading, received devices.Millis) Outcome {
	switch {
	case !r.DeviceTime:
		if r.Has.Has(devices.HasSeq) && !q.newSeq(r.Seq, devices.EventNone, received) {
			return Duplicate
		}
	case r.Time == q.NewestReading:
		return Duplicate
	case r.Time < q.Newest:
		return Stale
	}
	return Applied
}

// newSeq notes a message counter; false when it was received within ten minutes.
func (q *PortState) newSeq(seq int64, kind devices.EventKind, received devices.Millis) bool {
	keep := slices.IndexFunc(q.Seqs, func(k seqKey) bool { return received.Sub(k.Received) <= 10*time.Minute })
	if keep < 0 {
		keep = len(q.Seqs)
	}
	q.Seqs = slices.Delete(q.Seqs, 0, max(keep, len(q.Seqs)-keepSeqs+1))
	for _, k := range q.Seqs {
		if k.Seq == seq && k.Kind == kind {
			return false
		}
	}
	q.Seqs = append(q.Seqs, seqKey{Seq: seq, Received: received, Kind: kind})
	return true
}

// port is one port while a step works on it.
type port struct {
	*folder
	pile *PileState
	*PortState
}

// gap closes a session over a hole of more than LostAfter, and reopens one that
// the clock had closed when the hole turns out smaller.
func (p port) gap(now devices.Millis) {
	last := p.Last.Time
	if p.Open != nil {
		last = p.Open.lastTime(p.PortState)
	}
	if now.Sub(last) > p.r.LostAfter {
		if p.Open != nil {
			p.close(ReasonLost, last)
		}
		p.State, p.Hit = devices.StateNone, nil
		return
	}
	p.reopen()
}

// reopen takes back what the clock decided too early.
func (p port) reopen() {
	o := p.Open
	if o == nil || !o.Lost {
		return
	}
	o.Lost = false
	o.Session.Open, o.Reason = true, ""
	o.ElectricityFen, o.ServiceFen = 0, 0
	p.emit(Reopened, &o.Session)
}

// lastTime is the last sign of life of an open session: its newest sample, or its start.
func (o *OpenSession) lastTime(q *PortState) devices.Millis {
	if o.Base || !o.First {
		return max(q.Last.Time, o.Start)
	}
	return o.Start
}

// count adds the step to the port's lifetime energy.
func (p port) count(r *devices.Reading) {
	if p.Last.Port != 0 {
		p.TotalMWh += p.r.measure(&p.Last, r, p.pile.MaxPortMW, false).mWh
	}
}

// another reports whether a card or an order is not the session's.
func (o *OpenSession) another(card, order string) bool {
	return card != "" && o.Card != "" && card != o.Card || order != "" && o.Order != "" && order != o.Order
}

// open begins a session. Its first step begins at the port's last sample where
// that is at most MaxGap old.
func (p port) open(start devices.Millis, card, order string) {
	if card == "" && p.PendingCard != "" && start.Sub(p.PendingAt) <= p.r.MaxGap {
		card = p.PendingCard
	}
	p.PendingCard, p.PendingAt, p.Hit = "", 0, nil
	t := p.r.tariffs.At(start)
	o := &OpenSession{
		Session: Session{
			ID: p.freshID(start), Pile: p.pile.Name, Port: p.Number, Open: true, Building: p.pile.Building,
			Order: order, Start: start, End: start, MeterStartMWh: -1, MeterEndMWh: -1, SettledMWh: -1, Bands: bands(t),
		},
		Plan:  t,
		First: true,
		Base:  p.Last.Port != 0 && start.Sub(p.Last.Time) <= p.r.MaxGap,
	}
	if t != nil {
		o.Tariff = t.Name
	}
	o.setCard(p.r, card)
	p.Open = o
	p.LastReceived = max(p.LastReceived, p.pile.LastReceived)
	p.emit(Opened, &o.Session)
}

// freshID is the session's id; where the port had another session that began in
// the same second, a counter is put behind it, so that neither bill is lost.
func (p port) freshID(start devices.Millis) string {
	id := ID(p.pile.Name, p.Number, start)
	for n, base := 2, id; p.knows(id); n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	return id
}

func (p port) knows(id string) bool {
	return p.Open != nil && p.Open.ID == id || slices.ContainsFunc(p.Closed, func(c closedRef) bool { return c.ID == id })
}

func (o *OpenSession) setCard(r *rules, card string) {
	o.Card = card
	o.Household = r.Cards[card].Household
}

// charge applies a reading to the open session.
func (p port) charge(r *devices.Reading) {
	o := p.Open
	p.identify(r.Card, r.Order)
	p.take(r)
	o.PeakMW = max(o.PeakMW, r.PowerMW)
	if r.State == devices.StateIdle && p.State != devices.StateIdle {
		p.close(ReasonUnplugged, o.End)
		return
	}
	p.low(r)
}

// identify fills in a card or an order that was not known yet.
func (p port) identify(card, order string) {
	o := p.Open
	if (card == "" || o.Card != "") && (order == "" || o.Order != "") {
		return
	}
	if o.Card == "" && card != "" {
		o.setCard(p.r, card)
	}
	if o.Order == "" {
		o.Order = order
	}
	p.emit(Updated, &o.Session)
}

// take adds the step from the port's last sample to b.
func (p port) take(b *devices.Reading) {
	o := p.Open
	if o.Base {
		if o.First {
			o.MeterStartMWh = startMeter(&p.Last, b)
		}
		o.add(p.r, p.r.measure(&p.Last, b, p.pile.MaxPortMW, o.First))
	}
	if o.MeterStartMWh < 0 {
		o.MeterStartMWh = meter(b)
	}
	if m := meter(b); m >= 0 {
		o.MeterEndMWh = m
	}
	o.Base, o.First = true, false
	o.End = max(o.End, b.Time)
}

// meter is the register that a sample shows, mWh; -1 for none.
func meter(r *devices.Reading) int64 {
	switch {
	case r.Has.Has(devices.HasEnergy):
		return r.EnergyMWh
	case r.Has.Has(devices.HasOrderEnergy):
		return r.OrderMWh
	}
	return -1
}

// startMeter is the register at the start of the step that leads into a session:
// 0 where the order's own register began in it.
func startMeter(last, b *devices.Reading) int64 {
	if adv, ok := advance(last, b, true); ok && !b.Has.Has(devices.HasEnergy) && adv == b.OrderMWh {
		return 0
	}
	return meter(last)
}

// low keeps the clock of a port that draws almost nothing. A session ends at the
// first reading of the stretch, so it is kept as it was there. A port that is
// plugged or full is left alone: that is the overstay clock's.
func (p port) low(r *devices.Reading) {
	o := p.Open
	waiting := r.State == devices.StatePlugged || r.State == devices.StateFull || r.State == devices.StateFault
	switch {
	case waiting || r.PowerMW >= p.r.IdleMW:
		o.LowSince, o.Low = 0, nil
	case o.Low == nil:
		o.LowSince, o.Low = r.Time, o.Clone()
	case r.Time.Sub(o.LowSince) >= p.r.IdleFor:
		o.Low.Card, o.Low.Order, o.Low.Household = o.Card, o.Order, o.Household
		o.Session = *o.Low
		p.close(ReasonLowPower, o.LowSince)
	}
}

// close ends the open session; it was the port's until end.
func (p port) close(reason string, end devices.Millis) {
	o := p.Open
	p.Open = nil
	already := o.Lost && reason == ReasonLost
	o.finish(reason, end)
	ref := closedRef{Start: o.Start, End: o.End, ID: o.ID, Order: o.Order, EnergyMWh: o.EnergyMWh, Settled: o.SettledMWh >= 0}
	p.remember(ref)
	if !already {
		p.emit(Closed, &o.Session)
	}
}

func (o *OpenSession) finish(reason string, end devices.Millis) {
	if reason == "" {
		reason = ReasonUnknown
	}
	o.Session.Open, o.Reason, o.End = false, reason, max(end, o.Start)
	o.price(o.Plan)
}

func (q *PortState) remember(ref closedRef) {
	q.Closed = append(q.Closed, ref)
	q.Closed = slices.Delete(q.Closed, 0, max(0, len(q.Closed)-keepClosed))
}

// mayOpen opens a session on a reading of a free port: on the state turning to
// charging, or on two readings in a row at or over StartMW. A pile that says
// idle is believed: power there is an unauthorised draw, not a session.
func (p port) mayOpen(r *devices.Reading) {
	charging := r.State == devices.StateCharging
	if charging && (p.State != devices.StateCharging || p.newOrder(r.Order)) {
		p.open(r.Time, r.Card, r.Order)
		p.charge(r)
		return
	}
	stateless := r.State == devices.StateNone || r.State == devices.StateUnknown
	if !stateless && !charging || r.PowerMW < p.r.StartMW {
		p.Hit = nil
		return
	}
	if p.Hit == nil {
		p.Hit = &candidate{Before: p.Last, HasPrev: p.Last.Port != 0, First: *r}
		return
	}
	p.openAt(*p.Hit, r)
}

// openAt opens a session at the first of two readings, and applies both.
func (p port) openAt(c candidate, second *devices.Reading) {
	p.Last = c.Before
	p.open(c.First.Time, c.First.Card, c.First.Order)
	p.State = devices.StateNone // the pile said nothing that this session could turn from
	p.charge(&c.First)
	p.Last = c.First
	if p.Open.another(second.Card, second.Order) {
		p.close(ReasonReplaced, c.First.Time)
		p.open(second.Time, second.Card, second.Order)
	}
	p.charge(second)
}

func (q *PortState) newOrder(order string) bool {
	return order != "" && !slices.ContainsFunc(q.Closed, func(c closedRef) bool { return c.Order == order })
}

// tick closes what was not heard of for LostAfter by the clock on the wall.
func (f *folder) tick(now devices.Millis) {
	first := len(f.out)
	for _, p := range f.s.Piles {
		for _, q := range p.Ports {
			o := q.Open
			if o == nil || o.Lost || now.Sub(q.LastReceived) <= f.r.LostAfter {
				continue
			}
			o.Lost = true
			o.finish(ReasonLost, o.lastTime(q))
			f.emit(Closed, &o.Session)
		}
	}
	slices.SortFunc(f.out[first:], func(a, b Change) int { return strings.Compare(a.Session.ID, b.Session.ID) })
}
