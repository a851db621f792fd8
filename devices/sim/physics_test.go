package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The table of charger electricity: peak W, kWh and hours, each from-to.
var packTable = map[string][3][2]float64{
	"48V12Ah lead":    {{110, 130}, {0.75, 0.75}, {7, 9}},
	"48V20Ah lead":    {{180, 210}, {1.25, 1.25}, {7, 9}},
	"60V20Ah lead":    {{230, 260}, {1.55, 1.55}, {7, 9}},
	"72V20Ah lead":    {{280, 310}, {1.9, 1.9}, {7, 9}},
	"72V32Ah lead":    {{430, 500}, {3.0, 3.0}, {7, 9}},
	"48V12Ah lithium": {{110, 310}, {0.67, 1.35}, {3, 7}},
	"48V20Ah lithium": {{110, 310}, {0.67, 1.35}, {3, 7}},
	"48V24Ah lithium": {{110, 310}, {0.67, 1.35}, {3, 7}},
	"60V20Ah lithium": {{240, 400}, {1.4, 2.1}, {4, 7}},
	"60V30Ah lithium": {{240, 400}, {1.4, 2.1}, {4, 7}},
}

func TestFullChargesFollowTheTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, pack := range Packs() {
		name := pack.Name + map[Chemistry]string{LeadAcid: " lead", Lithium: " lithium"}[pack.Chemistry]
		row, ok := packTable[name]
		if !ok {
			t.Fatalf("%s is not in the table", name)
		}
		for range 200 {
			checkFullCharge(t, name, row, NewCharger(pack, r))
		}
		delete(packTable, name)
	}
	if len(packTable) != 0 {
		t.Errorf("no pack for %v", packTable)
	}
}

func checkFullCharge(t *testing.T, name string, row [3][2]float64, c Charger) {
	t.Helper()
	curve := c.Curve(Battery{TempC: 20})
	main := curve.Duration() - c.FloatFor
	step := main / 2000
	var kwh, peak float64
	var bulkEnd time.Duration
	for at := time.Duration(0); at < main; at += step { // an integral of its own
		w := float64(curve.PowerMW(at)) / 1000
		if kwh += w * step.Hours() / 1000; w > peak {
			peak, bulkEnd = w, at
		}
	}
	within := func(what string, got float64, bounds [2]float64, slack float64) {
		t.Helper()
		if got < bounds[0]*(1-slack) || got > bounds[1]*(1+slack) {
			t.Errorf("%s: %s = %.3f, want %v (%+v)", name, what, got, bounds, c)
		}
	}
	within("kWh", kwh, row[1], 0.01)
	within("peak W", peak, row[0], 0)
	within("hours", main.Hours(), row[2], 0)
	if got := float64(curve.EnergyMWh(main)) / 1e6; math.Abs(got/kwh-1) > 0.002 {
		t.Errorf("%s: register says %.4f kWh, the power adds up to %.4f", name, got, kwh)
	}
	if c.Pack.Chemistry == Lithium {
		within("share of constant current", bulkEnd.Hours()/main.Hours(), [2]float64{0.75, 0.85}, 0.01)
		within("last W", float64(curve.PowerMW(main-time.Second))/1000, [2]float64{3, 8}, 0)
		return
	}
	within("share of constant current", bulkEnd.Hours()/main.Hours(), [2]float64{0.60, 0.75}, 0.01)
	within("rise", peak/(float64(curve.PowerMW(0))/1000), [2]float64{1.08, 1.15}, 0.003)
	floatW := float64(curve.PowerMW(main+time.Minute)) / 1000
	within("float W", floatW, [2]float64{8, 30}, 0.001)
	within("float hours", c.FloatFor.Hours(), [2]float64{1, 3}, 0)
}

func TestTimeConstantsAreThoseOfChargers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, pack := range Packs() {
		bounds := [2]float64{40, 70}
		if pack.Chemistry == Lithium {
			bounds = [2]float64{20, 65}
		}
		for range 100 {
			c := NewCharger(pack, r)
			c.Pulse = false
			curve := c.Curve(Battery{TempC: 20})
			floor := c.Float * c.PeakW
			// From where the fall is well under way: ln of the excess over the floor.
			from := curve.Duration() - c.FloatFor - 40*time.Minute
			a := float64(curve.PowerMW(from))/1000 - floor
			b := float64(curve.PowerMW(from+20*time.Minute))/1000 - floor
			if tau := 20 / math.Log(a/b); tau < bounds[0]*0.99 || tau > bounds[1]*1.01 {
				t.Errorf("%s: time constant %.1f min, want %v", pack.Name, tau, bounds)
			}
		}
	}
}

func TestPartialChargeIsTheRestOfAFullOne(t *testing.T) {
	c := NewCharger(Packs()[1], rand.New(rand.NewPCG(5, 6)))
	full := c.Curve(Battery{TempC: 20})
	for _, soc := range []float64{0.1, 0.5, 0.8, 0.95} {
		rest := c.Curve(Battery{Charge: soc, TempC: 20})
		missing := full.EnergyMWh(full.Duration()) - rest.EnergyMWh(rest.Duration())
		if want := int64(soc * 1_250_000); abs(missing-want) > 200 {
			t.Errorf("at %.0f %%: %d mWh less than a full charge, want %d", soc*100, missing, want)
		}
		for _, before := range []time.Duration{time.Minute, time.Hour, 90 * time.Minute} {
			a, b := full.PowerMW(full.Duration()-before), rest.PowerMW(rest.Duration()-before)
			if abs(a-b) > 20 {
				t.Errorf("at %.0f %%, %s before the end: %d mW, in a full charge %d", soc*100, before, b, a)
			}
		}
	}
}

func TestColdAndAgeStretchTheTaper(t *testing.T) {
	c := NewCharger(Packs()[2], rand.New(rand.NewPCG(7, 8)))
	c.Pulse = false
	taper := func(b Battery) (length time.Duration, kwh float64) {
		curve := c.Curve(b)
		end := curve.Duration() - c.FloatFor
		for at := end; at > 0; at -= time.Minute {
			if curve.PowerMW(at) > int64(0.995*1000*c.PeakW) {
				return end - at, float64(curve.EnergyMWh(end)) / 1e6
			}
		}
		t.Fatal("the curve has no peak")
		return
	}
	usual, kwh := taper(Battery{TempC: 20})
	for name, b := range map[string]Battery{"cold": {TempC: -5}, "aged": {TempC: 20, Health: 0.7}} {
		if length, less := taper(b); length < usual*11/10 || less > kwh*0.95 {
			t.Errorf("%s: taper of %s and %.2f kWh; usual are %s and %.2f", name, length, less, usual, kwh)
		}
	}
}

func TestPulseChargerFallsInSteps(t *testing.T) {
	c := NewCharger(Packs()[1], rand.New(rand.NewPCG(9, 9)))
	c.Pulse = false
	smooth := c.Curve(Battery{TempC: 20})
	c.Pulse = true
	pulse := c.Curve(Battery{TempC: 20})
	levels := map[int64]bool{}
	for at := pulse.Duration() - c.FloatFor - 2*time.Hour; at < pulse.Duration(); at += time.Minute {
		levels[pulse.PowerMW(at)] = true
	}
	if len(levels) < 5 || len(levels) > 10 {
		t.Errorf("%d levels in the last two hours of the taper", len(levels))
	}
	a, b := smooth.EnergyMWh(smooth.Duration()), pulse.EnergyMWh(pulse.Duration())
	if abs(a-b) > 100 {
		t.Errorf("pulses take %d mWh, a smooth taper %d", b, a)
	}
}

func TestRunawayNeverEnds(t *testing.T) {
	for _, pack := range Packs()[:5] {
		c := NewCharger(pack, rand.New(rand.NewPCG(10, 1)))
		curve := c.Curve(Battery{Charge: 0.4, TempC: 20, Runaway: true})
		if w := float64(curve.PowerMW(20*time.Hour)) / 1000; w < 0.4*c.PeakW || w > 0.6*c.PeakW {
			t.Errorf("%s draws %.0f W after 20 hours, with a peak of %.0f", pack.Name, w, c.PeakW)
		}
	}
}

func TestAppliancesDrawWhatIsSold(t *testing.T) {
	for _, c := range []struct {
		name     string
		make     func(*rand.Rand, time.Duration) *Curve
		on       [2]float64 // W
		switches [2]int     // in 2 hours
	}{
		{"kettle", Kettle, [2]float64{1500, 1800}, [2]int{0, 0}},
		{"hair dryer", HairDryer, [2]float64{800, 2000}, [2]int{0, 0}},
		{"heater", Heater, [2]float64{800, 2000}, [2]int{0, 0}},
		{"small heater", SmallHeater, [2]float64{350, 550}, [2]int{0, 0}},
		{"thermostat", Thermostat, [2]float64{800, 2000}, [2]int{12, 40}},
		{"induction hob", InductionHob, [2]float64{1200, 2000}, [2]int{240, 1440}},
		{"rice cooker", RiceCooker, [2]float64{500, 900}, [2]int{10, 100}},
		{"fridge", Fridge, [2]float64{60, 150}, [2]int{2, 12}},
		{"air conditioner", AirConditioner, [2]float64{600, 1200}, [2]int{4, 16}},
	} {
		for seed := range uint64(30) {
			curve := c.make(rand.New(rand.NewPCG(seed, 1)), 2*time.Hour)
			if curve.Duration() != 2*time.Hour {
				t.Fatalf("%s runs for %s, not for 2 hours", c.name, curve.Duration())
			}
			var peak, last int64
			switches := 0
			for at := time.Duration(0); at < 2*time.Hour; at += time.Second {
				mw := curve.PowerMW(at)
				if at > 0 && mw != last {
					switches++
				}
				peak, last = max(peak, mw), mw
			}
			if w := float64(peak) / 1000; w < c.on[0] || w > c.on[1] || switches < c.switches[0] || switches > c.switches[1] {
				t.Errorf("%s: %.0f W and %d switchings, want %v and %v", c.name, w, switches, c.on, c.switches)
			}
		}
	}
}

// A register is read at odd times; what it says must not depend on them.
func TestEnergyIsTheIntegralOfPower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		c := NewCharger(packs[rapid.IntRange(0, len(packs)-1).Draw(t, "pack")], r)
		curve := c.Curve(Battery{Charge: rapid.Float64Range(0, 0.95).Draw(t, "charge"), TempC: 20})
		from := rapid.Int64Range(0, curve.end-1).Draw(t, "from")
		length := rapid.Int64Range(1, 10*minute).Draw(t, "length")
		_, a := curve.at(from)
		_, b := curve.at(from + length)
		var sum float64
		const steps = 500
		for i := range steps {
			mw, _ := curve.at(from + length*int64(2*i+1)/(2*steps))
			sum += mw * float64(length) / steps
		}
		if math.Abs(float64(b-a)-sum) > 1e-3*sum+float64(length)*500 {
			t.Fatalf("from %d ms for %d ms: register %d, power %.0f mW·ms", from, length, b-a, sum)
		}
	})
}

func abs(x int64) int64 { return max(x, -x) }
