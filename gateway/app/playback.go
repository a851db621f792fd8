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
// step: what they say of silence goes by the time of receipt.
func (a *App) playback(ctx context.Context, tally func(ingest.Tally)) *ingest.Playback {
	var next ledger.Seq
	return ingest.NewPlayback(ctx, a.batcher, a.ledger, func(ctx context.Context, t ingest.Tally) (err error) {
		tally(t)
		a.metrics.committed(t)
		if next, err = a.catchUp(ctx, next); err != nil || t.Newest == 0 {
			return err
		}
		return a.safety.Tick(ctx, t.Newest)
	})
}

// catchUp delivers to the safety rules what the journal holds from an entry on, 0
// for the first that they have not had, and gives the entry after the last.
func (a *App) catchUp(ctx context.Context, from ledger.Seq) (next ledger.Seq, err error) {
	if from == 0 {
		if from, err = a.ledger.Cursor(ctx, a.safety.Name()); err != nil {
			return 0, err
		}
	}
	for {
		b, err := a.ledger.Read(ctx, from, 1<<16)
		if err != nil || len(b.Entries) == 0 {
			return from, err
		}
		if err := a.safety.Consume(ctx, b); err != nil {
			return from, err
		}
		from = b.Next()
	}
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
	return os.Open(name)
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
