package feed

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// journal is a ledger in memory.
type journal struct {
	mu       sync.Mutex
	entries  []ledger.Entry
	grown    chan struct{}
	closed   bool
	damaged  *ledger.DamagedError
	cursors  map[string]ledger.Seq
	advances []time.Time
	broken   error // what Cursor and Advance fail with
}

func newJournal() *journal {
	return &journal{grown: make(chan struct{}), cursors: map[string]ledger.Seq{}}
}

// add appends n entries, received now.
func (j *journal) add(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for range n {
		j.entries = append(j.entries, ledger.Entry{Kind: ledger.KindReading, Received: devices.MillisOf(time.Now())})
	}
	j.wake()
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}

func (j *journal) wake() {
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) Head() ledger.Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	return ledger.Seq(len(j.entries)) + 1
}

func (j *journal) Next(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error) {
	for {
		j.mu.Lock()
		b, grown, err := ledger.Block{First: from}, j.grown, j.read(from, limit)
		if j.closed {
			err = ledger.ErrClosed
		}
		if at := int(from) - 1; err == nil && at < len(j.entries) {
			b.Entries = j.entries[at:min(len(j.entries), at+limit)]
		}
		j.mu.Unlock()
		if err != nil || len(b.Entries) > 0 {
			return b, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ledger.Block{}, context.Cause(ctx)
		}
	}
}

// read fails, as the ledger does, where a read runs into the damaged part.
func (j *journal) read(from ledger.Seq, limit int) error {
	if d := j.damaged; d != nil && from < d.Seq+ledger.Seq(d.Count) && from+ledger.Seq(limit) > d.Seq {
		return d
	}
	return nil
}

func (j *journal) Cursor(_ context.Context, name string) (ledger.Seq, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return max(1, j.cursors[name]), j.broken
}

func (j *journal) Advance(ctx context.Context, name string, to ledger.Seq) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := errors.Join(ctx.Err(), j.broken); err != nil {
		return err
	}
	j.cursors[name] = to
	j.advances = append(j.advances, time.Now())
	return nil
}

func (j *journal) cursor(name string) ledger.Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cursors[name]
}

// reader is a consumer that notes what it is given.
type reader struct {
	name string
	fail func(attempt int) error // nil: never

	mu       sync.Mutex
	attempts []time.Time
	blocks   []ledger.Block // delivered
	offered  []ledger.Block
}

func (c *reader) Name() string { return c.name }

func (c *reader) Consume(_ context.Context, b ledger.Block) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.attempts)
	c.attempts = append(c.attempts, time.Now())
	c.offered = append(c.offered, b)
	if c.fail != nil {
		if err := c.fail(n); err != nil {
			return err
		}
	}
	c.blocks = append(c.blocks, b)
	return nil
}

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) with(part string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// start runs a consumer; stop ends it and waits.
func start(t *testing.T, j *journal, c Consumer, o Options) (r *Runner, stop func()) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r = NewRunner(j, c, o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return r, func() { cancel(); <-done }
}

// settle waits until nothing more happens without the passing of time.
func settle() { synctest.Wait() }
