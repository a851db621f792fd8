package ledger

import (
	"context"
	"fmt"
	"time"

	"pilewatch/devices"
)

// A Hole is a block that was damaged and set aside: its entries are missing from
// the journal. Who reads goes on behind it.
type Hole struct {
	Seq         Seq
	Count       int // 0: not a block, but the state before entry Seq
	First, Last devices.Millis
	Reason      string
}

// String says what is missing.
func (h Hole) String() string {
	span := fmt.Sprintf("%s to %s", h.First.Time().Format(time.RFC3339), h.Last.Time().Format(time.RFC3339))
	if h.Count == 0 {
		return fmt.Sprintf("the state before entry %d (%s): %s", h.Seq, span, h.Reason)
	}
	return fmt.Sprintf("entries %d to %d (%s): %s", h.Seq, h.Seq+Seq(h.Count)-1, span, h.Reason)
}

// hole gives a damaged block as what will be missing.
func (e *DamagedError) hole() Hole {
	return Hole{Seq: e.Seq, Count: e.Count, First: devices.MillisOf(e.First), Last: devices.MillisOf(e.Last), Reason: e.Err.Error()}
}

// Holes gives what is missing from the journal, in order.
func (l *Ledger) Holes(ctx context.Context) ([]Hole, error) {
	holes, err := list(ctx, l.read, "SELECT seq, count, first_time, last_time, reason FROM hole ORDER BY seq", nil, func(row scanner) (h Hole, err error) {
		err = row.Scan(&h.Seq, &h.Count, &h.First, &h.Last, &h.Reason)
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the holes of the journal: %w", err)
	}
	return holes, nil
}
