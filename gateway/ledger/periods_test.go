package ledger

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

func settingsOf(building string) *session.Settings {
	s := session.DefaultSettings()
	s.Piles = map[string]session.Pile{"P01": {Building: building, Ports: 2}}
	return &s
}

func mainMeter(at devices.Millis, mWh int64) Entry {
	return Entry{Kind: KindStatus, Received: at, Status: &devices.Status{Pile: "P01", Time: at, MainMWh: mWh, Has: devices.HasEnergy, DeviceTime: true}}
}

func portMeter(at devices.Millis, port uint8, mWh int64) Entry {
	return Entry{Kind: KindReading, Received: at, Reading: devices.Reading{Pile: "P01", Port: port, Time: at, DeviceTime: true, State: devices.StateIdle, EnergyMWh: mWh, Has: devices.HasEnergy}}
}

func TestMainsComparesWhatTheMetersCountedInASpan(t *testing.T) {
	l := open(t, t.TempDir())
	const t0, minute = devices.Millis(1_790_000_000_000), devices.Millis(60_000)
	l.mustAppend(t, Batch{Entries: []Entry{
		{Kind: KindSettings, Received: t0, Settings: settingsOf("3")},
		mainMeter(t0, 1_000_000), portMeter(t0, 1, 5_000), portMeter(t0, 2, 9_000),
		mainMeter(t0+10*minute, 1_010_000), portMeter(t0+10*minute, 1, 9_000), portMeter(t0+10*minute, 2, 14_000),
		mainMeter(t0+20*minute, 1_030_000), portMeter(t0+20*minute, 1, 19_000), portMeter(t0+20*minute, 2, 14_000),
		mainMeter(t0+30*minute, 500), // replaced
		mainMeter(t0+25*minute, 1_040_000), mainMeter(t0+40*minute, -1), mainMeter(t0+40*minute, 2_500), portMeter(t0+40*minute, 1, 20_000),
	}})
	got, err := l.Mains(t.Context(), t0+5*minute, t0+50*minute, func(float64) {})
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	got[0].from = 0
	want := PileEnergy{Pile: "P01", Building: "3", HasMain: true, MainFell: true, MainStart: 1_000_000, MainEnd: 2_500, MainMWh: 32_000, PortsMWh: 20_000}
	if got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if got, err := l.Mains(t.Context(), t0+15*minute, t0+20*minute, func(float64) {}); err != nil || len(got) != 0 {
		t.Errorf("a span without a reading: %+v, %v", got, err)
	}
}

// TestMainsCountTheRegistersOfEvents: what a port counts up to its stop event is
// billed, and so it is no loss.
func TestMainsCountTheRegistersOfEvents(t *testing.T) {
	l := open(t, t.TempDir())
	const t0, minute = devices.Millis(1_790_000_000_000), devices.Millis(60_000)
	event := func(kind devices.EventKind, at devices.Millis, mWh int64) Entry {
		return Entry{Kind: KindEvent, Received: at, Event: &devices.Event{Pile: "P01", Port: 1, Kind: kind, Time: at, DeviceTime: true, EnergyMWh: mWh, Has: devices.HasEnergy}}
	}
	l.mustAppend(t, Batch{Entries: []Entry{
		{Kind: KindSettings, Received: t0, Settings: settingsOf("3")},
		portMeter(t0, 1, 5_000), event(devices.EventStart, t0+minute, 5_100), portMeter(t0+2*minute, 1, 6_000), event(devices.EventStop, t0+5*minute, 8_000),
		event(devices.EventStart, t0+9*minute, 9_000),
	}})
	got, err := l.Mains(t.Context(), t0, t0+9*minute, func(float64) {})
	if err != nil || len(got) != 1 || got[0].PortsMWh != 3_000 {
		t.Errorf("%+v, %v: want 3,000 mWh of the port, the last step being later", got, err)
	}
}

func TestAPeriodIsClosedWholeOrNotAtAll(t *testing.T) {
	l := open(t, t.TempDir())
	line := func(id string) PeriodLine {
		return PeriodLine{SessionID: id, Household: "1-603", EnergyMWh: 5, ElectricityFen: 3, ServiceFen: 2, Quality: session.Late, Body: []byte(`{}`)}
	}
	broke := errors.New("the lines broke off")
	if _, err := l.ClosePeriod(t.Context(), "2026-10", "", 1, func(put func(PeriodLine) error) ([]byte, error) { return nil, errors.Join(put(line("a")), broke) }); !errors.Is(err, broke) {
		t.Error(err)
	}
	if ps, err := l.Periods(t.Context()); err != nil || len(ps) != 0 {
		t.Errorf("half a period is closed: %v, %v", ps, err)
	}
	both := func(put func(PeriodLine) error) ([]byte, error) {
		return []byte(`{"x":1}`), errors.Join(put(line("a")), put(line("b")))
	}
	p, err := l.ClosePeriod(t.Context(), "2026-10", "", 1, both)
	if err != nil || p.Lines != 2 {
		t.Fatal(p, err)
	}
	if _, err := l.ClosePeriod(t.Context(), "2026-10", "", 1, both); !errors.Is(err, ErrClosedPeriod) {
		t.Error(err)
	}
	ps, err := l.Periods(t.Context())
	if err != nil || !reflect.DeepEqual(ps, []Period{p}) {
		t.Errorf("%+v, %v", ps, err)
	}
	if sum, n, err := l.PeriodSum(t.Context(), p, "", func(*PeriodLine) error { return nil }); err != nil || n != 2 || sum != p.Sum {
		t.Errorf("%s of %d lines, %v; want %s", sum, n, err, p.Sum)
	}
	if lines, err := l.LinesOf(t.Context(), "a"); err != nil || !reflect.DeepEqual(lines, []PeriodLine{line("a")}) {
		t.Errorf("%+v, %v", lines, err)
	}
}

// TestAPeriodIsClosedBesideAWriter closes one while another holds the ledger.
func TestAPeriodIsClosedBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenBeside(context.Background(), dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("opened a ledger that is not there")
	}
	l := open(t, dir)
	beside, err := OpenBeside(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := beside.ClosePeriod(t.Context(), "2026-10", "", 1, func(func(PeriodLine) error) ([]byte, error) { return []byte(`{}`), nil }); err != nil {
		t.Error(err)
	}
	if err := beside.Close(); err != nil {
		t.Error(err)
	}
	l.mustAppend(t, Batch{Entries: estateEntries(1)[:10]})
	if ps, err := l.Periods(t.Context()); err != nil || len(ps) != 1 {
		t.Errorf("the writer sees %v, %v", ps, err)
	}
}
