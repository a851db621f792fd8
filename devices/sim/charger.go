package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Chemistry is what a battery is made of.
type Chemistry uint8

// The chemistries of e-bike packs.
const (
	LeadAcid Chemistry = iota
	Lithium
)

// Pack is a kind of battery with the charger that comes with it.
type Pack struct {
	Name      string // as it stands in the registry: 48V20Ah
	Chemistry Chemistry
	PeakW     float64 // AC, at the end of constant current
	Wh        float64 // AC, from empty to full, without float
}

// packs is the table of charger electricity; a range of packs stands by its members.
var packs = [...]Pack{
	{"48V12Ah", LeadAcid, 120, 750},
	{"48V20Ah", LeadAcid, 195, 1250},
	{"60V20Ah", LeadAcid, 245, 1550},
	{"72V20Ah", LeadAcid, 295, 1900},
	{"72V32Ah", LeadAcid, 465, 3000},
	{"48V12Ah", Lithium, 152, 670},
	{"48V20Ah", Lithium, 240, 1120},
	{"48V24Ah", Lithium, 285, 1350},
	{"60V20Ah", Lithium, 300, 1400},
	{"60V30Ah", Lithium, 388, 2100},
}

// tricycle is a cargo e-tricycle's pack: more than a bike's port is meant for.
var tricycle = Pack{"60V55Ah", LeadAcid, 560, 4300}

// Packs lists the packs of e-bikes.
func Packs() []Pack { return append([]Pack(nil), packs[:]...) }

// Charger is one charger: no two of a kind are quite the same, and each stays as it is.
type Charger struct {
	Pack     Pack
	PeakW    float64       // AC power at the end of constant current
	Rise     float64       // how far power rises in constant current, a share
	Bulk     float64       // the share of the time spent in constant current
	Float    float64       // lead-acid: float, a share of the peak
	FloatFor time.Duration // lead-acid: how long the float lasts
	EndW     float64       // lithium: the power at which it ends
	Pulse    bool          // falls in steps instead of a smooth taper
	PF       float64       // power factor
}

// NewCharger draws a charger of the pack's kind from r.
func NewCharger(pack Pack, r *rand.Rand) Charger {
	c := Charger{Pack: pack, PeakW: pack.PeakW * between(r, 0.96, 1.04)}
	if pack.Chemistry == Lithium {
		c.PeakW = pack.PeakW * between(r, 0.98, 1.02)
		c.Rise, c.Bulk = between(r, 0.04, 0.08), between(r, 0.75, 0.762)
		c.EndW, c.PF = between(r, 5.5, 7.9), between(r, 0.93, 0.98)
		return c
	}
	c.Rise, c.Bulk = between(r, 0.08, 0.15), between(r, 0.66, 0.72)
	c.Float = min(max(between(r, 0.05, 0.10), 8/c.PeakW), 30/c.PeakW)
	c.FloatFor = time.Duration(spell(r, 60, 95)) * time.Millisecond
	c.PF, c.Pulse = between(r, 0.60, 0.70), chance(r, 0.15)
	return c
}

// Battery is the state of a pack when it is plugged in.
type Battery struct {
	Charge  float64 // 0 empty to 1 full
	Health  float64 // share of its capacity that is left; 0 means 1
	TempC   float64 // under 20 °C it takes less, and its taper is longer
	Runaway bool    // the charger never ends: power stays at nearly half the peak
}

// Curve gives the charge of b from plugging in until the charger draws nothing;
// a Runaway one lasts two days.
func (c Charger) Curve(b Battery) *Curve {
	health, cold := b.Health, min(max(20-b.TempC, 0), 30)
	if health == 0 {
		health = 1
	}
	wh := c.Pack.Wh * health * (1 - 0.004*cold)
	count, mean := c.taper()
	tau := c.tau(count, mean) * (1 + 0.012*cold) * (1 + 0.5*(1-health))
	low := c.PeakW / (1 + c.Rise)
	bulk := (wh*float64(hour) - c.PeakW*mean*count*tau) / ((low + c.PeakW) / 2)

	full := &Curve{pf: c.PF}
	full.ramp(millis(bulk), low, c.PeakW)
	if b.Runaway {
		full.decay(2*day, c.PeakW, 0.45*c.PeakW, tau)
	} else {
		c.fall(full, count, tau)
	}
	return full.after(full.reach(int64(min(max(b.Charge, 0), 1) * wh * 1000 * float64(hour))))
}

// taper gives its length in time constants and its mean power as a share of the peak.
func (c Charger) taper() (count, mean float64) {
	count = 3.0
	if c.Pack.Chemistry == Lithium {
		count = math.Log(c.PeakW / c.EndW)
	}
	return count, c.Float + (1-c.Float)*(1-math.Exp(-count))/count
}

// tau gives the time constant in ms that lets a new pack at 20 °C take its energy
// with the charger's share of constant current.
func (c Charger) tau(count, mean float64) float64 {
	constant := (1 + 1/(1+c.Rise)) / 2
	hours := c.Pack.Wh / (c.PeakW * (constant*c.Bulk + mean*(1-c.Bulk)))
	return hours * float64(hour) * (1 - c.Bulk) / count
}

// fall adds the taper and the float.
func (c Charger) fall(to *Curve, count, tau float64) {
	length, floor := millis(count*tau), c.Float*c.PeakW
	if c.Pulse {
		const steps = 8
		smooth := &Curve{}
		smooth.decay(length, c.PeakW, floor, tau)
		for i := range int64(steps) {
			_, from := smooth.at(length * i / steps)
			_, until := smooth.at(length * (i + 1) / steps)
			to.hold(length/steps, float64(until-from)/float64(length/steps)/1000)
		}
	} else {
		to.decay(length, c.PeakW, floor, tau)
	}
	to.hold(c.FloatFor.Milliseconds(), floor)
}
