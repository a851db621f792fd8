package session

import (
	"slices"
	"time"

	"pilewatch/devices"
)

// event applies what happened at a port, or at a pile as a whole.
func (f *folder) event(e *devices.Event, received devices.Millis, prior *Prior) Outcome {
	p := f.s.pile(e.Pile)
	if e.Port == 0 { // an alarm of the pile: no session's business
		again := e.DeviceTime && !p.events.add(eventKey{e.Time, e.Kind, e.Alarm}) ||
			!e.DeviceTime && e.Has.Has(devices.HasSeq) && !newSeq(&p.seqs, seqKey{Seq: e.Seq, Received: received, Kind: e.Kind})
		if again {
			return Duplicate
		}
		p.LastReceived = max(p.LastReceived, received)
		return Applied
	}
	q := f.s.port(p, e.Port)
	if !q.newEvent(e, received) {
		return Duplicate
	}
	p.LastReceived = max(p.LastReceived, received)
	at := port{folder: f, pile: p, PortState: q}
	switch e.Kind {
	case devices.EventStart:
		return at.start(e, received)
	case devices.EventStop:
		return at.stop(e, received)
	case devices.EventCard:
		return at.card(e)
	case devices.EventSettle:
		return at.settle(e, prior)
	}
	return Applied
}

// newEvent notes an event; false when it is the same again. Settlements are
// told apart by their order.
func (q *PortState) newEvent(e *devices.Event, received devices.Millis) bool {
	switch {
	case e.Kind == devices.EventSettle:
		return true
	case e.DeviceTime:
		return q.remembered().events.add(eventKey{e.Time, e.Kind, e.Alarm})
	case e.Has.Has(devices.HasSeq):
		return newSeq(&q.remembered().seqs, seqKey{Seq: e.Seq, Received: received, Kind: e.Kind})
	}
	return true
}

// Behind reports whether an input is older than something of the same pile that
// was applied: by the device's own clock where it has one, else by the time of
// receipt, as when a recording is played again. It may be a repetition that the
// state no longer holds, and who has the journal should look there first. It is
// for who steps the state.
func (s *State) Behind(in Input) bool {
	switch {
	case in.Reading != nil && in.Reading.DeviceTime:
		p := s.known(in.Reading.Pile)
		if p == nil {
			return false
		}
		q := p.find(in.Reading.Port)
		return q != nil && in.Reading.Time < q.newest
	case in.Reading != nil:
		return s.heardAfter(in.Reading.Pile, in.Received)
	case in.Status != nil && in.Status.DeviceTime:
		p := s.known(in.Status.Pile)
		return p != nil && in.Status.Time < p.newestStatus
	case in.Status != nil:
		return s.heardAfter(in.Status.Pile, in.Received)
	case in.Event != nil && in.Event.DeviceTime:
		return s.behindEvent(in.Event)
	case in.Event != nil:
		return s.heardAfter(in.Event.Pile, in.Received)
	}
	return false
}

func (s *State) heardAfter(pile string, received devices.Millis) bool {
	p := s.known(pile)
	return p != nil && received < p.LastReceived
}

func (s *State) behindEvent(e *devices.Event) bool {
	p := s.known(e.Pile)
	if p == nil {
		return false
	}
	events, newest := p.events, devices.Millis(0)
	if q := p.find(e.Port); q != nil {
		events, newest = q.had().events, q.newest
	}
	return e.Time < newest || slices.ContainsFunc(events.keys(), func(k eventKey) bool { return e.Time < k.Time })
}

// start opens a session, or tells an open one who it belongs to.
func (p port) start(e *devices.Event, received devices.Millis) Outcome {
	if e.DeviceTime && p.Open == nil && p.overtaken(e.Time) {
		return Stale
	}
	sample := p.sample(e)
	if p.Open != nil {
		p.gap(e.Time)
	}
	if p.Open != nil && p.Open.another(e.Card, e.Order) {
		p.close(ReasonReplaced, p.Open.lastTime(p.PortState))
	}
	if p.Open == nil {
		p.open(e.Time, e.Card, e.Order)
		p.Open.NewOrder = e.Order != ""
	} else {
		p.identify(e.Card, e.Order)
	}
	p.LastReceived = max(p.LastReceived, received)
	p.apply(sample, received)
	return Applied
}

// overtaken reports whether readings after an instant have shown already what
// became of a session that was to start then.
func (q *PortState) overtaken(at devices.Millis) bool {
	return q.newest.Sub(at) > keepStart || at < q.newest && slices.ContainsFunc(q.closed(), func(c closedRef) bool { return c.End >= at })
}

// keepStart is how late behind the readings a start event still opens a session.
const keepStart = 2 * time.Minute

// stop closes the open session when it is the one that is meant.
func (p port) stop(e *devices.Event, received devices.Millis) Outcome {
	sample := p.sample(e)
	p.gap(max(e.Time, p.Last.Time))
	o := p.Open
	if o == nil || e.DeviceTime && e.Time < o.Start || e.Order != "" && o.Order != "" && e.Order != o.Order {
		p.apply(sample, received)
		return Applied
	}
	p.identify(e.Card, e.Order)
	p.reopen() // the pile knows better than the clock
	p.apply(sample, received)
	p.close(e.Reason, max(e.Time, o.lastTime(p.PortState)))
	return Applied
}

// card notes a card that was shown: the open session's where it has none, else
// that of the next session.
func (p port) card(e *devices.Event) Outcome {
	if p.Open != nil && !p.Open.Lost && p.Open.Card == "" {
		p.identify(e.Card, e.Order)
	} else if p.Open == nil || p.Open.Card != e.Card {
		p.remembered().pending = &pending{e.Card, e.Time}
	}
	return Applied
}

// sample makes a reading of an event that carries a register; nil for one that
// carries none, or that is older than the newest applied sample. Its power is
// that of the last sample.
func (p port) sample(e *devices.Event) *Sample {
	registers := e.Has & (devices.HasEnergy | devices.HasOrderEnergy)
	if registers == 0 || e.DeviceTime && e.Time <= p.newest {
		return nil
	}
	r := p.Last
	r.Port, r.Time, r.DeviceTime, r.Order = e.Port, e.Time, e.DeviceTime, e.Order
	r.Has = r.Has&^(devices.HasEnergy|devices.HasOrderEnergy|devices.HasSeq) | registers
	r.EnergyMWh, r.OrderMWh = e.EnergyMWh, e.OrderMWh
	return &r
}

// apply takes an event's sample in as the port's newest.
func (p port) apply(sample *Sample, received devices.Millis) {
	if sample == nil {
		return
	}
	step := p.count(sample)
	if p.Open != nil {
		p.take(sample, step)
	}
	p.keep(sample, received)
}

// settle applies a whole order that the pile kept while it was offline.
func (p port) settle(e *devices.Event, prior *Prior) Outcome {
	if o := p.Open; o != nil && (o.Order == e.Order || o.Order == "" && overlap(e, o.Start, o.lastTime(p.PortState))) {
		return p.settleOpen(e)
	}
	refs := p.closed()
	if i := closedIndex(refs, e); i >= 0 {
		c := &refs[i]
		if c.Settled {
			return Duplicate
		}
		c.Settled, c.Order = true, e.Order
		p.past.closed = packRefs(refs)
		p.amend(e, p.idOf(*c), c.Start, c.EnergyMWh)
		return Applied
	}
	if prior != nil && prior.ID != "" {
		p.amend(e, prior.ID, prior.Start, prior.EnergyMWh)
		return Applied
	}
	taken := 0
	if prior != nil {
		taken = prior.Taken
	}
	p.settleUnknown(e, taken)
	return Applied
}

// closedIndex finds the closed session of a settled order: by the order, or,
// where the pile's telemetry names none, by the time; -1 for none.
func closedIndex(refs []closedRef, e *devices.Event) int {
	if i := slices.IndexFunc(refs, func(c closedRef) bool { return c.Order == e.Order }); i >= 0 {
		return i
	}
	return slices.IndexFunc(refs, func(c closedRef) bool { return c.Order == "" && overlap(e, c.Start, c.End) })
}

// HoldsOrder reports whether the state itself can tell what became of an order.
func (s *State) HoldsOrder(pile string, number uint8, order string) bool {
	q := s.Port(pile, number)
	return q != nil && (q.Open != nil && q.Open.Order == order ||
		slices.ContainsFunc(q.closed(), func(c closedRef) bool { return c.Order == order }))
}

// overlap reports whether a settled order and a session share most of the shorter one.
func overlap(e *devices.Event, start, end devices.Millis) bool {
	shared := min(e.End, end).Sub(max(e.Start, start))
	shorter := min(e.End.Sub(e.Start), end.Sub(start))
	return shared >= 0 && shared >= shorter/2
}

// settleOpen notes what the pile has settled for the order that is open. The
// session ends as any other does, and then has the settlement's reason: the
// reading that ends it brings the register up to date.
func (p port) settleOpen(e *devices.Event) Outcome {
	o := p.Open
	if o.SettledMWh >= 0 {
		return Duplicate
	}
	p.reopen()
	p.identify(e.Card, e.Order)
	o.SettledMWh, o.SettledReason = e.SettledMWh, e.Reason
	p.emit(Updated, &o.Session)
	return Applied
}

// amend adds what a pile settled to a session that is closed.
func (p port) amend(e *devices.Event, id string, start devices.Millis, measuredMWh int64) {
	s := Session{ID: id, Pile: p.pile.Name, Port: p.Number, Start: start, Order: e.Order, Reason: e.Reason, SettledMWh: e.SettledMWh}
	if e.Reason == ReasonUnknown {
		s.Reason = ""
	}
	if disputed(measuredMWh, e.SettledMWh) {
		s.Quality |= Disputed
	}
	p.emit(Settled, &s)
}

// settleUnknown makes a closed session of an order that was never heard of. Its
// energy is spread evenly over its time; more than the port can deliver is disputed.
func (p port) settleUnknown(e *devices.Event, taken int) {
	t := p.r.tariffs.At(e.Start)
	o := OpenSession{Plan: t, Session: Session{
		ID: p.freshID(e.Start, taken), Pile: p.pile.Name, Port: p.Number, Building: p.pile.Building, Order: e.Order,
		Start: e.Start, End: e.End, MeterStartMWh: -1, MeterEndMWh: -1, SettledMWh: e.SettledMWh,
		Quality: Late, Bands: bands(t),
	}}
	if t != nil {
		o.Tariff = t.Name
	}
	o.setCard(p.r, e.Card)
	o.add(p.r, step{from: e.Start, to: e.End, mWh: e.SettledMWh})
	o.PeakMW = o.MeanMW()
	if !believable(e.SettledMWh, e.End.Sub(e.Start)+time.Second, p.pile.MaxPortMW) {
		o.Quality |= Disputed
	}
	o.finish(e.Reason, e.End)
	ref := o.ref()
	ref.Settled = true
	p.remember(ref)
	p.emit(Closed, &o.Session)
}
