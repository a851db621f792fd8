package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHolidaysAreSpansOfDays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pilewatch.yaml")
	if err := os.WriteFile(path, []byte("safety: {holidays: [{from: 2027-02-05, to: 2027-02-21}, {from: 2027-05-01}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || !slices.Equal(c.Safety.Holidays, []Days{{"2027-02-05", "2027-02-21"}, {"2027-05-01", "2027-05-01"}}) {
		t.Errorf("%v, %v", c, err)
	}
}

func TestAFileOfRulesAloneIsReadAsSafetyRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	for in, ok := range map[string]bool{"over_power: {warn_w: 700}\nhot_burst: {enabled: false}\n": true, "": true, "over_powr: {warn_w: 700}\n": false, "over_power: 3\n": false} {
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := LoadRules(path)
		if (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
		if ok && in != "" && (c.Safety.Rules["over_power"].Values["warn_w"] != 700 || *c.Safety.Rules["hot_burst"].Enabled) {
			t.Errorf("%q: %v", in, c.Safety.Rules)
		}
	}
}
