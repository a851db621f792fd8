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

// count adds the step to the port's lifetime energy.
func (p port) count(r *devices.Reading) {
	if p.Last.Port != 0 {
		p.TotalMWh += p.r.measure(&p.Last, r, p.pile.MaxPortMW, nil).mWh
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
// that no bill is lost.
func (p port) freshID(start devices.Millis, taken int) string {
	base := ID(p.pile.Name, p.Number, start)
	for n := taken + 1; ; n++ {
		if id := Numbered(base, n); !p.knows(id) {
			return id
		}
	}
}

// Numbered is the id of the nth session, from 1, of a port that began in one second.
func Numbered(id string, n int) string {
	if n <= 1 {
		return id
	}
	return id + "-" + strconv.Itoa(n)
}

func (p port) knows(id string) bool {
	return p.Open != nil && p.Open.ID == id || slices.ContainsFunc(p.Closed, func(c closedRef) bool { return c.ID == id })
}

func (o *OpenSession) setCard(r *rules, card string) {
	o.Card = card
	o.Household = r.holder(card, o.Start).Household
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
		var into *OpenSession
		if o.First {
			into = o
			o.MeterStartMWh = startMeter(&p.Last, b, into)
		}
		o.add(p.r, p.r.measure(&p.Last, b, p.pile.MaxPortMW, into))
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
func startMeter(last, b *devices.Reading, into *OpenSession) int64 {
	if adv, ok := advance(last, b, into); ok && !b.Has.Has(devices.HasEnergy) && adv == b.OrderMWh {
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
	ref := closedRef{Start: o.Start, End: o.End, ID: o.ID, Order: o.Order, EnergyMWh: o.EnergyMWh, Settled: o.SettledMWh >= 0}
	p.remember(ref)
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
