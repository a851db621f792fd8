package ingest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

func TestStoppingCommitsWhatHasArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{}
		p := NewPipeline(batcher(t, f), f, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		acked := 0
		for _, d := range charge(30_000) {
			d.Done = func(err error) {
				if err == nil {
					acked++
				}
			}
			if !p.Put(d) {
				t.Fatal("no room")
			}
		}
		cancel()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if acked != 30_000 || f.readings() != 30_000 {
			t.Errorf("%d acknowledged, %d committed", acked, f.readings())
		}
		var refused error
		d := Delivery{Done: func(err error) { refused = err }}
		if err := errors.Join(p.Submit(context.Background(), d), refused); !errors.Is(err, ErrStopped) {
			t.Errorf("a delivery after the end: %v", err)
		}
	})
}

func TestAStopLeavesNothingOfTheJournalBehindTheCheckpoint(t *testing.T) {
	l := openLedger(t, t.TempDir())
	run := func(ds ...Delivery) {
		t.Helper()
		p := NewPipeline(batcher(t, l), l, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		for _, d := range ds {
			p.Put(d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	run(charge(50)...)
	flag := &ledger.Flag{ID: "over_power-P01-1-x", Rule: "over_power", Severity: ledger.Info, Pile: "P01", Status: ledger.StatusOpen, Evidence: []byte(`{}`)}
	if _, err := l.Append(t.Context(), &ledger.Batch{Entries: []ledger.Entry{{Kind: ledger.KindFlag, Flag: flag}}}); err != nil {
		t.Fatal(err)
	}
	if n := batcher(t, l).Replayed(); n != 1 {
		t.Errorf("%d entries are behind the checkpoint, expected what the rules wrote since", n)
	}
	run()
	if n := batcher(t, l).Replayed(); n != 0 {
		t.Errorf("a stop leaves %d entries behind its checkpoint", n)
	}
}

func TestStoppingWithAFullDiskEndsInTimeAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{full: true}
		p := NewPipeline(batcher(t, f), f, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		refused := 0
		for _, d := range charge(5) {
			d.Done = func(err error) {
				if err != nil {
					refused++
				}
			}
			p.Put(d)
		}
		cancel()
		begin := time.Now()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 10*time.Second || refused != 5 {
			t.Errorf("%d given back after %s", refused, took)
		}
	})
}

// A repetition of what waits for a commit is on disk when that is: where the
// commit is given up, so is the repetition.
