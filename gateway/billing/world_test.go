package billing

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

var update = flag.Bool("update", false, "write the golden files anew")

func shanghai(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// tariffs are a time-of-use one with power tiers, and a flat one with a price a kWh.
func tariffs() []tariff.Tariff {
	return []tariff.Tariff{
		{Name: "2026-合表", ValidFrom: "2026-01-01", Bands: []tariff.Band{tariff.FlatBand(641_000)}, PerKWh: 300_000},
		{Name: "2026-11-分时", ValidFrom: "2026-11-01", Bands: []tariff.Band{{Name: "峰", From: 360, To: 1320, Price: 617_000}, {Name: "谷", From: 1320, To: 360, Price: 307_000}},
			Tiers: []tariff.Tier{{UpToMW: 200_000, PerHour: 250_000}, {UpToMW: 400_000, PerHour: 500_000}, {UpToMW: 800_000, PerHour: 1_000_000}}},
	}
}

// estate is a ledger with sessions, and what is configured of its bills.
type estate struct {
	t      testing.TB
	dir    string
	ledger *ledger.Ledger
	config Config
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	e := &estate{t: t, dir: t.TempDir(), config: Config{Estate: "复兴小区", Phone: "021-55550000", Location: shanghai(t), Tariffs: tariffs(), NoticeMinHouseholds: 2}}
	e.open()
	return e
}

func (e *estate) open() {
	e.t.Helper()
	l, err := ledger.Open(e.t.Context(), e.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { l.Close() })
	e.ledger = l
}

func (e *estate) at(s string) devices.Millis {
	e.t.Helper()
	m, err := time.ParseInLocation("2006-01-02 15:04:05", s, e.config.Location)
	if err != nil {
		e.t.Fatal(err)
	}
	return devices.MillisOf(m)
}

// charge is a session as the fold makes it, of constant power.
func (e *estate) charge(household, card, pile string, port uint8, start string, d time.Duration, mWh int64) *session.Session {
	e.t.Helper()
	from := e.at(start)
	return e.chargeAt(household, card, pile, port, from, d, mWh)
}

func (e *estate) chargeAt(household, card, pile string, port uint8, from devices.Millis, d time.Duration, mWh int64) *session.Session {
	s := &session.Session{
		ID: session.ID(pile, port, from), Pile: pile, Port: port, Building: strings.TrimLeft(pile[1:], "0"), Household: household, Card: card, Order: "A-" + pile + fmt.Sprint(port),
		Start: from, End: from.Add(d), EnergyMWh: mWh, PeakMW: 182_400, MeterStartMWh: 1_000_000_000, MeterEndMWh: 1_000_000_000 + mWh,
		Reason: "full", SettledMWh: -1,
	}
	table, err := tariff.NewTable(e.config.Location, e.config.Tariffs)
	if err != nil {
		e.t.Fatal(err)
	}
	reprice(s, table.At(s.Start), e.config.Location)
	return s
}

func reprice(s *session.Session, t *tariff.Tariff, loc *time.Location) {
	if t == nil {
		return
	}
	parts := make([]int64, len(t.Bands))
	t.Split(loc, s.Start, s.End, s.EnergyMWh, parts)
	s.Tariff, s.Bands = t.Name, nil
	for i, b := range t.Bands {
		s.Bands = append(s.Bands, session.Band{Name: b.Name, Price: b.Price, EnergyMWh: parts[i]})
	}
	s.ElectricityFen, s.ServiceFen = t.Electricity(parts), t.Service(s.EnergyMWh, s.Duration(), s.PeakMW)
}

// add puts closed sessions into the ledger; one whose id is there already takes its place.
func (e *estate) add(sessions ...*session.Session) {
	e.t.Helper()
	var b ledger.Batch
	for _, s := range sessions {
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindSession, Change: session.Closed, Received: s.End, Session: s.Clone()})
	}
	if _, err := e.ledger.Append(e.t.Context(), &b); err != nil {
		e.t.Fatal(err)
	}
}

// flag puts a flag of a session into the ledger, and one of a whole pile.
func (e *estate) flag(s *session.Session) {
	e.t.Helper()
	raised := s.Start.Add(31*time.Minute + 500*time.Millisecond)
	flags := []ledger.Flag{{
		ID: "second_load-" + s.ID, Rule: "second_load", Severity: ledger.Warning, Suspicion: "power_strip", Building: s.Building, Pile: s.Pile, Port: s.Port,
		SessionID: s.ID, Household: s.Household, RaisedAt: raised, ClearedAt: s.End, Status: ledger.StatusOpen, Evidence: []byte(`{"step_w":95}`),
		Message: "3号楼 P03 桩 12 号口：疑似插线板", MessageEN: "Building 3, pile P03, port 12: a power strip is suspected", Advice: "请上门了解情况并提供帮助", AdviceEN: "please visit and offer help", RuleVersion: 2,
	}, {
		ID: "device_alarm-" + s.Pile, Rule: "device_alarm", Severity: ledger.Critical, Suspicion: "hardware", Building: s.Building, Pile: s.Pile,
		RaisedAt: raised.Add(time.Hour), Status: ledger.StatusAcknowledged, Message: "=烟雾", MessageEN: "smoke", Advice: "请到现场查看", AdviceEN: "go and look", RuleVersion: 1,
	}}
	var b ledger.Batch
	for i := range flags {
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindFlag, Received: flags[i].RaisedAt, Flag: &flags[i]})
	}
	if _, err := e.ledger.Append(e.t.Context(), &b); err != nil {
		e.t.Fatal(err)
	}
}

// fill adds an October and a November of a few households.
func (e *estate) fill() {
	e.t.Helper()
	lost := e.charge("3-202", "04A1B2C5", "P03", 12, "2026-11-09 23:10:00", 5*time.Hour, 1_203_456)
	lost.Reason, lost.Quality = session.ReasonLost, session.Estimated
	late := e.charge("1-402", "0012", "P01", 3, "2026-11-12 06:30:30", 90*time.Minute, 480_000)
	late.Quality, late.Order, late.MeterStartMWh, late.MeterEndMWh = session.Late, "202611120630000001", -1, -1
	formula := e.charge("10-1001", "=CMD()|X", "P10", 1, "2026-11-20 12:00:00", 61*time.Minute, 77_777)
	formula.Order = "=2+2"
	unpriced := e.charge("1-603", "04A1B2C3", "P01", 4, "2025-12-30 12:00:00", time.Hour, 500_000)
	unpriced.Start, unpriced.End, unpriced.ID = e.at("2026-11-21 08:00:00"), e.at("2026-11-21 09:00:00"), "P01-4-20261121T000000Z"
	e.add(
		e.charge("1-603", "04A1B2C3", "P01", 1, "2026-10-15 20:15:30", 7*time.Hour, 1_250_005),
		e.charge("3-202", "04A1B2C5", "P03", 2, "2026-10-31 20:00:00", 3*time.Hour+59*time.Minute+59*time.Second, 900_000),
		e.charge("1-603", "04A1B2C3", "P01", 1, "2026-10-31 20:00:00", 4*time.Hour, 700_001),
		e.charge("1-603", "04A1B2C3", "P01", 2, "2026-11-05 19:45:00", 6*time.Hour, 1_250_000), lost, late, formula, unpriced,
		e.charge("", "DEADBEEF99", "P03", 4, "2026-11-22 10:00:00", 2*time.Hour, 300_000),
	)
	e.flag(lost)
}

func (e *estate) book() *Book {
	e.t.Helper()
	b, err := OpenBook(e.t.Context(), e.ledger, e.config)
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

func (e *estate) export(r Request) []byte {
	e.t.Helper()
	var out bytes.Buffer
	if _, err := e.book().Export(e.t.Context(), r, &out); err != nil {
		e.t.Fatalf("%s.%s: %v", r.What, r.Format, err)
	}
	return out.Bytes()
}

func (e *estate) close(month string) (ledger.Period, Summary) {
	e.t.Helper()
	p, sum, err := Close(e.t.Context(), e.ledger, e.config, month, CloseOptions{Now: e.at("2027-06-01 00:00:00")}, func(float64) {})
	if err != nil {
		e.t.Fatal(err)
	}
	return p, sum
}

func (e *estate) verify() []string {
	e.t.Helper()
	_, _, differences, err := Verify(e.t.Context(), e.ledger)
	if err != nil {
		e.t.Fatal(err)
	}
	return differences
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from its golden; got\n%s", name, got)
	}
}
