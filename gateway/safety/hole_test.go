package safety

import (
	"math"
	"testing"
	"time"

	"pilewatch/devices"
)

// without takes spans out of a curve: nothing is reported in them, and the port goes on.
func without(f curve, long time.Duration, from ...time.Duration) curve {
	return func(d time.Duration) float64 {
		for _, at := range from {
			if d > at && d < at+long {
				return math.NaN()
			}
		}
		return f(d)
	}
}

// Three holes at an even beat: the power was the same before and after each.
func TestAHoleIsNoRestOfAnAppliance(t *testing.T) {
	for _, every := range []time.Duration{30 * time.Second, time.Minute} {
		r := newRig(t)
		r.play(report{every: every, digits: 1}, without(charger(240, 5*time.Hour), 9*time.Minute, 20*time.Minute, 42*time.Minute, 64*time.Minute), 3*time.Hour)
		r.quiet()
	}
}

// A taper behind a hole is held against what the charge drew before it, wherever
// the hole is: its float is no stand.
func TestATaperGoesOnBehindAHole(t *testing.T) {
	floats := func(d time.Duration) float64 { return max(charger(240, 2*time.Hour)(d), 26) }
	for _, every := range []time.Duration{30 * time.Second, time.Minute} {
		for from := 30 * time.Minute; from < 5*time.Hour; from += 10 * time.Minute {
			r := newRig(t)
			r.play(report{every: every, noise: 0.01, digits: 1}, without(floats, 13*time.Minute, from), 7*time.Hour)
			r.quiet()
		}
	}
}

// Whatever was missing: a fall that stands still is seen.
func TestAFallThatStandsIsSeenBehindAHole(t *testing.T) {
	strip := plus(charger(150, time.Hour), charger(150, 5*time.Hour))
	for _, every := range []time.Duration{30 * time.Second, time.Minute} {
		r := newRig(t)
		r.play(report{every: every, digits: 1}, without(strip, 13*time.Minute, 100*time.Minute), 5*time.Hour)
		r.within("two_tapers", 113*time.Minute, 4*time.Hour)
	}
}

// A fast charger is one charger, however often the network fails.
func TestHolesDoNotMakeAFastChargerTwo(t *testing.T) {
	for _, every := range []time.Duration{30 * time.Second, time.Minute} {
		r := newRig(t)
		holes := []time.Duration{20 * time.Minute, 33 * time.Minute, 51 * time.Minute, 70 * time.Minute, 95 * time.Minute}
		r.play(report{every: every, digits: 1}, without(charger(750, 2*time.Hour), 6*time.Minute, holes...), 4*time.Hour)
		r.quiet()
	}
}

// A smaller bike that was plugged in while nothing was heard begins a charge of its own.
func TestAnotherBikeBehindAHoleRaisesNothing(t *testing.T) {
	swap := func(d time.Duration) float64 {
		if d < 50*time.Minute {
			return charger(260, 5*time.Hour)(d)
		}
		return charger(130, 3*time.Hour)(d - 50*time.Minute)
	}
	r := newRig(t)
	r.play(report{every: time.Minute, digits: 1}, without(swap, 13*time.Minute, 40*time.Minute), 6*time.Hour)
	r.quiet()
}

// A reading that is timed by its receipt comes late once: its register then stood
// still for longer than it did. The charger draws on, and was not off.
func TestARegisterThatCameLateIsNoApplianceThatWasOff(t *testing.T) {
	for _, late := range []time.Duration{45 * time.Second, 90 * time.Second, 3 * time.Minute} {
		r := newRig(t)
		f := charger(700, 2*time.Hour)
		wh := 0.0
		for i := range 120 {
			d := time.Duration(i) * time.Minute
			if wh += f(d) / 60; i >= 6 {
				d += late
			}
			r.read(t0.Add(d), math.Round(f(d)), func(x *devices.Reading) { x.EnergyMWh, x.Has = int64(wh*1000), devices.HasEnergy })
		}
		r.quiet()
	}
}

// What is left of a charge after a power cut floats at some watts and fades by one
// now and then: a step of the report is no second taper.
func TestAFloatInWholeWattsIsNoSecondTaper(t *testing.T) {
	f := func(d time.Duration) float64 {
		switch {
		case d < 70*time.Minute:
			return charger(140, 20*time.Minute)(d)
		case d < 90*time.Minute:
			return 0
		}
		switch m := (d - 90*time.Minute).Minutes(); {
		case m < 60:
			return max(14, 38*math.Exp(-m/25))
		case m < 67:
			return 13
		}
		return 12
	}
	for _, every := range []time.Duration{30 * time.Second, time.Minute} {
		r := newRig(t)
		r.play(report{every: every, digits: 1}, f, 6*time.Hour)
		r.quiet()
	}
}

// The voltage of a lithium pack rises last within some minutes: by 6 % between two
// reports at 300 s, which is no second load. One of 40 % is, also there.
func TestTheLastRiseOfALithiumChargeIsNoStep(t *testing.T) {
	knee := func(d time.Duration) float64 {
		w := charger(300, 2*time.Hour)(d)
		if d > 95*time.Minute && d < 2*time.Hour {
			w *= 1 + 0.06*min(1, (d-95*time.Minute).Minutes()/5)
		}
		return w
	}
	r := newRig(t)
	r.play(report{every: 5 * time.Minute, digits: 1, register: true}, knee, 4*time.Hour)
	r.quiet()
	two := newRig(t)
	two.play(report{every: 5 * time.Minute, digits: 1, register: true}, plus(charger(300, 4*time.Hour), later("95m", charger(120, 2*time.Hour))), 3*time.Hour)
	two.within("second_load", 95*time.Minute, 125*time.Minute)
}

// At 300 s a pulse that tops up a full battery is one report, and so is the next.
func TestWhatTopsUpABatteryHasNoBeat(t *testing.T) {
	pulses := func(d time.Duration) float64 {
		if d > 4*time.Hour && d%(30*time.Minute) < 4*time.Minute {
			return 48
		}
		if d > 3*time.Hour {
			return 5.5
		}
		return charger(190, 90*time.Minute)(d)
	}
	r := newRig(t)
	r.play(report{every: 5 * time.Minute, digits: 1}, pulses, 8*time.Hour)
	r.quiet()
}
