package ingest

import (
	"fmt"
	"testing"

	"pilewatch/devices"
)

func TestAPileThatSendsRubbishIsNamedOnceAMinuteAndItsNeighbourIsKept(t *testing.T) {
	b := batcher(t, &fragile{})
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
	if l := p.Tally.Loud; len(l) != 2 || l[0].Rejects != loudRejects || l[1].Messages != loudMessages {
		t.Errorf("named %v, expected once for rejects and once for messages", l)
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
	if p := b.Pending(); len(p.Rejects) != keptAll || p.Tally.Unkept != 5000-keptAll {
		t.Errorf("%d kept, %d not", len(p.Rejects), p.Tally.Unkept)
	}
}
