package ingest

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// flight is what a broker has delivered and the ledger does not hold yet. MQTT
// 3.1.1 lets a client say nothing of how much it takes, and a broker whose own
// bound is off sends all that it has: mosquitto goes beyond even the 65,535
// messages for which there are numbers. So the connection is read only while there
// is room, and what is not read waits at the broker.
type flight struct {
	mu              sync.Mutex
	messages, bytes int
	freed           chan struct{} // has an element when there may be room again
}

// Bounds of what is under way from one broker: two commits, so that one fills while
// the other is written, and some tens of megabytes.
const (
	flightMessages = 8 << 10
	flightBytes    = 8 << 20
)

func newFlight() *flight { return &flight{freed: make(chan struct{}, 1)} }

// add counts a message of so many bytes.
func (f *flight) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages++
	f.bytes += n
}

// land counts it off.
func (f *flight) land(n int) {
	f.mu.Lock()
	f.messages--
	f.bytes -= n
	room := f.room()
	f.mu.Unlock()
	if room {
		select {
		case f.freed <- struct{}{}:
		default:
		}
	}
}

func (f *flight) room() bool { return f.messages < flightMessages && f.bytes < flightBytes }

// wait returns when there is room, or with ctx's error.
func (f *flight) wait(ctx context.Context) error {
	for {
		f.mu.Lock()
		room := f.room()
		f.mu.Unlock()
		if room {
			return nil
		}
		select {
		case <-f.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// patience is how long a connection stays unread. After it the broker's answers to
// pings, which come behind the messages, would be missed: it is better to leave.
const patience = 10 * time.Second

// errNoRoom ends a connection whose messages the ledger does not take.
var errNoRoom = errors.New("the ledger takes no more messages; the broker keeps them until it does")

// gate reads from a connection while there is room.
type gate struct {
	flight *flight
	in     io.Reader
}

// Read fails with errNoRoom where there is none for a long time.
func (g gate) Read(p []byte) (int, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errNoRoom)
	defer cancel()
	if err := g.flight.wait(ctx); err != nil {
		return 0, err
	}
	return g.in.Read(p)
}
