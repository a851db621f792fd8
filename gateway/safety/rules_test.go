package safety

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

var update = flag.Bool("update", false, "write the golden files")

func TestEveryPublicRuleHasAnID(t *testing.T) {
	if len(IDs) != 20 {
		t.Errorf("%d ids", len(IDs))
	}
	var built []string
	for i := range All {
		built = append(built, All[i].ID)
	}
	want := slices.Sorted(slices.Values(IDs))
	if got := slices.Sorted(slices.Values(built)); !slices.Equal(got, want) {
		t.Errorf("built are %v", got)
	}
	if len(Keys()) != len(IDs) {
		t.Errorf("keys of %d rules", len(Keys()))
	}
}

func TestSetSaysWhatMayBeSet(t *testing.T) {
	for _, c := range []struct {
		rule, key string
		v         float64
		want      string // in the error; "" for none
	}{
		{"over_power", "warn_w", 700, ""},
		{"over_power", "warn_kw", 0.7, "charger_w, critical_w, warn_w, window_min"},
		{"over_powr", "warn_w", 700, "over_power, second_load"},
		{"two_tapers", "warn_w", 700, "again_factor, float_percent"},
		{"over_power", "warn_w", -1, "from 0"},
		{"over_power", "window_min", 90, "from 0 to 20"},
		{"over_power", "warn_w", math.NaN(), "from 0"},
		{"over_power", "warn_w", math.Inf(1), "from 0"},
	} {
		r := Defaults()
		err := r.Set(c.rule, c.key, c.v)
		switch {
		case c.want == "" && (err != nil || r.Values[c.rule][c.key] != c.v):
			t.Errorf("%v: %v", c, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: error %v", c, err)
		}
	}
	if Defaults().Values["over_power"]["warn_w"] != 600 {
		t.Error("setting one changed the defaults of all")
	}
	if err := Defaults().Enable("nothing", true); err == nil {
		t.Error("a rule that is none was switched on")
	}
}

func TestARuleThatIsOffSaysNothing(t *testing.T) {
	for _, id := range IDs {
		r := newRig(t, func(rules Rules) {
			if err := rules.Enable(id, false); err != nil {
				t.Fatal(err)
			}
		})
		busy(r)
		if got := r.words(id); got != "" {
			t.Errorf("%s: told %v", id, r.told(id))
		}
	}
}

func TestThresholdsAreThoseThatAreSet(t *testing.T) {
	r := newRig(t, threshold("over_time", "warn_h", 2), threshold("over_time", "critical_h", 3))
	r.play(report{every: time.Minute, digits: 1}, during("0", "4h", 100), 4*time.Hour)
	if got := r.words("over_time"); got != "warning critical" {
		t.Errorf("told %v", r.told("over_time"))
	}
	r.within("over_time", 2*time.Hour, 2*time.Hour+time.Minute)
	if f := r.last("over_time"); !strings.Contains(string(f.Evidence), `"critical_h":3`) || !strings.Contains(f.Message, "超过 3 小时") {
		t.Errorf("told %s %s", f.Message, f.Evidence)
	}
}

// busy makes one flag of every rule.
func busy(r *rig) {
	r.event(devices.EventAlarm, at("1m"), alarmOf("smoke", 2))
	f := plus(charger(250, 5*time.Hour), during("1h", "11h", 300), during("2h", "2h20m", 1500))
	r.play(report{every: time.Minute, digits: 1, register: true}, f, 12*time.Hour, cardOf("04A1B2C3"))
	r.e.Silence(at("12h1m"), r.collect)
	for m := 1; m < 30; m++ {
		r.e.Silence(at("12h1m").Add(time.Duration(m)*time.Minute), r.collect)
	}
}

// TestFlagsAsTheyAreRead holds the words, the advice and the evidence of a flag
// of each rule.
func TestFlagsAsTheyAreRead(t *testing.T) {
	r := newRig(t)
	busy(r)
	var first []*ledger.Flag
	heater := newRig(t)
	heater.play(report{every: time.Minute, digits: 1}, during("0", "9m", 760), 30*time.Minute)
	cold := newRig(t)
	cold.play(report{every: time.Minute, digits: 1}, fridge(110, 9), 3*time.Hour)
	slow := slowRules(t)
	for i := range All {
		id := All[i].ID
		switch {
		case id == "resistive_load":
			first = append(first, heater.raised(id))
		case id == "cycling_load":
			first = append(first, cold.raised(id))
		case slow[id] != nil:
			first = append(first, slow[id])
		default:
			first = append(first, r.raised(id))
		}
	}
	fast := newRig(t)
	fast.play(report{every: time.Minute, digits: 1}, charger(880, time.Hour), 30*time.Minute)
	first = append(first, fast.raised("over_power"))
	got := append(asJSON(t, first), '\n')
	path := filepath.Join("testdata", "flags.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("flags differ from %s; look at them and run with -update\n%s", path, got)
	}
}

// The evidence of every flag has the thresholds and the numbers that the sentence
// is made of; one about power has the stretch of the curve that made it, up to the
// moment at which it was raised.
func TestEvidenceHoldsTheNumbersAndTheStretch(t *testing.T) {
	r := newRig(t)
	busy(r)
	all := map[string]*ledger.Flag{}
	for _, c := range r.log {
		if all[c.Flag.Rule] == nil {
			all[c.Flag.Rule] = c.Flag
		}
	}
	for id, f := range slowRules(t) {
		if f != nil && all[id] == nil {
			all[id] = f
		}
	}
	heater, cold := newRig(t), newRig(t)
	heater.play(report{every: time.Minute, digits: 1}, during("0", "9m", 760), 30*time.Minute)
	cold.play(report{every: time.Minute, digits: 1}, fridge(110, 9), 3*time.Hour)
	all["resistive_load"], all["cycling_load"] = heater.raised("resistive_load"), cold.raised("cycling_load")
	for _, rule := range All {
		f := all[rule.ID]
		if f == nil {
			t.Errorf("no flag of %s", rule.ID)
			continue
		}
		var ev map[string]any
		if err := json.Unmarshal(f.Evidence, &ev); err != nil {
			t.Fatal(err)
		}
		if _, ok := ev["thresholds"]; !ok && rule.ID != "device_alarm" && rule.ID != "pile_offline" {
			t.Errorf("%s has no thresholds: %s", rule.ID, f.Evidence)
		}
		if signOf(rule.ID) == 0 && rule.ID != "unauthorised_draw" {
			continue
		}
		curve, _ := ev["curve"].([]any)
		least := 5
		if rule.ID == "unauthorised_draw" {
			least = 3 // a port that does nothing keeps its last four samples
		}
		if len(curve) < least {
			t.Errorf("%s: %d points", rule.ID, len(curve))
			continue
		}
		at := func(i int) devices.Millis { return devices.Millis(curve[i].([]any)[0].(float64) * 1000) }
		if last := at(len(curve) - 1); last > f.RaisedAt || f.RaisedAt-last > devices.Millis(15*minute) || at(0) >= last {
			t.Errorf("%s: raised at %v, the curve goes from %v to %v", rule.ID, f.RaisedAt.Sub(t0), at(0).Sub(t0), last.Sub(t0))
		}
	}
}
