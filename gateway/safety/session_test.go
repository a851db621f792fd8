package safety

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

func TestExcessEnergyRisesWithTheSession(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, during("0", "11h", 500), 12*time.Hour)
		if got := r.words("excess_energy"); got != "warning critical cleared" {
			t.Fatalf("told %v", r.told("excess_energy"))
		}
		// 3.2 kWh at 500 W are 6 h 24 min; a report may be late, and the noise is small.
		r.within("excess_energy", 380*time.Minute, 388*time.Minute+2*p.every)
		f := r.raised("excess_energy")
		var ev struct {
			EnergyWh float64      `json:"energy_wh"`
			LimitWh  float64      `json:"limit_wh"`
			Curve    [][2]float64 `json:"curve"`
		}
		if err := json.Unmarshal(f.Evidence, &ev); err != nil {
			t.Fatal(err)
		}
		if ev.LimitWh != 3200 || ev.EnergyWh < 3200 || ev.EnergyWh > 3300 {
			t.Errorf("evidence %+v", ev)
		}
		if n := len(ev.Curve); n < 25 || n > sketchSize {
			t.Errorf("%d points for the whole session", n)
		}
	})
}

func TestTheRegisteredPackSetsTheLimit(t *testing.T) {
	for _, c := range []struct {
		card    string
		minutes float64 // until the warning, at 400 W; 0 for none in 11 hours
	}{
		{"04A1B2C3", 1.3 * 960 / 0.8 / 400 * 60}, // 1,560 Wh
		{"TRICYCLE", 0},                          // 5,655 Wh
		{"COURIER1", 3200.0 / 400 * 60},          // two packs: the general limit
		{"STRANGER", 3200.0 / 400 * 60},
	} {
		t.Run(c.card, func(t *testing.T) {
			rising := during("0", "11h", 400) // for longer than any battery: the other rules wait
			r := newRig(t, threshold("resistive_load", "flat_h", 100), threshold("over_time", "warn_h", 100), threshold("over_time", "critical_h", 100))
			r.play(report{every: time.Minute, digits: 1, register: true}, rising, 11*time.Hour, cardOf(c.card))
			if c.minutes == 0 {
				r.quiet()
				return
			}
			f := r.raised("excess_energy")
			if got := f.RaisedAt.Sub(t0).Minutes(); math.Abs(got-c.minutes) > 1.5 {
				t.Errorf("raised after %.1f min, want %.1f", got, c.minutes)
			}
			if f.Severity != "warning" {
				t.Errorf("severity %s", f.Severity)
			}
		})
	}
}

func TestEnergyIsThatOfTheRegisterWherePowerIsNotKnown(t *testing.T) {
	// The pile is away for 5 hours and its register says what it delivered.
	r := newRig(t, threshold("excess_energy", "warn_kwh", 1))
	r.play(report{every: time.Minute, digits: 1, register: true}, func(d time.Duration) float64 {
		if d > time.Hour && d < 6*time.Hour {
			return 300
		}
		return 150
	}, time.Hour)
	if got := r.told("excess_energy"); got != nil {
		t.Fatalf("told %v", got)
	}
	r.read(at("6h"), 150, func(x *devices.Reading) { x.EnergyMWh, x.Has = 1_650_000, devices.HasEnergy })
	r.e.Settle(r.collect)
	if got := r.words("excess_energy"); got != "warning" {
		t.Errorf("told %v", r.told("excess_energy"))
	}
}

func TestWhatTheRegisterDidBeforeIsNotTheSessions(t *testing.T) {
	r := newRig(t)
	register := func(mWh int64) func(*devices.Reading) {
		return func(x *devices.Reading) { x.EnergyMWh, x.Has = mWh, devices.HasEnergy }
	}
	r.read(at("0"), 0, register(0))
	for m := range 30 { // unheard for 10 hours, in which others charged
		r.read(at("10h").Add(time.Duration(m)*time.Minute), 150, register(6_000_000+int64(m)*2500))
	}
	r.e.Settle(r.collect)
	r.quiet()
}

func TestASessionThatReopensHasItsEnergy(t *testing.T) {
	r := newRig(t, threshold("excess_energy", "warn_kwh", 1))
	register := func(mWh int64) func(*devices.Reading) {
		return func(x *devices.Reading) { x.EnergyMWh, x.Has = mWh, devices.HasEnergy }
	}
	for m := range 60 {
		r.read(t0.Add(time.Duration(m)*time.Minute), 200, register(int64(m)*3333))
	}
	r.step(ledger.Entry{Kind: ledger.KindTick, Received: at("8h")}) // taken for lost
	when := at("5h30m")                                             // and then what it said in the meantime arrives
	x := devices.Reading{Pile: "P01", Port: 1, Time: when, DeviceTime: true, PowerMW: 200_000}
	register(1_100_000)(&x)
	r.step(ledger.Entry{Kind: ledger.KindReading, Received: at("8h1m"), Reading: x})
	r.e.Settle(r.collect)
	if f := r.raised("excess_energy"); f.SessionID != "P01-1-20261123T120000Z" || f.RaisedAt != when {
		t.Errorf("flag %+v", f)
	}
}

func TestAJumpOfTheRegisterIsNoEnergy(t *testing.T) {
	r := newRig(t)
	for m := range 120 {
		r.read(t0.Add(time.Duration(m)*time.Minute), 150, func(x *devices.Reading) {
			x.EnergyMWh, x.Has = int64(m)*2500, devices.HasEnergy
			if m >= 60 {
				x.EnergyMWh += 9_000_000
			}
		})
	}
	r.quiet()
}

func TestOverTimeCountsOnlyDrawing(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, during("0", "10h30m", 90), 11*time.Hour)
		if got := r.words("over_time"); got != "warning critical cleared" {
			t.Fatalf("told %v", r.told("over_time"))
		}
		r.within("over_time", 8*time.Hour, 8*time.Hour+8*time.Minute+2*p.every)
		if f := r.last("over_time"); f.Suspicion != "overlong" || f.ClearedAt < at("10h30m") {
			t.Errorf("flag %+v", f)
		}
	})
}

func TestFullLongBeforeIsNotOverTime(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, charger(200, 5*time.Hour), 20*time.Hour) // floats at 14 W for 12 hours
		r.quiet()
	})
}

func TestOverTimeGoesOnAfterAnInterruption(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, func(d time.Duration) float64 {
			if d > 4*time.Hour && d < 4*time.Hour+8*time.Minute {
				return 0
			}
			return 120
		}, 9*time.Hour)
		r.within("over_time", 8*time.Hour+2*time.Minute, 8*time.Hour+20*time.Minute+2*p.every)
	})
}

func TestOverTimeBeginsAgainWithAnotherBike(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, func(d time.Duration) float64 {
			switch {
			case d < 5*time.Hour:
				return 120
			case d < 5*time.Hour+8*time.Minute:
				return 0
			}
			return 180
		}, 12*time.Hour)
		if got := r.told("over_time"); got != nil {
			t.Errorf("told %v", got)
		}
	})
}

func TestAHoleDoesNotStopTheClockOfALongCharge(t *testing.T) {
	// It goes on to its taper while nobody hears it; without a register that time is not counted.
	r := newRig(t)
	r.play(report{every: time.Minute, digits: 1}, func(d time.Duration) float64 {
		switch {
		case d < 5*time.Hour:
			return 300
		case d < 5*time.Hour+40*time.Minute:
			return math.NaN()
		}
		return 200
	}, 9*time.Hour)
	r.within("over_time", 8*time.Hour+39*time.Minute, 8*time.Hour+43*time.Minute)
}

func TestASessionThatClosesClearsItsFlags(t *testing.T) {
	r := newRig(t)
	r.play(report{every: time.Minute, digits: 1}, during("0", "12h", 400), 9*time.Hour)
	open := map[string]bool{}
	for _, c := range r.log {
		open[c.Flag.ID] = !c.Cleared
	}
	if !open[r.raised("over_time").ID] || !open[r.raised("excess_energy").ID] {
		t.Fatalf("before the end: %v", open)
	}
	r.event(devices.EventStop, at("9h1m"), func(e *devices.Event) { e.Reason = "remote" })
	for _, rule := range []string{"over_time", "excess_energy"} {
		if f := r.last(rule); f.ClearedAt != at("9h1m") {
			t.Errorf("%s was cleared at %v", rule, f.ClearedAt)
		}
	}
	n := len(r.log)
	r.read(at("9h2m"), 0)
	r.read(at("9h3m"), 0)
	r.e.Settle(r.collect)
	if len(r.log) != n {
		t.Errorf("afterwards: %v", r.log[n:])
	}
}

func TestWhatHappenedBeforeTheEndIsNotToldOfTheEmptyPort(t *testing.T) {
	r := newRig(t)
	for m := range 30 {
		r.read(t0.Add(time.Duration(m)*time.Minute), 1500, func(x *devices.Reading) { x.State = devices.StateCharging })
	}
	r.read(at("30m"), 0, func(x *devices.Reading) { x.State = devices.StateIdle })
	for m := 31; m < 60; m++ {
		r.read(t0.Add(time.Duration(m)*time.Minute), 0, func(x *devices.Reading) { x.State = devices.StateIdle })
	}
	r.e.Settle(r.collect)
	for _, rule := range []string{"over_power", "hot_burst"} {
		if got := r.words(rule); got != "critical cleared" {
			t.Errorf("%s: told %v", rule, r.told(rule))
		}
	}
}

func TestLateReadingsChangeNothing(t *testing.T) {
	play := func(late bool) []FlagChange {
		r := newRig(t)
		for m := range 200 {
			w := 150.0
			if m > 60 {
				w = 300
			}
			r.read(t0.Add(time.Duration(m)*time.Minute), w)
			if late && m%7 == 3 {
				r.read(t0.Add(time.Duration(m)*time.Minute-90*time.Second), 2500)
			}
		}
		r.e.Settle(r.collect)
		return r.log
	}
	want, got := play(false), play(true)
	if len(want) == 0 || string(asJSON(t, want)) != string(asJSON(t, got)) {
		t.Errorf("without late readings %s\nwith them %s", asJSON(t, want), asJSON(t, got))
	}
}

func TestReadingsTimedByReceiptGoInOrderOfArrival(t *testing.T) {
	r := newRig(t)
	for m := range 120 {
		w := 150.0
		if m > 60 {
			w = 300
		}
		r.read(t0.Add(time.Duration(m)*time.Minute), w, func(x *devices.Reading) { x.DeviceTime = false })
	}
	r.e.Settle(r.collect)
	if got := r.words("second_load"); got != "warning" {
		t.Errorf("told %v", r.told("second_load"))
	}
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
