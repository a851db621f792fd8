package sim

import (
	"math"
	"time"
)

// millis is an instant in Unix milliseconds, or a time in milliseconds.
type millis = int64

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// perMWh is a milliwatt-hour in mW·ms, the unit in which energy is integrated.
const perMWh = hour

// Curve is the power that one load draws over time, from its switching on. It is
// a row of parts, each a line or an exponential, so that its integral is closed
// and does not depend on where it is sampled. A curve that was built does not change.
type Curve struct {
	parts []part
	end   millis
	total int64   // mW·ms of the whole
	pf    float64 // power factor
}

// part draws a+b*x mW, or with tau a+b*exp(-x/tau), x ms after from.
type part struct {
	from      millis
	energy    int64 // mW·ms before it
	a, b, tau float64
}

// PowerMW gives the power t after switching on, in mW; 0 outside the curve.
func (c *Curve) PowerMW(t time.Duration) int64 {
	mw, _ := c.at(t.Milliseconds())
	return int64(math.Round(mw))
}

// EnergyMWh gives the energy drawn in the first t, in mWh, cut off as a register cuts it.
func (c *Curve) EnergyMWh(t time.Duration) int64 {
	_, e := c.at(t.Milliseconds())
	return e / perMWh
}

// Duration gives the time after which nothing is drawn any more.
func (c *Curve) Duration() time.Duration { return time.Duration(c.end) * time.Millisecond }

// PowerFactor gives the load's power factor, over 0 and at most 1.
func (c *Curve) PowerFactor() float64 { return c.pf }

// at gives power in mW and the energy so far in mW·ms.
func (c *Curve) at(t millis) (mw float64, energy int64) {
	switch {
	case t < 0 || len(c.parts) == 0:
		return 0, 0
	case t >= c.end:
		return 0, c.total
	}
	lo, hi := 0, len(c.parts)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; c.parts[mid].from <= t {
			lo = mid
		} else {
			hi = mid
		}
	}
	p := &c.parts[lo]
	mw, e := p.after(float64(t - p.from))
	return mw, p.energy + e
}

func (p *part) after(x float64) (mw float64, energy int64) {
	if p.tau == 0 {
		return p.a + p.b*x, int64(math.Round(p.a*x + p.b*x*x/2))
	}
	fall := math.Exp(-x / p.tau)
	return p.a + p.b*fall, int64(math.Round(p.a*x + p.b*p.tau*(1-fall)))
}

func (c *Curve) add(length millis, a, b, tau float64) {
	if length <= 0 {
		return
	}
	p := part{from: c.end, energy: c.total, a: a, b: b, tau: tau}
	_, e := p.after(float64(length))
	c.parts = append(c.parts, p)
	c.end += length
	c.total += e
}

// hold draws watts for a time.
func (c *Curve) hold(length millis, watts float64) { c.add(length, watts*1000, 0, 0) }

// ramp goes from one power to another in a straight line.
func (c *Curve) ramp(length millis, from, to float64) {
	if length > 0 {
		c.add(length, from*1000, (to-from)*1000/float64(length), 0)
	}
}

// decay falls from one power towards a floor with the time constant tau.
func (c *Curve) decay(length millis, from, floor, tau float64) {
	c.add(length, floor*1000, (from-floor)*1000, tau)
}

// reach gives the time at which the energy e, in mW·ms, has been drawn.
func (c *Curve) reach(e int64) millis {
	lo, hi := millis(0), c.end
	for lo < hi {
		mid := (lo + hi) / 2
		if _, at := c.at(mid); at < e {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// after gives the rest of the curve from t on.
func (c *Curve) after(t millis) *Curve {
	rest := &Curve{pf: c.pf}
	for i := range c.parts {
		p, end := c.parts[i], c.end
		if i+1 < len(c.parts) {
			end = c.parts[i+1].from
		}
		if end <= t {
			continue
		}
		if x := float64(t - p.from); x > 0 {
			if p.tau == 0 {
				p.a += p.b * x
			} else {
				p.b *= math.Exp(-x / p.tau)
			}
		}
		rest.add(end-max(t, p.from), p.a, p.b, p.tau)
	}
	return rest
}
