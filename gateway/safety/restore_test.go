package safety

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

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
	round := func(speak ...string) {
		now = now.Add(30 * time.Second)
		for _, p := range speak {
			read(p, now)
		}
		tick(now)
	}
	round("P01", "P04") // one is back, and two are not: it is still a power cut
	told := b.told()
	c = open(t, b) // without a checkpoint
	round("P01", "P04")
	round("P01", "P04")
	if b.told() != told {
		t.Fatalf("a restart told\n%s", strings.TrimPrefix(b.told(), told))
	}
	round("P01", "P02", "P04")
	if got := strings.TrimPrefix(b.told(), told); !strings.HasPrefix(got, "cleared pile_offline-estate-0-") || strings.Count(got, "\n") != 1 {
		t.Fatalf("when most were back it told\n%s", got)
	}
	round(piles...)
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

func TestARuleThatWasSwitchedOnTellsWhatStands(t *testing.T) {
	b := newBook()
	r := newRig(t)
	r.taped = true
	r.play(report{every: time.Minute, digits: 1}, during("0", "12h", 1100), time.Hour)
	b.put(r.tape...)
	off := Defaults()
	if err := off.Enable("over_power", false); err != nil {
		t.Fatal(err)
	}
	c, err := NewConsumer(t.Context(), b, off, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b.deliver(t, c, 100)
	if b.told() != "" {
		t.Fatalf("told %s", b.told())
	}
	c = open(t, b) // the journal since the last checkpoint is read with the rules as they are now
	if err := c.Tick(t.Context(), at("1h")); err != nil {
		t.Fatal(err)
	}
	if got := b.told(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "raised over_power-P01-1-") {
		t.Errorf("told %s", got)
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
	other, err := ledger.Pack(bytes.NewBufferString(`{"format":99}`))
	if err != nil {
		t.Fatal(err)
	}
	b.checkpoints[Name] = ledger.Checkpoint{Seq: c.next, State: other}
	c = open(t, b)
	if err := c.Tick(t.Context(), at("12h")); err != nil {
		t.Fatal(err)
	}
	if b.told() != told {
		t.Errorf("told again\n%s", strings.TrimPrefix(b.told(), told))
	}
}

// What waits in the journal is no silence of who sent it, and what waits from
// before a restart is no sign that others were listened for.
func TestWhoIsBehindTakesNobodyForSilent(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		b := newBook()
		c := open(t, b)
		tick := func(when devices.Millis) {
			t.Helper()
			if err := c.Tick(t.Context(), when); err != nil {
				t.Fatal(err)
			}
		}
		minute := func(pile string, m int) devices.Millis {
			when := t0.Add(time.Duration(m) * time.Minute)
			b.put(ledger.Entry{Kind: ledger.KindReading, Received: when, Reading: devices.Reading{Pile: pile, Port: 1, Time: when, DeviceTime: true}})
			return when
		}
		for m := range 30 {
			minute("P02", m)
			when := minute("P01", m)
			b.deliver(t, c, 100)
			tick(when)
		}
		for m := 30; m < 38; m++ {
			minute("P02", m)
			if !restarted {
				minute("P01", m)
			}
		}
		if restarted {
			c = open(t, b)
		}
		tick(at("37m5s"))
		tick(at("37m10s"))
		b.deliver(t, c, 100)
		tick(at("37m15s"))
		tick(at("38m30s"))
		if b.told() != "" {
			t.Errorf("restarted %v: told %s", restarted, b.told())
		}
	}
}

func TestAStopInTheMiddleOfACommitCostsNoCheckpoint(t *testing.T) {
	b := newBook()
	c := open(t, b)
	b.put(ledger.Entry{Kind: ledger.KindEvent, Received: 1000, Event: &devices.Event{Pile: "P01", Port: 1, Kind: devices.EventAlarm, Alarm: "smoke", Time: 1000, DeviceTime: true}})
	block, err := b.Read(t.Context(), 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := errors.Join(c.Consume(ctx, block), c.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if again := open(t, b); again.Replayed() != 0 || len(b.flags) != 1 || b.cursors[Name] != 2 {
		t.Errorf("the next start reads %d entries; %d flags, the cursor at %d", again.Replayed(), len(b.flags), b.cursors[Name])
	}
}
