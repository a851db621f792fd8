package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ingest"
	"pilewatch/gateway/ledger"
)

// playback runs messages of the past into the ledger, with the safety rules in
// step: what they say of silence goes by the time of receipt, minute by minute.
func (a *App) playback(ctx context.Context, tally func(ingest.Tally)) *ingest.Playback {
	p := past{app: a}
	return ingest.NewPlayback(ctx, a.batcher, a.ledger, func(ctx context.Context, t ingest.Tally) error {
		tally(t)
		a.metrics.committed(t)
		return p.catchUp(ctx, t.Oldest)
	})
}

// past delivers the journal to the safety rules while it is played.
type past struct {
	app    *App
	next   ledger.Seq     // the entry that they have not had; 0 before the first
	minute devices.Millis // up to which they know the clock
}

// catchUp delivers what the journal holds. began is the receipt of the first
// message of the newest commit.
func (p *past) catchUp(ctx context.Context, began devices.Millis) (err error) {
	s := p.app.safety
	if p.next == 0 {
		if p.next, err = p.app.ledger.Cursor(ctx, s.Name()); err != nil {
			return err
		}
		s.ListenFrom(began)
	}
	for {
		b, err := p.app.ledger.Read(ctx, p.next, 1<<16)
		if err != nil || len(b.Entries) == 0 {
			return err
		}
		if err := p.deliver(ctx, b); err != nil {
			return err
		}
		p.next = b.Next()
	}
}

// deliver gives a block to the rules in pieces of a minute of receipt, and tells
// them the time between.
func (p *past) deliver(ctx context.Context, b ledger.Block) error {
	const minute = 60_000
	for from := 0; from < len(b.Entries); {
		to := from
		for to < len(b.Entries) && b.Entries[to].Received < p.minute+minute {
			to++
		}
		if to > from {
			if err := p.app.safety.Consume(ctx, ledger.Block{First: b.First + ledger.Seq(from), Entries: b.Entries[from:to]}); err != nil {
				return err
			}
		}
		if from = to; from < len(b.Entries) {
			at := b.Entries[from].Received
			if err := p.app.safety.Passed(ctx, at); err != nil {
				return err
			}
			p.minute = at - at%minute
		}
	}
	return nil
}

// Played is what a replay did.
type Played struct {
	Messages, Readings, Rejects, Duplicates, Late, Sessions int
}

func (p *Played) add(t ingest.Tally) {
	for _, n := range t.Messages {
		p.Messages += n
	}
	for k, n := range t.Rejects {
		p.Rejects += n
		if k.Reason == devices.UnknownTopic {
			p.Messages += n // no decoder counted it
		}
	}
	p.Readings += t.Readings
	p.Duplicates += t.Drops[ingest.DropDuplicate]
	p.Late += t.Drops[ingest.DropLate]
	p.Sessions += len(t.Closed)
}

// Replay runs recorded messages through the whole pipeline into the ledger of the
// configuration. progress is called now and then with the share of the files done.
func Replay(ctx context.Context, cfg *config.Config, o Options, files []string, progress func(float64)) (Played, error) {
	var played Played
	for _, name := range files { // before anything is made
		f, err := openFile(name)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return played, err
		}
	}
	a, err := New(ctx, cfg, o)
	if err != nil {
		return played, err
	}
	p := a.playback(ctx, played.add)
	err = replayFiles(ctx, p, files, progress)
	err = errors.Join(err, p.Close(ctx))
	if err == nil {
		err = a.safety.Close(ctx)
	}
	return played, errors.Join(err, a.Stop())
}

func replayFiles(ctx context.Context, p *ingest.Playback, files []string, progress func(float64)) error {
	var total, done int64
	for _, name := range files {
		if fi, err := os.Stat(name); err == nil {
			total += fi.Size()
		}
	}
	for _, name := range files {
		f, err := openFile(name)
		if err != nil {
			return err
		}
		counted := &counter{r: f, n: &done}
		err = replayFile(ctx, p, name, counted, func() { progress(float64(done) / float64(max(total, 1))) })
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func replayFile(ctx context.Context, p *ingest.Playback, name string, r io.Reader, progress func()) error {
	n := 0
	for in, err := range recording(name, r) {
		if err != nil {
			return err
		}
		if err := p.Add(ctx, ingest.Delivery{Input: in}); err != nil {
			return err
		}
		if n++; n%4096 == 0 {
			progress()
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w; what was read is in the ledger, replay the file again to go on", name, context.Cause(ctx))
			}
		}
	}
	return nil
}

// openFile opens a file, or standard input for "-".
func openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; give a recording, such as pilewatch record writes", err)
	}
	return f, nil
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}
