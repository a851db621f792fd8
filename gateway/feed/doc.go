// Package feed delivers the journal to those who read it: InfluxDB, the safety
// rules, the alerts.
//
// Each [Consumer] has a cursor and a [Runner] of its own, so that one who is slow
// or away delays nobody else. What the journal holds after the cursor is
// delivered in order, without a gap, and at least once: the cursor moves after
// the delivery, and a delivery that fails is repeated for ever. A consumer must
// therefore take a repetition as nothing new, and deal itself with an entry that
// it can never take, or it stands still.
package feed
