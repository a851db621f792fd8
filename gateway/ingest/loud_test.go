package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// registered makes a batcher whose registry has some piles.
func registered(t *testing.T, j Journal, piles ...string) *Batcher {
	t.Helper()
	set := session.DefaultSettings()
	set.Piles = map[string]session.Pile{}
	for _, name := range piles {
		set.Piles[name] = session.Pile{Building: "3"}
	}
	b, err := NewBatcher(t.Context(), nativeRoute(t), j, set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAPileThatSendsRubbishIsNamedOnceAMinuteAndItsNeighbourIsKept(t *testing.T) {
	b := registered(t, &fragile{}, "LOUD")
	rubbish := func(n int, at devices.Millis) {
		for range n {
			d := Delivery{Input: devices.Input{Topic: "pilewatch/v1/e/LOUD/telemetry", Payload: []byte("{"), Received: at}}
			if err := b.Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := devices.MillisOf(t0)
	rubbish(loudMessages, at)
	for _, d := range charge(10) {
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	p := b.Pending()
	if got := p.Tally.Readings; got != 10 {
		t.Errorf("%d readings of the neighbour, expected 10", got)
	}
	counted := 0
	for _, n := range p.Tally.Rejects {
		counted += n
	}
	if counted != loudMessages || len(p.Rejects) != keptRejects || p.Tally.Unkept != loudMessages-keptRejects {
		t.Errorf("%d counted, %d kept, %d not", counted, len(p.Rejects), p.Tally.Unkept)
	}
	if l := p.Tally.Loud; len(l) != 1 || l[0].Rejects != loudRejects || l[0].Pile != "LOUD" {
		t.Errorf("named %+v, expected once", l)
	}
	if f := p.Tally.Flood; f[FloodKey{"LOUD", FloodRejects}] != loudMessages-loudRejects+1 || f[FloodKey{"LOUD", FloodMessages}] != 1 {
		t.Errorf("counted %v", f)
	}
	if _, err := b.Take(false); err != nil {
		t.Fatal(err)
	}
	rubbish(loudRejects, at+60_000)
	if p = b.Pending(); len(p.Tally.Loud) != 1 || len(p.Rejects) != keptRejects {
		t.Errorf("in the next minute: named %v, %d kept", p.Tally.Loud, len(p.Rejects))
	}
}

func TestManyTopicsOfRubbishKeepABoundedNumber(t *testing.T) {
	b := batcher(t, &fragile{})
	for i := range 5000 {
		d := Delivery{Input: devices.Input{Topic: fmt.Sprintf("made/up/%d", i), Payload: []byte("x"), Received: devices.MillisOf(t0)}}
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	p := b.Pending()
	if len(p.Rejects) != keptAll || p.Tally.Unkept != 5000-keptAll {
		t.Errorf("%d kept, %d not", len(p.Rejects), p.Tally.Unkept)
	}
	if l, f := p.Tally.Loud, p.Tally.Flood; len(l) != 1 || len(f) != 1 || f[FloodKey{"", FloodRejects}] != 5000-loudRejects+1 {
		t.Errorf("named %v, counted %v, expected the topics that nobody reads once, and no label for each", l, f)
	}
}

// costly is a journal whose look-ups have a price.
type costly struct {
	fragile
	price, spent int
	err          error
}

func (c *costly) Seen(_ context.Context, _ ledger.Key, most int) (bool, int, error) {
	if c.price > most {
		return false, 0, ledger.ErrCostly
	}
	c.spent += c.price
	return false, c.price, c.err
}

// old adds n readings of a pile that come at once, each older than the one before
// and all but the first to be looked up.
func old(t *testing.T, b *Batcher, pile string, n int, received devices.Millis) {
	t.Helper()
	for i := range n {
		at := received.Time().Add(-time.Duration(i) * time.Hour)
		d := Delivery{Input: devices.Input{Topic: "pilewatch/v1/e/" + pile + "/telemetry", Received: received,
			Payload: fmt.Appendf(nil, `{"ts":%q,"ports":[{"port":1,"w":0.5}]}`, at.Format(time.RFC3339))}}
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFloodOfOldReadingsReadsABoundedPartOfTheJournalAndIsKept(t *testing.T) {
	j := &costly{price: 5000}
	b := registered(t, j, "LOUD", "GOOD")
	b.bounded = true
	at := devices.MillisOf(t0)
	old(t, b, "LOUD", 3000, at)
	spent := j.spent
	old(t, b, "GOOD", 10, at)
	if spent > lookedTopic || spent < lookedTopic/2 || j.spent != spent+9*j.price {
		t.Errorf("%d entries were read for the flood, and %d for a neighbour", spent, j.spent-spent)
	}
	tally := b.Pending().Tally
	if want := 3000 - 1 - spent/j.price; tally.Readings != 3010 || tally.Flood[FloodKey{"LOUD", FloodOld}] != want || len(tally.Flood) != 1 {
		t.Errorf("%d readings are kept, of a flood %v, expected all, and %d", tally.Readings, tally.Flood, want)
	}
	if l := tally.Loud; len(l) != 1 || l[0].Pile != "LOUD" || l[0].Kind != FloodOld {
		t.Errorf("named %+v", l)
	}
	for i := range 1000 { // who makes topics up
		old(t, b, fmt.Sprint("P", i), 20, at)
	}
	if j.spent > lookedAll {
		t.Errorf("%d entries were read in a minute", j.spent)
	}
	spent = j.spent
	old(t, b, "GOOD", 2, at+60_000)
	if j.spent != spent+j.price {
		t.Error("the next minute has no new room")
	}
}

func TestARecordingIsLookedUpWhateverItTakes(t *testing.T) {
	j := &costly{price: lookedAll}
	b := registered(t, j)
	old(t, b, "P01", 20, devices.MillisOf(t0))
	if j.spent != 19*lookedAll {
		t.Errorf("%d entries were read", j.spent)
	}
}

func TestALookUpThatFailsIsToldOnceAMinute(t *testing.T) {
	var log strings.Builder
	b := registered(t, &costly{err: errors.New("journal block 7 is damaged")}, "P01")
	b.log = slog.New(slog.NewTextHandler(&log, nil))
	at := devices.MillisOf(t0)
	for minute := range 3 {
		old(t, b, "P01", 100, at+devices.Millis(60_000*minute))
		if n := strings.Count(log.String(), "journal block 7"); n != minute+1 {
			t.Errorf("%d lines after %d minutes", n, minute+1)
		}
	}
}
