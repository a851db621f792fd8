package session

import (
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// step is the energy between two successive samples of a port.
type step struct {
	from, to  devices.Millis // from == to where time stepped back
	mWh       int64
	estimated bool
}

// measure gives the energy between two samples of one port, in whole mWh: the
// advance of the register where power could have delivered it, else the
// trapezoid of the two powers over at most MaxGap, else nothing. into is the
// session that the step leads into, whose order's register begins at 0; nil for
// any other step.
func (r *rules) measure(a, b *Sample, maxPortMW int64, into *OpenSession) step {
	s := step{from: min(a.Time, b.Time), to: b.Time}
	elapsed := s.to.Sub(s.from)
	advance, ok := advance(a, b, into)
	switch {
	case ok && believable(advance, elapsed, maxPortMW):
		s.mWh = advance
	case elapsed <= r.MaxGap:
		s.mWh = trapezoid(a.PowerMW, b.PowerMW, elapsed)
		s.estimated = ok
	default:
		s.estimated = true
	}
	return s
}

// advance gives how far the port's register moved; ok is false where the two
// samples share none. See measure for into.
func advance(a, b *Sample, into *OpenSession) (mWh int64, ok bool) {
	switch {
	case a.Has.Has(devices.HasEnergy) && b.Has.Has(devices.HasEnergy):
		return between(a.EnergyMWh, b.EnergyMWh), true
	case b.Has.Has(devices.HasOrderEnergy):
		same := a.Has.Has(devices.HasOrderEnergy) && (a.Order == b.Order || a.Order == "" || b.Order == "")
		if into != nil && (!same || b.OrderMWh < a.OrderMWh || into.NewOrder && a.Order != into.Order) {
			return b.OrderMWh, true // the order began between the two
		}
		return between(a.OrderMWh, b.OrderMWh), same
	}
	return 0, false
}

// between is a register's advance; one below zero has none that can be believed.
func between(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return b - a
}

// believable reports whether max_port_w x 1.5 could have delivered the advance
// in the time, with 10 Wh to spare.
func believable(mWh int64, elapsed time.Duration, maxPortMW int64) bool {
	ms := min(elapsed, 30*24*time.Hour).Milliseconds() // so that the product fits
	return mWh >= 0 && mWh <= maxPortMW*3*ms/7_200_000+10_000
}

// trapezoid is the energy of a power that moved evenly from a to b, rounded half
// up to the mWh; never negative.
func trapezoid(aMW, bMW int64, d time.Duration) int64 {
	return max(0, ((aMW+bMW)*d.Milliseconds()+3_600_000)/7_200_000)
}

// add counts a step in the session's sums.
func (o *OpenSession) add(r *rules, s step) {
	o.EnergyMWh += s.mWh
	if s.estimated {
		o.Quality |= Estimated
	}
	switch {
	case len(o.Bands) == 0 || s.mWh == 0:
	case len(o.Bands) == 1:
		o.Bands[0].EnergyMWh += s.mWh
	default:
		o.divide(r, s)
	}
}

// divide divides a step over the bands of the session's tariff.
func (o *OpenSession) divide(r *rules, s step) {
	if at := r.stretchAt(o.Plan, s.from); s.to <= at.until {
		o.Bands[at.band].EnergyMWh += s.mWh
		return
	}
	into := make([]int64, len(o.Bands))
	o.Plan.Split(r.loc, s.from, s.to, s.mWh, into)
	for i, e := range into {
		o.Bands[i].EnergyMWh += e
	}
}

// stretch is a time without a change of the price.
type stretch struct {
	plan        *tariff.Tariff
	band        int
	from, until devices.Millis
}

// stretchAt gives the stretch from an instant on: most often the one that the
// step before was in, for all ports live at about the same time.
func (r *rules) stretchAt(plan *tariff.Tariff, at devices.Millis) *stretch {
	if w := &r.latest; plan != w.plan || at < w.from || at >= w.until {
		band, until := plan.Segment(r.loc, at)
		*w = stretch{plan, band, at, until}
	}
	return &r.latest
}

// bands gives a tariff's bands with nothing in them.
func bands(t *tariff.Tariff) []Band {
	if t == nil {
		return nil
	}
	bs := make([]Band, len(t.Bands))
	for i, b := range t.Bands {
		bs[i] = Band{Name: b.Name, Price: b.Price}
	}
	return bs
}

// price sets the fees of a session that has ended, from its bands and the tariff
// fixed at its start.
func (s *Session) price(t *tariff.Tariff) {
	if t == nil {
		return
	}
	mWh := make([]int64, len(s.Bands))
	for i, b := range s.Bands {
		mWh[i] = b.EnergyMWh
	}
	s.ElectricityFen = t.Electricity(mWh)
	s.ServiceFen = t.Service(s.EnergyMWh, s.Duration(), s.PeakMW)
}
