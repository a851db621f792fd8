package ingest

import (
	"context"
	"fmt"

	"pilewatch/gateway/ledger"
)

// Playback runs messages of the past through a Batcher as fast as it goes. Their
// time of receipt is the clock, and commits fall where the messages alone decide,
// so that the same messages give the same ledger, byte for byte.
type Playback struct {
	batcher *Batcher
	ledger  Appender
	after   func(ctx context.Context, last Tally) error
	commits chan *Batch
	failed  error // why the committer ended; read after done
	done    chan struct{}
}

// NewPlayback makes a playback. after is called after each commit, in order, and
// before the next: it lets consumers catch up in step.
func NewPlayback(ctx context.Context, b *Batcher, l Appender, after func(context.Context, Tally) error) *Playback {
	p := &Playback{batcher: b, ledger: l, after: after, commits: make(chan *Batch), done: make(chan struct{})}
	go p.commit(ctx)
	return p
}

func (p *Playback) commit(ctx context.Context) {
	defer close(p.done)
	for b := range p.commits {
		if _, err := p.ledger.Append(ctx, &b.Batch); err != nil {
			p.failed = err
			return
		}
		if err := p.after(ctx, b.Tally); err != nil {
			p.failed = err
			return
		}
	}
}

// Add takes in the next message. d.Payload need not stay valid.
func (p *Playback) Add(ctx context.Context, d Delivery) error {
	if err := p.batcher.Tick(d.Received); err != nil {
		return err
	}
	if err := p.batcher.Add(ctx, d); err != nil {
		return err
	}
	if p.batcher.Pending().full() {
		return p.handOver(ctx, false)
	}
	return nil
}

func (p *Playback) handOver(ctx context.Context, checkpoint bool) error {
	b, err := p.batcher.Take(checkpoint)
	if err != nil {
		return err
	}
	select {
	case p.commits <- b:
		return nil
	case <-p.done:
		return fmt.Errorf("playback: %w", p.failed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close commits what is left with a checkpoint, and ends the playback.
func (p *Playback) Close(ctx context.Context) error {
	err := p.handOver(ctx, true)
	close(p.commits)
	<-p.done
	if err == nil {
		err = p.failed
	}
	return err
}

var _ Appender = (*ledger.Ledger)(nil)
