package safety

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSignsOfASessionLeadToOneSuspicion(t *testing.T) {
	for _, c := range []struct{ signs, alone, want string }{
		{"second_load", "power_strip", "power_strip"},
		{"second_load two_tapers", "power_strip", "power_strip"},
		{"second_load cycling_load", "appliance", "power_strip"},
		{"two_tapers cycling_load", "power_strip", "appliance"},
		{"hot_burst two_tapers", "appliance", "power_strip"},
		{"second_load two_tapers hot_burst", "appliance", "power_strip"},
		{"second_load hot_burst", "power_strip", "appliance"},
		{"hot_burst over_power", "power_strip", "appliance"},
		{"hot_burst over_power excess_energy over_time", "overlong", "appliance"},
		{"cycling_load over_time", "overlong", "appliance"},
		{"resistive_load excess_energy", "power_strip", "appliance"},
		{"resistive_load over_time", "overlong", "overlong"},
		{"two_tapers over_time", "power_strip", "overlong"},
		{"second_load over_time", "power_strip", "power_strip"},
		{"over_power excess_energy", "power_strip", "oversize_charger"},
		{"excess_energy over_time", "power_strip", "overlong"},
		{"over_time", "overlong", "overlong"},
		{"profile_mismatch two_tapers", "power_strip", "power_strip"},
	} {
		var s seen
		for _, rule := range strings.Fields(c.signs) {
			s |= signOf(rule)
		}
		if got := s.conclude(c.alone, false); got != c.want {
			t.Errorf("%s, the last one by itself %s: %s, want %s", c.signs, c.alone, got, c.want)
		}
	}
}

// Over 1,200 W for hours: what moves as a battery does is a charger, a heater does not.
func TestALargeChargerIsNoHeater(t *testing.T) {
	for name, c := range map[string]struct {
		f    curve
		want string
	}{
		"a charger": {func(d time.Duration) float64 { return 1300 * (1 + 0.04*d.Hours()) }, "oversize_charger"},
		"a heater":  {during("0", "4h", 1300), "appliance"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p report) {
				r := newRig(t)
				r.play(p, c.f, 3*time.Hour)
				if f := r.raised("excess_energy"); f.Suspicion != c.want {
					t.Errorf("%s: %s", f.Suspicion, f.MessageEN)
				}
			})
		})
	}
}

func TestEverySignIsOfARule(t *testing.T) {
	for _, s := range signs {
		if !slices.Contains(IDs, s.rule) || s.zh == "" || s.en == "" {
			t.Errorf("%+v", s)
		}
	}
	if signOf("unauthorised_draw") != 0 || signOf("") != 0 {
		t.Error("what is of no session is no sign")
	}
}

// withOf is what a flag says that it rests on besides.
func withOf(t *testing.T, evidence json.RawMessage) []string {
	t.Helper()
	var ev struct {
		With []string `json:"with"`
	}
	if err := json.Unmarshal(evidence, &ev); err != nil {
		t.Fatal(err)
	}
	return ev.With
}

func TestAStepAndASecondTaperTogetherArePowerStrip(t *testing.T) {
	each(t, func(t *testing.T, p report) {
		r := newRig(t)
		r.play(p, plus(charger(180, 80*time.Minute), later("40m", charger(150, 4*time.Hour))), 7*time.Hour)
		first, second := r.raised("second_load"), r.raised("two_tapers")
		if first.RaisedAt > second.RaisedAt || withOf(t, first.Evidence) != nil {
			t.Errorf("the first rests on %v", withOf(t, first.Evidence))
		}
		if !slices.Contains(withOf(t, second.Evidence), "second_load") || second.Suspicion != "power_strip" {
			t.Errorf("%s with %v", second.Suspicion, withOf(t, second.Evidence))
		}
		for _, part := range []string{"3号楼 P01 桩 1 号口，11月23日", " W", "本次充电另见中途加接过负载", "合起来看，疑似桩上插座接了插线板，请上门了解情况并提供帮助。"} {
			if !strings.Contains(second.Message, part) {
				t.Errorf("without %q: %s", part, second.Message)
			}
		}
		for _, part := range []string{"Building 3, pile P01, port 1, 23 Nov", "this session also showed a load that was added in mid-charge", "a power strip on a pile socket is suspected: please visit and offer help."} {
			if !strings.Contains(second.MessageEN, part) {
				t.Errorf("without %q: %s", part, second.MessageEN)
			}
		}
		if !strings.Contains(second.Advice, "插线板") || !strings.Contains(second.AdviceEN, "help to find a free socket") {
			t.Errorf("advice %s %s", second.Advice, second.AdviceEN)
		}
	})
}

func TestAFridgeBesideABikeIsAPowerStrip(t *testing.T) {
	r := newRig(t)
	r.play(report{every: time.Minute, digits: 1}, plus(charger(150, 90*time.Minute), later("45m", fridge(110, 0))), 9*time.Hour)
	r.raised("second_load")
	if f := r.raised("cycling_load"); f.Suspicion != "power_strip" || !slices.Contains(withOf(t, f.Evidence), "second_load") {
		t.Errorf("%s with %v: %s", f.Suspicion, withOf(t, f.Evidence), f.MessageEN)
	}
}

func TestWhatASessionShowedSaysNothingOfTheNext(t *testing.T) {
	r := newRig(t)
	for m := range 300 {
		order, w := "A", 120.0
		switch {
		case m >= 150:
			order, w = "B", 1500
		case m >= 60:
			w = 300
		}
		r.read(t0.Add(time.Duration(m)*time.Minute), w, orderOf(order))
	}
	r.e.Settle(r.collect)
	r.raised("second_load")
	if f := r.raised("hot_burst"); withOf(t, f.Evidence) != nil || f.Suspicion != "appliance" {
		t.Errorf("%s with %v", f.Suspicion, withOf(t, f.Evidence))
	}
}

// What is for information asks for no visit, and what is on the list of visits
// asks for one, in message and advice alike; a warning always asks for one.
func TestSeverityMessageAndAdviceAgree(t *testing.T) {
	r := newRig(t)
	busy(r)
	fast := newRig(t)
	fast.play(report{every: time.Minute, digits: 1}, charger(880, time.Hour), 30*time.Minute)
	all := append(r.log, fast.log...)
	for _, f := range slowRules(t) {
		all = append(all, FlagChange{Flag: f})
	}
	none := "仅供了解，不必专门上门。"
	for _, c := range all {
		f := c.Flag
		list := f.Rule == "zombie_bike" || f.Rule == "silent_bike"
		for _, bad := range []string{"违规", "违法", "偷", "罚", "violation", "illegal", "stole", "guilty"} {
			if strings.Contains(f.Message+f.Advice+f.MessageEN+f.AdviceEN, bad) {
				t.Errorf("%s accuses: %s %s", f.Rule, f.Message, f.Advice)
			}
		}
		switch {
		case list:
			if f.Severity != "info" || !strings.Contains(f.Message, "走访清单") || !strings.Contains(f.MessageEN, "list of visits") {
				t.Errorf("%s %s: %s %s", f.Rule, f.Severity, f.Message, f.MessageEN)
			}
		case f.Severity == "info":
			if !strings.Contains(f.Message, none) || strings.Contains(f.Advice, "请上门") || strings.Contains(strings.ToLower(f.AdviceEN), "please visit") {
				t.Errorf("%s %s: %s %s", f.Rule, f.Severity, f.Message, f.Advice)
			}
		case strings.Contains(f.Message, "不必") || !strings.Contains(f.Message, "请"):
			t.Errorf("%s %s: %s", f.Rule, f.Severity, f.Message)
		}
	}
}

// More than the registered pack holds, by a curve that one charger explains, is most
// likely another bike. That it is unlike the card's habit makes it no power strip.
func TestWhatIsLargerThanTheRegisteredPackIsNoPowerStripYet(t *testing.T) {
	r := newRig(t)
	last := habitual(r, bike) // 150 W, a pack of 960 Wh
	begin := last.Add(72 * time.Hour)
	for d := time.Duration(0); d < 6*time.Hour; d += time.Minute {
		r.read(begin.Add(d), charger(320, 8*time.Hour)(d), cardOf(bike))
	}
	r.e.Settle(r.collect)
	f := r.raised("excess_energy")
	if f.Suspicion != "none" || f.Severity != "warning" || strings.Contains(f.MessageEN, "strip") || strings.Contains(f.Message, "插线板") ||
		!strings.Contains(f.MessageEN, "another bike") || f.AdviceEN != severalAdviceEN {
		t.Errorf("%s: %s %s", f.Suspicion, f.MessageEN, f.AdviceEN)
	}
	if !strings.Contains(f.MessageEN, "unlike") && !strings.Contains(f.MessageEN, "than is usual for the card") {
		t.Errorf("the card's habit is not named: %s", f.MessageEN)
	}
}

// The curve of two loads, over the limit of a pack, goes on being a power strip.
func TestMoreThanThePackByTwoLoadsIsAPowerStrip(t *testing.T) {
	r := newRig(t)
	strip := plus(charger(180, 8*time.Hour), later("1h", charger(180, 8*time.Hour)))
	r.play(report{every: time.Minute, digits: 1}, strip, 7*time.Hour, cardOf(bike))
	if f := r.raised("excess_energy"); f.Suspicion != "power_strip" {
		t.Errorf("%s: %s", f.Suspicion, f.MessageEN)
	}
}
