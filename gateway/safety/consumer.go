package safety

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// Ledger is what a Consumer asks of the ledger.
type Ledger interface {
	Append(ctx context.Context, b *ledger.Batch) (ledger.Seq, error)
	Read(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error)
	Head() ledger.Seq
	Cursor(ctx context.Context, name string) (ledger.Seq, error)
	LoadCheckpoint(ctx context.Context, name string) (ledger.Seq, ledger.Packed, error)
	Flags(ctx context.Context, f ledger.Filter) (items []ledger.Flag, next string, err error)
}

// Name is that of the consumer's cursor and of its checkpoint.
const Name = "safety"

// lookEvery is after how many entries the reporting intervals are looked at; where
// there are many ports, after twice as many as those.
const lookEvery = 2000

// Consumer feeds an engine from the journal, and commits the flags together with
// the cursor: neither is ever ahead of the other. Its methods may be called from
// any goroutine.
type Consumer struct {
	ledger Ledger
	log    *slog.Logger

	mu       sync.Mutex
	engine   *Engine
	next     ledger.Seq     // the first entry that the engine has not seen
	pending  []ledger.Entry // flags that are not committed yet
	cards    []string       // of the sessions of pending
	habits   habits
	owed     bool            // a block was seen, and its commit failed: it comes again
	since    int             // entries since the last checkpoint
	saved    int             // bytes of the last checkpoint
	coarse   map[string]bool // piles that were spoken of
	unlooked int             // entries since that was looked at
	ports    int             // as many as there were then
	counts   counts
	replayed int // entries between the last checkpoint and the cursor
}

// NewConsumer goes on where the last one stopped: from its checkpoint and the
// journal after it, up to the cursor, without raising anything again. The
// ledger's open flags are the truth: one that the rules, as they are now, do not
// hold is cleared with the first commit. It fails when the ledger cannot be read.
func NewConsumer(ctx context.Context, l Ledger, rules Rules, log *slog.Logger) (*Consumer, error) {
	c := &Consumer{ledger: l, log: log, coarse: map[string]bool{}, counts: newCounts()}
	if err := c.restore(ctx, rules); err != nil {
		return nil, err
	}
	return c, nil
}

// Replayed is how many entries of the journal between the last checkpoint and the
// cursor had to be read at the start.
func (c *Consumer) Replayed() int { return c.replayed }

// Name is that of the cursor.
func (c *Consumer) Name() string { return Name }

// Consume applies a block and commits the flags that follow from it. With an
// error nothing was committed; the same block is to come again.
func (c *Consumer) Consume(ctx context.Context, b ledger.Block) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b.Entries {
		if seq := b.First + ledger.Seq(i); seq >= c.next {
			c.engine.Apply(&b.Entries[i], c.collect)
			c.next = seq + 1
			c.since++
			c.unlooked++
		}
	}
	c.owed = true
	if err := c.commit(ctx, c.since >= ledger.CheckpointAfter(c.saved)); err != nil {
		return err
	}
	c.owed = false
	c.warnCoarse()
	return nil
}

// Tick lets the clock show what only the passing of time does. It is to be called
// every few seconds of the clock that stamps receipts. While the journal is not
// consumed to its end, the clock stands at the newest entry that was.
func (c *Consumer) Tick(ctx context.Context, now devices.Millis) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed {
		return nil
	}
	switch {
	case c.ledger.Head() <= c.next:
		c.engine.Settle(c.collect)
	case c.engine.asleep:
		return nil // listening begins at the journal's end
	default:
		now = min(now, c.engine.received)
	}
	c.engine.Silence(now, c.collect)
	return c.commit(ctx, false)
}

// Passed is Tick for messages that are played: between the newest entry that was
// consumed and now nothing was received.
func (c *Consumer) Passed(ctx context.Context, now devices.Millis) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed {
		return nil
	}
	c.engine.Silence(now, c.collect)
	return c.commit(ctx, false)
}

// Wake says that the gateway hears its piles again, after its own connection to
// the broker was lost: nobody is silent for that.
func (c *Consumer) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.Wake()
}

// ListenFrom begins to listen at an instant of the past, for messages that are
// played: silence counts from there.
func (c *Consumer) ListenFrom(at devices.Millis) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.Wake()
	c.engine.Silence(at, c.collect)
}

// Close writes a last checkpoint. To be called when Consume is not called any more.
func (c *Consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed {
		return nil // the block comes again after the restart, from the checkpoint before it
	}
	return c.commit(ctx, true)
}

// collect turns a change into an entry of the journal.
func (c *Consumer) collect(f FlagChange) {
	c.pending = append(c.pending, ledger.Entry{Kind: ledger.KindFlag, Cleared: f.Cleared, Received: f.At, Flag: f.Flag})
	c.cards = append(c.cards, f.Card)
}

// commit appends what is pending with the cursor, in one transaction. A block
// without flags moves no cursor here: who runs the consumer does that, less often.
func (c *Consumer) commit(ctx context.Context, checkpoint bool) error {
	c.quieten()
	if len(c.pending) == 0 && !checkpoint {
		return nil
	}
	b := &ledger.Batch{Entries: c.pending, Cursors: map[string]ledger.Seq{Name: c.next}}
	if checkpoint {
		state, err := ledger.Pack(c.engine)
		if err != nil {
			return err
		}
		b.Checkpoints = map[string]ledger.Checkpoint{Name: {Seq: c.next, State: state}}
	}
	// A stop in the middle of it would leave the engine ahead of what can be kept, and
	// cost the last checkpoint.
	if _, err := c.ledger.Append(context.WithoutCancel(ctx), b); err != nil {
		return err
	}
	for i := range c.pending {
		c.counts.note(&c.pending[i])
	}
	c.pending, c.cards = nil, nil // the ledger shares pending with its readers
	if checkpoint {
		c.since, c.saved = 0, b.Checkpoints[Name].State.Size()
	}
	return nil
}

// TooCoarse gives the rules that cannot see all that they promise, by pile: see
// Engine.TooCoarse.
func (c *Consumer) TooCoarse() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.TooCoarse()
}

// warnCoarse says once of a pile that it reports too seldom for a rule.
func (c *Consumer) warnCoarse() {
	if c.unlooked < max(lookEvery, 2*c.ports) {
		return
	}
	c.unlooked, c.ports = 0, c.engine.ports()
	coarse := c.engine.TooCoarse()
	for _, pile := range slices.Sorted(maps.Keys(coarse)) {
		if !c.coarse[pile] {
			c.coarse[pile] = true
			c.log.Warn("a pile reports too seldom for a rule to see all that it promises: let it report every 60 s",
				"pile", pile, "rules", strings.Join(coarse[pile], " "))
		}
	}
}
