package safety

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
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

// book is a ledger in memory that fails when it is told to.
type book struct {
	entries     []ledger.Entry
	cursors     map[string]ledger.Seq
	checkpoints map[string]ledger.Checkpoint
	flags       map[string]ledger.Flag
	appends     int
	fail        bool
	failRead    error
}

func newBook() *book {
	return &book{cursors: map[string]ledger.Seq{}, checkpoints: map[string]ledger.Checkpoint{}, flags: map[string]ledger.Flag{}}
}

var errFull = errors.New("the disk is full")

func (b *book) Append(_ context.Context, x *ledger.Batch) (ledger.Seq, error) {
	if b.fail {
		return 0, errFull
	}
	first := b.Head()
	b.appends++
	b.entries = append(b.entries, x.Entries...)
	for i := range x.Entries {
		if f := x.Entries[i].Flag; f != nil {
			b.flags[f.ID] = *f
		}
	}
	maps.Copy(b.cursors, x.Cursors)
	maps.Copy(b.checkpoints, x.Checkpoints)
	return first, nil
}

func (b *book) Head() ledger.Seq { return ledger.Seq(len(b.entries) + 1) }

func (b *book) Read(_ context.Context, from ledger.Seq, limit int) (ledger.Block, error) {
	if b.failRead != nil {
		err := b.failRead
		b.failRead = nil
		return ledger.Block{}, err
	}
	rest := b.entries[from-1:]
	return ledger.Block{First: from, Entries: rest[:min(limit, len(rest))]}, nil
}

func (b *book) Cursor(_ context.Context, name string) (ledger.Seq, error) {
	return max(1, b.cursors[name]), nil
}

func (b *book) LoadCheckpoint(_ context.Context, name string) (ledger.Seq, []byte, error) {
	if c, ok := b.checkpoints[name]; ok {
		return c.Seq, c.Blob, nil
	}
	return 1, nil, nil
}

func (b *book) Flags(_ context.Context, f ledger.Filter) ([]ledger.Flag, string, error) {
	var out []ledger.Flag
	for _, id := range slices.Sorted(maps.Keys(b.flags)) {
		if x := b.flags[id]; f.Open == nil || *f.Open == (x.ClearedAt == 0) {
			out = append(out, x)
		}
	}
	return out, "", nil
}

func (b *book) put(entries ...ledger.Entry) { b.entries = append(b.entries, entries...) }

// told gives the flag entries of the journal.
func (b *book) told() string {
	var out strings.Builder
	for i := range b.entries {
		if e := &b.entries[i]; e.Kind == ledger.KindFlag {
			word := "raised"
			if e.Cleared {
				word = "cleared"
			}
			out.WriteString(word + " " + e.Flag.ID + " " + e.Flag.Severity + " " + e.Flag.SessionID + " " + string(e.Flag.Evidence) + "\n")
		}
	}
	return out.String()
}

// deliver gives the consumer what is after its cursor, as a runner does.
func (b *book) deliver(t *testing.T, c *Consumer, limit int) {
	t.Helper()
	for b.cursors[Name] < b.Head() {
		at := max(1, b.cursors[Name])
		block, err := b.Read(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Consume(t.Context(), block); err != nil {
			t.Fatal(err)
		}
		b.cursors[Name] = max(b.cursors[Name], block.Next())
	}
}

func open(t *testing.T, b *book) *Consumer {
	t.Helper()
	c, err := NewConsumer(t.Context(), b, Defaults(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

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

	b := newBook()
	b.put(tape...)
	c := open(t, b)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.cursors[Name] < b.Head() {
		at := max(1, b.cursors[Name])
		block, err := b.Read(t.Context(), at, 64)
		if err != nil {
			t.Fatal(err)
		}
		b.fail = rng.IntN(3) == 0
		if err := c.Consume(t.Context(), block); err != nil {
			if !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			b.fail = false
			if err := c.Tick(t.Context(), block.Entries[0].Received); err != nil { // must not commit ahead of the block
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
		t.Errorf("told\n%s\nwant\n%s", b.told(), want.told())
	}
}

func TestACrashAnywhereRepeatsNoFlag(t *testing.T) {
	tape := evening(t)
	want := newBook()
	want.put(tape...)
	want.deliver(t, open(t, want), 50)
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b := newBook()
		c := open(t, b)
		for rest := tape; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(120))
			b.put(rest[:n]...)
			rest = rest[n:]
			b.deliver(t, c, 1+rng.IntN(60))
			switch rng.IntN(6) {
			case 0: // it stops
				if err := c.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				c = open(t, b)
			case 1: // it dies
				c = open(t, b)
			}
		}
		if b.told() != want.told() {
			t.Fatalf("seed %d: told\n%s\nwant\n%s", seed, b.told(), want.told())
		}
	}
}

func TestAStandingSilenceOutlivesARestart(t *testing.T) {
	b := newBook()
	c := open(t, b)
	tick := func(when devices.Millis) {
		t.Helper()
		b.deliver(t, c, 100)
		if err := c.Tick(t.Context(), when); err != nil {
			t.Fatal(err)
		}
	}
	read := func(pile string, when devices.Millis) {
		b.put(ledger.Entry{Kind: ledger.KindReading, Received: when, Reading: devices.Reading{Pile: pile, Port: 1, Time: when, DeviceTime: true}})
	}
	now := t0
	piles := []string{"P01", "P02", "P03", "P04", "P05"}
	for range 60 {
		now = now.Add(30 * time.Second)
		for _, p := range piles {
			read(p, now)
		}
		tick(now)
	}
	for range 20 { // P05 alone, then P01, P02 and P03 together, fall silent
		now = now.Add(30 * time.Second)
		for _, p := range piles[:4] {
			read(p, now)
		}
		tick(now)
	}
	for range 20 {
		now = now.Add(30 * time.Second)
		read("P04", now)
		tick(now)
	}
	if got := len(b.flags); got != 2 {
		t.Fatalf("%d flags: %v", got, b.told())
	}
	told := b.told()
	c = open(t, b) // without a checkpoint
	read("P04", now)
	tick(now)
	tick(now.Add(30 * time.Second))
	if b.told() != told {
		t.Fatalf("a restart told\n%s", strings.TrimPrefix(b.told(), told))
	}
	now = now.Add(40 * time.Second)
	for _, p := range piles {
		read(p, now)
	}
	tick(now)
	for id, f := range b.flags {
		if f.ClearedAt == 0 {
			t.Errorf("%s still stands", id)
		}
	}
	if open, _ := c.Counts(); open[Key{"pile_offline", "warning"}] != 0 {
		t.Errorf("counted as open: %v", open)
	}
}

func TestARestartIsNoSilence(t *testing.T) {
	b := newBook()
	c := open(t, b)
	now := t0
	for range 20 {
		now = now.Add(30 * time.Second)
		b.put(ledger.Entry{Kind: ledger.KindReading, Received: now, Reading: devices.Reading{Pile: "P01", Port: 1, Time: now, DeviceTime: true}})
		b.deliver(t, c, 100)
		if err := c.Tick(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = open(t, b)
	now = now.Add(5 * time.Minute) // it was off that long
	for range 10 {
		now = now.Add(5 * time.Second)
		if err := c.Tick(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if b.told() != "" {
		t.Errorf("told %s", b.told())
	}
}

func TestAFlagOfARuleThatWasSwitchedOffIsCleared(t *testing.T) {
	b := newBook()
	r := newRig(t)
	r.taped = true
	r.play(report{every: time.Minute, digits: 1}, during("0", "12h", 1100), time.Hour)
	b.put(r.tape...)
	b.deliver(t, open(t, b), 100)
	rules := Defaults()
	if err := rules.Enable("over_power", false); err != nil {
		t.Fatal(err)
	}
	c, err := NewConsumer(t.Context(), b, rules, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if open, _ := c.Counts(); open[Key{"over_power", "critical"}] != 1 {
		t.Errorf("open at the start: %v", open)
	}
	if err := c.Tick(t.Context(), at("2h")); err != nil {
		t.Fatal(err)
	}
	for id, f := range b.flags {
		if f.ClearedAt == 0 {
			t.Errorf("%s still stands", id)
		}
	}
}

func TestADamagedBlockIsPassedOverOnARestart(t *testing.T) {
	b := newBook()
	b.put(evening(t)...)
	b.deliver(t, open(t, b), 100)
	b.failRead = &ledger.DamagedError{Seq: 1, Count: 40, Err: errors.New("its checksum differs")}
	open(t, b)
}

func TestACheckpointThatCannotBeReadIsPassedOver(t *testing.T) {
	b := newBook()
	b.put(evening(t)...)
	c := open(t, b)
	b.deliver(t, c, 100)
	told := b.told()
	b.checkpoints[Name] = ledger.Checkpoint{Seq: c.next, Blob: []byte(`{"format":99}`)}
	c = open(t, b)
	if err := c.Tick(t.Context(), at("12h")); err != nil {
		t.Fatal(err)
	}
	if b.told() != told {
		t.Errorf("told again\n%s", strings.TrimPrefix(b.told(), told))
	}
}

func TestCountsFollowTheFlags(t *testing.T) {
	b := newBook()
	r := newRig(t)
	r.taped = true
	r.play(report{every: time.Minute, digits: 1}, during("0", "9h30m", 400), 9*time.Hour)
	b.put(r.tape...)
	c := open(t, b)
	b.deliver(t, c, 100)
	standing, raised := c.Counts()
	for k, want := range map[Key]int{{"excess_energy", "warning"}: 1, {"over_time", "warning"}: 1, {"over_power", "critical"}: 0, {"two_tapers", "info"}: 0} {
		if got, ok := standing[k]; !ok || got != want {
			t.Errorf("%v: %d open, want %d", k, got, want)
		}
		if got, ok := raised[k]; !ok || got != want {
			t.Errorf("%v: %d raised, want %d", k, got, want)
		}
	}
	c = open(t, b)
	standing, raised = c.Counts()
	if k := (Key{"over_time", "warning"}); standing[k] != 1 || raised[k] != 0 {
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
		if c, ok := ev["curve"].([]any); ok && len(c) > 60 {
			t.Errorf("%s: %d points", id, len(c))
		}
	}
}
