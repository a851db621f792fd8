package safety

import (
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

func TestOverPowerRisesFromWarningToCriticalUnderOneID(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t, threshold("over_power", "charger_w", 600))
		r.play(p, plus(during("0", "40m", 700), during("40m", "2h", 1100)), 2*time.Hour)
		if got := r.words("over_power"); got != "warning critical" {
			t.Fatalf("told %v", r.told("over_power"))
		}
		first, second := r.raised("over_power"), r.last("over_power")
		if first.ID != second.ID || first.RaisedAt != second.RaisedAt {
			t.Errorf("the flag changed its identity: %s at %d, then %s at %d", first.ID, first.RaisedAt, second.ID, second.RaisedAt)
		}
		r.within("over_power", 5*time.Minute, 5*time.Minute+2*p.every+2*p.jitter)
	})
}

func TestOverPowerClearsWhenThePowerIsDown(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(during("0", "30m", 1100), during("0", "3h", 200)), 3*time.Hour)
		if got := r.words("over_power"); got != "critical cleared" {
			t.Fatalf("told %v", r.told("over_power"))
		}
		cleared := r.last("over_power").ClearedAt.Sub(t0)
		if cleared < 30*time.Minute || cleared > 36*time.Minute+2*p.every {
			t.Errorf("cleared after %v", cleared)
		}
	})
}

func TestAFastChargerIsToldAsInfoOnly(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, charger(880, 70*time.Minute), 4*time.Hour)
		if got := r.words("over_power"); got != "info cleared" {
			t.Errorf("told %v", r.told("over_power"))
		}
		r.quiet()
	})
}

func TestAHeaterIsNeverToldAsACharger(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(during("0", "20m", 0), during("20m", "1h", 1540)), time.Hour)
		if got := r.words("over_power"); strings.Contains(got, "info") || !strings.HasSuffix(got, "critical") {
			t.Errorf("told %v", r.told("over_power"))
		}
	})
}

func TestAFastChargerBecomesAWarningWhenSomethingIsAdded(t *testing.T) {
	r := newRig(t)
	r.play(reports()[0], plus(charger(650, 2*time.Hour), during("40m", "1h30m", 200)), 100*time.Minute)
	if got := r.words("over_power"); got != "info warning" {
		t.Fatalf("told %v", r.told("over_power"))
	}
	if got := r.last("over_power").Suspicion; got != "power_strip" {
		t.Errorf("suspicion %q", got)
	}
}

func TestASpikeRaisesNothing(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		p.miss, p.register = 0, false
		r := newRig(t)
		n := 0
		r.play(p, charger(180, 3*time.Hour), 2*time.Hour, func(x *devices.Reading) {
			if n++; n == 9 {
				x.PowerMW = 9_000_000
			}
		})
		r.quiet()
	})
}

func TestPowerWithoutASessionIsWatchedToo(t *testing.T) {
	r := newRig(t)
	r.play(reports()[0], during("0", "20m", 1500), 40*time.Minute, func(x *devices.Reading) { x.State = devices.StateIdle })
	for _, rule := range []string{"over_power", "hot_burst"} {
		f := r.raised(rule)
		if f.SessionID != "" || f.Household != "" || f.Building != "3" || f.Port != 1 {
			t.Errorf("%s stands at %+v", rule, f)
		}
		if got := r.words(rule); got != "critical cleared" {
			t.Errorf("%s: told %v", rule, r.told(rule))
		}
	}
}

func TestAKettleIsSeenWithinTwoMinutes(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		p.miss = 0
		r := newRig(t)
		r.play(p, plus(charger(150, 5*time.Hour), during("42m20s", "46m20s", 1600)), 2*time.Hour)
		switch {
		case p.every <= time.Minute:
			r.within("hot_burst", 42*time.Minute, 42*time.Minute+20*time.Second+2*p.every+2*p.jitter)
		case p.register:
			r.within("hot_burst", 42*time.Minute, 51*time.Minute)
		default:
			if got := r.words("hot_burst"); got != "" { // too coarse to tell from a spike
				t.Errorf("told %v", r.told("hot_burst"))
			}
			return
		}
		f := r.raised("hot_burst")
		if f.Severity != ledger.Critical || f.Suspicion != "appliance" || f.SessionID == "" {
			t.Errorf("flag %+v", f)
		}
		if got := r.words("hot_burst"); got != "critical cleared" {
			t.Errorf("told %v", r.told("hot_burst"))
		}
	})
}

func TestAKettleInAnEmptySessionHasItsSession(t *testing.T) {
	r := newRig(t)
	r.play(report{every: 30 * time.Second, digits: 1}, during("10m", "13m", 1700), 40*time.Minute)
	if f := r.raised("hot_burst"); f.SessionID != "P01-1-20261123T121000Z" || f.RaisedAt != at("10m30s") {
		t.Errorf("session %q, raised at %v", f.SessionID, f.RaisedAt.Sub(t0))
	}
}

func TestAHobThatGoesOnAndOffIsOneFlag(t *testing.T) {
	r := newRig(t)
	hob := func(d time.Duration) float64 {
		if d > 20*time.Minute && d < 40*time.Minute && int(d.Seconds())/30%3 == 0 {
			return 1900
		}
		return 20
	}
	r.play(report{every: 30 * time.Second, digits: 1}, hob, 80*time.Minute)
	if got := r.words("hot_burst"); got != "critical cleared" {
		t.Errorf("told %v", r.told("hot_burst"))
	}
}

func TestTooCoarseIsSaid(t *testing.T) {
	r := newRig(t)
	r.play(report{every: 300 * time.Second, digits: 1}, charger(150, time.Hour), 2*time.Hour)
	if got := strings.Join(r.e.TooCoarse()["P01"], " "); got != "hot_burst second_load cycling_load" {
		t.Errorf("at 300 s too coarse for %q", got)
	}
	r = newRig(t)
	r.play(report{every: 60 * time.Second, digits: 1}, charger(150, time.Hour), 2*time.Hour)
	if got := r.e.TooCoarse(); len(got) != 0 {
		t.Errorf("at 60 s too coarse for %v", got)
	}
}

func TestAPileThatReportsEverySecondGivesTheSameFlags(t *testing.T) {
	f := plus(charger(180, 6*time.Hour), during("50m", "2h", 150), during("90m", "94m", 1600))
	for _, every := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second} {
		r := newRig(t)
		r.play(report{every: every, noise: 0.01, digits: 0.1, register: true}, f, 3*time.Hour)
		r.within("second_load", 50*time.Minute, 57*time.Minute)
		r.within("hot_burst", 90*time.Minute, 92*time.Minute)
		for rule, want := range map[string]string{"second_load": "warning cleared", "hot_burst": "critical cleared"} {
			if got := r.words(rule); got != want {
				t.Errorf("every %v: %s told %v", every, rule, r.told(rule))
			}
		}
	}
}
