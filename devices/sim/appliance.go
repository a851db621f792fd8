package sim

import (
	"math/rand/v2"
	"time"
)

// The appliances below draw their rating from r, within what is sold, and run for d.

// Kettle is a square of 1,500 to 1,800 W.
func Kettle(r *rand.Rand, d time.Duration) *Curve { return flat(between(r, 1500, 1800), d, 1) }

// HairDryer is a square of 1,250 to 2,000 W.
func HairDryer(r *rand.Rand, d time.Duration) *Curve { return flat(between(r, 1250, 2000), d, 0.98) }

// Heater is a flat 800 to 1,600 W.
func Heater(r *rand.Rand, d time.Duration) *Curve { return flat(between(r, 800, 1600), d, 1) }

// SmallHeater is a flat 350 to 550 W, no more than a large charger draws.
func SmallHeater(r *rand.Rand, d time.Duration) *Curve { return flat(between(r, 350, 550), d, 1) }

// Thermostat is a heater of 900 to 1,600 W that warms up for 10 to 20 minutes and cycles then.
func Thermostat(r *rand.Rand, d time.Duration) *Curve {
	c, watts := &Curve{pf: 1}, between(r, 900, 1600)
	c.hold(min(spell(r, 10, 20), d.Milliseconds()), watts)
	c.hold(min(spell(r, 3, 6), d.Milliseconds()-c.end), 0)
	return cycle(r, c, d, watts, 0, [4]float64{3, 8, 3, 8})
}

// InductionHob switches 1,200 to 2,000 W on and off every 5 to 30 seconds.
func InductionHob(r *rand.Rand, d time.Duration) *Curve {
	return cycle(r, &Curve{pf: 0.97}, d, between(r, 1200, 2000), 15, [4]float64{5. / 60, 0.5, 5. / 60, 0.5})
}

// RiceCooker cooks with 500 to 900 W for 20 to 30 minutes, then keeps warm with 30 to 60 W.
func RiceCooker(r *rand.Rand, d time.Duration) *Curve {
	c := &Curve{pf: 1}
	c.hold(min(spell(r, 20, 30), d.Milliseconds()), between(r, 500, 900))
	return cycle(r, c, d, between(r, 30, 60), 1, [4]float64{1, 3, 2, 6})
}

// Fridge runs its compressor of 60 to 150 W for 10 to 25 minutes and rests for 15 to 40.
func Fridge(r *rand.Rand, d time.Duration) *Curve {
	return cycle(r, &Curve{pf: 0.75}, d, between(r, 60, 150), 1.5, [4]float64{10, 25, 15, 40})
}

// AirConditioner runs at 600 to 1,200 W for 12 to 25 minutes and fans at 40 W in between.
func AirConditioner(r *rand.Rand, d time.Duration) *Curve {
	return cycle(r, &Curve{pf: 0.9}, d, between(r, 600, 1200), 40, [4]float64{12, 25, 5, 12})
}

// TricycleCharger is the charger of a cargo e-tricycle, 540 to 580 W for over 4 kWh.
func TricycleCharger(r *rand.Rand) Charger { return NewCharger(tricycle, r) }

func flat(watts float64, d time.Duration, pf float64) *Curve {
	c := &Curve{pf: pf}
	c.hold(d.Milliseconds(), watts)
	return c
}

// cycle fills c up to d with turns of on and off, of on[0]-on[1] and on[2]-on[3] minutes.
func cycle(r *rand.Rand, c *Curve, d time.Duration, watts, rest float64, on [4]float64) *Curve {
	for c.end < d.Milliseconds() {
		c.hold(min(spell(r, on[0], on[1]), d.Milliseconds()-c.end), watts)
		c.hold(min(spell(r, on[2], on[3]), d.Milliseconds()-c.end), rest)
	}
	return c
}
