package safety

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestASecondChargerIsSeen(t *testing.T) {
	for name, f := range map[string]curve{
		"lead-acid beside lead-acid": plus(charger(180, 6*time.Hour), later("50m", charger(120, 4*time.Hour))),
		"in the taper":               plus(charger(240, 30*time.Minute), later("80m", charger(180, 4*time.Hour))),
		"an appliance":               plus(charger(130, 6*time.Hour), during("70m", "2h", 200)),
	} {
		t.Run(name, func(t *testing.T) {
			onset := map[string]time.Duration{"in the taper": 80 * time.Minute, "an appliance": 70 * time.Minute}[name]
			if onset == 0 {
				onset = 50 * time.Minute
			}
			each(t, func(t *testing.T, p report) {
				r := newRig(t)
				r.play(p, f, 3*time.Hour)
				r.within("second_load", onset, onset+7*time.Minute+3*p.every)
				if f := r.raised("second_load"); f.Severity != "warning" || f.Suspicion != "power_strip" && name != "an appliance" {
					t.Errorf("flag %+v", f)
				}
			})
		})
	}
}

func TestASecondLoadClearsWhenItIsGone(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(charger(180, 6*time.Hour), during("1h", "1h40m", 150)), 4*time.Hour)
		if got := r.words("second_load"); got != "warning cleared" {
			t.Fatalf("told %v", r.told("second_load"))
		}
		gone := r.last("second_load").ClearedAt.Sub(t0)
		if gone < 100*time.Minute || gone > 106*time.Minute+2*p.every {
			t.Errorf("cleared after %v", gone)
		}
	})
}

func TestSecondLoadEvidenceHoldsTheStep(t *testing.T) {
	r := newRig(t)
	r.play(report{every: 30 * time.Second, digits: 1}, plus(during("0", "5h", 150), during("1h", "5h", 100)), 2*time.Hour)
	var ev struct {
		Before, After, Step float64
		StepAt              int64        `json:"step_at"`
		Curve               [][2]float64 `json:"curve"`
	}
	b := r.raised("second_load").Evidence
	if err := json.Unmarshal(b, &struct {
		*float64
		Before *float64 `json:"before_w"`
		After  *float64 `json:"after_w"`
		Step   *float64 `json:"step_w"`
	}{nil, &ev.Before, &ev.After, &ev.Step}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Before != 150 || ev.After != 250 || ev.Step != 100 || ev.StepAt < int64(at("1h")/1000) || ev.StepAt > int64(at("1h1m")/1000) {
		t.Errorf("evidence %+v", ev)
	}
	if n := len(ev.Curve); n < 20 || n > sketchSize {
		t.Errorf("%d points", n)
	}
	if first, last := ev.Curve[0], ev.Curve[len(ev.Curve)-1]; first[1] != 150 || last[1] != 250 || first[0] > float64(at("50m")/1000) {
		t.Errorf("the curve goes from %v to %v", first, last)
	}
}

// Nothing of this is a second load.
func TestLookAlikesOfASecondLoadRaiseNothing(t *testing.T) {
	cut := func(from, to string, f curve, silent bool) curve {
		a, b := span(from), span(to)
		return func(d time.Duration) float64 {
			if d >= a && d < b {
				if silent {
					return math.NaN()
				}
				return 0
			}
			return f(d)
		}
	}
	bike := charger(180, 5*time.Hour)
	raisesNothing(t, "second_load", 5*time.Hour, map[string]curve{
		"one charger":          bike,
		"a power cut, zeros":   cut("1h", "1h25m", bike, false),
		"a power cut, silence": cut("1h", "1h25m", bike, true),
		"a short cut":          cut("1h", "1h4m", bike, false),
		"resumed in the taper": cut("80m", "2h10m", charger(240, time.Hour), false),
		"a second bike after the first": func(d time.Duration) float64 {
			switch {
			case d < 110*time.Minute:
				return charger(120, time.Hour)(d)
			case d < 2*time.Hour:
				return 0
			}
			return charger(310, 3*time.Hour)(d - 2*time.Hour)
		},
		"a bigger bike put in its place": func(d time.Duration) float64 {
			switch {
			case d < 70*time.Minute:
				return 120
			case d < 80*time.Minute:
				return 0
			}
			return 310
		},
		"a dip to a half": func(d time.Duration) float64 {
			if d > 60*time.Minute && d < 72*time.Minute {
				return bike(d) / 2
			}
			return bike(d)
		},
		"top-ups after full": func(d time.Duration) float64 {
			w := charger(200, 30*time.Minute)(d)
			if d > 3*time.Hour {
				w += 180 * math.Exp(-math.Mod(d.Minutes(), 70)/4)
			}
			return w
		},
		"a pulse charger": func(d time.Duration) float64 {
			w := bike(d)
			if d > time.Hour && int(d.Minutes())%8 < 3 {
				w *= 1.6
			}
			return w
		},
		"a slow ramp":       func(d time.Duration) float64 { return 200 * (1 + 0.14*d.Hours()) },
		"a long pre-charge": func(d time.Duration) float64 { return map[bool]float64{true: 25, false: 250}[d < 14*time.Minute] },
		"a step of 3 %":     plus(during("0", "5h", 300), during("1h", "5h", 9)),
		"noise":             func(d time.Duration) float64 { return 300 + 6*math.Sin(d.Minutes()*1.7) },
	})
}

func TestANewSessionBeginsAnew(t *testing.T) {
	// The order changes while power flows: a new plug-in, whatever its power.
	r := newRig(t)
	for m := range 180 {
		order, w := "A", 120.0
		if m >= 60 {
			order, w = "B", 300
		}
		r.read(t0.Add(time.Duration(m)*time.Minute), w, orderOf(order))
	}
	r.quiet()
}

func TestTwoSamplesAreNoSecondLoad(t *testing.T) {
	// At 300 s, a report between two pulses was lost.
	r := newRig(t)
	for m := 0; m < 180; m += 5 {
		w := 150.0
		if m == 60 || m == 70 {
			w = 300
		}
		if m != 65 {
			r.read(t0.Add(time.Duration(m)*time.Minute), w)
		}
	}
	r.e.Settle(r.collect)
	r.quiet()
}

func TestASmallSecondLoadIsSeen(t *testing.T) {
	for name, f := range map[string]curve{
		"a fifth more":          plus(during("0", "5h", 300), during("1h", "5h", 60)),
		"a lamp beside a bike":  plus(charger(200, 4*time.Hour), during("1h", "3h", 20)),
		"soon after the start":  plus(during("0", "5h", 120), during("20m", "5h", 100)),
		"a laptop in the taper": plus(charger(300, 30*time.Minute), during("75m", "3h", 70)),
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p report) {
				r := newRig(t)
				r.play(p, f, 3*time.Hour)
				if name == "a laptop in the taper" && coarse("second_load", p) {
					r.tooCoarse("second_load") // the fall between two reports hides it
					return
				}
				if r.words("second_load") == "" {
					t.Errorf("nothing was told")
				}
			})
		})
	}
}

// In a taper, what is added is held against how the power would have gone on falling.
func TestWhatIsAddedInATaperIsSeen(t *testing.T) {
	taper := func(d time.Duration) float64 { return 300 * math.Exp(-max(0, (d-30*time.Minute).Minutes())/45) }
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(taper, during("42m", "3h", 33)), 70*time.Minute)
		if coarse("second_load", p) {
			r.tooCoarse("second_load")
			return
		}
		r.within("second_load", 42*time.Minute, 50*time.Minute)
		for name, f := range map[string]curve{
			"the taper": taper,
			"a dip": func(d time.Duration) float64 {
				if d > 40*time.Minute && d < 44*time.Minute {
					return taper(d) / 2
				}
				return taper(d)
			},
			"a steep fall that slows": func(d time.Duration) float64 {
				m := max(0, (d - 30*time.Minute).Minutes())
				return 150*math.Exp(-m/5) + 150*math.Exp(-m/60)
			},
		} {
			r = newRig(t)
			r.play(p, f, 70*time.Minute)
			if got := r.told("second_load"); got != nil {
				t.Errorf("%s: told %v", name, got)
			}
		}
	})
}

// A spike alone may be the meter's; the third within two hours is not.
func TestLonePeaksAreCounted(t *testing.T) {
	peaks := func(n int) curve {
		return func(d time.Duration) float64 {
			w := charger(180, 4*time.Hour)(d)
			if m := int(d.Minutes()) - 30; m > 0 && m%20 == 5 && m/20 < n {
				w += 900
			}
			return w
		}
	}
	p := report{every: time.Minute, digits: 1}
	for n, want := range []string{"", "", "", "warning"} {
		r := newRig(t)
		r.play(p, peaks(n), 2*time.Hour)
		if got, _, _ := strings.Cut(r.words("second_load"), " "); got != want {
			t.Errorf("%d peaks: told %v", n, r.told("second_load"))
		}
	}
}

func TestAKettleBesideABikeIsSeenAtOnce(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(charger(180, 5*time.Hour), during("1h", "1h5m", 600)), 3*time.Hour)
		if coarse("second_load", p) {
			r.tooCoarse("second_load") // it was between two reports
			return
		}
		r.within("second_load", time.Hour, time.Hour+3*time.Minute)
		if f := r.raised("second_load"); f.Suspicion != "appliance" {
			t.Errorf("suspicion %s", f.Suspicion)
		}
		if got := r.words("second_load"); got != "warning cleared" {
			t.Errorf("told %v", r.told("second_load"))
		}
	})
}

// Two plugs in one strip go in within two minutes, but not in one second.
func TestAStartInStagesIsSeen(t *testing.T) {
	f := plus(during("0", "5h", 118), during("75s", "5h", 131))
	r := newRig(t)
	r.play(report{every: 30 * time.Second, jitter: 2 * time.Second, digits: 1}, f, time.Hour)
	r.within("second_load", 5*time.Minute, 8*time.Minute)
	one := newRig(t)
	one.play(report{every: 30 * time.Second, jitter: 2 * time.Second, digits: 1}, charger(250, 5*time.Hour), time.Hour)
	one.quiet()
	empty := newRig(t) // three minutes of pre-charge at a fifth
	empty.play(report{every: 30 * time.Second, digits: 1}, func(d time.Duration) float64 {
		if d < 3*time.Minute {
			return 50
		}
		return 250
	}, time.Hour)
	empty.quiet()
}
