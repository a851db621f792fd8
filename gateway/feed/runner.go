package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// Consumer is somebody who reads the journal.
type Consumer interface {
	// Name is that of the consumer's cursor.
	Name() string
	// Consume takes a run of entries, which are shared and read only. With nil it
	// is delivered. An error means not now: the same entries come again after a
	// wait, see [Runner.Run].
	Consume(ctx context.Context, b ledger.Block) error
}

// Journal is what a Runner reads.
type Journal interface {
	// Head is the number of the next entry.
	Head() ledger.Seq
	// Next waits for an entry numbered from or later, and gives up to limit.
	Next(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error)
}

// Cursors keeps how far each consumer came.
type Cursors interface {
	// Cursor is the number of the next entry to deliver; 1 for a new consumer.
	Cursor(ctx context.Context, name string) (ledger.Seq, error)
	Advance(ctx context.Context, name string, to ledger.Seq) error
}

// Ledger is both; *ledger.Ledger is one.
type Ledger interface {
	Journal
	Cursors
}

// Options of a Runner. The zero value delivers at once, 5,000 entries at most.
type Options struct {
	Max    int           // entries of one delivery
	Gather time.Duration // the least time between deliveries while less than a full one waits
	Log    *slog.Logger  // nil: slog.Default()
}

const (
	defaultMax = 5000
	saveEvery  = time.Second           // a cursor is written at most this often
	saveAtStop = 3 * time.Second       // how long the last writing may take
	lookEvery  = 20 * time.Millisecond // whether a full delivery waits
)

// Runner delivers the journal to one consumer. Run may be called once; the other
// methods at any time, from any goroutine.
type Runner struct {
	ledger   Ledger
	consumer Consumer
	opts     Options
	log      *slog.Logger
	outage   *Outage

	// Run's own.
	block     ledger.Block // being delivered
	delivered time.Time    // when the last delivery ended
	saved     ledger.Seq
	savedAt   time.Time

	moved chan struct{} // has an element when the cursor moved

	mu    sync.Mutex
	stats Stats
}

// Stats is how a consumer is doing.
type Stats struct {
	Name      string         // of the consumer
	Cursor    ledger.Seq     // the next entry to deliver; 0 before Run has read it
	Backlog   int64          // entries of the journal that are not delivered
	Oldest    devices.Millis // receipt of the oldest entry that waits for a delivery; 0 for none
	Delivered uint64         // deliveries that succeeded
	Failed    uint64         // deliveries that did not, and were or will be repeated
	Refused   uint64         // what the consumer gave up for good, where it counts that: see Refuser
	LastError string         // why the newest attempt failed; "" when it did not
}

// Refuser is a consumer that counts what it could not deliver for good.
type Refuser interface{ Refused() uint64 }

// NewRunner makes the runner of a consumer.
func NewRunner(l Ledger, c Consumer, o Options) *Runner {
	if o.Max <= 0 {
		o.Max = defaultMax
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	log := o.Log.With("consumer", c.Name())
	return &Runner{ledger: l, consumer: c, opts: o, log: log, outage: NewOutage(log), moved: make(chan struct{}, 1), stats: Stats{Name: c.Name()}}
}

// Stats gives the present state.
func (r *Runner) Stats() Stats {
	r.mu.Lock()
	s := r.stats
	r.mu.Unlock()
	if s.Cursor > 0 {
		s.Backlog = max(0, int64(r.ledger.Head()-s.Cursor))
	}
	if c, ok := r.consumer.(Refuser); ok {
		s.Refused = c.Refused()
	}
	return s
}

// Near waits until no more than behind entries wait for the consumer, for a time at
// most. It is for one goroutine at a time.
func (r *Runner) Near(ctx context.Context, behind int64, most time.Duration) {
	if r.Stats().Backlog <= behind {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for r.Stats().Backlog > behind {
		select {
		case <-r.moved:
		case <-ctx.Done():
			return
		}
	}
}

// Run delivers until ctx is done or the journal is closed, writes the cursor and
// returns. What fails is tried again for ever: after 1 to 2 s, then about twice
// as long each time, up to 5 min; an error with RetryAfter() time.Duration sets
// the wait itself, up to an hour; one with Progress() bool, which says that a
// part was taken, begins with 1 to 2 s again. The log has the first failure, the
// recovery and, in between, a line a minute at most; an error with Hint() string,
// which says what a person must do, is logged as an error and not as a warning.
func (r *Runner) Run(ctx context.Context) {
	if !r.retry(ctx, r.load) {
		return
	}
	defer r.leave(ctx)
	for r.retry(ctx, r.fetch) && r.retry(ctx, r.deliver) {
	}
}

// retry calls try until it succeeds; false when the runner is to end.
func (r *Runner) retry(ctx context.Context, try func(context.Context) error) bool {
	for n := 0; ; n++ {
		err := try(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, ledger.ErrClosed):
			return false
		case err == nil:
			r.update(func(s *Stats) { s.LastError = "" })
			r.outage.Over()
			return true
		}
		r.update(func(s *Stats) { s.LastError = err.Error() })
		if progressed(err) {
			n = 0
		}
		wait := WaitAfter(err, n)
		r.outage.Failed(err, wait, r.Stats().Backlog)
		if !Sleep(ctx, wait) {
			return false
		}
	}
}

// load reads the cursor.
func (r *Runner) load(ctx context.Context) error {
	at, err := r.ledger.Cursor(ctx, r.consumer.Name())
	if err != nil {
		return err
	}
	r.saved, r.savedAt = at, time.Now()
	r.update(func(s *Stats) { s.Cursor = at })
	return nil
}

// fetch waits for the next block.
func (r *Runner) fetch(ctx context.Context) error {
	if !r.gather(ctx) {
		return ctx.Err()
	}
	for {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if r.cursor() != r.saved {
			wait, cancel = context.WithDeadline(ctx, r.savedAt.Add(saveEvery))
		}
		b, err := r.next(wait)
		late := wait.Err() != nil
		cancel()
		if err == nil {
			r.block = b
			r.update(func(s *Stats) { s.Oldest = oldest(b) })
			return nil
		}
		if !late || ctx.Err() != nil {
			return err
		}
		r.save(ctx) // nothing came: a good moment
	}
}

// gather waits until there is a full delivery, or it is time for one that is not;
// false when ctx is done.
func (r *Runner) gather(ctx context.Context) bool {
	until := r.delivered.Add(r.opts.Gather)
	for r.ledger.Head()-r.cursor() < ledger.Seq(r.opts.Max) {
		wait := time.Until(until)
		if wait <= 0 {
			break
		}
		if !Sleep(ctx, min(wait, lookEvery)) {
			return false
		}
	}
	return true
}

// next gives the block after the cursor. A damaged block is passed over: no
// waiting makes it whole, and a backup brings its own cursor with it.
func (r *Runner) next(ctx context.Context) (ledger.Block, error) {
	limit := r.opts.Max
	for {
		b, err := r.ledger.Next(ctx, r.cursor(), limit)
		var bad *ledger.DamagedError
		if !errors.As(err, &bad) {
			if err == nil && b.First > r.cursor() {
				r.log.Warn("the journal has nothing between; retention let it go, or it was damaged and set aside", "from", r.cursor(), "to", b.First)
			}
			return b, err
		}
		if ahead := bad.Seq - r.cursor(); ahead > 0 {
			limit = int(ahead) // what stands before it is good
			continue
		}
		to := min(bad.Seq+ledger.Seq(max(1, bad.Count)), r.ledger.Head())
		r.log.Error("a damaged part of the journal is passed over; a restored backup delivers it again", "from", bad.Seq, "to", to, "error", err)
		r.update(func(s *Stats) { s.Cursor = max(to, s.Cursor+1) })
		limit = r.opts.Max
	}
}

// deliver gives the block to the consumer, and moves the cursor when it has it.
func (r *Runner) deliver(ctx context.Context) error {
	if err := r.consumer.Consume(ctx, r.block); err != nil {
		if ctx.Err() == nil {
			r.update(func(s *Stats) { s.Failed++ })
		}
		return err
	}
	next := r.block.Next()
	r.delivered = time.Now()
	r.block = ledger.Block{}
	r.update(func(s *Stats) { s.Delivered++; s.Oldest, s.Cursor = 0, next })
	select {
	case r.moved <- struct{}{}:
	default:
	}
	if time.Since(r.savedAt) >= saveEvery {
		r.save(ctx)
	}
	return nil
}

// leave writes the cursor when the runner ends.
func (r *Runner) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveAtStop)
	defer cancel()
	r.save(ctx)
}

// save writes the cursor. Where that fails, the next time will do: until then
// a restart repeats a little more.
func (r *Runner) save(ctx context.Context) {
	at := r.cursor()
	r.savedAt = time.Now()
	if at == r.saved {
		return
	}
	err := r.ledger.Advance(ctx, r.consumer.Name(), at)
	switch {
	case err == nil:
		r.saved = at
	case !errors.Is(err, ledger.ErrClosed):
		r.outage.unsaved(err)
	}
}

func (r *Runner) cursor() ledger.Seq {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats.Cursor
}

func (r *Runner) update(f func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

// oldest is the receipt of the first entry that has one.
func oldest(b ledger.Block) devices.Millis {
	for i := range b.Entries {
		if at := b.Entries[i].Received; at > 0 {
			return at
		}
	}
	return 0
}
