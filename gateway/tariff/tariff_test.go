package tariff

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The two tariffs of the example configuration.
func flat() Tariff {
	return Tariff{Name: "2026-合表", ValidFrom: "2026-01-01", Bands: []Band{FlatBand(641_000)}, PerKWh: 300_000}
}

func timeOfUse() Tariff {
	return Tariff{Name: "2026-07-分时", ValidFrom: "2026-07-01",
		Bands: []Band{{"峰", 6 * 60, 22 * 60, 617_000}, {"谷", 22 * 60, 6 * 60, 307_000}},
		Tiers: []Tier{{200_000, 250_000}, {400_000, 500_000}, {800_000, 1_000_000}}}
}

func TestExampleTariffsAreValid(t *testing.T) {
	for _, tf := range []Tariff{flat(), timeOfUse()} {
		if err := tf.Validate(); err != nil {
			t.Errorf("%s: %v", tf.Name, err)
		}
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Tariff)
		want   []string
	}{
		"no name":     {func(t *Tariff) { t.Name = "" }, []string{"no name"}},
		"bad date":    {func(t *Tariff) { t.ValidFrom = "2026-02-30" }, []string{`valid_from "2026-02-30": expected a date`}},
		"no bands":    {func(t *Tariff) { t.Bands = nil }, []string{"0 prices from 00:00 to 24:00"}},
		"gap":         {func(t *Tariff) { t.Bands[1].To = 5 * 60 }, []string{"0 prices from 05:00 to 06:00"}},
		"overlap":     {func(t *Tariff) { t.Bands[1].To = 7 * 60 }, []string{"2 prices from 06:00 to 07:00"}},
		"gap by date": {func(t *Tariff) { t.Bands[1] = Band{"谷", 22 * 60, 1440, 1} }, []string{"0 prices from 00:00 to 06:00"}},
		"both ends": {func(t *Tariff) { t.Bands[1] = Band{"谷", 21 * 60, 5 * 60, 1} },
			[]string{"0 prices from 05:00 to 06:00", "2 prices from 21:00 to 22:00"}},
		"unnamed band":   {func(t *Tariff) { t.Bands[0].Name = "" }, []string{"a band from 06:00 to 22:00 has no name"}},
		"no such minute": {func(t *Tariff) { t.Bands[0].To = 1441 }, []string{"band 峰 from minute 360 to 1441"}},
		"no length":      {func(t *Tariff) { t.Bands[0].To = 6 * 60 }, []string{"band 峰 from 06:00 to 06:00"}},
		"negative price": {func(t *Tariff) { t.Bands[0].Price = -1 }, []string{"band 峰 costs -0.000001 yuan"}},
		"two prices of a band": {func(t *Tariff) { t.Bands[1].Name = "峰" },
			[]string{"band 峰 has two prices, 0.617 and 0.307"}},
		"both services":   {func(t *Tariff) { t.PerKWh = 1 }, []string{"service by energy and by power tiers"}},
		"dear service":    {func(t *Tariff) { t.Tiers, t.PerKWh = nil, MaxPrice+1 }, []string{"service costs 1000000.000001 yuan"}},
		"tiers unordered": {func(t *Tariff) { t.Tiers[1].UpToMW = 200_000 }, []string{"power tier up to 200 W after 200 W"}},
		"tier price":      {func(t *Tariff) { t.Tiers[2].PerHour = -1 }, []string{"the tier up to 800 W costs"}},
		"all at once": {func(t *Tariff) { t.Name, t.ValidFrom, t.PerKWh = "", "", 1 },
			[]string{"no name", "valid_from", "service by energy and"}},
	} {
		t.Run(name, func(t *testing.T) {
			tf := timeOfUse()
			c.change(&tf)
			err := tf.Validate()
			if err == nil {
				t.Fatal("valid")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(lines), len(c.want), err)
			}
			for i, want := range c.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("problem %q, want %q in it", lines[i], want)
				}
			}
		})
	}
}

func TestSeveralWindowsOfOneBandAreValid(t *testing.T) {
	tf := timeOfUse()
	tf.Bands = []Band{{"峰", 480, 660, 3}, {"平", 660, 1080, 2}, {"峰", 1080, 1260, 3}, {"谷", 1260, 480, 1}}
	if err := tf.Validate(); err != nil {
		t.Error(err)
	}
}

// The encoding is kept with sessions: a change of it needs a migration.
func TestStoredTariffKeepsItsForm(t *testing.T) {
	for _, c := range []struct {
		tariff Tariff
		want   string
	}{
		{flat(), `{"name":"2026-合表","valid_from":"2026-01-01","bands":[{"name":"flat","from":0,"to":1440,"price":"0.641"}],"per_kwh":"0.3"}`},
		{timeOfUse(), `{"name":"2026-07-分时","valid_from":"2026-07-01","bands":[{"name":"峰","from":360,"to":1320,"price":"0.617"},` +
			`{"name":"谷","from":1320,"to":360,"price":"0.307"}],"per_kwh":"0","tiers":[{"up_to_mw":200000,"per_hour":"0.25"},` +
			`{"up_to_mw":400000,"per_hour":"0.5"},{"up_to_mw":800000,"per_hour":"1"}]}`},
	} {
		got, err := json.Marshal(c.tariff)
		if err != nil || string(got) != c.want {
			t.Errorf("stored as %s, %v\nwant %s", got, err, c.want)
		}
		var back Tariff
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, c.tariff) {
			t.Errorf("read back as %+v, %v", back, err)
		}
	}
}

func TestNoFloatingPointInMoney(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(source)), "float") {
			t.Errorf("%s speaks of floating point", file)
		}
	}
}
