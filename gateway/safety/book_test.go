package safety

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"pilewatch/gateway/ledger"
)

// book is a ledger in memory that fails when it is told to.
type book struct {
	entries     []ledger.Entry
	cursors     map[string]ledger.Seq
	checkpoints map[string]ledger.Checkpoint
	flags       map[string]ledger.Flag
	appends     int
	fail        bool
	failRead    error
}

func newBook() *book {
	return &book{cursors: map[string]ledger.Seq{}, checkpoints: map[string]ledger.Checkpoint{}, flags: map[string]ledger.Flag{}}
}

var errFull = errors.New("the disk is full")

func (b *book) Append(ctx context.Context, x *ledger.Batch) (ledger.Seq, error) {
	if b.fail || ctx.Err() != nil {
		return 0, errFull
	}
	first := b.Head()
	b.appends++
	b.entries = append(b.entries, x.Entries...)
	for i := range x.Entries {
		if f := x.Entries[i].Flag; f != nil {
			b.flags[f.ID] = *f
		}
	}
	maps.Copy(b.cursors, x.Cursors)
	maps.Copy(b.checkpoints, x.Checkpoints)
	return first, nil
}

func (b *book) Head() ledger.Seq { return ledger.Seq(len(b.entries) + 1) }

func (b *book) Read(_ context.Context, from ledger.Seq, limit int) (ledger.Block, error) {
	if b.failRead != nil {
		err := b.failRead
		b.failRead = nil
		return ledger.Block{}, err
	}
	rest := b.entries[from-1:]
	return ledger.Block{First: from, Entries: rest[:min(limit, len(rest))]}, nil
}

func (b *book) Cursor(_ context.Context, name string) (ledger.Seq, error) {
	return max(1, b.cursors[name]), nil
}

func (b *book) LoadCheckpoint(_ context.Context, name string) (ledger.Seq, ledger.Packed, error) {
	if c, ok := b.checkpoints[name]; ok {
		return c.Seq, c.State, nil
	}
	return 1, ledger.Packed{}, nil
}

func (b *book) Flags(_ context.Context, f ledger.Filter) ([]ledger.Flag, string, error) {
	var out []ledger.Flag
	for _, id := range slices.Sorted(maps.Keys(b.flags)) {
		if x := b.flags[id]; f.Open == nil || *f.Open == (x.ClearedAt == 0) {
			out = append(out, x)
		}
	}
	return out, "", nil
}

func (b *book) put(entries ...ledger.Entry) { b.entries = append(b.entries, entries...) }

// told gives the flag entries of the journal.
func (b *book) told() string {
	var out strings.Builder
	for i := range b.entries {
		if e := &b.entries[i]; e.Kind == ledger.KindFlag {
			word := "raised"
			if e.Cleared {
				word = "cleared"
			}
			out.WriteString(word + " " + e.Flag.ID + " " + e.Flag.Severity + " " + e.Flag.SessionID + " " + string(e.Flag.Evidence) + "\n")
		}
	}
	return out.String()
}

// deliver gives the consumer what is after its cursor, as a runner does.
func (b *book) deliver(t *testing.T, c *Consumer, limit int) {
	t.Helper()
	for b.cursors[Name] < b.Head() {
		at := max(1, b.cursors[Name])
		block, err := b.Read(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Consume(t.Context(), block); err != nil {
			t.Fatal(err)
		}
		b.cursors[Name] = max(b.cursors[Name], block.Next())
	}
}

func open(t *testing.T, b *book) *Consumer {
	t.Helper()
	c, err := NewConsumer(t.Context(), b, Defaults(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
