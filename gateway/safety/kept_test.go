package safety

import (
	"testing"
	"time"

	"pilewatch/devices"
)

// What a flag keeps of the curve is enough to try other thresholds on it when the
// readings are gone.
func TestAKeptCurveIsJudgedAgain(t *testing.T) {
	for _, c := range []struct {
		rule, key string
		strict    float64 // a threshold with which it is not flagged
		f         curve
		long      time.Duration
	}{
		{"over_power", "critical_w", 3000, plus(charger(250, 5*time.Hour), during("1h", "3h", 900)), 2 * time.Hour},
		{"hot_burst", "critical_w", 3000, plus(charger(250, 5*time.Hour), during("1h", "1h6m", 1500)), 2 * time.Hour},
		{"second_load", "step_percent", 90, plus(charger(250, 5*time.Hour), during("1h", "3h", 80)), 2 * time.Hour},
		{"two_tapers", "float_percent", 100, plus(charger(150, 30*time.Minute), charger(140, 3*time.Hour)), 3 * time.Hour},
		{"resistive_load", "flat_h", 9, during("0", "6h", 230), 5 * time.Hour},
		{"excess_energy", "pack_factor", 3, during("0", "6h", 600), 4 * time.Hour},
		{"over_time", "warn_h", 9.5, charger(120, 12*time.Hour), 9 * time.Hour},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := newRig(t)
			with := []func(*devices.Reading){}
			if c.rule == "excess_energy" {
				with = append(with, cardOf("04A1B2C3")) // of a bike of 960 Wh
			}
			r.play(report{every: 30 * time.Second, digits: 1}, c.f, c.long, with...)
			r.event(devices.EventStop, t0.Add(c.long+time.Second), func(e *devices.Event) { e.Reason = "remote" })
			r.e.Settle(r.collect)
			f := r.last(c.rule)
			if flagged, ok := Rejudge(Defaults(), c.rule, f.Evidence); !flagged || !ok {
				t.Errorf("as it was: flagged %v, can be told %v", flagged, ok)
			}
			strict := Defaults()
			threshold(c.rule, c.key, c.strict)(strict)
			if c.rule == "two_tapers" {
				threshold(c.rule, "again_factor", 100)(strict)
			}
			if c.rule == "over_power" {
				threshold(c.rule, "warn_w", 3000)(strict)
			}
			if flagged, ok := Rejudge(strict, c.rule, f.Evidence); flagged || !ok {
				t.Errorf("with %s %v: flagged %v, can be told %v", c.key, c.strict, flagged, ok)
			}
		})
	}
}

func TestACurveThatCannotTellIsNotGuessedAt(t *testing.T) {
	for _, c := range []struct{ name, rule, evidence string }{
		{"no curve", "over_time", `{"drawn_s":30000}`},
		{"not of power", "port_temperature", `{"curve":[[0,1],[30,2]],"temperature_c":70}`},
		{"of a household", "card_concurrency", `{"open":2}`},
		{"too few points", "over_power", `{"curve":[[1795435200,900],[1795438800,900]]}`},
		{"no evidence", "over_power", ``},
	} {
		if _, ok := Rejudge(Defaults(), c.rule, []byte(c.evidence)); ok {
			t.Errorf("%s: it was judged", c.name)
		}
	}
}
