package session

import (
	"fmt"
	"testing"

	"pilewatch/devices"
)

func TestSettlementOfAnUnknownOrderMakesALateSession(t *testing.T) {
	b := newBench(t)
	settle := func() Outcome {
		return b.event(devices.EventSettle, "9h", func(e *devices.Event) {
			e.Order, e.Card, e.Reason, e.Start, e.End, e.SettledMWh = "A-7", "04A1", "full", at("0s"), at("4h"), 480_000
		})
	}
	if o := settle(); o != Applied {
		t.Fatalf("outcome %d", o)
	}
	for range 5 {
		if o := settle(); o != Duplicate {
			t.Fatalf("repeated: outcome %d", o)
		}
	}
	b.want("0s..4h0m0s 480000 mWh full late")
	if s := b.log[0].Session; s.PeakMW != 120_000 || s.SettledMWh != 480_000 || s.ID != "P01-1-20261123T120000Z" {
		t.Errorf("session %+v", s)
	}
}

func TestSettlementAddsTheReasonAndDisputes(t *testing.T) {
	for _, c := range []struct {
		settled int64
		want    Quality
	}{
		{480_000, 0}, {480_000 + 19_600, 0}, {480_000 + 19_601, Disputed}, {480_000 - 19_601, Disputed}, // 2 % + 10 Wh
	} {
		b := newBench(t)
		b.read("0s", 120, state(charging), orderWh("A-7", 0))
		b.read("4h", 120, state(charging), orderWh("A-7", 480))
		b.read("4h1m", 0, state(idle), orderWh("A-7", 480))
		b.event(devices.EventSettle, "9h", func(e *devices.Event) {
			e.Order, e.Reason, e.Start, e.End, e.SettledMWh = "A-7", "full", at("0s"), at("4h"), c.settled
		})
		last := b.log[len(b.log)-1]
		if last.Kind != Settled || last.Session.ID != "P01-1-20261123T120000Z" || last.Session.Reason != "full" || last.Session.Quality != c.want {
			t.Errorf("settled %d: %s %+v", c.settled, last.Kind, last.Session)
		}
	}
}

func TestSettlementOfTheOrderThatIsOpenGivesItItsReason(t *testing.T) {
	for _, c := range []struct {
		final float64 // the register at the reading that ends it
		want  string
	}{
		{240, "0s..5h1m0s 240000 mWh power_failure measured"},
		{180, "0s..5h1m0s 180000 mWh power_failure disputed"},
	} {
		b := newBench(t)
		settle := func() Outcome {
			return b.event(devices.EventSettle, "5h", func(e *devices.Event) {
				e.Order, e.Reason, e.Start, e.End, e.SettledMWh = "A-7", "power_failure", at("0s"), at("2h"), 240_000
			})
		}
		b.read("0s", 120, state(charging), orderWh("A-7", 0))
		b.read("1h", 120, state(charging), orderWh("A-7", 120)) // then the pile is offline
		if o := settle(); o != Applied {
			t.Fatalf("outcome %d", o)
		}
		if o := settle(); o != Duplicate {
			t.Fatalf("repeated: outcome %d", o)
		}
		b.want()
		b.read("5h1m", 0, state(idle), orderWh("A-7", c.final))
		b.want(c.want)
	}
	b := newBench(t)
	b.read("0s", 120, state(charging), orderWh("A-7", 0))
	b.read("1h", 120, state(charging), orderWh("A-7", 120))
	b.event(devices.EventSettle, "2h", func(e *devices.Event) {
		e.Order, e.Reason, e.Start, e.End, e.SettledMWh = "A-7", "full", at("0s"), at("1h30m"), 180_000
	})
	b.tick("8h") // nothing more was heard
	b.want("0s..1h0m0s 120000 mWh full disputed")
}

func TestSettlementFindsTheSessionOfAPileThatNamesNoOrders(t *testing.T) {
	b := newBench(t)
	b.read("0s", 120, state(charging), wh(0))
	b.read("4h", 120, state(charging), wh(480))
	b.read("4h1m", 0, state(idle), wh(481))
	b.event(devices.EventSettle, "5h", func(e *devices.Event) {
		e.Order, e.Start, e.End, e.SettledMWh = "A-7", at("1m"), at("4h1m"), 480_000
	})
	if last := b.log[len(b.log)-1]; last.Kind != Settled || last.Session.Order != "A-7" {
		t.Errorf("%s %+v", last.Kind, last.Session)
	}
}

func TestSettlementOfWhatTheLedgerKnows(t *testing.T) {
	b := newBench(t)
	e := devices.Event{Pile: "P01", Port: 1, Kind: devices.EventSettle, Order: "A-7", Start: at("0s"), End: at("1h"), SettledMWh: 100_000, Reason: "full", Time: at("9h"), DeviceTime: true}
	b.step(Input{Received: at("9h"), Event: &e, Prior: &Prior{ID: "P01-1-X", Start: at("0s"), EnergyMWh: 200_000}})
	if len(b.log) != 1 || b.log[0].Kind != Settled || b.log[0].Session.ID != "P01-1-X" || b.log[0].Session.Quality != Disputed {
		t.Errorf("changes %+v", b.log)
	}
}

func TestEachSessionOfASecondHasAnIDOfItsOwn(t *testing.T) {
	b := newBench(t)
	for i := range 12 { // more than a port remembers of closed ones
		b.event(devices.EventStart, fmt.Sprintf("%dms", 50*i), func(e *devices.Event) { e.Order = fmt.Sprint("A-", i) })
	}
	ids := map[string]bool{}
	for _, c := range b.log {
		if c.Kind == Opened {
			ids[c.Session.ID] = true
		}
	}
	if last := b.log[len(b.log)-1].Session.ID; len(ids) != 12 || last != "P01-1-20261123T120000Z-12" {
		t.Errorf("%d ids of 12 sessions, the last %q", len(ids), last)
	}
}
