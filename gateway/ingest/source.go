// Package ingest takes messages from a source, decodes them, folds them into
// sessions and commits the outcome to the ledger. A message is acknowledged
// only after the commit that holds what it said.
//
// There is one path: [Batcher] turns messages into the ledger's batches, in
// order, with no clock of its own. [Pipeline] runs it in life, with group
// commit; replay and demo run the same Batcher over recorded messages.
package ingest

import (
	"context"

	"pilewatch/devices"
)

// Delivery is one message of a source.
type Delivery struct {
	devices.Input
	// Done is called once: with nil after the commit that holds what the message
	// said, else with why it is not kept. It may be nil, and must not block.
	Done func(error)
}

// Source brings messages, from a broker of somebody else's or from our own.
type Source interface {
	// Run delivers until ctx is done, and passes on acknowledgements until
	// drained is closed. What is not done by then stays unacknowledged.
	Run(ctx context.Context, drained <-chan struct{}) error
	// Connected says why messages can't come now; nil when they can.
	Connected() error
}

// Sink takes deliveries: the pipeline's side of a source.
type Sink interface {
	// Put hands a delivery over without blocking. It is false when there is no
	// room, which with a source that waits for acknowledgements can't happen.
	Put(Delivery) bool
	// Submit hands a delivery over and waits for room; it fails with ctx's error.
	Submit(ctx context.Context, d Delivery) error
}

// Route says which decoder reads which topics.
type Route struct {
	Name    string                  // of the decoder
	Decoder devices.Decoder         //
	Matches func(topic string) bool // the topics that are meant
	// Asked is of the topics that the broker was asked for, where that is more
	// than are meant: the rest is passed over. nil for no more.
	Asked func(topic string) bool
}
