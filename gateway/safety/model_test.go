package safety

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pilewatch/devices"
)

// coarse reports whether a way of reporting is too seldom for a rule.
func coarse(rule string, p report) bool {
	i := slices.IndexFunc(All, func(r Rule) bool { return r.ID == rule })
	return All[i].Coarsest > 0 && p.every > All[i].Coarsest
}

func TestTwoTapersAreSeenWhenTheFirstComesToAStand(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(charger(150, 30*time.Minute), charger(140, 3*time.Hour)), 5*time.Hour)
		f := r.raised("two_tapers")
		if f.Suspicion != "power_strip" || f.RaisedAt < at("40m") || f.RaisedAt > at("2h40m")+devices.Millis(5*p.every.Milliseconds()) {
			t.Errorf("%s at %v", f.Suspicion, f.RaisedAt.Sub(t0))
		}
		var ev struct {
			Peak  float64      `json:"peak_w"`
			Level float64      `json:"level_w"`
			Curve [][2]float64 `json:"curve"`
		}
		if err := json.Unmarshal(f.Evidence, &ev); err != nil || ev.Peak < 230 || ev.Level < 100 || ev.Level > 200 || len(ev.Curve) < 10 {
			t.Errorf("evidence %s", f.Evidence)
		}
		if got := r.words("two_tapers"); got != "warning" {
			t.Errorf("told %v", r.told("two_tapers"))
		}
	})
}

// The first bike is still falling when the second begins to.
func TestASecondTaperIsSeen(t *testing.T) {
	lithium := func(watts float64, bulk time.Duration) curve {
		return func(d time.Duration) float64 {
			w := watts * (0.94 + 0.06*min(1, d.Minutes()/bulk.Minutes())) * math.Exp(-max(0, (d-bulk).Minutes())/35)
			if w < 6 {
				return 2
			}
			return w
		}
	}
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(lithium(160, time.Hour), lithium(150, 86*time.Minute)), 4*time.Hour)
		f := r.raised("two_tapers")
		if f.RaisedAt < at("70m") || f.RaisedAt > at("2h15m") {
			t.Errorf("raised after %v", f.RaisedAt.Sub(t0))
		}
		r.event(devices.EventStop, at("4h1m"), func(e *devices.Event) { e.Reason = "full" })
		r.e.Settle(r.collect)
		if got := r.words("two_tapers"); got != "warning cleared" {
			t.Errorf("told %v", r.told("two_tapers"))
		}
		one := newRig(t)
		one.play(p, lithium(310, time.Hour), 4*time.Hour)
		one.quiet()
	})
}

func TestAChargerThatDoesNotEndIsSeen(t *testing.T) {
	stuck := func(d time.Duration) float64 { return max(charger(200, time.Hour)(d), 70) }
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, stuck, 4*time.Hour)
		r.within("two_tapers", 90*time.Minute, 3*time.Hour)
	})
}

func TestOneChargeHasOneTaper(t *testing.T) {
	pulse := func(d time.Duration) float64 { // falls in steps of 19 minutes
		w := 240.0
		for s := time.Hour; s <= d && w > 20; s += 19 * time.Minute {
			w *= 0.75
		}
		return max(w, 16)
	}
	for name, f := range map[string]curve{
		"lead-acid":      charger(250, 2*time.Hour),
		"begun late":     charger(250, 5*time.Minute),
		"falls in steps": pulse,
		"winter": func(d time.Duration) float64 {
			return max(12, 250*math.Exp(-max(0, (d-time.Hour).Minutes())/80))
		},
		"lithium": func(d time.Duration) float64 {
			w := 300 * math.Exp(-max(0, (d-time.Hour).Minutes())/30)
			if w < 20 {
				return 3
			}
			return w
		},
		"interrupted in the taper": func(d time.Duration) float64 {
			if d > 100*time.Minute && d < 115*time.Minute {
				return 0
			}
			if d >= 115*time.Minute {
				d -= 15 * time.Minute
			}
			return charger(250, 80*time.Minute)(d)
		},
		"unplugged": during("0", "70m", 180),
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p report) {
				r := newRig(t)
				r.play(p, f, 6*time.Hour)
				r.quiet()
			})
		})
	}
}

func TestALoadThatGoesOnAndOffIsSeen(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, fridge(110, 2), 4*time.Hour)
		f := r.raised("cycling_load")
		if f.Suspicion != "appliance" || f.RaisedAt > at("2h30m") {
			t.Errorf("%s at %v", f.Suspicion, f.RaisedAt.Sub(t0))
		}
	})
	raisesNothing(t, "cycling_load", 6*time.Hour, map[string]curve{
		"interrupted twice": func(d time.Duration) float64 {
			if m := int(d.Minutes()); m > 20 && m < 35 || m > 70 && m < 80 {
				return 0
			}
			return charger(180, 4*time.Hour)(d)
		},
		"top-ups": func(d time.Duration) float64 {
			w := charger(200, 30*time.Minute)(d)
			if d > 3*time.Hour {
				w += 150 * math.Exp(-math.Mod(d.Minutes(), 40)/3)
			}
			return w
		},
		"dips": func(d time.Duration) float64 {
			if int(d.Minutes())%9 == 0 {
				return 120
			}
			return 200 + d.Minutes()/20
		},
	})
}

// A pile may make a session of each turn of a fridge: that is one flag, not ten.
func TestAFridgeIsToldOfOnceADay(t *testing.T) {
	r := newRig(t)
	r.play(report{every: time.Minute, digits: 1}, fridge(110, 0), 26*time.Hour)
	n := 0
	for _, c := range r.log {
		if c.Flag.Rule == "cycling_load" && !c.Cleared {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d flags in 26 hours: %v", n, r.told("cycling_load"))
	}
}

// A fridge beside what stands by: the socket is never at rest.
func TestAFridgeIsSeenOverAStandby(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, fridge(120, 12), 4*time.Hour)
		r.within("cycling_load", 100*time.Minute, 150*time.Minute)
	})
}

func TestACompressorIsKnownByItsStart(t *testing.T) {
	compressor := func(d time.Duration) float64 { // one run of 12 minutes
		if d > 12*time.Minute {
			return 1
		}
		return 120 + 40*math.Exp(-d.Minutes()/1.5)
	}
	raisesNothing(t, "cycling_load", 40*time.Minute, map[string]curve{
		"a charge that begins in its taper": func(d time.Duration) float64 { return 8 + 150*math.Exp(-d.Minutes()/25) },
		"one that falls in steps": func(d time.Duration) float64 {
			return 200 * math.Pow(0.85, math.Floor(d.Minutes()/5))
		},
		"pre-charge": charger(150, 3*time.Hour),
		"a dip at the start": func(d time.Duration) float64 {
			return map[bool]float64{true: 90, false: 180}[d > 4*time.Minute && d < 6*time.Minute]
		},
		"unplugged early": during("0", "12m", 160),
	})
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, compressor, 40*time.Minute)
		if coarse("cycling_load", p) {
			r.tooCoarse("cycling_load")
			return
		}
		r.within("cycling_load", 6*time.Minute, 14*time.Minute)
		if f := r.raised("cycling_load"); f.Suspicion != "appliance" {
			t.Errorf("suspicion %s", f.Suspicion)
		}
	})
}

func TestWhatIsTooSmallForAChargerNeedsLessPatience(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, during("0", "6h", 42), 3*time.Hour)
		r.within("resistive_load", 90*time.Minute, 100*time.Minute)
		for name, f := range map[string]curve{
			"a full battery's float": func(d time.Duration) float64 { return 18 + 30*math.Exp(-d.Minutes()/60) },
			"a small charger":        charger(76, 3*time.Hour),
			"a toy's charger":        func(d time.Duration) float64 { return 40 * (1 + 0.05*d.Hours()) },
		} {
			r = newRig(t)
			r.play(p, f, 3*time.Hour)
			if got := r.told("resistive_load"); got != nil {
				t.Errorf("%s: told %v", name, got)
			}
		}
	})
}

func TestPeaksOverASteadyLevelAreSeen(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, func(d time.Duration) float64 {
			w := charger(150, 5*time.Hour)(d)
			if int(d.Minutes())%8 == 5 {
				w += 40
			}
			return w
		}, 2*time.Hour)
		if coarse("cycling_load", p) {
			r.tooCoarse("cycling_load")
			return
		}
		r.within("cycling_load", 15*time.Minute, time.Hour)
	})
}

func TestALoadWithoutABatteryIsSeen(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, during("0", "12m", 780), 40*time.Minute)
		if got := r.words("resistive_load"); got != "warning cleared" {
			t.Errorf("a stove: told %v", r.told("resistive_load"))
		}
		r = newRig(t)
		r.play(p, during("0", "6h", 230), 5*time.Hour)
		r.within("resistive_load", 4*time.Hour, 4*time.Hour+10*time.Minute)
		for name, f := range map[string]curve{
			"a bike that was unplugged":  during("0", "12m", 300),
			"a fast charger for an hour": during("0", "1h", 780),
			"a slow charge":              func(d time.Duration) float64 { return 200 * (1 + 0.01*d.Hours()) },
			"a charger":                  charger(230, 5*time.Hour),
		} {
			r = newRig(t)
			r.play(p, f, 5*time.Hour)
			if got := r.told("resistive_load"); got != nil {
				t.Errorf("%s: told %v", name, got)
			}
		}
	})
}
