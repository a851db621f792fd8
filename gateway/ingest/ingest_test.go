package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pilewatch/devices"
	"pilewatch/devices/catalog"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func nativeRoute(t testing.TB) []Route {
	t.Helper()
	d, err := catalog.New("native", devices.Options{Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	return []Route{{Name: "native", Decoder: d, Matches: func(topic string) bool { return strings.HasPrefix(topic, "pilewatch/v1/") }}}
}

func openLedger(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
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

func batcher(t testing.TB, l Journal) *Batcher {
	t.Helper()
	b, err := NewBatcher(t.Context(), nativeRoute(t), l, session.DefaultSettings(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// telemetry is a report of one port of P01, received 40 ms after its time.
func telemetry(after time.Duration, state string, watts, wh float64) Delivery {
	at := t0.Add(after)
	return Delivery{Input: devices.Input{
		Topic: "pilewatch/v1/fuxing/P01/telemetry", Received: devices.MillisOf(at) + 40,
		Payload: fmt.Appendf(nil, `{"ts":%q,"ports":[{"port":1,"state":%q,"w":%g,"wh":%g}]}`, at.Format(time.RFC3339Nano), state, watts, wh),
	}}
}

// charge is a session of n reports a minute apart, 2 Wh each.
func charge(n int) []Delivery {
	var ds []Delivery
	for i := range n {
		state := "charging"
		if i == n-1 {
			state = "idle"
		}
		ds = append(ds, telemetry(time.Duration(i)*time.Minute, state, 120, 1000+2*float64(i)))
	}
	return ds
}

// play runs deliveries into a ledger.
func play(t testing.TB, l *ledger.Ledger, ds []Delivery) Tally {
	t.Helper()
	var sum Tally
	p := NewPlayback(t.Context(), batcher(t, l), l, func(_ context.Context, x Tally) error {
		sum.Readings += x.Readings
		sum.Closed = append(sum.Closed, x.Closed...)
		if sum.Drops == nil {
			sum.Drops, sum.Rejects = x.Drops, x.Rejects
		}
		return nil
	})
	for _, d := range ds {
		if err := p.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestMessagesBecomeSessions(t *testing.T) {
	l := openLedger(t, t.TempDir())
	sum := play(t, l, charge(11))
	if sum.Readings != 11 || len(sum.Closed) != 1 {
		t.Fatalf("tally %+v", sum)
	}
	s, err := l.Session(t.Context(), "P01-1-20261123T120000Z")
	if err != nil || s.EnergyMWh != 20_000 || s.Reason != "unplugged" || s.Open {
		t.Errorf("session %+v, %v", s, err)
	}
}

func TestAReplayOfTheSameRecordingChangesNothing(t *testing.T) {
	dir := t.TempDir()
	ds := charge(200)
	ds = append(ds, Delivery{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/event", Received: devices.MillisOf(t0.Add(9 * time.Hour)), Payload: []byte(
		`{"ts":"2026-11-23T21:00:00Z","port":2,"event":"settle","order":"A-1","start":"2026-11-23T12:00:00Z","end":"2026-11-23T14:00:00Z","energy_wh":300,"reason":"full"}`)}})
	l := openLedger(t, dir)
	play(t, l, ds)
	head := l.Head()
	before, _, err := l.Sessions(t.Context(), ledger.Filter{})
	if err != nil || len(before) != 2 {
		t.Fatalf("%d sessions, %v", len(before), err)
	}
	sum := play(t, l, ds)
	after, _, err := l.Sessions(t.Context(), ledger.Filter{})
	if err != nil || !reflect.DeepEqual(before, after) || l.Head() != head {
		t.Errorf("the journal went from %d to %d, sessions from %+v to %+v, %v", head, l.Head(), before, after, err)
	}
	if sum.Readings != 0 || sum.Drops[DropDuplicate] != 201 {
		t.Errorf("tally %+v", sum)
	}
}

func TestTheSameRecordingGivesTheSameLedgerByteForByte(t *testing.T) {
	var files [2][]byte
	for i := range files {
		dir := t.TempDir()
		l := openLedger(t, dir)
		play(t, l, charge(500))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(filepath.Join(dir, ledger.File)); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(files[0], files[1]) {
		t.Error("two ledgers differ")
	}
}

func TestARestartInTheMiddleOfASessionChangesNothing(t *testing.T) {
	ds := charge(60)
	whole := openLedger(t, t.TempDir())
	play(t, whole, ds)
	cut := openLedger(t, t.TempDir())
	play(t, cut, ds[:25])
	play(t, cut, ds[20:]) // five messages come again
	a, _, _ := whole.Sessions(t.Context(), ledger.Filter{})
	b, _, _ := cut.Sessions(t.Context(), ledger.Filter{})
	if len(a) != 1 || !reflect.DeepEqual(a, b) {
		t.Errorf("one run gives %+v, two runs %+v", a, b)
	}
}

func TestALateReadingIsKeptAndChangesNoSession(t *testing.T) {
	l := openLedger(t, t.TempDir())
	ds := charge(11)
	late := ds[5]
	late.Received = ds[10].Received + 1000
	ds = append(append(ds[:5:5], ds[6:]...), late, late)
	sum := play(t, l, ds)
	if sum.Drops[DropLate] != 1 || sum.Drops[DropDuplicate] != 1 || sum.Readings != 11 {
		t.Errorf("tally %+v", sum)
	}
	if s, err := l.Session(t.Context(), "P01-1-20261123T120000Z"); err != nil || s.EnergyMWh != 20_000 {
		t.Errorf("session %+v, %v", s, err)
	}
}

func TestWhatCannotBeReadIsKeptAsARejectAndTheNeighboursCount(t *testing.T) {
	l := openLedger(t, t.TempDir())
	bad := func(topic, payload string) Delivery {
		return Delivery{Input: devices.Input{Topic: topic, Payload: []byte(payload), Received: devices.MillisOf(t0)}}
	}
	const topic = "pilewatch/v1/fuxing/P01/telemetry"
	ds := append([]Delivery{
		bad(topic, `{"ports":[`),
		bad(topic, strings.Repeat(" ", devices.MaxPayload+1)),
		bad(topic, "{\"ports\":[{\"port\":1,\"w\":1,\"card\":\"\xff\"}]}"),
		bad(topic, `{"ts":"2026-11-23T11:59:00Z","ports":[{"port":0,"w":1},{"port":1,"w":0,"wh":1000},{"port":2,"w":-5},{"port":3,"w":NaN}]}`),
		bad("some/where/else", `{}`),
		bad("pilewatch/v1/fuxing/P01/rubbish", `{}`),
	}, charge(3)...)
	sum := play(t, l, ds)
	want := map[RejectKey]int{
		{"native", devices.Malformed}: 1, {"native", devices.TooLarge}: 1, {"native", devices.InvalidUTF8}: 1, {"native", devices.BadPort}: 1,
		{"native", devices.BadPower}: 2, {"", devices.UnknownTopic}: 1, {"native", devices.UnknownTopic}: 1,
	}
	if !reflect.DeepEqual(sum.Rejects, want) {
		t.Errorf("rejects %v, want %v", sum.Rejects, want)
	}
	if sum.Readings != 4 {
		t.Errorf("%d readings, want the good neighbour and three", sum.Readings)
	}
	kept, _, err := l.Rejects(t.Context(), ledger.Filter{})
	if err != nil || len(kept) != 8 {
		t.Errorf("%d rejects are kept, %v", len(kept), err)
	}
	for _, r := range kept {
		if len(r.Payload) > keepPayload || r.Detail == "" {
			t.Errorf("reject %+v", r)
		}
	}
}

func TestAReplayOfMessagesWithoutATimeChangesNothing(t *testing.T) {
	var ds []Delivery
	for i := range 40 {
		ds = append(ds, Delivery{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/telemetry", Received: devices.MillisOf(t0.Add(time.Duration(i) * time.Minute)),
			Payload: fmt.Appendf(nil, `{"seq":%d,"temp_c":30,"ports":[{"port":1,"w":%d,"wh":%d}]}`, i, 120*min(1, 39-i), 2*i)}})
	}
	l := openLedger(t, t.TempDir())
	play(t, l, ds[:25])
	play(t, l, ds)
	head := l.Head()
	play(t, l, ds)
	all, _, err := l.Sessions(t.Context(), ledger.Filter{})
	if err != nil || len(all) != 1 || l.Head() != head {
		t.Errorf("%d sessions, the journal from %d to %d, %v", len(all), head, l.Head(), err)
	}
}

func TestRetainedTelemetryOfUnknownTimeIsPassedOver(t *testing.T) {
	l := openLedger(t, t.TempDir())
	sum := play(t, l, []Delivery{{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/telemetry", Retained: true, Received: devices.MillisOf(t0), Payload: []byte(`{"ports":[{"port":1,"w":9}]}`)}},
		{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/status", Retained: true, Received: devices.MillisOf(t0), Payload: []byte(`online`)}}})
	if sum.Readings != 0 || sum.Drops[DropRetained] != 1 || l.Head() != 3 { // settings and the pile's word
		t.Errorf("tally %+v, head %d", sum, l.Head())
	}
}

func TestSettingsAreInTheJournalAndOnlyWhenTheyChange(t *testing.T) {
	l := openLedger(t, t.TempDir())
	play(t, l, charge(3))
	head := l.Head()
	play(t, l, nil)
	if l.Head() != head {
		t.Errorf("the journal went from %d to %d without a change", head, l.Head())
	}
	set := session.DefaultSettings()
	set.StartMW = 20_000
	b, err := NewBatcher(t.Context(), nativeRoute(t), l, set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if es := b.Pending().Entries; len(es) != 1 || es[0].Kind != ledger.KindSettings || es[0].Settings.StartMW != 20_000 {
		t.Errorf("entries %+v", es)
	}
}

// fragile is a ledger whose disk can fill up.
type fragile struct {
	mu      sync.Mutex
	full    bool
	batches [][]ledger.Entry
}

var errFull = errors.New("no space left on device")

func (f *fragile) Append(_ context.Context, b *ledger.Batch) (ledger.Seq, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return 0, errFull
	}
	f.batches = append(f.batches, b.Entries)
	return 1, nil
}

func (f *fragile) setFull(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *fragile) readings() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.batches {
		for _, e := range b {
			if e.Kind == ledger.KindReading {
				n++
			}
		}
	}
	return n
}

// Nothing was there before: what the batcher asks of the journal.
func (f *fragile) Seen(context.Context, ledger.Key, int) (bool, int, error) { return false, 0, nil }
func (f *fragile) SessionOfOrder(context.Context, string, uint8, string) (session.Session, error) {
	return session.Session{}, ledger.ErrNotFound
}
func (f *fragile) Session(context.Context, string) (session.Session, error) {
	return session.Session{}, ledger.ErrNotFound
}
func (f *fragile) LoadCheckpoint(context.Context, string) (ledger.Seq, ledger.Packed, error) {
	return 1, ledger.Packed{}, nil
}
func (f *fragile) Read(_ context.Context, from ledger.Seq, _ int) (ledger.Block, error) {
	return ledger.Block{First: from}, nil
}

func TestTheNextCommitWaitsForThePaceButNoAcknowledgementDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{}
		p := NewPipeline(batcher(t, f), f, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		p.Pace(func(ctx context.Context) {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
		})
		var acked atomic.Int32
		put := func(ds []Delivery) {
			for _, d := range ds {
				d.Done = func(error) { acked.Add(1) }
				p.Put(d)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		ds := charge(20)
		put(ds[:10])
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		put(ds[10:])
		time.Sleep(30 * time.Second)
		synctest.Wait()
		first := acked.Load()
		if first == 0 || first == 20 {
			t.Errorf("%d of 20 acknowledged half a minute after the first commit", first)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := acked.Load(); n != 20 {
			t.Errorf("%d acknowledged once the pace allowed it", n)
		}
		begin := time.Now()
		cancel()
		wg.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("a stop waited %s for the pace", took)
		}
	})
}

func TestNothingIsAcknowledgedWhileTheLedgerCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{full: true}
		p := NewPipeline(batcher(t, f), f, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		var acked []int
		for i, d := range charge(5) {
			d.Done = func(err error) {
				if err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				acked = append(acked, i)
			}
			if !p.Put(d) {
				t.Fatal("no room")
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(acked) != 0 {
			t.Errorf("acknowledged while the disk was full: %v", acked)
		}
		f.setFull(false)
		time.Sleep(20 * time.Second) // no longer than the longest wait
		synctest.Wait()
		if !reflect.DeepEqual(acked, []int{0, 1, 2, 3, 4}) {
			t.Errorf("acknowledged %v, want all, in order", acked)
		}
		cancel()
		wg.Wait()
		if n := f.readings(); n != 5 {
			t.Errorf("%d readings committed", n)
		}
	})
}

func TestARepetitionOfWhatWasNotKeptIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{full: true}
		p := NewPipeline(batcher(t, f), f, func() devices.Millis { return devices.MillisOf(t0) }, func(Tally) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		acked, refused := 0, 0
		deliver := func(d Delivery) {
			d.Done = func(err error) {
				if err == nil {
					acked++
				} else {
					refused++
				}
			}
			if !p.Put(d) {
				t.Fatal("no room")
			}
		}
		first := charge(1)[0]
		deliver(first)
		synctest.Wait() // its commit fails, and is tried again
		const again = maxMessages + 1000
		for range again {
			deliver(first)
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if acked != 0 || refused != 1+again {
			t.Errorf("%d acknowledged, %d given back", acked, refused)
		}
	})
}

func BenchmarkPipeline(b *testing.B) {
	for _, ports := range []int{1, 12} {
		b.Run(fmt.Sprintf("%d_ports", ports), func(b *testing.B) {
			l := openLedger(b, b.TempDir())
			batch := batcher(b, l)
			p := NewPlayback(b.Context(), batch, l, func(context.Context, Tally) error { return nil })
			topic := make([]string, 64)
			for i := range topic {
				topic[i] = fmt.Sprintf("pilewatch/v1/fuxing/P%02d/telemetry", i)
			}
			var payload []byte
			n := 0
			for b.Loop() {
				at := t0.Add(time.Duration(n/64) * 30 * time.Second)
				payload = fmt.Appendf(payload[:0], `{"ts":%d,"seq":%d,"temp_c":31.0,"ports":[`, at.UnixMilli(), n)
				for i := range ports {
					if i > 0 {
						payload = append(payload, ',')
					}
					payload = fmt.Appendf(payload, `{"port":%d,"state":"charging","w":152.4,"v":221.3,"a":0.712,"pf":0.97,"wh":%d.25,"card":"04A1B2C3","order":"A-1007"}`, i+1, 1284531+n/64)
				}
				payload = append(payload, `]}`...)
				if err := p.Add(b.Context(), Delivery{Input: devices.Input{Topic: topic[n%64], Payload: payload, Received: devices.MillisOf(at)}}); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := p.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n*ports)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}
