// Package alert tells people of flags: each over the channels that the
// configuration names, once, in words that they can act on.
//
// The flags of the journal become deliveries in the ledger, a row for each step
// of a flag and each channel that wants it; what to send now follows from those
// rows, the flags as they stand, and the clock: see plan. So a restart goes on
// where the last run stopped, what people say of a flag counts at once, and what
// a channel could not be told for an hour is one message afterwards.
//
// Each channel has a cursor, a goroutine and waits of its own: one that is away
// delays no other. A message is sent at least once; it has the same delivery id
// every time, and is sent again only where the gateway died, or the answer was
// lost, between sending it and noting that. What is promised, and what not,
// stands in gateway/DESIGN.md.
package alert
