package influx

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// everything has an entry for each shape that a point can take.
func everything() []ledger.Entry {
	reading := func(r devices.Reading) ledger.Entry { return ledger.Entry{Kind: ledger.KindReading, Reading: r} }
	status := func(s devices.Status) ledger.Entry { return ledger.Entry{Kind: ledger.KindStatus, Status: &s} }
	flag := ledger.Flag{
		ID: "f1", Rule: "over_power", Severity: ledger.Warning, Building: "3", Pile: "p1", Port: 2, SessionID: "p1-2-20251123T120000Z",
		Household: "3-502", RaisedAt: t0 + 123, Message: `功率 650 W，疑似"大功率电器"\`,
	}
	critical, cleared := flag, flag
	critical.Severity, critical.Rose, critical.SeverityAt = ledger.Critical, ledger.Warning, t0+30_000
	cleared.Severity, cleared.ClearedAt = ledger.Critical, t0+60_001
	done := session.Session{
		ID: "p1-2-20251123T120000Z", Pile: "p1", Port: 2, Building: "3", Household: "3-502", Card: "04A1B2C3", Order: "A-1007",
		Start: t0, End: t0 + 7_261_500, EnergyMWh: 1_284_531, PeakMW: 152_400, MeterStartMWh: 1, MeterEndMWh: 2, Tariff: "2026",
		ElectricityFen: 82, ServiceFen: 39, Reason: "full", Quality: session.Estimated | session.Late, SettledMWh: -1,
	}
	bare := session.Session{ID: "p9-1-20251123T120000Z", Pile: "p9", Port: 1, Start: t0, End: t0, Reason: "unknown", SettledMWh: -1}
	const all = devices.HasEnergy | devices.HasVoltage | devices.HasCurrent | devices.HasPowerFactor | devices.HasTemperature | devices.HasSeq | devices.HasOrderEnergy
	return []ledger.Entry{
		reading(devices.Reading{
			Pile: "p1", Port: 2, Card: "04A1B2C3", Order: "A-1007", Time: t0 + 500, Seq: 9, PowerMW: 152_400, EnergyMWh: 1_284_531_250, OrderMWh: 7,
			VoltageMV: 221_300, CurrentMA: 712, TempMC: 34_500, PFMilli: 970, Has: all, State: devices.StateCharging, DeviceTime: true,
		}),
		reading(devices.Reading{Pile: "p1", Port: 255, Time: t0, PowerMW: -1000}),
		reading(devices.Reading{Pile: "p1", Port: 1, Time: t0, TempMC: -12_345, Has: devices.HasTemperature, State: devices.StateUnknown}),
		reading(devices.Reading{Pile: "unregistered", Port: 1, Time: t0, PowerMW: 100, State: devices.StateIdle}),
		reading(devices.Reading{Pile: "a, b=c 桩", Port: 1, Time: t0, PowerMW: 1, EnergyMWh: 9_007_199_254_740_992, Has: devices.HasEnergy}),
		status(devices.Status{Pile: "p1", Time: t0 + 1, Online: true, Has: devices.HasOnline}),
		status(devices.Status{Pile: "p1", Time: t0 + 2, Has: devices.HasOnline}),
		status(devices.Status{Pile: "p1", Time: t0 + 3, TempMC: 31_000, RSSI: -71, MainMWh: 5_230_010_000, Has: devices.HasTemperature | devices.HasRSSI | devices.HasEnergy | devices.HasSeq}),
		{Kind: ledger.KindSession, Change: session.Closed, Session: &done},
		{Kind: ledger.KindSession, Change: session.Closed, Session: &bare},
		{Kind: ledger.KindFlag, Flag: &flag},
		{Kind: ledger.KindFlag, Flag: &critical},
		{Kind: ledger.KindFlag, Flag: &cleared, Cleared: true},
		{Kind: ledger.KindFlag, Flag: &ledger.Flag{ID: "f2", Rule: "pile_offline", Severity: ledger.Warning, Pile: "p1", RaisedAt: t0, Message: "两行\n字"}},
	}
}

func encodeAll(t testing.TB, entries []ledger.Entry) []byte {
	t.Helper()
	c := &Consumer{batch: newBatch("fuxing"), settings: session.Settings{Piles: map[string]session.Pile{"p1": {Building: "3"}, "a, b=c 桩": {Building: "东 1"}}}}
	for i := range entries {
		if err := c.add(t.Context(), ledger.Seq(i+1), &entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	return c.batch.enc.lines
}

func TestPointsAreThoseOfTheContract(t *testing.T) {
	got := encodeAll(t, everything())
	path := filepath.Join("testdata", "points.golden")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNoCardNumberGoesOut(t *testing.T) {
	if got := encodeAll(t, everything()); bytes.Contains(got, []byte("04A1B2C3")) {
		t.Errorf("a card is in\n%s", got)
	}
}

// parsed is a line read back by the library's decoder.
type parsed struct {
	measurement string
	tags        map[string]string
	fields      map[string]any
	time        time.Time
}

func parse(lines []byte) (all []parsed, err error) {
	for d := lineprotocol.NewDecoderWithBytes(lines); d.Next(); {
		p := parsed{tags: map[string]string{}, fields: map[string]any{}}
		m, err := d.Measurement()
		if err != nil {
			return nil, err
		}
		p.measurement = string(m)
		last := ""
		for {
			k, v, err := d.NextTag()
			if err != nil {
				return nil, err
			}
			if k == nil {
				break
			}
			if string(k) <= last {
				return nil, errors.New("tags out of order")
			}
			last = string(k)
			p.tags[string(k)] = string(v)
		}
		for {
			k, v, err := d.NextField()
			if err != nil {
				return nil, err
			}
			if k == nil {
				break
			}
			p.fields[string(k)] = v.Interface()
		}
		if p.time, err = d.Time(lineprotocol.Nanosecond, time.Time{}); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// decimal is the float nearest to v thousandths, computed exactly.
func decimal(v int64) float64 {
	f, _ := big.NewRat(v, 1000).Float64()
	return f
}

func drawReading(t *rapid.T) devices.Reading {
	return devices.Reading{
		Pile: drawName(t, "pile"), Port: uint8(rapid.IntRange(1, 255).Draw(t, "port")), Card: "card", Order: "order",
		Time: devices.Millis(rapid.Int64Range(0, 4e12).Draw(t, "time")), PowerMW: rapid.Int64Range(devices.MinPowerMW, devices.MaxPowerMW).Draw(t, "power"),
		EnergyMWh: rapid.Int64Range(0, 1<<53).Draw(t, "energy"), VoltageMV: rapid.Int32().Draw(t, "voltage"), CurrentMA: rapid.Int32().Draw(t, "current"),
		TempMC: rapid.Int32().Draw(t, "temp"), PFMilli: rapid.Int16().Draw(t, "pf"), Has: devices.Fields(rapid.Uint16().Draw(t, "has")),
		State: devices.PortState(rapid.IntRange(0, 6).Draw(t, "state")),
	}
}

// drawName gives names that line protocol can hold, with all that needs escapes.
func drawName(t *rapid.T, label string) string {
	return rapid.StringMatching(`[a-z ,="'桩\\]{0,8}[a-z=, "]`).Draw(t, label)
}

func TestReadingsReadBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, building := drawReading(t), rapid.SampledFrom([]string{"", "1", "东 1, 北=2"}).Draw(t, "building")
		b := newBatch("fuxing")
		if err := b.add(func(e *encoder) { e.reading(&r, building) }); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		want := parsed{"port_power", tags("building", building, "estate", "fuxing", "pile", r.Pile, "port", big.NewInt(int64(r.Port)).String()),
			map[string]any{"power_w": decimal(r.PowerMW)}, r.Time.Time()}
		for name, f := range map[string]struct {
			has devices.Fields
			v   int64
		}{
			"voltage_v": {devices.HasVoltage, int64(r.VoltageMV)}, "current_a": {devices.HasCurrent, int64(r.CurrentMA)},
			"power_factor": {devices.HasPowerFactor, int64(r.PFMilli)}, "energy_wh": {devices.HasEnergy, r.EnergyMWh},
			"temperature_c": {devices.HasTemperature, int64(r.TempMC)},
		} {
			if r.Has.Has(f.has) {
				want.fields[name] = decimal(f.v)
			}
		}
		if r.State != devices.StateNone {
			want.fields["state"] = r.State.String()
		}
		same(t, b, want)
	})
}

func TestSessionsReadBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		s := session.Session{
			ID: text.Draw(t, "id"), Pile: drawName(t, "pile"), Port: 7, Building: "1", Household: rapid.SampledFrom([]string{"", "1-101"}).Draw(t, "household"),
			Card: "card", Start: t0, End: t0 + devices.Millis(rapid.Int64Range(0, 1e9).Draw(t, "ms")), EnergyMWh: rapid.Int64Range(0, 1e7).Draw(t, "energy"),
			PeakMW: rapid.Int64Range(-1000, 1e8).Draw(t, "peak"), ElectricityFen: rapid.Int64Range(0, 1e6).Draw(t, "e"), ServiceFen: rapid.Int64Range(0, 1e6).Draw(t, "s"),
			Reason: text.Draw(t, "reason"), Quality: session.Quality(rapid.IntRange(0, 7).Draw(t, "quality")),
		}
		b := newBatch("fuxing")
		if err := b.add(func(e *encoder) { e.session(&s) }); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		mean := int64(0)
		if s.End > s.Start {
			mean = s.EnergyMWh * 3_600_000 / int64(s.End-s.Start)
		}
		same(t, b, parsed{"session", tags("building", "1", "estate", "fuxing", "household", s.Household, "pile", s.Pile, "port", "7"), map[string]any{
			"session_id": valid(s.ID), "stop_reason": valid(s.Reason), "energy_wh": decimal(s.EnergyMWh), "duration_s": int64(s.End-s.Start) / 1000,
			"peak_w": decimal(s.PeakMW), "mean_w": decimal(mean), "electricity_fee_fen": s.ElectricityFen, "service_fee_fen": s.ServiceFen,
			"total_fee_fen": s.ElectricityFen + s.ServiceFen, "quality": s.Quality.String(),
		}, t0.Time()})
	})
}

// FuzzText: whatever a message holds, the line reads back as that, or is refused whole.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "桩", `\`, `"\`, "a\nb", "\x00", "\xff", "a b,c=d", "# x", strings.Repeat("长", 300)} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, pile, message string) {
		flag := ledger.Flag{ID: "f", Rule: "over_power", Severity: ledger.Info, Pile: pile, Port: 1, RaisedAt: t0, Message: message}
		b := newBatch("fuxing")
		if err := b.add(func(e *encoder) { e.flag(&flag, false) }); err != nil {
			if len(b.ends) != 0 || len(b.enc.lines) != 0 {
				t.Errorf("%q was refused and left %q", pile, b.enc.lines)
			}
			return
		}
		same(t, b, parsed{"flag", tags("estate", "fuxing", "pile", pile, "port", "1", "rule", "over_power", "severity", "info"),
			map[string]any{"flag_id": "f", "session_id": "", "raised": int64(1), "message": valid(message)}, t0.Time().Add(within(&flag))})
	})
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func tags(kv ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		if kv[i+1] != "" {
			m[kv[i]] = kv[i+1]
		}
	}
	return m
}

type failer interface {
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func same(t failer, b *batch, want parsed) {
	all, err := parse(b.enc.lines)
	if err != nil || len(all) != 1 {
		t.Fatalf("%q: %d lines, error %v", b.enc.lines, len(all), err)
	}
	got := all[0]
	if got.measurement != want.measurement || !got.time.Equal(want.time) || !equal(got.tags, want.tags) || !equal(got.fields, want.fields) {
		t.Errorf("%q\nreads back as %+v\nwant          %+v", b.enc.lines, got, want)
	}
}

func equal[V comparable](a, b map[string]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func TestDecimalsHaveNoFloatNoise(t *testing.T) {
	for v, want := range map[int64]string{
		152_400: "152.4", 1: "0.001", -12_345: "-12.345", 0: "0", 712: "0.712", 221_300: "221.3", 999_999: "999.999",
		1_284_531_250: "1.28453125e+06", math.MinInt16: "-32.768",
	} {
		if got := milli(v).String(); got != want {
			t.Errorf("%d thousandths are written %s, want %s", v, got, want)
		}
	}
}
