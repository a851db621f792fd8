package tariff

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pilewatch/devices"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func at(t testing.TB, rfc3339 string) devices.Millis {
	t.Helper()
	v, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		t.Fatal(err)
	}
	return devices.MillisOf(v)
}

func TestTariffIsTheLastInForceWhenTheSessionStarts(t *testing.T) {
	tb, err := NewTable(zone(t, "Asia/Shanghai"), []Tariff{timeOfUse(), flat()}) // order in the file is no matter
	if err != nil {
		t.Fatal(err)
	}
	for start, want := range map[string]string{
		"2025-12-31T15:59:59Z":      "", // 23:59:59 in Shanghai
		"2025-12-31T16:00:00Z":      "2026-合表",
		"2026-06-30T23:59:59+08:00": "2026-合表",
		"2026-07-01T00:00:00+08:00": "2026-07-分时",
		"2031-01-01T00:00:00+08:00": "2026-07-分时",
	} {
		got := tb.At(at(t, start))
		if (got == nil) != (want == "") || got != nil && got.Name != want {
			t.Errorf("At(%s) = %v, want %q", start, got, want)
		}
	}
}

func TestTariffBeginsWhereThereIsNoMidnight(t *testing.T) {
	tf := flat()
	tf.ValidFrom = "2018-11-04" // the clock went from 24:00 to 01:00
	tb, err := NewTable(zone(t, "America/Sao_Paulo"), []Tariff{tf})
	if err != nil {
		t.Fatal(err)
	}
	first := at(t, "2018-11-04T03:00:00Z") // the instant of the change
	if tb.At(first-1) != nil || tb.At(first) == nil {
		t.Errorf("before: %v, at the change: %v; want none, then the tariff", tb.At(first-1), tb.At(first))
	}
}

func TestTwoTariffsOnOneDayAreRefused(t *testing.T) {
	other := flat()
	other.Name = "另"
	_, err := NewTable(time.UTC, []Tariff{flat(), timeOfUse(), other})
	if err == nil || !strings.Contains(err.Error(), "tariffs 2026-合表 and 另 both hold from 2026-01-01") {
		t.Error(err)
	}
}

func TestTableNamesEveryBadTariff(t *testing.T) {
	a, b := flat(), timeOfUse()
	a.Bands, b.Bands = nil, nil
	_, err := NewTable(time.UTC, []Tariff{a, b})
	if err == nil || !strings.Contains(err.Error(), "2026-合表") || !strings.Contains(err.Error(), "2026-07-分时") {
		t.Error(err)
	}
}

func TestNoTariffsAreATable(t *testing.T) {
	tb, err := NewTable(time.UTC, nil)
	if err != nil || tb.At(0) != nil {
		t.Error(tb, err)
	}
}
