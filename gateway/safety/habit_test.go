package safety

import (
	"testing"
	"time"

	"pilewatch/gateway/ledger"
)

// twoPacks plays a card's charge with a second one beside it, and gives the tape.
func twoPacks(t *testing.T, w float64) []ledger.Entry {
	r := newRig(t)
	r.taped = true
	r.play(report{every: time.Minute, digits: 1}, plus(charger(w, 6*time.Hour), later("50m", charger(w, 5*time.Hour))), 2*time.Hour, cardOf("04A1B2C3"))
	return r.tape
}

// A courier charges two packs every day; somebody looked, and said so.
func TestAHabitIsSilentUntilTheCurveChanges(t *testing.T) {
	first := newBook()
	first.put(twoPacks(t, 180)...)
	c := open(t, first)
	first.deliver(t, c, 100)
	if err := c.Tick(t.Context(), at("3h")); err != nil {
		t.Fatal(err)
	}
	var seen ledger.Flag
	for _, f := range first.flags {
		if f.Rule == "second_load" {
			seen = f
		}
	}
	if seen.ID == "" {
		t.Fatalf("nothing was flagged: %s", first.told())
	}
	verdict := ledger.Verdict{FlagID: seen.ID, Status: ledger.StatusFalseAlarm, Rule: seen.Rule, Card: "04A1B2C3", Evidence: seen.Evidence}
	confirmed := verdict
	confirmed.Status = ledger.StatusConfirmed
	stranger := verdict
	stranger.Card = "COURIER1"
	for _, x := range []struct {
		name  string
		watts float64
		said  []ledger.Verdict
		want  bool
	}{
		{"the same again", 180, []ledger.Verdict{verdict}, false},
		{"much more than then", 280, []ledger.Verdict{verdict}, true},
		{"another card's habit", 180, []ledger.Verdict{stranger}, true},
		{"taken back", 180, []ledger.Verdict{verdict, confirmed}, true},
	} {
		b := newBook()
		b.put(twoPacks(t, x.watts)...)
		c := open(t, b)
		c.Judged(x.said...)
		b.deliver(t, c, 100)
		if err := c.Tick(t.Context(), at("3h")); err != nil {
			t.Fatal(err)
		}
		got := false
		for _, f := range b.flags {
			got = got || f.Rule == "second_load"
		}
		if got != x.want {
			t.Errorf("%s: flagged %v, want %v\n%s", x.name, got, x.want, b.told())
		}
	}
}
