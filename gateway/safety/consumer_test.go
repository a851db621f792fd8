package safety

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/ledger"
)

// The consumer is one that a runner of the feed can drive.
var _ feed.Consumer = (*Consumer)(nil)

var _ Ledger = (*ledger.Ledger)(nil)

// evening is a journal with flags of every kind that readings raise.
func evening(t *testing.T) []ledger.Entry {
	r := newRig(t)
	r.taped = true
	set := testSettings()
	r.apply(ledger.Entry{Kind: ledger.KindSettings, Settings: &set})
	r.event(devices.EventAlarm, at("1m"), alarmOf("smoke", 2))
	r.play(reports()[0], plus(charger(250, 5*time.Hour), during("1h", "11h", 300), during("2h", "2h20m", 1500)), 12*time.Hour, cardOf("04A1B2C3"))
	return r.tape
}

func TestFlagsAndCursorAreOneCommit(t *testing.T) {
	b := newBook()
	b.put(evening(t)...)
	c := open(t, b)
	n := len(b.entries)
	for from := 0; from < n; from += 100 {
		before := b.appends
		block := ledger.Block{First: ledger.Seq(from + 1), Entries: b.entries[from:min(n, from+100)]}
		head := b.Head()
		if err := c.Consume(t.Context(), block); err != nil {
			t.Fatal(err)
		}
		switch flags := b.Head() - head; {
		case flags > 0 && (b.appends != before+1 || b.cursors[Name] != block.Next()):
			t.Fatalf("%d flags in %d commits, and the cursor is at %d, want %d", flags, b.appends-before, b.cursors[Name], block.Next())
		case flags == 0 && b.appends != before:
			t.Fatalf("a commit without flags")
		}
	}
	for _, rule := range []string{"over_power", "hot_burst", "second_load", "excess_energy", "over_time", "device_alarm-smoke"} {
		if !strings.Contains(b.told(), "raised "+rule+"-P01-") {
			t.Errorf("no flag of %s", rule)
		}
	}
}

func TestACommitThatFailsLosesAndRepeatsNothing(t *testing.T) {
	tape := evening(t)
	want := newBook()
	want.put(tape...)
	want.deliver(t, open(t, want), 64)
	for _, limit := range []int{64, 1 << 20} {
		b := newBook()
		c := open(t, b)
		if err := c.Tick(t.Context(), t0); err != nil { // it listens
			t.Fatal(err)
		}
		b.put(tape...)
		rng := rand.New(rand.NewPCG(1, 1))
		for failed := 0; b.cursors[Name] < b.Head(); {
			at := max(1, b.cursors[Name])
			block, err := b.Read(t.Context(), at, limit)
			if err != nil {
				t.Fatal(err)
			}
			b.fail = failed == 0 || rng.IntN(3) == 0
			if err := c.Consume(t.Context(), block); err != nil {
				if !errors.Is(err, errFull) {
					t.Fatal(err)
				}
				b.fail = false
				failed++
				if err := c.Tick(t.Context(), t0); err != nil {
					t.Fatal(err)
				}
				if b.cursors[Name] > at {
					t.Fatalf("the cursor went to %d before block %d was delivered", b.cursors[Name], at)
				}
				continue
			}
			b.cursors[Name] = max(b.cursors[Name], block.Next())
		}
		if b.told() != want.told() {
			t.Errorf("%d at once: told\n%s\nwant\n%s", limit, b.told(), want.told())
		}
	}
}

func TestCountsFollowTheFlags(t *testing.T) {
	b := newBook()
	r := newRig(t)
	r.taped = true
	r.play(report{every: time.Minute, digits: 1}, during("0", "12h", 400), 11*time.Hour)
	b.put(r.tape...)
	c := open(t, b)
	b.deliver(t, c, 100)
	standing, raised := c.Counts()
	for k, want := range map[Key][2]int{ // open, raised
		{"excess_energy", "warning"}: {1, 1}, {"over_time", "warning"}: {0, 1}, {"over_time", "critical"}: {1, 1},
		{"over_power", "critical"}: {0, 0}, {"two_tapers", "info"}: {0, 0},
	} {
		if got, ok := standing[k]; !ok || got != want[0] {
			t.Errorf("%v: %d open, want %d", k, got, want[0])
		}
		if got, ok := raised[k]; !ok || got != want[1] {
			t.Errorf("%v: %d raised, want %d", k, got, want[1])
		}
	}
	c = open(t, b)
	standing, raised = c.Counts()
	if k := (Key{"over_time", "critical"}); standing[k] != 1 || raised[k] != 0 {
		t.Errorf("after a restart: %d open, %d raised", standing[k], raised[k])
	}
}

// The real ledger keeps what the one in memory does.
func TestFlagsReachTheRealLedger(t *testing.T) {
	ctx := t.Context()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	tape := evening(t)
	l, err := ledger.Open(ctx, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	half := len(tape) / 2
	consume := func() {
		c, err := NewConsumer(ctx, l, Defaults(), log)
		if err != nil {
			t.Fatal(err)
		}
		for {
			at, err := l.Cursor(ctx, Name)
			if err != nil {
				t.Fatal(err)
			}
			block, err := l.Read(ctx, at, 300)
			if err != nil {
				t.Fatal(err)
			}
			if len(block.Entries) == 0 {
				break
			}
			if err := c.Consume(ctx, block); err != nil {
				t.Fatal(err)
			}
			if err := l.Advance(ctx, Name, block.Next()); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range [][]ledger.Entry{tape[:half], tape[half:]} {
		if _, err := l.Append(ctx, &ledger.Batch{Entries: slices.Clone(part)}); err != nil {
			t.Fatal(err)
		}
		consume()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = ledger.Open(ctx, dir, log); err != nil {
			t.Fatal(err)
		}
	}
	defer l.Close()
	got, _, err := l.Flags(ctx, ledger.Filter{Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	b := newBook()
	b.put(tape...)
	b.deliver(t, open(t, b), 300)
	if len(got) != len(b.flags) {
		t.Errorf("%d flags in the ledger, want %d", len(got), len(b.flags))
	}
	for i := range got {
		want := b.flags[got[i].ID]
		x, y := asJSON(t, got[i]), asJSON(t, want)
		if !bytes.Equal(x, y) {
			t.Errorf("in the ledger\n%s\nwant\n%s", x, y)
		}
	}
}

func TestConsumeAndTickMayMeet(t *testing.T) {
	b := newBook()
	tape := evening(t)
	b.put(tape...)
	c := open(t, b)
	done := make(chan error, 1)
	go func() {
		for i := range 200 {
			if err := c.Tick(context.WithoutCancel(t.Context()), t0.Add(time.Duration(i)*time.Second)); err != nil {
				done <- err
				return
			}
			c.Counts()
		}
		done <- nil
	}()
	for from := 0; from < len(tape); from += 50 {
		block := ledger.Block{First: ledger.Seq(from + 1), Entries: tape[from:min(len(tape), from+50)]}
		if err := c.Consume(t.Context(), block); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestEvidenceIsJSON(t *testing.T) {
	b := newBook()
	b.put(evening(t)...)
	b.deliver(t, open(t, b), 100)
	for id, f := range b.flags {
		var ev map[string]any
		if err := json.Unmarshal(f.Evidence, &ev); err != nil || len(ev) == 0 {
			t.Errorf("%s: %v %s", id, err, f.Evidence)
		}
		if c, ok := ev["curve"].([]any); ok && len(c) > sketchSize {
			t.Errorf("%s: %d points", id, len(c))
		}
	}
}
