package session

import (
	"slices"
	"strconv"

	"pilewatch/devices"
)

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
		p.State = devices.StateNone
		p.forgetHit()
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
	o.Quality &^= Disputed // it is compared anew at its end
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

// step is the one from the port's last sample to b that leads into no session.
func (p port) step(b *Sample) step { return p.r.measure(&p.Last, b, p.pile.MaxPortMW, nil) }

// count adds the step to b to the port's lifetime energy, and gives it.
func (p port) count(b *Sample) (s step) {
	if p.Last.Port != 0 {
		s = p.step(b)
		p.TotalMWh += s.mWh
	}
	return s
}

// another reports whether a card or an order is not the session's.
func (o *OpenSession) another(card, order string) bool {
	return card != "" && o.Card != "" && card != o.Card || order != "" && o.Order != "" && order != o.Order
}

// open begins a session. Its first step begins at the port's last sample where
// that is at most MaxGap old.
func (p port) open(start devices.Millis, card, order string) {
	if shown := p.had().pending; card == "" && shown != nil && start.Sub(shown.at) <= p.r.MaxGap {
		card = shown.card
	}
	if p.past != nil {
		p.past.pending, p.past.hit = nil, nil
	}
	t := p.r.tariffs.At(start)
	o := &OpenSession{
		Session: Session{
			ID: p.freshID(start, 0), Pile: p.pile.Name, Port: p.Number, Open: true, Building: p.pile.Building,
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

// freshID is the session's id; where the port had other sessions that began in
// the same second, taken by the ledger's word, a counter is put behind it, so
// that no bill is lost. It is one more than the last: the first may be forgotten.
func (p port) freshID(start devices.Millis, taken int) string {
	last := taken
	if o := p.Open; o != nil && sameSecond(o.Start, start) {
		last = max(last, nth(o.ID))
	}
	for _, c := range p.closed() {
		if sameSecond(c.Start, start) {
			last = max(last, c.Nth)
		}
	}
	return Numbered(ID(p.pile.Name, p.Number, start), last+1)
}

// sameSecond reports whether two instants give the same id.
func sameSecond(a, b devices.Millis) bool { return a/1000 == b/1000 }

// Numbered is the id of the nth session, from 1, of a port that began in one second.
func Numbered(id string, n int) string {
	if n <= 1 {
		return id
	}
	return id + "-" + strconv.Itoa(n)
}

func (p port) idOf(c closedRef) string { return Numbered(ID(p.pile.Name, p.Number, c.Start), c.Nth) }

func (o *OpenSession) setCard(r *rules, card string) {
	o.Card = card
	o.Household = r.holder(card, o.Start).Household
}

// charge applies a reading to the open session; s is the step to it.
func (p port) charge(r *named, s step) {
	o := p.Open
	p.identify(r.Card, r.Order)
	p.take(&r.Sample, s)
	o.PeakMW = max(o.PeakMW, r.PowerMW)
	if r.State == devices.StateIdle && p.State != devices.StateIdle {
		p.close(ReasonUnplugged, o.End)
		return
	}
	p.low(&r.Sample)
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

// take adds the step s from the port's last sample to b, which is measured anew
// where it leads into the session.
func (p port) take(b *Sample, s step) {
	o := p.Open
	if o.Base {
		if o.First {
			o.MeterStartMWh = startMeter(&p.Last, b, o)
			s = p.r.measure(&p.Last, b, p.pile.MaxPortMW, o)
		}
		o.add(p.r, s)
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
func meter(r *Sample) int64 {
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
func startMeter(last, b *Sample, into *OpenSession) int64 {
	if adv, ok := advance(last, b, into); ok && !b.Has.Has(devices.HasEnergy) && adv == b.OrderMWh {
		return 0
	}
	return meter(last)
}

// low keeps the clock of a port that draws almost nothing. A session ends at the
// first reading of the stretch, so it is kept as it was there. A port that is
// plugged or full is left alone: that is the overstay clock's.
func (p port) low(r *Sample) {
	o := p.Open
	waiting := r.State == devices.StatePlugged || r.State == devices.StateFull || r.State == devices.StateFault
	switch {
	case waiting || r.PowerMW >= p.r.IdleMW:
		o.LowSince, o.Low = 0, nil
	case o.Low == nil:
		o.LowSince, o.Low = r.Time, o.Clone()
	case r.Time.Sub(o.LowSince) >= p.r.IdleFor:
		o.Low.Card, o.Low.Order, o.Low.Household, o.Low.SettledMWh = o.Card, o.Order, o.Household, o.SettledMWh
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
	p.remember(o.ref())
	if !already {
		p.emit(Closed, &o.Session)
	}
}

func (o *OpenSession) finish(reason string, end devices.Millis) {
	if o.SettledMWh >= 0 {
		if o.SettledReason != "" && o.SettledReason != ReasonUnknown {
			reason = o.SettledReason
		}
		if o.Quality&Late == 0 && disputed(o.EnergyMWh, o.SettledMWh) {
			o.Quality |= Disputed
		}
	}
	if reason == "" {
		reason = ReasonUnknown
	}
	o.Session.Open, o.Reason, o.End = false, reason, max(end, o.Start)
	o.price(o.Plan)
}

// ref is what the port remembers of a session that is over.
func (s *Session) ref() closedRef {
	return closedRef{Start: s.Start, End: s.End, Nth: nth(s.ID), Order: s.Order, EnergyMWh: s.EnergyMWh, Settled: s.SettledMWh >= 0}
}

// mayOpen opens a session on a reading of a free port: on the state turning to
// charging, or on two readings in a row at or over StartMW. A pile that says
// idle is believed: power there is an unauthorised draw, not a session.
func (p port) mayOpen(r *named, s step) {
	charging := r.State == devices.StateCharging
	if charging && (p.State != devices.StateCharging || p.newOrder(r.Order)) {
		p.open(r.Time, r.Card, r.Order)
		p.charge(r, s)
		return
	}
	stateless := r.State == devices.StateNone || r.State == devices.StateUnknown
	if !stateless && !charging || r.PowerMW < p.r.StartMW {
		p.forgetHit()
		return
	}
	had := p.remembered()
	if had.hit == nil {
		had.hit = &candidate{Before: p.Last, First: *r}
		return
	}
	p.openAt(*had.hit, r)
}

// openAt opens a session at the first of two readings, and applies both.
func (p port) openAt(c candidate, second *named) {
	p.Last = c.Before
	p.open(c.First.Time, c.First.Card, c.First.Order)
	p.State = devices.StateNone // the pile said nothing that this session could turn from
	p.charge(&c.First, step{})  // which leads into the session
	p.Last = c.First.Sample
	if p.Open.another(second.Card, second.Order) {
		p.close(ReasonReplaced, c.First.Time)
		p.open(second.Time, second.Card, second.Order)
	}
	p.charge(second, p.step(&second.Sample))
}

func (q *PortState) newOrder(order string) bool {
	return order != "" && !slices.ContainsFunc(q.closed(), func(c closedRef) bool { return c.Order == order })
}
