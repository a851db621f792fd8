package feed

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

var errAway = errors.New("the server is away")

func TestCursorMovesAfterDeliveryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c", fail: func(n int) error {
			if n < 3 {
				return errAway
			}
			return nil
		}}
		r, stop := start(t, j, c, Options{})
		j.add(7)
		settle()
		if s := r.Stats(); s.Cursor != 1 || s.Backlog != 7 || s.Failed != 1 || s.Delivered != 0 || s.LastError != errAway.Error() {
			t.Errorf("while it fails: %+v", s)
		}
		if got, want := r.Stats().Oldest, devices.MillisOf(time.Now()); got != want {
			t.Errorf("oldest %d, want %d", got, want)
		}
		time.Sleep(time.Minute)
		settle()
		if s := r.Stats(); s.Cursor != 8 || s.Backlog != 0 || s.Oldest != 0 || s.Failed != 3 || s.Delivered != 1 || s.LastError != "" {
			t.Errorf("after it: %+v", s)
		}
		if got := j.cursor("c"); got != 8 {
			t.Errorf("kept cursor %d, want 8", got)
		}
		for i, b := range c.offered {
			if b.First != 1 || len(b.Entries) != 7 {
				t.Errorf("attempt %d had %d entries from %d: want the same 7 again", i, len(b.Entries), b.First)
			}
		}
		stop()
	})
}

func TestCursorIsWrittenOnceASecondAtMostAndWhenCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		_, stop := start(t, j, &reader{name: "c"}, Options{})
		settle()
		for range 100 {
			j.add(1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		settle()
		if got := j.cursor("c"); got != 101 {
			t.Errorf("a second after the last entry the kept cursor is %d, want 101", got)
		}
		if n := len(j.advances); n < 8 || n > 12 {
			t.Errorf("written %d times in 11 s", n)
		}
		for i := 1; i < len(j.advances); i++ {
			if d := j.advances[i].Sub(j.advances[i-1]); d < time.Second {
				t.Errorf("written twice within %v", d)
			}
		}
		before := len(j.advances)
		time.Sleep(time.Hour)
		if len(j.advances) != before {
			t.Error("the cursor was written although nothing was delivered")
		}
		stop()
	})
}

func TestStopWaitsForTheDeliveryAndWritesTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		slow := &slowReader{reader: reader{name: "c"}}
		_, stop := start(t, j, slow, Options{})
		j.add(3)
		settle()
		began := time.Now()
		stop() // the consumer does not look at ctx, and takes 30 s
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("Run returned after %v, before the delivery ended", d)
		}
		if got := j.cursor("c"); got != 4 {
			t.Errorf("kept cursor %d, want 4", got)
		}
	})
}

type slowReader struct{ reader }

func (s *slowReader) Consume(ctx context.Context, b ledger.Block) error {
	time.Sleep(30 * time.Second)
	return s.reader.Consume(ctx, b)
}

func TestStopDuringAWaitIsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		_, stop := start(t, j, &reader{name: "c", fail: func(int) error { return askError{time.Hour} }}, Options{})
		j.add(1)
		settle()
		began := time.Now()
		stop()
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

func TestDeadConsumerDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		quick := &reader{name: "quick"}
		_, stopDead := start(t, j, &hangingReader{}, Options{})
		_, stopFailing := start(t, j, &reader{name: "failing", fail: func(int) error { return errAway }}, Options{})
		_, stopQuick := start(t, j, quick, Options{})
		for i := range 50 {
			j.add(1)
			settle()
			if len(quick.blocks) != i+1 {
				t.Fatalf("entry %d was not delivered at once", i+1)
			}
		}
		stopDead()
		stopFailing()
		stopQuick()
		if d, f := j.cursor("dead"), j.cursor("failing"); d != 0 || f != 0 {
			t.Errorf("cursors of those who took nothing moved: %d, %d", d, f)
		}
	})
}

type hangingReader struct{}

func (hangingReader) Name() string { return "dead" }
func (hangingReader) Consume(ctx context.Context, _ ledger.Block) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestDeliveriesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c"}
		_, stop := start(t, j, c, Options{Max: 50, Gather: time.Second})
		j.add(1)
		settle()
		if len(c.blocks) != 1 {
			t.Fatal("the first entry after a silence was not delivered at once")
		}
		for range 100 { // ten a second
			time.Sleep(100 * time.Millisecond)
			j.add(1)
		}
		time.Sleep(2 * time.Second)
		settle()
		if n := len(c.blocks); n < 10 || n > 13 {
			t.Errorf("%d deliveries in 12 s, want about one a second", n)
		}
		c.blocks = nil
		j.add(5000) // a backlog: no pauses
		time.Sleep(time.Second)
		settle()
		if len(c.blocks) != 100 {
			t.Errorf("%d full deliveries within a second, want 100", len(c.blocks))
		}
		stop()
	})
}

func TestWhatFillsADeliveryWaitsForNoGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c"}
		_, stop := start(t, j, c, Options{Max: 50, Gather: time.Minute})
		defer stop()
		j.add(1)
		settle()
		j.add(49)
		time.Sleep(30 * time.Second)
		settle()
		if len(c.blocks) != 1 {
			t.Fatal("49 entries were delivered before it was time")
		}
		j.add(1)
		time.Sleep(lookEvery)
		settle()
		if len(c.blocks) != 2 || len(c.blocks[1].Entries) != 50 {
			t.Errorf("50 entries, a full delivery, still wait")
		}
	})
}

func TestWhoNeedsAConsumerNearWaitsForItButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c", fail: func(n int) error { // the first attempts fail: for some seconds it takes nothing
			if n < 3 {
				return errors.New("busy")
			}
			return nil
		}}
		r, stop := start(t, j, c, Options{Max: 10})
		defer stop()
		near := func(most time.Duration) time.Duration {
			begin := time.Now()
			r.Near(t.Context(), 20, most)
			return time.Since(begin)
		}
		j.add(20)
		settle()
		if took := near(time.Hour); took != 0 {
			t.Errorf("20 entries behind, as many as may be: it waited %s", took)
		}
		j.add(80)
		if took := near(100 * time.Millisecond); took != 100*time.Millisecond {
			t.Errorf("behind a consumer that takes nothing: it waited %s, expected 100 ms", took)
		}
		if took, left := near(time.Hour), r.Stats().Backlog; left > 20 || took >= time.Hour {
			t.Errorf("it went on after %s, with %d entries behind", took, left)
		}
	})
}

func TestDamagedPartIsPassedOverAndItsNeighboursAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, l := newJournal(), &lines{}
		j.damaged = &ledger.DamagedError{Seq: 40, Count: 10, Err: errors.New("its checksum differs")}
		j.add(100)
		c := &reader{name: "c"}
		_, stop := start(t, j, c, Options{Max: 30, Log: l.logger()})
		settle()
		stop()
		if got, want := numbers(c.blocks), append(run(1, 40), run(50, 101)...); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("delivered %v", got)
		}
		if len(l.with("level=ERROR")) != 1 {
			t.Error("it was passed over in silence")
		}
	})
}

func TestClosedJournalEndsTheRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		r := NewRunner(j, &reader{name: "c"}, Options{})
		done := make(chan struct{})
		go func() { defer close(done); r.Run(t.Context()) }()
		settle()
		j.close()
		<-done
	})
}

func TestCursorThatCannotBeReadOrWrittenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, l := newJournal(), &lines{}
		j.broken = errors.New("disk full")
		c := &reader{name: "c"}
		_, stop := start(t, j, c, Options{Log: l.logger()})
		j.add(1)
		time.Sleep(time.Minute)
		settle()
		if len(c.attempts) != 0 {
			t.Fatal("delivered without knowing from where")
		}
		j.mu.Lock()
		j.broken = nil
		j.mu.Unlock()
		time.Sleep(5 * time.Minute)
		j.mu.Lock()
		j.broken = errors.New("disk full")
		j.mu.Unlock()
		for range 120 {
			j.add(1)
			time.Sleep(time.Second)
		}
		settle()
		if got := numbers(c.blocks); len(got) != 121 {
			t.Errorf("%d entries delivered, want 121: a cursor that can't be written holds nothing back", len(got))
		}
		if n := len(l.with("could not be written")); n < 2 || n > 3 {
			t.Errorf("%d lines about it in two minutes", n)
		}
		j.mu.Lock()
		j.broken = nil
		j.mu.Unlock()
		stop()
		if got := j.cursor("c"); got != 122 {
			t.Errorf("kept cursor %d, want 122", got)
		}
	})
}

// life is one run of the gateway: which attempts fail, and what is appended when.
type life struct {
	Fails   []bool
	Max     int
	Appends []int
	Pauses  []time.Duration
}

func lives(rt *rapid.T) []life {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) life {
		return life{
			Fails:   rapid.SliceOfN(rapid.Bool(), 0, 8).Draw(rt, "fails"),
			Max:     rapid.IntRange(1, 9).Draw(rt, "max"),
			Appends: rapid.SliceOfN(rapid.IntRange(1, 20), 5, 5).Draw(rt, "appends"),
			Pauses:  rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 3 * time.Second}), 5, 5).Draw(rt, "pauses"),
		}
	}), 1, 4).Draw(rt, "lives")
}

// Whatever fails, and whenever the gateway stops and starts again.
func TestEverythingIsDeliveredInOrderWithoutAGap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lives := append(lives(rt), life{Max: 100}) // in the last one all goes well
		var got []ledger.Seq
		total := 0
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			for _, l := range lives {
				c := &reader{name: "c", fail: func(n int) error {
					if n < len(l.Fails) && l.Fails[n] {
						return errAway
					}
					return nil
				}}
				_, stop := start(t, j, c, Options{Max: l.Max})
				for i, n := range l.Appends {
					j.add(n)
					total += n
					time.Sleep(l.Pauses[i])
				}
				settle()
				stop()
				got = append(got, numbers(c.blocks)...)
			}
		})
		if want := run(1, total+1); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Errorf("delivered %v, want 1 to %d", got, total)
		}
	})
}

func numbers(blocks []ledger.Block) (n []ledger.Seq) {
	for _, b := range blocks {
		for i := range b.Entries {
			n = append(n, b.First+ledger.Seq(i))
		}
	}
	return n
}

func run(from, to int) (n []ledger.Seq) {
	for i := from; i < to; i++ {
		n = append(n, ledger.Seq(i))
	}
	return n
}
