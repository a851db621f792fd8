package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// Bounds of one commit.
const (
	maxMessages = 4 << 10
	maxBytes    = 4 << 20
	maxEntries  = 16 << 10
)

// room is how many deliveries may wait: more than a subscriber lets be under way,
// with what it has read ahead, so that acknowledged delivery never blocks.
const room = 32 << 10

// checkpointIdle is how often the fold's state is written when little happens.
const checkpointIdle = 5 * time.Minute

// grace is how long the last commits may take when the gateway stops.
const grace = 5 * time.Second

// ErrStopped is what becomes of a delivery after the pipeline has ended.
var ErrStopped = errors.New("the gateway is stopping")

// Appender commits batches.
type Appender interface {
	Append(ctx context.Context, b *ledger.Batch) (ledger.Seq, error)
}

// Pipeline takes deliveries in, and commits them in groups: whatever arrived
// while the last commit ran goes into the next.
type Pipeline struct {
	*Batcher
	ledger  Appender
	log     *slog.Logger
	now     func() devices.Millis
	tally   func(Tally)
	pace    func(context.Context)
	in      chan Delivery
	ready   chan struct{} // the committer is free
	commits chan *Batch
	done    chan struct{} // closed when Run has returned
}

// NewPipeline makes a pipeline. tally is called after each commit.
func NewPipeline(b *Batcher, l Appender, now func() devices.Millis, tally func(Tally), log *slog.Logger) *Pipeline {
	b.bounded = true
	return &Pipeline{
		Batcher: b, ledger: l, log: log, now: now, tally: tally, pace: func(context.Context) {},
		in: make(chan Delivery, room), ready: make(chan struct{}), commits: make(chan *Batch), done: make(chan struct{}),
	}
}

// Pace has f called after each commit, once its messages are acknowledged: the next
// waits until it returns, or its context is done. It is to be said before Run.
func (p *Pipeline) Pace(f func(context.Context)) { p.pace = f }

// Put hands a delivery over without blocking; false when there is no room.
func (p *Pipeline) Put(d Delivery) bool {
	select {
	case p.in <- d:
		return true
	default:
		return false
	}
}

// Submit hands a delivery over and waits for room. It fails with ctx's error, or
// ErrStopped when the pipeline has ended; d.Done may hear the same.
func (p *Pipeline) Submit(ctx context.Context, d Delivery) error {
	select {
	case p.in <- d:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.done:
		return ErrStopped
	}
	select {
	case <-p.done: // it may have come after the last look
		p.refuse()
	default:
	}
	return nil
}

// Run works until ctx is done; then it commits what it has, writes a last
// checkpoint and returns. While the ledger can't be written it retries, and
// nothing is acknowledged; what can't be committed within a grace of 5 s after
// ctx is done is given back with the error.
func (p *Pipeline) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()

	finished := make(chan struct{})
	go func() {
		defer close(finished)
		p.committer(ctx, hard)
	}()
	err := p.gather(ctx, hard)
	close(p.commits)
	<-finished
	close(p.done)
	p.refuse()
	return err
}

// committer commits one batch after the other.
func (p *Pipeline) committer(ctx, hard context.Context) {
	for {
		select {
		case p.ready <- struct{}{}:
		case b, ok := <-p.commits:
			if !ok {
				return
			}
			p.commit(hard, b)
			p.pace(ctx)
		}
	}
}

// gather fills batches and hands each over as soon as the one before it is done.
func (p *Pipeline) gather(ctx, hard context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	idle := time.NewTicker(checkpointIdle)
	defer idle.Stop()
	checkpoint := false
	for {
		in, ready := p.in, p.ready
		if p.Pending().full() {
			in = nil
		}
		if p.Pending().Empty() && !checkpoint {
			ready = nil
		}
		var err error
		select {
		case d := <-in:
			err = p.addWaiting(hard, d)
		case <-ready:
			err = p.handOver(checkpoint)
			checkpoint = false
		case <-tick.C:
			err = p.Tick(p.now())
		case <-idle.C:
			checkpoint = true
		case <-ctx.Done():
			return p.drain(hard)
		}
		if err != nil {
			return err
		}
	}
}

func (b *Batch) full() bool {
	return b.Messages() >= maxMessages || b.bytes >= maxBytes || len(b.Entries) >= maxEntries
}

// addWaiting takes in a delivery, and those that wait behind it.
func (p *Pipeline) addWaiting(ctx context.Context, d Delivery) error {
	for range 256 {
		if err := p.Add(ctx, d); err != nil {
			return err
		}
		if p.Pending().full() {
			return nil
		}
		select {
		case d = <-p.in:
		default:
			return nil
		}
	}
	return p.Add(ctx, d)
}

func (p *Pipeline) handOver(checkpoint bool) error {
	b, err := p.Take(checkpoint)
	if err != nil {
		return err
	}
	p.commits <- b
	return nil
}

// drain commits what is there when the gateway stops.
func (p *Pipeline) drain(hard context.Context) error {
	for {
		select {
		case d := <-p.in:
			if err := p.addWaiting(hard, d); err != nil {
				return err
			}
			if p.Pending().full() {
				<-p.ready
				if err := p.handOver(false); err != nil {
					return err
				}
			}
		default:
			<-p.ready
			return p.last()
		}
	}
}

// last hands over what there is, with the fold's state: behind it there is nothing
// that the next start would have to read.
func (p *Pipeline) last() error {
	b, err := p.Take(true)
	if err == nil && b.Checkpoints == nil {
		err = p.Checkpoint(b) // others may have written since the last one
	}
	if err == nil {
		p.commits <- b
	}
	return err
}

// refuse gives back what came too late.
func (p *Pipeline) refuse() {
	for {
		select {
		case d := <-p.in:
			if d.Done != nil {
				d.Done(ErrStopped)
			}
		default:
			return
		}
	}
}

// commit appends a batch, again and again until it succeeds or ctx is done, and
// then tells who waits for it.
func (p *Pipeline) commit(ctx context.Context, b *Batch) {
	wait := 100 * time.Millisecond
	begin := time.Now()
	for {
		err := p.append(ctx, b)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			b.Finish(err)
			return
		}
		p.log.Debug("a commit is tried again", "error", err, "retry_in", wait) // the ledger itself tells of the outage
		select {
		case <-time.After(wait + rand.N(wait)):
		case <-ctx.Done():
		}
		wait = min(2*wait, 5*time.Second)
	}
	b.Finish(nil)
	b.Tally.Commit = time.Since(begin)
	p.tally(b.Tally)
}

func (p *Pipeline) append(ctx context.Context, b *Batch) error {
	if len(b.Entries) == 0 && len(b.Rejects) == 0 && len(b.Checkpoints) == 0 {
		return ctx.Err() // repetitions alone: what they say is on disk, unless the commit before was given up
	}
	_, err := p.ledger.Append(ctx, &b.Batch)
	return err
}
