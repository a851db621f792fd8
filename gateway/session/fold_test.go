package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

// t0 is 2026-11-23 20:00:00 in Shanghai.
var t0 = devices.MillisOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// at is t0 plus a duration such as "1h30m".
func at(s string) devices.Millis {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return t0.Add(d)
}

// bench drives the fold as a gateway would, and notes what changed.
type bench struct {
	t     *testing.T
	state *State
	log   []Change
}

func newBench(t *testing.T, edit ...func(*Settings)) *bench {
	t.Helper()
	set := DefaultSettings()
	for _, e := range edit {
		e(&set)
	}
	s, err := NewState(set)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, state: s}
}

func (b *bench) step(in Input) Outcome {
	b.t.Helper()
	out, o, err := Step(b.state, in, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.log = append(b.log, out...)
	return o
}

// read feeds a reading of P01 port 1, by the device's clock.
func (b *bench) read(when string, watts int64, with ...func(*devices.Reading)) Outcome {
	b.t.Helper()
	r := devices.Reading{Pile: "P01", Port: 1, Time: at(when), DeviceTime: true, PowerMW: watts * 1000}
	for _, w := range with {
		w(&r)
	}
	return b.step(Input{Received: r.Time, Reading: &r})
}

func (b *bench) event(kind devices.EventKind, when string, with ...func(*devices.Event)) Outcome {
	b.t.Helper()
	e := devices.Event{Pile: "P01", Port: 1, Kind: kind, Time: at(when), DeviceTime: true}
	for _, w := range with {
		w(&e)
	}
	return b.step(Input{Received: e.Time, Event: &e})
}

func (b *bench) tick(when string) { b.step(Input{Received: at(when)}) }

func state(s devices.PortState) func(*devices.Reading) {
	return func(r *devices.Reading) { r.State = s }
}
func wh(x float64) func(*devices.Reading) {
	return func(r *devices.Reading) { r.EnergyMWh, _ = devices.Milli(x); r.Has |= devices.HasEnergy }
}
func orderWh(order string, x float64) func(*devices.Reading) {
	return func(r *devices.Reading) {
		r.Order = order
		r.OrderMWh, _ = devices.Milli(x)
		r.Has |= devices.HasOrderEnergy
	}
}
func card(c string) func(*devices.Reading) { return func(r *devices.Reading) { r.Card = c } }
func received(when string) func(*devices.Reading) {
	return func(r *devices.Reading) { r.Time, r.DeviceTime = at(when), false }
}
func onPort(n uint8) func(*devices.Reading) { return func(r *devices.Reading) { r.Port = n } }

// closed gives the closed sessions in order, each in one line.
func (b *bench) closed() string {
	var lines []string
	for _, c := range b.log {
		if c.Kind == Closed {
			s := c.Session
			lines = append(lines, fmt.Sprintf("%s..%s %d mWh %s %s", clock(s.Start), clock(s.End), s.EnergyMWh, s.Reason, s.Quality))
		}
	}
	return strings.Join(lines, "\n")
}

func clock(m devices.Millis) string { return m.Sub(t0).String() }

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if got, want := b.closed(), strings.Join(lines, "\n"); got != want {
		b.t.Errorf("closed sessions:\n%s\nwant:\n%s", got, want)
	}
}

func (b *bench) open() *OpenSession {
	if p := b.state.Port("P01", 1); p != nil {
		return p.Open
	}
	return nil
}

const (
	idle     = devices.StateIdle
	plugged  = devices.StatePlugged
	charging = devices.StateCharging
	full     = devices.StateFull
	unknown  = devices.StateUnknown
)

func TestStateOpensAndClosesASession(t *testing.T) {
	b := newBench(t)
	b.read("0s", 0, state(idle), wh(1000))
	b.read("1m", 0, state(plugged), wh(1000))
	b.read("2m", 150, state(charging), wh(1001.25), card("04A1"))
	b.read("3m", 150, state(charging), wh(1003.75), card("04A1"))
	b.read("4m", 0, state(full), wh(1005))
	b.read("5m", 0, state(idle), wh(1005.125))
	b.read("6m", 0, state(idle), wh(1005.125))
	b.want("2m0s..5m0s 5125 mWh unplugged measured")
	s := b.log[len(b.log)-1].Session
	if s.ID != "P01-1-20261123T120200Z" || s.PeakMW != 150_000 || s.MeterStartMWh != 1_000_000 || s.MeterEndMWh != 1_005_125 || s.Card != "04A1" {
		t.Errorf("session %+v", s)
	}
}

func TestPowerAloneOpensAtTheFirstOfTwo(t *testing.T) {
	b := newBench(t)
	b.read("0s", 0)
	b.read("1m", 9)  // under start_w
	b.read("2m", 60) // the first at or over it, then one under: no session
	b.read("3m", 9)
	b.read("4m", 10)
	b.read("5m", 60, state(unknown))
	b.read("6m", 60)
	b.read("7m", 4) // the first under idle_w
	b.read("8m", 0)
	b.read("16m59s", 0)
	if b.closed() != "" {
		t.Fatalf("closed before idle_for: %s", b.closed())
	}
	b.read("17m", 0)
	// trapezoids in mWh: 3m-4m (9+10)/2/60 -> 158, 583, 1000, 533
	b.want("4m0s..7m0s 2274 mWh low_power measured")
}

func TestIdleForEndsAtTheFirstReadingUnder(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), wh(0))
	b.read("1m", 100, state(charging), wh(1))
	b.read("2m", 2, state(charging), wh(2))
	b.read("3m", 100, state(charging), wh(3)) // power is back: the clock starts again
	b.read("4m", 2, state(charging), wh(4))
	b.read("9m", 2, state(charging), wh(5))
	b.read("14m", 2, state(charging), wh(6)) // the register crept on: not this session's
	b.want("0s..4m0s 4000 mWh low_power measured")
}

func TestPluggedAndFullDoNotClose(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging))
	for i := 1; i <= 90; i++ {
		b.read(fmt.Sprintf("%dm", i), 0, state(full))
	}
	if b.open() == nil {
		t.Fatal("full closed the session")
	}
	b.read("91m", 0, state(idle))
	b.want("0s..1h31m0s 833 mWh unplugged measured") // 100 W to 0 W over the first minute
}

func TestIdlePortWithPowerIsNoSession(t *testing.T) {
	b := newBench(t)
	for i := range 30 {
		b.read(fmt.Sprintf("%dm", i), 200, state(idle))
	}
	if len(b.log) != 0 {
		t.Errorf("changes: %v", b.log)
	}
}

func TestStartEventOpensAndStopCloses(t *testing.T) {
	b := newBench(t)
	b.read("0s", 0, state(idle), wh(50))
	b.event(devices.EventStart, "20s", func(e *devices.Event) { e.Card, e.Order = "04A1", "A-1" })
	b.read("30s", 120, state(charging), wh(50.5))
	b.read("1m", 120, state(charging), wh(51.5))
	b.event(devices.EventStop, "1m20s", func(e *devices.Event) {
		e.Order, e.Reason = "A-1", "full"
		e.Has, e.EnergyMWh = devices.HasEnergy, 52_125
	})
	b.read("1m30s", 120, state(charging), wh(52.25)) // the pile's word is behind its own event
	b.read("2m", 0, state(idle), wh(52.25))
	b.want("20s..1m20s 2125 mWh full measured")
	if s := b.log[len(b.log)-1].Session; s.Card != "04A1" || s.Order != "A-1" {
		t.Errorf("session %+v", s)
	}
}

func TestStartEventLendsItsCardToASessionThatIsOpen(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Cards = map[string]Card{"04A1": {Household: "1-603"}} })
	b.read("0s", 120, state(charging))
	b.event(devices.EventStart, "5s", func(e *devices.Event) { e.Card, e.Order = "04A1", "A-1" })
	b.read("1m", 0, state(idle))
	b.want("0s..1m0s 1000 mWh unplugged measured")
	if s := b.log[len(b.log)-1].Session; s.Card != "04A1" || s.Household != "1-603" || s.Order != "A-1" {
		t.Errorf("session %+v", s)
	}
}

func TestCardEventNamesTheNextSession(t *testing.T) {
	b := newBench(t)
	b.event(devices.EventCard, "0s", func(e *devices.Event) { e.Card = "04A1" })
	b.read("1m", 100, state(charging))
	if o := b.open(); o == nil || o.Card != "04A1" {
		t.Fatalf("open session %+v", o)
	}
	b.read("2m", 0, state(idle))
	b.read("3m", 100, state(charging))
	if o := b.open(); o.Card != "" {
		t.Errorf("the card was used twice: %q", o.Card)
	}
}

func TestAnotherOrderReplaces(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), orderWh("A", 0), card("04A1"))
	b.read("1m", 100, state(charging), orderWh("A", 2), card("04A1"))
	b.read("2m", 100, state(charging), orderWh("B", 1.5), card("04A1"))
	b.read("3m", 100, state(charging), orderWh("B", 3.5), card("04A1"))
	b.read("4m", 0, state(idle), orderWh("B", 4))
	b.want("0s..1m0s 2000 mWh replaced measured", "2m0s..4m0s 4000 mWh unplugged measured")
}

func TestAnotherCardReplacesAndTheStepIsTheNewOnes(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), wh(10), card("04A1"))
	b.read("1m", 100, state(charging), wh(12), card("04A1"))
	b.read("2m", 100, state(charging), wh(15), card("04A2"))
	b.read("3m", 0, state(idle), wh(15.5), card("04A2"))
	b.want("0s..1m0s 2000 mWh replaced measured", "2m0s..3m0s 3500 mWh unplugged measured")
}

func TestAGapOverLostAfterCloses(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), wh(0))
	b.read("1m", 100, state(charging), wh(2))
	b.read("6h1m", 100, state(charging), wh(600)) // exactly lost_after: the same session
	b.read("12h1m1s", 100, state(charging), wh(700))
	b.read("12h2m1s", 0, state(idle), wh(702))
	b.want("0s..6h1m0s 600000 mWh lost measured", "12h1m1s..12h2m1s 2000 mWh unplugged measured")
}

func TestLostByTheClockReopensWhenReadingsStillCome(t *testing.T) {
	lived, replayed := newBench(t), newBench(t)
	feed := func(b *bench, tick bool) {
		b.read("0s", 100, state(charging), wh(0))
		b.read("1m", 100, state(charging), wh(2))
		if tick {
			b.tick("6h1m")
			b.want()
			b.tick("6h1m1s")
			b.want("0s..1m0s 2000 mWh lost measured")
			b.tick("7h")
		}
		b.read("2m", 100, state(charging), wh(4), func(r *devices.Reading) {}) // from the pile's own memory
		b.read("3m", 0, state(idle), wh(5))
	}
	feed(lived, true)
	feed(replayed, false)
	replayed.want("0s..3m0s 5000 mWh unplugged measured")
	lived.want("0s..1m0s 2000 mWh lost measured", "0s..3m0s 5000 mWh unplugged measured")
	if a, b := lived.log[len(lived.log)-1].Session, replayed.log[len(replayed.log)-1].Session; a.ID != b.ID || a.EnergyMWh != b.EnergyMWh || a.Reason != b.Reason {
		t.Errorf("life %+v, replay %+v", a, b)
	}
	var kinds []string
	for _, c := range lived.log {
		kinds = append(kinds, c.Kind.String())
	}
	if got := strings.Join(kinds, " "); got != "opened closed reopened closed" {
		t.Errorf("changes: %s", got)
	}
}

func TestLostByTheClockStaysLostAfterTheGap(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), wh(0))
	b.tick("7h")
	b.read("8h", 100, state(charging), wh(10))
	b.read("8h1m", 0, state(idle), wh(11))
	b.want("0s..0s 0 mWh lost measured", "8h0m0s..8h1m0s 1000 mWh unplugged measured")
}

func TestTheSameTimeAgainChangesNothing(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), wh(0))
	if o := b.read("1m", 100, state(charging), wh(2)); o != Applied {
		t.Fatalf("outcome %d", o)
	}
	if o := b.read("1m", 999, state(idle), wh(99)); o != Duplicate {
		t.Errorf("outcome %d", o)
	}
	if o := b.read("30s", 999, state(idle), wh(99)); o != Stale {
		t.Errorf("outcome %d", o)
	}
	b.read("2m", 0, state(idle), wh(3))
	b.want("0s..2m0s 3000 mWh unplugged measured")
}

func TestWithoutATimeTheSameSeqWithinTenMinutesChangesNothing(t *testing.T) {
	b := newBench(t)
	seq := func(n int64) func(*devices.Reading) {
		return func(r *devices.Reading) { r.Seq = n; r.Has |= devices.HasSeq }
	}
	for _, c := range []struct {
		when string
		seq  int64
		want Outcome
	}{
		{"0s", 7, Applied}, {"9m", 8, Applied}, {"10m", 7, Duplicate}, {"10m1s", 7, Applied}, {"10m2s", 1, Applied}, {"10m3s", 8, Duplicate},
	} {
		if o := b.read(c.when, 100, received(c.when), seq(c.seq)); o != c.want {
			t.Errorf("seq %d at %s: outcome %d, want %d", c.seq, c.when, o, c.want)
		}
	}
	if o := b.read("10m3s", 100, received("10m3s"), seq(8), onPort(2)); o != Applied {
		t.Errorf("another port of the same message: outcome %d", o)
	}
}

func TestReceiptTimesAndDeviceTimesGoInOrderOfArrival(t *testing.T) {
	b := newBench(t)
	b.read("0s", 120, state(charging), wh(0))
	b.read("2m", 120, state(charging), wh(4), received("2m")) // the pile lost its clock
	if o := b.read("1m", 120, state(charging), wh(5)); o != Applied {
		t.Fatalf("a device time after a receipt time: outcome %d", o)
	}
	b.read("3m", 0, state(idle), wh(7))
	// The step back in time has no duration; its register's advance (1 Wh) is believed.
	b.want("0s..3m0s 7000 mWh unplugged measured")
}

func TestTwoSessionsInOneSecondKeepTwoIDs(t *testing.T) {
	b := newBench(t)
	b.read("0s", 100, state(charging), orderWh("A", 0))
	b.read("0.4s", 100, state(charging), orderWh("B", 0))
	b.read("0.8s", 100, state(charging), orderWh("C", 0))
	ids := map[string]bool{b.open().ID: true}
	for _, c := range b.log {
		if c.Kind == Closed {
			ids[c.Session.ID] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("ids %v", ids)
	}
}

func TestLateStartEventStillOpens(t *testing.T) {
	b := newBench(t)
	b.read("30s", 0, state(plugged), wh(0))
	b.event(devices.EventStart, "20s", func(e *devices.Event) { e.Card = "04A1" })
	b.read("1m", 100, state(charging), wh(1))
	b.read("2m", 0, state(idle), wh(2))
	b.want("20s..2m0s 2000 mWh unplugged measured")
	if o := b.event(devices.EventStart, "40s", func(e *devices.Event) { e.Card = "04A2" }); o != Stale || b.open() != nil {
		t.Errorf("a start within a session that is over: outcome %d, open %v", o, b.open())
	}
}

func TestRepeatedEventsChangeNothing(t *testing.T) {
	b := newBench(t)
	for range 2 {
		b.event(devices.EventStart, "0s", func(e *devices.Event) { e.Order = "A" })
	}
	b.read("1m", 100, state(charging))
	b.read("2m", 100, state(charging))
	for range 2 {
		b.event(devices.EventStop, "3m", func(e *devices.Event) { e.Order, e.Reason = "A", "remote" })
	}
	if o := b.event(devices.EventStart, "0s", func(e *devices.Event) { e.Order = "A" }); o != Duplicate {
		t.Errorf("outcome %d", o)
	}
	b.want("0s..3m0s 1667 mWh remote measured")
}

func TestTwoAlarmsAtOnceAreTwo(t *testing.T) {
	b := newBench(t)
	for _, port := range []uint8{1, 0} {
		for _, alarm := range []string{"smoke", "water"} {
			if o := b.event(devices.EventAlarm, "0s", func(e *devices.Event) { e.Alarm, e.Port = alarm, port }); o != Applied {
				t.Errorf("%s at port %d: outcome %d", alarm, port, o)
			}
		}
		if o := b.event(devices.EventAlarm, "0s", func(e *devices.Event) { e.Alarm, e.Port = "smoke", port }); o != Duplicate {
			t.Errorf("smoke again at port %d: outcome %d", port, o)
		}
	}
}

func TestAnotherOrderAtAnIdleReadingReplaces(t *testing.T) {
	b := newBench(t)
	b.read("0s", 60, state(charging), orderWh("A", 0))
	b.read("1m", 60, state(charging), orderWh("A", 1))
	b.read("2m", 0, state(idle), orderWh("B", 0))
	b.want("0s..1m0s 1000 mWh replaced measured")
	if b.open() != nil {
		t.Error("an idle port has a session")
	}
}

func TestAStopAfterASilenceOverLostAfterComesTooLate(t *testing.T) {
	b := newBench(t)
	b.read("0s", 60, state(charging), wh(0))
	b.read("1m", 60, state(charging), wh(1))
	b.event(devices.EventStop, "6h2m", func(e *devices.Event) { e.Reason = "full" })
	b.want("0s..1m0s 1000 mWh lost measured")
}
