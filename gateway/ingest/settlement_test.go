package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// order is a session of an order on port 1, two reports long, beginning at a minute.
func order(minute int, name string, wh float64) []Delivery {
	var ds []Delivery
	for i, state := range []string{"charging", "idle"} {
		at := t0.Add(time.Duration(minute+i) * time.Minute)
		ds = append(ds, Delivery{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/telemetry", Received: devices.MillisOf(at), Payload: fmt.Appendf(nil,
			`{"ts":%q,"ports":[{"port":1,"state":%q,"w":300,"order":%q,"order_wh":%g}]}`, at.Format(time.RFC3339), state, name, wh*float64(i))}})
	}
	return ds
}

func settled(received, start, end time.Duration, name string, wh float64) Delivery {
	at := func(d time.Duration) string { return t0.Add(d).Format(time.RFC3339) }
	return Delivery{Input: devices.Input{Topic: "pilewatch/v1/fuxing/P01/event", Received: devices.MillisOf(t0.Add(received)), Payload: fmt.Appendf(nil,
		`{"ts":%q,"port":1,"event":"settle","order":%q,"start":%q,"end":%q,"energy_wh":%g,"reason":"full"}`, at(received), name, at(start), at(end), wh)}}
}

func TestASettlementFindsItsOrderHoweverManySessionsCameSince(t *testing.T) {
	var ds []Delivery
	for i := range 20 {
		ds = append(ds, order(10*i, fmt.Sprintf("O%d", i), 4)...)
	}
	ds = append(ds, settled(5*time.Hour, 7*time.Second, time.Minute, "O0", 4), settled(6*time.Hour, 7*time.Second, time.Minute, "O0", 9))
	for _, cut := range []int{0, 2, len(ds) - 2, len(ds) - 1} { // in one batch, or over two runs
		l := openLedger(t, t.TempDir())
		if cut > 0 {
			play(t, l, ds[:cut])
		}
		play(t, l, ds[cut:])
		all, _, err := l.Sessions(t.Context(), ledger.Filter{Oldest: true})
		if err != nil || len(all) != 20 || all[0].SettledMWh != 4000 || all[0].Reason != "full" || all[0].EnergyMWh != 4000 {
			t.Errorf("cut at %d: %d sessions, the first %+v, %v", cut, len(all), all[0], err)
		}
	}
}

func TestOrdersThatWereKeptOfflineAreBilledOnce(t *testing.T) {
	var ds []Delivery
	for round := range 3 { // a pile repeats them until it is answered
		for i := range 10 {
			from := time.Duration(10*i) * time.Minute
			ds = append(ds, settled(time.Duration(9+round)*time.Hour, from, from+5*time.Minute, fmt.Sprintf("O%d", i), 8))
		}
	}
	l := openLedger(t, t.TempDir())
	play(t, l, ds)
	all, _, err := l.Sessions(t.Context(), ledger.Filter{})
	if err != nil || len(all) != 10 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

func TestAnUnknownOrderNeverTakesTheIDOfAnotherSession(t *testing.T) {
	var ds []Delivery
	for i := range 6 {
		ds = append(ds, order(10*i, fmt.Sprintf("O%d", i), 4)...)
	}
	for _, cut := range []int{0, len(ds)} {
		all := append(ds[:len(ds):len(ds)], settled(5*time.Hour, 0, time.Minute, "Z1", 7), settled(6*time.Hour, 0, time.Minute, "Z2", 7))
		l := openLedger(t, t.TempDir())
		play(t, l, all[:cut])
		play(t, l, all[cut:])
		got, _, err := l.Sessions(t.Context(), ledger.Filter{})
		if err != nil || len(got) != 8 {
			t.Errorf("cut at %d: %d sessions, %v", cut, len(got), err)
		}
		if s, err := l.Session(t.Context(), "P01-1-20261123T120000Z"); err != nil || s.Order != "O0" || s.EnergyMWh != 4000 {
			t.Errorf("cut at %d: the first session is now %+v, %v", cut, s, err)
		}
	}
}

// counting counts look-ups of sessions.
type counting struct {
	*ledger.Ledger
	looked int
}

func (c *counting) Session(ctx context.Context, id string) (session.Session, error) {
	c.looked++
	return c.Ledger.Session(ctx, id)
}

// A pile whose clock stands settles order after order of the same second.
func TestOrdersOfTheSameSecondAreNumberedInAFewLookUps(t *testing.T) {
	var ds []Delivery
	const orders = 400
	for i := range orders {
		ds = append(ds, settled(5*time.Hour, 0, time.Minute, fmt.Sprint("Z", i), 7))
	}
	l := &counting{Ledger: openLedger(t, t.TempDir())}
	play(t, l.Ledger, ds[:orders/2])
	b := batcher(t, l)
	for _, d := range ds[orders/2:] {
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	made, err := b.Take(false)
	if err == nil {
		_, err = l.Append(t.Context(), &made.Batch)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	f := ledger.Filter{Limit: 1000}
	items, _, err := l.Sessions(t.Context(), f)
	for _, s := range items {
		all[s.ID] = true
	}
	if err != nil || len(all) != orders || !all[session.Numbered("P01-1-20261123T120000Z", orders)] {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	if most := orders / 2 * 18; l.looked > most {
		t.Errorf("%d look-ups for %d orders, expected %d at most", l.looked, orders/2, most)
	}
}
