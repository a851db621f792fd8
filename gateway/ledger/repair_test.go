package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// lived is a ledger under a fold, as ingest drives it: a commit a reading.
type lived struct {
	*Ledger
	t     *testing.T
	state *session.State
	since []Entry
}

func (l *lived) put(e Entry) {
	l.t.Helper()
	in, _ := e.Input()
	changes, _, err := session.Step(l.state, in, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.since = append(l.since, e)
	for _, c := range changes {
		l.since = append(l.since, Entry{Kind: KindSession, Received: e.Received, Change: c.Kind, Session: c.Session})
	}
}

func (l *lived) commit() Seq {
	l.t.Helper()
	seq := l.mustAppend(l.t, Batch{Entries: l.since})
	l.since = nil
	return seq
}

func (l *lived) checkpoint() {
	l.t.Helper()
	l.mustAppend(l.t, Batch{Checkpoints: map[string]Checkpoint{SessionCheckpoint: {State: pack(l.t, l.state)}}})
}

// say commits a reading of each port: charging unless listed as idle.
func (l *lived) say(minute int, ports int, idle ...int) Seq {
	l.t.Helper()
	at := t0.Add(time.Duration(minute) * time.Minute)
	for port := 1; port <= ports; port++ {
		r := devices.Reading{Pile: "P01", Port: uint8(port), Time: at, DeviceTime: true, State: devices.StateCharging, PowerMW: 120_000,
			Has: devices.HasEnergy, EnergyMWh: int64(minute) * 2000}
		for _, i := range idle {
			if i == port {
				r.State, r.PowerMW = devices.StateIdle, 0
			}
		}
		l.put(Entry{Kind: KindReading, Received: at + 40, Reading: r})
	}
	return l.commit()
}

func live(t *testing.T, dir string) *lived {
	t.Helper()
	return &lived{Ledger: open(t, dir), t: t, state: newState(t)}
}

// again opens the ledger as a restart does: last checkpoint, and the journal after it.
func (l *lived) again(dir string) *lived {
	l.t.Helper()
	if err := l.Close(); err != nil {
		l.t.Fatal(err)
	}
	n := live(l.t, dir)
	from, saved, err := n.LoadCheckpoint(l.t.Context(), SessionCheckpoint)
	if err == nil && saved.Given() {
		err = saved.Into(n.state)
	}
	for err == nil && from < n.Head() {
		var b Block
		if b, err = n.Read(l.t.Context(), from, 1<<16); err == nil {
			err = b.Fold(n.state, func([]session.Change) {})
			from = b.Next()
		}
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func repair(t *testing.T, l *Ledger, dir string) Repaired {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Repair(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func clean(t *testing.T, l *Ledger, sessions, holes int) Report {
	t.Helper()
	rep := verify(t, l)
	if len(rep.Differences) != 0 || len(rep.Holes) != holes || rep.Sessions+len(rep.Unverified) < sessions {
		t.Errorf("verify: %+v, want %d sessions and %d holes", rep, sessions, holes)
	}
	return rep
}

// TestAfterARepairTheOldSessionsStandAndTheOthersVerify damages a block of long ago.
func TestAfterARepairTheOldSessionsStandAndTheOthersVerify(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	var bad Seq
	for day := range 5 {
		for m := range 20 {
			idle := []int{}
			if m == 19 {
				idle = append(idle, 1, 2)
			}
			if seq := l.say(day*1440+m, 2, idle...); day == 2 && m == 0 {
				bad = seq // the block in which the third day's sessions open
			}
		}
	}
	l.checkpoint()
	before, _, err := l.Sessions(t.Context(), Filter{})
	if err != nil || len(before) != 10 {
		t.Fatalf("%d sessions, %v", len(before), err)
	}
	flip(t, l.Ledger, bad)
	rep := verify(t, l.Ledger)
	if len(rep.Differences) != 1 || !strings.Contains(rep.Differences[0], fmt.Sprintf("block %d ", bad)) || !strings.Contains(rep.Differences[0], "2026-11-25T12:00:00Z") ||
		!strings.Contains(rep.Differences[0], "pilewatch repair") {
		t.Errorf("differences %q", rep.Differences)
	}
	head := l.Head()
	r := repair(t, l.Ledger, dir)
	if len(r.Holes) != 1 || r.Holes[0].Seq != bad || r.Holes[0].Count != 4 || r.Closed != 0 {
		t.Errorf("repair %+v", r)
	}
	if len(query(t, r.Copy, "SELECT seq FROM journal WHERE seq = "+fmt.Sprint(bad))) != 1 {
		t.Error("the copy has the block not")
	}
	again := open(t, dir)
	rep = clean(t, again, 8, 1)
	if len(rep.Unverified) == 0 || rep.Sessions < 8 {
		t.Errorf("the third day's sessions began in the hole: %+v", rep)
	}
	if again.Head() != head {
		t.Errorf("the head went from %d to %d", head, again.Head())
	}
	if after, _, err := again.Sessions(t.Context(), Filter{}); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("sessions %+v, %v", after, err)
	}
	// A difference that has nothing to do with the hole is still one.
	if err := again.exec(t.Context(), "UPDATE session SET energy_mwh = energy_mwh + 1 WHERE start = (SELECT min(start) FROM session)"); err != nil {
		t.Fatal(err)
	}
	if rep := verify(t, again); len(rep.Differences) != 2 { // one of each port
		t.Errorf("differences %q", rep.Differences)
	}
	if r := repair(t, again, dir); r.Copy != "" || len(r.Holes) != 0 {
		t.Errorf("a second repair did %+v", r)
	}
}

// TestRetentionGoesOverAHole prunes up to, into and beyond a hole.
func TestRetentionGoesOverAHole(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	var bad Seq
	for day := range 6 {
		for m := range 10 {
			idle := []int{}
			if m == 9 {
				idle = append(idle, 1)
			}
			if seq := l.say(day*1440+m, 1, idle...); day == 2 && m == 9 {
				bad = seq
			}
		}
	}
	l.checkpoint()
	flip(t, l.Ledger, bad)
	if _, err := l.Prune(t.Context(), t0.Add(4*24*time.Hour), 0, nil); err == nil || !strings.Contains(err.Error(), "pilewatch repair") {
		t.Errorf("over a damaged block: %v", err)
	}
	repair(t, l.Ledger, dir)
	again := open(t, dir)
	for day := 1; day < 6; day++ {
		keep := t0.Add(time.Duration(day) * 24 * time.Hour)
		if _, err := again.Prune(t.Context(), keep, 0, nil); err != nil {
			t.Fatal(err)
		}
		b, err := again.readRows(t.Context(), 1, 1)
		if err != nil || b.Entries[0].Reading.Time != keep {
			t.Errorf("day %d: the journal begins at %s, %v", day, b.Entries[0].Reading.Time.Time(), err)
		}
		clean(t, again, 6-day, 1)
	}
}

// TestAHoleBehindTheLastCheckpointLeavesNoSessionOpenAndNoneTwice damages a block that
// a restart needs: a session began in it, and another ended.
func TestAHoleBehindTheLastCheckpointLeavesNoSessionOpenAndNoneTwice(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	l.say(0, 3, 2)
	l.checkpoint()
	for m := 1; m < 10; m++ {
		l.say(m, 3, 2)
	}
	bad := l.say(10, 3, 1) // port 1 ends, port 2 begins, port 3 goes on
	l.say(11, 3, 1)
	flip(t, l.Ledger, bad)
	var damaged *DamagedError
	if _, err := l.readRows(t.Context(), bad, 1); !errors.As(err, &damaged) || damaged.Seq != bad {
		t.Fatalf("error %v", err)
	}
	r := repair(t, l.Ledger, dir)
	if len(r.Holes) != 1 || r.Closed != 1 {
		t.Errorf("repair %+v", r)
	}
	l = (&lived{Ledger: open(t, dir), t: t}).again(dir)
	for m := 12; m < 20; m++ {
		l.say(m, 3, 1)
	}
	l.say(20, 3, 1, 2, 3)
	got, _, err := l.Sessions(t.Context(), Filter{Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("port %d at %s: open %v, %d mWh, %s", s.Port, s.Start.Time().Format("15:04"), s.Open, s.EnergyMWh, s.Reason))
	}
	want := []string{
		"port 1 at 12:00: open false, 20000 mWh, unplugged", // as it was before
		"port 3 at 12:00: open false, 40000 mWh, unplugged", // nothing of it is missing: its register went on
		"port 2 at 12:10: open false, 0 mWh, lost",          // began in the hole
		"port 2 at 12:11: open false, 22000 mWh, unplugged", // what follows, with the register's advance over the hole
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("sessions:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	clean(t, l.Ledger, 0, 1)
}

// TestTheNumbersOfALastBlockThatIsSetAsideAreNotGivenAgain repairs the journal's end.
func TestTheNumbersOfALastBlockThatIsSetAsideAreNotGivenAgain(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	for m := range 5 {
		l.say(m, 2)
	}
	l.checkpoint()
	head := l.Head()
	flip(t, l.Ledger, head-2)
	if r := repair(t, l.Ledger, dir); len(r.Holes) != 1 || r.Holes[0].Count != 2 {
		t.Errorf("repair %+v", r)
	}
	l = (&lived{Ledger: open(t, dir), t: t}).again(dir)
	if seq := l.say(5, 2, 1, 2); seq != head {
		t.Errorf("the next block got %d, want %d", seq, head)
	}
	clean(t, l.Ledger, 2, 1)
}

func TestADamagedStateBeforeTheJournalIsReplacedByARepair(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	state := newState(t)
	for day := range 6 {
		charge(t, l, state, day, 10)
	}
	if _, err := l.Prune(t.Context(), t0.Add(3*24*time.Hour), 0, nil); err != nil {
		t.Fatal(err)
	}
	clean(t, l, 3, 0)
	damage := func(name string) {
		t.Helper()
		if err := l.exec(t.Context(), "UPDATE checkpoint SET sum = sum + 1 WHERE name = ?", name); err != nil {
			t.Fatal(err)
		}
	}
	damage(SessionCheckpoint)
	if seq, saved, err := l.LoadCheckpoint(t.Context(), SessionCheckpoint); err != nil || seq != 37 || !saved.Given() {
		t.Errorf("without the newest state the fold begins at %d, %v", seq, err)
	}
	damage(OriginCheckpoint)
	if _, err := l.Verify(t.Context(), func(float64) {}); err == nil || !strings.Contains(err.Error(), "pilewatch repair") {
		t.Errorf("verify: %v", err)
	}
	if _, err := l.Prune(t.Context(), t0.Add(4*24*time.Hour), 0, nil); err == nil || !strings.Contains(err.Error(), "origin") {
		t.Errorf("prune: %v", err)
	}
	r := repair(t, l, dir)
	if len(r.Holes) != 1 || r.Holes[0].Count != 0 {
		t.Errorf("repair %+v", r)
	}
	l = open(t, dir)
	clean(t, l, 3, 1)
}

// TestVerifyFindsAChangedByte changes a byte of each column that matters.
func TestVerifyFindsAChangedByte(t *testing.T) {
	source := t.TempDir()
	version1(t, source)
	whole := open(t, source)
	if rep := verify(t, whole); len(rep.Differences) != 0 || rep.Sessions != 6 || rep.Flags == 0 {
		t.Fatalf("%+v", rep)
	}
	random := rand.New(rand.NewPCG(7, 7))
	changes := map[string][]string{
		"journal":    {"count", "received", "first_time", "last_time", "sum", "block"},
		"checkpoint": {"sum", "body"},
		"flag":       {"id", "rule", "severity", "building", "pile", "household", "raised_at", "cleared_at", "body"},
		"session": {"id", "pile", "port", "open", "building", "household", "card", "order_no", "start", "end", "energy_mwh", "peak_mw",
			"meter_start_mwh", "meter_end_mwh", "tariff", "bands", "electricity_fee_fen", "service_fee_fen", "stop_reason", "quality", "settled_mwh"},
	}
	for table, columns := range changes {
		for _, column := range columns {
			dir := t.TempDir()
			if _, err := Backup(t.Context(), source, filepath.Join(dir, File)); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir)
			rowid := map[string]string{"journal": "seq", "checkpoint": "name", "flag": "id", "session": "id"}[table]
			row := fmt.Sprintf("%s = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %d)", rowid, rowid, table, rowid, random.IntN(2)%2)
			if table == "checkpoint" {
				row = "name = 'session'"
			}
			var kind string
			var value []byte
			if err := l.write.QueryRowContext(t.Context(), "SELECT typeof("+column+"), CAST("+column+" AS BLOB) FROM "+table+" WHERE "+row).Scan(&kind, &value); err != nil {
				t.Fatal(table, column, err)
			}
			if len(value) == 0 {
				value = []byte("x")
			} else {
				value[random.IntN(len(value))] ^= 1 // of a digit, a digit
			}
			if err := l.exec(t.Context(), fmt.Sprintf("UPDATE %s SET %s = CAST(? AS %s) WHERE %s", table, column, kind, row), value); err != nil {
				t.Fatal(table, column, err)
			}
			if rep := verify(t, l); len(rep.Differences) == 0 {
				t.Errorf("%s.%s: %q is not found", table, column, value)
			}
		}
	}
}

// TestNoDamagedByteOfTheFileEndsInAPanic flips bytes anywhere in the
// file: whatever SQLite or the ledger says of it, it says it in an error or a
// difference, and an error of SQLite says what to do.
func TestNoDamagedByteOfTheFileEndsInAPanic(t *testing.T) {
	source := t.TempDir()
	good, err := os.ReadFile(version1(t, source))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 3))
	var found, helped int
	for range 40 {
		dir := t.TempDir()
		b := append([]byte{}, good...)
		for at := random.IntN(len(b)); at < len(b); at += 4096 * (1 + random.IntN(8)) {
			b[at] ^= byte(1 + random.IntN(255))
		}
		if err := os.WriteFile(filepath.Join(dir, File), b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, try := range []func() error{
			func() error { return verified(t.Context(), dir) },
			func() error { _, err := Backup(t.Context(), dir, filepath.Join(dir, "copy.db")); return err },
			func() error { _, err := Repair(t.Context(), dir, slog.New(slog.DiscardHandler)); return err },
			func() error { return verified(t.Context(), dir) },
		} {
			err := try()
			if err == nil {
				continue
			}
			found++
			if strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "not a database") {
				helped++
				if !strings.Contains(err.Error(), "pilewatch backup") {
					t.Errorf("an error that does not help: %v", err)
				}
			}
		}
	}
	if found < 30 || helped < 3 {
		t.Errorf("%d errors, %d of them by SQLite: the test damages nothing", found, helped)
	}
}

func verified(ctx context.Context, dir string) error {
	l, err := Open(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer l.Close()
	rep, err := l.Verify(ctx, func(float64) {})
	if err == nil && len(rep.Differences) > 0 {
		err = errors.New(rep.Differences[0])
	}
	return err
}
