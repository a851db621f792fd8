package ledger

import (
	"errors"
	"log/slog"
	"math"
	"testing"

	"pilewatch/devices"
)

func TestSeenKnowsWhatTheJournalHolds(t *testing.T) {
	dir := t.TempDir()
	es := estateEntries(500) // over four hours
	l := open(t, dir)
	for i := 0; i < len(es); i += 500 {
		l.mustAppend(t, Batch{Entries: es[i : i+500]})
	}
	for _, i := range []int{0, 1, 499, 500, 4999} {
		k, _ := KeyOf(&es[i])
		if ok, _, err := l.Seen(t.Context(), k, math.MaxInt); err != nil || !ok {
			t.Errorf("entry %d: %v, %v", i, ok, err)
		}
		for _, other := range []Key{
			{Pile: "P02", Port: k.Port, Time: k.Time}, {Pile: k.Pile, Port: 99, Time: k.Time},
			{Pile: k.Pile, Port: k.Port, What: 1, Time: k.Time}, {Pile: k.Pile, Port: k.Port, Time: k.Time + 1},
		} {
			if ok, _, err := l.Seen(t.Context(), other, math.MaxInt); err != nil || ok {
				t.Errorf("%+v was never there: %v, %v", other, ok, err)
			}
		}
	}
}

// lateReadings are n readings of an hour in a block, each with one of another day.
func lateReadings(block, n int) (entries []Entry) {
	for i := range n {
		at := t0 + devices.Millis(block*n+i)*10
		for _, at := range []devices.Millis{at, at - 86_400_000} {
			r := devices.Reading{Pile: "P01", Port: 1, Time: at, DeviceTime: true}
			entries = append(entries, Entry{Kind: KindReading, Received: at, Reading: r})
		}
	}
	return entries
}

// A block that holds old readings beside new ones spans all of the time between:
// with many of those a look-up has to go through all of them.
func TestALookUpReadsNoMoreThanItMayAndNothingTwice(t *testing.T) {
	l := open(t, t.TempDir())
	const blocks, n = 40, 100
	for b := range blocks {
		l.mustAppend(t, Batch{Entries: lateReadings(b, n)})
	}
	yesterday := t0 - 86_400_000 + blocks*n*10
	k := Key{Pile: "P02", Port: 1, Time: yesterday - 5}
	if seen, cost, err := l.Seen(t.Context(), k, 2000); !errors.Is(err, ErrCostly) || seen || cost > 2000+2*n {
		t.Errorf("%v after %d entries, %v", seen, cost, err)
	}
	seen, first, err := l.Seen(t.Context(), k, math.MaxInt)
	if err != nil || seen || first < blocks*n || first > blocks*(2*n+queryCost)+queryCost {
		t.Errorf("%v after %d entries, %v", seen, first, err)
	}
	if seen, cost, err := l.Seen(t.Context(), Key{Pile: "P03", Port: 1, Time: yesterday - 15}, 50); err != nil || seen || cost > blocks {
		t.Errorf("again: %v after %d entries, %v", seen, cost, err)
	}
	l.mustAppend(t, Batch{Entries: lateReadings(blocks, n)})
	added := Key{Pile: "P01", Port: 1, Time: t0 + blocks*n*10}
	if seen, cost, err := l.Seen(t.Context(), added, 1000); err != nil || !seen || cost > 1000 {
		t.Errorf("what came since: %v after %d entries, %v", seen, cost, err)
	}
}

func TestADamagedBlockIsToldByALookUpThatMayNeedItAndReadOnce(t *testing.T) {
	l := open(t, t.TempDir())
	for b := range 3 {
		l.mustAppend(t, Batch{Entries: lateReadings(b, 10)})
	}
	if err := l.exec(t.Context(), "UPDATE journal SET sum = sum + 1 WHERE seq = 21"); err != nil {
		t.Fatal(err)
	}
	l.tail.blocks = nil // as after a restart
	for range 2 {
		var bad *DamagedError
		if seen, _, err := l.Seen(t.Context(), Key{Pile: "P01", Port: 2, Time: t0}, math.MaxInt); seen || !errors.As(err, &bad) || bad.Seq != 21 {
			t.Errorf("%v, %v", seen, err)
		}
	}
	if seen, _, err := l.Seen(t.Context(), Key{Pile: "P01", Port: 1, Time: t0 + 200}, math.MaxInt); !seen || err != nil {
		t.Errorf("in another block: %v, %v", seen, err)
	}
	if seen, cost, err := l.Seen(t.Context(), Key{Pile: "P01", Port: 2, Time: t0}, 50); seen || err == nil || cost > 3 {
		t.Errorf("read again: %v after %d entries, %v", seen, cost, err)
	}
}

// BenchmarkSeen looks up readings that the journal does not hold: of one block, which
// is decoded once, and each of another.
func BenchmarkSeen(b *testing.B) {
	l, err := Open(b.Context(), b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const blocks, n = 64, 4096
	for block := range blocks {
		var entries []Entry
		for i := range n {
			at := t0 + devices.Millis(block)*hourMillis + devices.Millis(i)*100
			entries = append(entries, Entry{Kind: KindReading, Received: at, Reading: devices.Reading{Pile: "P01", Port: 1, Time: at, DeviceTime: true}})
		}
		if _, err := l.Append(b.Context(), &Batch{Entries: entries}); err != nil {
			b.Fatal(err)
		}
	}
	l.tail.blocks = nil // as after a restart
	for name, stride := range map[string]int{"one block": 0, "another block each": 1} {
		b.Run(name, func(b *testing.B) {
			i, sum := 0, 0
			for b.Loop() {
				at := t0 + devices.Millis(i*stride%blocks)*hourMillis + devices.Millis(i%n)*100 + 1
				_, cost, err := l.Seen(b.Context(), Key{Pile: "P01", Port: 1, Time: at}, math.MaxInt)
				if err != nil {
					b.Fatal(err)
				}
				i, sum = i+1, sum+cost
			}
			b.ReportMetric(float64(sum)/float64(i), "cost/op")
		})
	}
}
