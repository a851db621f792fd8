package ledger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

func open(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *Ledger) mustAppend(t *testing.T, b Batch) Seq {
	t.Helper()
	seq, err := l.Append(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestWhatWasAppendedIsReadAgainAfterReopening(t *testing.T) {
	dir := t.TempDir()
	want := estateEntries(9)
	l := open(t, dir)
	for i := 0; i < len(want); i += 10 {
		if seq := l.mustAppend(t, Batch{Entries: want[i : i+10]}); seq != Seq(i+1) {
			t.Fatalf("block at %d, want %d", seq, i+1)
		}
	}
	check := func(l *Ledger, what string) {
		t.Helper()
		var got []Entry
		for from := Seq(1); ; {
			b, err := l.Read(t.Context(), from, 7)
			if err != nil {
				t.Fatal(err)
			}
			if b.First != from {
				t.Fatalf("%s: asked for %d, got %d", what, from, b.First)
			}
			if len(b.Entries) == 0 {
				break
			}
			got, from = append(got, b.Entries...), b.Next()
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d entries differ from the %d put in", what, len(got), len(want))
		}
	}
	check(l, "from memory")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, dir), "from disk")
}

func TestNextWakesWhoWaits(t *testing.T) {
	l := open(t, t.TempDir())
	got := make(chan Block)
	go func() {
		b, err := l.Next(context.Background(), 1, 100)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	l.mustAppend(t, Batch{Entries: estateEntries(1)})
	if b := <-got; b.First != 1 || len(b.Entries) != 10 {
		t.Errorf("block at %d with %d entries", b.First, len(b.Entries))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Next(ctx, 11, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a context that is done: %v", err)
	}
}

func TestCursorsAndCheckpointsMoveWithTheirCommit(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if c, err := l.Cursor(t.Context(), "influxdb"); err != nil || c != 1 {
		t.Fatalf("a new consumer begins at %d, %v", c, err)
	}
	l.mustAppend(t, Batch{
		Entries: estateEntries(1), Cursors: map[string]Seq{"safety": 11},
		Checkpoints: map[string]Checkpoint{"session": {State: pack(t, bytes.NewBufferString("state"))}, "safety": {Seq: 5}},
	})
	if err := l.Advance(t.Context(), "influxdb", 4); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	for name, want := range map[string]Seq{"safety": 11, "influxdb": 4} {
		if c, err := l.Cursor(t.Context(), name); err != nil || c != want {
			t.Errorf("cursor %s: %d, %v", name, c, err)
		}
	}
	var state bytes.Buffer
	if seq, saved, err := l.LoadCheckpoint(t.Context(), "session"); err != nil || seq != 11 || saved.Into(&state) != nil || state.String() != "state" {
		t.Errorf("checkpoint at %d: %q, %v", seq, state.String(), err)
	}
	if seq, saved, err := l.LoadCheckpoint(t.Context(), "safety"); err != nil || seq != 5 || saved.Given() {
		t.Errorf("checkpoint at %d, %v", seq, err)
	}
}

func sessionEntry(change session.ChangeKind, s session.Session) Entry {
	return Entry{Kind: KindSession, Change: change, Session: &s}
}

func TestSessionRowsFollowTheirChanges(t *testing.T) {
	l := open(t, t.TempDir())
	s := session.Session{
		ID: "P01-1-a", Pile: "P01", Port: 1, Open: true, Building: "1", Start: t0, End: t0, MeterStartMWh: -1, MeterEndMWh: -1, SettledMWh: -1,
		Bands: []session.Band{{Name: "flat", Price: 641_000}},
	}
	l.mustAppend(t, Batch{Entries: []Entry{sessionEntry(session.Opened, s)}})
	if got, err := l.Session(t.Context(), s.ID); err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("got %+v, %v", got, err)
	}
	s.Open, s.End, s.EnergyMWh, s.Reason, s.Order, s.Quality = false, t0+1000, 5, "unplugged", "A-1", session.Estimated
	s.Bands[0].EnergyMWh = 5
	settled := session.Session{ID: s.ID, SettledMWh: 99, Reason: "full", Quality: session.Disputed}
	l.mustAppend(t, Batch{Entries: []Entry{sessionEntry(session.Closed, s), sessionEntry(session.Settled, settled)}})
	s.SettledMWh, s.Reason, s.Quality = 99, "full", session.Estimated|session.Disputed
	if got, err := l.SessionOfOrder(t.Context(), "P01", 1, "A-1"); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := l.Session(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
	settled.ID = "taken away by hand"
	l.mustAppend(t, Batch{Entries: []Entry{sessionEntry(session.Settled, settled)}})
}

func TestWhatAPersonSaidOfAFlagStays(t *testing.T) {
	l := open(t, t.TempDir())
	f := Flag{ID: "over_power-P01-1-x", Rule: "over_power", Severity: Warning, Pile: "P01", RaisedAt: t0, Status: StatusOpen, Evidence: []byte(`{}`)}
	raise := func() { t.Helper(); l.mustAppend(t, Batch{Entries: []Entry{{Kind: KindFlag, Flag: &f}}}) }
	raise()
	if err := l.exec(t.Context(), "UPDATE flag SET status = 'acknowledged'"); err != nil {
		t.Fatal(err)
	}
	f.Severity, f.ClearedAt = Critical, t0+1000
	raise()
	if got, err := l.Flag(t.Context(), f.ID); err != nil || got.Status != StatusAcknowledged || got.Severity != Critical || got.ClearedAt != t0+1000 {
		t.Errorf("flag %+v, %v", got, err)
	}
	if f.Status != StatusOpen {
		t.Error("the journal's entry was changed")
	}
}

func TestPagesGiveEachSessionOnce(t *testing.T) {
	l := open(t, t.TempDir())
	const n = 23
	for i := range n {
		at := t0.Add(time.Duration(i/3) * time.Minute) // three at the same time
		l.mustAppend(t, Batch{Entries: []Entry{sessionEntry(session.Closed, session.Session{ID: session.ID("P01", uint8(i), at), Pile: "P01", Start: at, End: at + 1})}})
	}
	for _, f := range []Filter{{Limit: 5}, {Limit: 5, Oldest: true}, {Limit: 1, ByEnd: true}, {}} {
		seen := map[string]bool{}
		for {
			items, next, err := l.Sessions(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range items {
				if seen[s.ID] {
					t.Fatalf("%s came twice", s.ID)
				}
				seen[s.ID] = true
			}
			if f.After = next; next == "" {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("filter %+v: %d of %d sessions", f, len(seen), n)
		}
	}
	if _, _, err := l.Sessions(t.Context(), Filter{After: "rubbish"}); err == nil {
		t.Error("a rubbish place was taken")
	}
}

func TestRejectsAreKept(t *testing.T) {
	l := open(t, t.TempDir())
	for i := range 3 {
		l.mustAppend(t, Batch{Rejects: []Reject{{Time: t0 + devices.Millis(i/2), Decoder: "native", Topic: "a/b", Reason: devices.Malformed, Detail: "x", Payload: []byte{0xff}}}})
	}
	first, next, err := l.Rejects(t.Context(), Filter{Limit: 2})
	if err != nil || len(first) != 2 || next == "" {
		t.Fatalf("%d rejects, next %q, %v", len(first), next, err)
	}
	rest, next, err := l.Rejects(t.Context(), Filter{Limit: 2, After: next})
	if err != nil || len(rest) != 1 || next != "" || rest[0].Reason != devices.Malformed {
		t.Errorf("%d rejects, next %q, %v", len(rest), next, err)
	}
}

func TestAFlippedBitIsFound(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.mustAppend(t, Batch{Entries: estateEntries(3)})
	l.mustAppend(t, Batch{Entries: estateEntries(2)})
	if _, err := l.write.ExecContext(t.Context(), "UPDATE journal SET block = substr(block, 1, 40) || x'00' || substr(block, 42) WHERE seq = 31"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	if _, err := l.Read(t.Context(), 1, 30); err != nil {
		t.Errorf("the block before it: %v", err)
	}
	_, err := l.Read(t.Context(), 31, 1)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Seq != 31 || damaged.Count != 20 || !strings.Contains(err.Error(), "2026-11-23T12:00:00Z") {
		t.Errorf("error %v", err)
	}
}

func TestASecondGatewayIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("error %v", err)
	}
	r, err := OpenRead(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("reading beside it: %v", err)
	}
	defer r.Close()
	if _, _, err := r.Sessions(t.Context(), Filter{}); err != nil {
		t.Error(err)
	}
}

func TestAnOlderProgramRefusesANewerLedger(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if _, err := l.write.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("error %v", err)
	}
}

func TestSQLiteIsFreeOfTheWALCorruptionBug(t *testing.T) {
	l := open(t, t.TempDir())
	var v string
	var ok bool
	if err := l.read.QueryRowContext(t.Context(), "SELECT sqlite_version(), sqlite_version() >= '3.51.3'").Scan(&v, &ok); err != nil || !ok {
		t.Errorf("SQLite %s, %v: expected 3.51.3 or later", v, err)
	}
	var mode string
	var sync int
	if err := l.write.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %s, %v", mode, err)
	}
	if err := l.write.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&sync); err != nil || sync != 2 {
		t.Errorf("synchronous %d, %v: expected 2, FULL", sync, err)
	}
}

func TestTheSameAppendsGiveTheSameFile(t *testing.T) {
	files := make([][]byte, 2)
	for i := range files {
		dir := t.TempDir()
		l := open(t, dir)
		for range 20 {
			l.mustAppend(t, Batch{Entries: estateEntries(40), Cursors: map[string]Seq{"a": 3, "b": 4}})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(filepath.Join(dir, File)); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(files[0], files[1]) {
		t.Error("two ledgers of the same appends differ")
	}
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(b.Context(), b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	es := estateEntries(100)
	for b.Loop() {
		if _, err := l.Append(b.Context(), &Batch{Entries: es}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(es))/b.Elapsed().Seconds(), "readings/s")
}

// charge folds a session of n readings into batches, as ingest does.
func charge(t *testing.T, l *Ledger, state *session.State, day int, n int) {
	t.Helper()
	var es []Entry
	put := func(e Entry) {
		in, _ := e.Input()
		changes, _, err := session.Step(state, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
		for _, c := range changes {
			es = append(es, Entry{Kind: KindSession, Received: e.Received, Change: c.Kind, Session: c.Session})
		}
	}
	for i := range n {
		at := t0.Add(time.Duration(day)*24*time.Hour + time.Duration(i)*time.Minute)
		r := devices.Reading{Pile: "P01", Port: 1, Time: at, DeviceTime: true, State: devices.StateCharging, PowerMW: 120_000,
			Has: devices.HasEnergy, EnergyMWh: int64(day*n+i) * 2000}
		if i == n-1 {
			r.State = devices.StateIdle
		}
		put(Entry{Kind: KindReading, Received: at, Reading: r})
	}
	l.mustAppend(t, Batch{Entries: es, Checkpoints: map[string]Checkpoint{SessionCheckpoint: {State: pack(t, state)}}})
}

func pack(t *testing.T, state io.WriterTo) Packed {
	t.Helper()
	p, err := Pack(state)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newState(t *testing.T) *session.State {
	t.Helper()
	s, err := session.NewState(session.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verify(t *testing.T, l *Ledger) Report {
	t.Helper()
	rep, err := l.Verify(t.Context(), func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestVerifyFindsAChangedSession(t *testing.T) {
	l := open(t, t.TempDir())
	state := newState(t)
	for day := range 3 {
		charge(t, l, state, day, 10)
	}
	if rep := verify(t, l); rep.Sessions != 3 || len(rep.Differences) != 0 {
		t.Fatalf("an honest ledger: %+v", rep)
	}
	for change, want := range map[string]string{
		"UPDATE session SET energy_mwh = energy_mwh + 1 WHERE start = (SELECT min(start) FROM session)": "EnergyMWh",
		"UPDATE session SET household = '9-999' WHERE start = (SELECT min(start) FROM session)":         "Household",
		"UPDATE session SET service_fee_fen = 1 WHERE start = (SELECT min(start) FROM session)":         "ServiceFen",
		"DELETE FROM session WHERE start = (SELECT min(start) FROM session)":                            "is missing",
		"INSERT INTO session SELECT 'x'||id, pile, port, open, building, household, card, order_no, start, end, energy_mwh, peak_mw, meter_start_mwh, meter_end_mwh, tariff, bands, electricity_fee_fen, service_fee_fen, stop_reason, quality, settled_mwh FROM session LIMIT 1": "no reading gives it",
	} {
		dir := t.TempDir()
		if err := l.exec(t.Context(), "VACUUM INTO '"+dir+"/"+File+"'"); err != nil {
			t.Fatal(err)
		}
		changed := open(t, dir)
		if err := changed.exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if rep := verify(t, changed); len(rep.Differences) != 1 || !strings.Contains(rep.Differences[0], want) {
			t.Errorf("%s: differences %q", change, rep.Differences)
		}
	}
}

func TestPruningKeepsWhatIsNeeded(t *testing.T) {
	l := open(t, t.TempDir())
	state := newState(t)
	for day := range 10 {
		charge(t, l, state, day, 10)
	}
	before := l.Head()
	cut := t0.Add(5 * 24 * time.Hour)
	if err := l.Advance(t.Context(), "influxdb", 15); err != nil { // within the second day
		t.Fatal(err)
	}
	prune := func(consumers ...string) Seq {
		t.Helper()
		if _, err := l.Prune(t.Context(), cut, cut, consumers); err != nil {
			t.Fatal(err)
		}
		b, err := l.readRows(t.Context(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		return b.First
	}
	if first := prune("influxdb"); first != 13 { // a day is 10 readings, one opened, one closed
		t.Errorf("with a consumer at 15 the journal begins at %d", first)
	}
	if first := prune(); first != 61 {
		t.Errorf("the journal begins at %d, want 61", first)
	}
	if l.Head() != before {
		t.Errorf("the head moved from %d to %d", before, l.Head())
	}
	if rep := verify(t, l); len(rep.Differences) != 0 || rep.Sessions != 5 {
		t.Errorf("what stays verifies: %+v", rep)
	}
	if items, _, err := l.Sessions(t.Context(), Filter{}); err != nil || len(items) != 10 {
		t.Errorf("%d sessions stay, %v", len(items), err)
	}
}

func TestRejectsAreBounded(t *testing.T) {
	l := open(t, t.TempDir())
	put := func(id int) {
		t.Helper()
		if err := l.exec(t.Context(), "INSERT INTO reject (id, time, decoder, topic, reason, detail, payload) VALUES (?, ?, '', '', '', '', x'')", id, t0); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []int{1, 2, maxRejects + 1} {
		put(id)
	}
	if _, err := l.Prune(t.Context(), 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	var n, first int
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*), min(id) FROM reject").Scan(&n, &first); err != nil || n != 2 || first != 2 {
		t.Errorf("%d rejects stay, the first is %d, %v; expected the newest %d of their numbers", n, first, err, maxRejects)
	}
}

func TestRefusedLinesAreBounded(t *testing.T) {
	l := open(t, t.TempDir())
	if err := l.exec(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10005)
		INSERT INTO sink_reject (sink, line, reason) SELECT 'influxdb', 'line ' || i, 'conflict' FROM n`); err != nil {
		t.Fatal(err)
	}
	if err := l.SaveSinkRejects(t.Context(), "influxdb", "conflict", []string{"the newest but one", "the newest"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prune(t.Context(), t0, t0, nil); err != nil {
		t.Fatal(err)
	}
	var n int
	var newest string
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*), (SELECT line FROM sink_reject ORDER BY id DESC LIMIT 1) FROM sink_reject").Scan(&n, &newest); err != nil || n != keepSinkRejects || newest != "the newest" {
		t.Errorf("%d lines, the newest %q, %v", n, newest, err)
	}
}
