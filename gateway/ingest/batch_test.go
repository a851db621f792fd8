package ingest

import (
	"reflect"
	"testing"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// TestAnEntryThatWasNotTakenLeavesNothingBehind: the next begins in its place.
func TestAnEntryThatWasNotTakenLeavesNothingBehind(t *testing.T) {
	b := newBatch()
	b.Entries = make([]ledger.Entry, 0, 4)
	e := b.begin(ledger.KindEvent, 1)
	e.Event, e.Prior = &devices.Event{Pile: "P01", Kind: devices.EventSettle}, &session.Prior{Taken: 1}
	if e = b.begin(ledger.KindReading, 2); !reflect.DeepEqual(*e, ledger.Entry{Kind: ledger.KindReading, Received: 2}) || len(b.Entries) != 0 {
		t.Errorf("%+v, %d entries", *e, len(b.Entries))
	}
}
