package ledger

import (
	"errors"
	"log/slog"
	"math"
	"reflect"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/devices/native"
	"pilewatch/devices/sim"
)

// simulatedCommits gives what an estate says in some hours, a commit a message.
func simulatedCommits(t *testing.T, hours int) [][]Entry {
	t.Helper()
	from := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	e, err := sim.New(sim.Config{Seed: 1, Interval: 30 * time.Second, From: from, To: from.Add(time.Duration(hours) * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := native.New(devices.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var commits [][]Entry
	for m := range e.All() {
		var msg devices.Message
		at := devices.MillisOf(m.At) + 350 // on its way
		if err := d.Decode(devices.Input{Topic: m.Topic, Payload: m.Payload, Received: at}, &msg); err != nil {
			t.Fatal(err)
		}
		var entries []Entry
		for _, r := range msg.Readings {
			entries = append(entries, Entry{Kind: KindReading, Received: at, Reading: r})
		}
		for i := range msg.Events {
			entries = append(entries, Entry{Kind: KindEvent, Received: at, Event: &msg.Events[i]})
		}
		for i := range msg.Statuses {
			entries = append(entries, Entry{Kind: KindStatus, Received: at, Status: &msg.Statuses[i]})
		}
		if len(entries) > 0 {
			commits = append(commits, entries)
		}
	}
	return commits
}

func mergeAll(t *testing.T, l *Ledger) {
	t.Helper()
	for from := Seq(1); ; {
		next, err := l.Merge(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		if next == from {
			return
		}
		from = next
	}
}

// whole reads the journal from the database, past what is in memory.
func whole(t *testing.T, dir string) (entries []Entry) {
	t.Helper()
	l, err := OpenRead(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for at := Seq(1); at < l.Head(); {
		b, err := l.Read(t.Context(), at, 777)
		if err != nil {
			t.Fatal(err)
		}
		if b.First != at {
			t.Fatalf("the journal jumps from %d to %d", at, b.First)
		}
		entries, at = append(entries, b.Entries...), b.Next()
	}
	return entries
}

func TestMergedBlocksHoldTheSameInUnder12BytesAReading(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	readings := 0
	commits := simulatedCommits(t, 3)
	for i, c := range commits {
		if _, err := l.Append(t.Context(), &Batch{Entries: c}); err != nil {
			t.Fatal(err)
		}
		for j := range c {
			if c[j].Kind == KindReading {
				readings++
			}
		}
		if i == len(commits)/2 {
			k, _ := KeyOf(&commits[0][0]) // so that the first block is remembered as it is now
			if seen, _, err := l.Seen(t.Context(), k, math.MaxInt); err != nil || !seen {
				t.Fatal(seen, err)
			}
		}
	}
	before := whole(t, dir)
	mergeAll(t, l)
	after := whole(t, dir)
	if !reflect.DeepEqual(before, after) {
		t.Fatal("the entries differ")
	}
	for i := range after {
		k, ok := KeyOf(&after[i])
		if !ok {
			continue
		}
		if seen, _, err := l.Seen(t.Context(), k, math.MaxInt); err != nil || !seen {
			t.Fatalf("entry %d is not found again: %v", i, err)
		}
	}
	var rows, size int
	last := l.Head() - 1
	// A row's other columns take about 40 bytes, its entry in journal_hour 16.
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*), sum(length(block)+56) FROM journal WHERE seq + count <= ?", last-mergeEntries).Scan(&rows, &size); err != nil {
		t.Fatal(err)
	}
	var merged int
	if err := l.read.QueryRowContext(t.Context(), "SELECT sum(count) FROM journal WHERE seq + count <= ?", last-mergeEntries).Scan(&merged); err != nil {
		t.Fatal(err)
	}
	each := float64(size) / (float64(merged) * float64(readings) / float64(len(after)))
	t.Logf("%d readings in %d commits; %d blocks, %.2f bytes a reading", readings, len(commits), rows, each)
	if each >= 12 {
		t.Errorf("%.2f bytes a reading", each)
	}
}

func TestAMergeLeavesDamagedBlocksAndHolesAlone(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	commits := simulatedCommits(t, 3)
	for _, c := range commits {
		if _, err := l.Append(t.Context(), &Batch{Entries: c}); err != nil {
			t.Fatal(err)
		}
	}
	var hurt, hole Seq
	if err := l.read.QueryRowContext(t.Context(), "SELECT seq FROM journal ORDER BY seq LIMIT 1 OFFSET 1000").Scan(&hurt); err != nil {
		t.Fatal(err)
	}
	if err := l.read.QueryRowContext(t.Context(), "SELECT seq FROM journal ORDER BY seq LIMIT 1 OFFSET 1800").Scan(&hole); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		text string
		seq  Seq
	}{{"UPDATE journal SET sum = sum + 1 WHERE seq = ?", hurt}, {"DELETE FROM journal_hour WHERE seq = ?", hole}, {"DELETE FROM journal WHERE seq = ?", hole}} {
		if _, err := l.write.ExecContext(t.Context(), q.text, q.seq); err != nil {
			t.Fatal(err)
		}
	}
	mergeAll(t, l)
	var bad *DamagedError
	if _, err := l.readRows(t.Context(), hurt, 1); !errors.As(err, &bad) || bad.Seq != hurt {
		t.Errorf("the damaged block: %v", err)
	}
	if b, err := l.readRows(t.Context(), hole, 1); err != nil || b.First <= hole {
		t.Errorf("the hole: an entry %d, %v", b.First, err)
	}
	var over int
	if err := l.read.QueryRowContext(t.Context(), "SELECT count(*) FROM journal WHERE seq < ?1 AND seq + count > ?1 OR seq < ?2 AND seq + count > ?2", hurt, hole).Scan(&over); err != nil || over != 0 {
		t.Errorf("%d blocks reach over them, %v", over, err)
	}
}
