package field

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
)

func TestNumberTakesNumbersOnly(t *testing.T) {
	for raw, want := range map[string]float64{"0": 0, "-1.5": -1.5, "1e3": 1000, "152.4": 152.4} {
		if x, ok := Number(json.RawMessage(raw)); !ok || x != want {
			t.Errorf("%s: %v, %v", raw, x, ok)
		}
	}
	for _, raw := range []string{"", "null", "true", `"5"`, "{}", "[5]", "1e999", "-1e999"} {
		if x, ok := Number(json.RawMessage(raw)); ok {
			t.Errorf("%s: taken as %v", raw, x)
		}
	}
}

// What is read here must be to the last bit what the library reads, the sign of a
// zero too.
func FuzzNumber(f *testing.F) {
	for _, raw := range []string{"0", "-0", "-0.0", "-", "-.5", "5.", ".", "1.2.3", "152.4", "1284531.25", "-1e3", "0.1", "0.3",
		"999999999999999", "9007199254740993", "99999999999.9999", "0.000000000000001", "00012", "1_000", "0x1p4", "123456789012345678901"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		x, ok := Number(json.RawMessage(raw))
		want, err := strconv.ParseFloat(raw, 64)
		if wantOK := err == nil && strings.IndexAny(raw, "-0123456789") == 0; ok != wantOK || ok && math.Float64bits(x) != math.Float64bits(want) {
			t.Errorf("%q: %v, %v, want %v, %v", raw, x, ok, want, err)
		}
	})
}

func TestDecimalsAreReadAsTheLibraryReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`-?[0-9]{1,12}(\.[0-9]{0,12})?`).Draw(t, "raw")
		x, ok := Number(json.RawMessage(raw))
		if want, _ := strconv.ParseFloat(raw, 64); !ok || math.Float64bits(x) != math.Float64bits(want) {
			t.Fatalf("%s: %v, %v, want %v", raw, x, ok, want)
		}
	})
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for _, c := range []struct {
		what devices.Fields
		x    float64
		ok   bool
	}{
		{devices.HasVoltage, 2147483.647, true}, {devices.HasVoltage, 2147483.648, false},
		{devices.HasCurrent, -2147483.648, true}, {devices.HasCurrent, -2147483.649, false},
		{devices.HasPowerFactor, 32.767, true}, {devices.HasPowerFactor, 32.768, false},
		{devices.HasEnergy, 9e12, true}, {devices.HasEnergy, 1e13, false},
		{devices.HasTemperature, math.NaN(), false}, {devices.HasOrderEnergy, math.Inf(1), false},
	} {
		var r devices.Reading
		rej := Set(&r, c.what, c.x)
		if (rej == nil) != c.ok || r.Has.Has(c.what) != c.ok {
			t.Errorf("%s %v: %v, %+v", Quantity(c.what), c.x, rej, r)
		}
		if rej != nil && rej.Reason != devices.BadNumber {
			t.Errorf("%v, want bad_number", rej)
		}
	}
}

func TestInstants(t *testing.T) {
	shanghai := time.FixedZone("CST", 8*60*60)
	for raw, want := range map[string]int64{
		`"2026-11-23T20:15:30.000+08:00"`: 1795436130000,
		`"2026-11-23T12:15:30.9999Z"`:     1795436130999,
		`1795436130`:                      1795436130000,
		`1795436130.123`:                  1795436130123,
		`1795436130123`:                   1795436130123,
		`"1795436130"`:                    1795436130000,
		`1.61`:                            1610,
		`"2026-11-23T20:15:30"`:           1795436130000,
		`"2026-11-23 20:15:30"`:           1795436130000,
	} {
		if at, ok := Instant(json.RawMessage(raw), shanghai); !ok || int64(at) != want {
			t.Errorf("%s: %d, %v, want %d", raw, at, ok, want)
		}
	}
	for _, raw := range []string{"", "null", "true", "{}", `""`, `"x"`, "1e15", `"NaN"`, `"2026-13-01T00:00:00Z"`, `"\u0032"`} {
		if at, ok := Instant(json.RawMessage(raw), shanghai); ok {
			t.Errorf("%s: taken as %d", raw, at)
		}
	}
	if _, ok := Instant(json.RawMessage(`"2026-11-23T20:15:30"`), nil); ok {
		t.Error("a time without a zone is taken although none is known")
	}
}

// Decimal seconds must not lose a millisecond to their float64.
func TestSecondsKeepTheirMilliseconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(1_704_067_200_000, 4_000_000_000_000).Draw(t, "ms")
		if at, ok := Unix(float64(ms) / 1000); !ok || int64(at) != ms {
			t.Fatalf("%d ms as seconds became %d", ms, at)
		}
	})
}

func TestRepairTouchesBareTokensOnly(t *testing.T) {
	for in, want := range map[string]string{
		`{"w":NaN}`:                     `{"w":["NaN"]}`,
		`[-Infinity,Infinity, -inf]`:    `[["-Infinity"],["Infinity"], ["-inf"]]`,
		`{"NaN":"NaN \" NaN","a": nan}`: `{"NaN":"NaN \" NaN","a": ["nan"]}`,
	} {
		if got, ok := Repair([]byte(in)); !ok || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", `{"w":null,"s":"NaN`, `"NaN"`, "true", "nano", `"\`, "infinitely", "-5"} {
		if got, ok := Repair([]byte(in)); ok {
			t.Errorf("%s: repaired to %s", in, got)
		}
	}
}

func TestNamesBecomeLabels(t *testing.T) {
	for _, good := range []string{"P01", "楼1-桩2", strings.Repeat("x", 64), "a/b c"} {
		if rej := Pile(good); rej != nil {
			t.Errorf("%q: %v", good, rej)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a\nb", "\x00", "\u0085", "\xff"} {
		if rej := Pile(bad); rej == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestABatchWithoutOneGoodEntryIsRefusedWhole(t *testing.T) {
	m := &devices.Message{Rejects: []devices.Reject{{Reason: devices.BadPort, Detail: "earlier"}}}
	b := Begin(m)
	b.Refuse(devices.Rejectf(devices.BadPower, "first"))
	b.Refuse(devices.Rejectf(devices.BadPort, "second"))
	err := b.End()
	var rej *devices.Reject
	if !errors.As(err, &rej) || rej.Reason != devices.BadPower || len(m.Rejects) != 1 {
		t.Errorf("%v, %v left; want the first refusal and only the earlier one left", err, m.Rejects)
	}
	b = Begin(m)
	b.Refuse(devices.Rejectf(devices.BadPower, "one"))
	m.Statuses = append(m.Statuses, devices.Status{})
	if err := b.End(); err != nil || len(m.Rejects) != 2 {
		t.Errorf("%v, %v; want the good entry and both refusals kept", err, m.Rejects)
	}
	if err := Begin(m).End(); err != nil {
		t.Errorf("nothing said: %v", err)
	}
}
