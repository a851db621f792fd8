package safety

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"pilewatch/gateway/ledger"
)

// readAtOnce is how many entries are read at a time on a restart.
const readAtOnce = 1 << 14

// restore brings the engine to the cursor.
func (c *Consumer) restore(ctx context.Context, rules Rules) error {
	cursor, err := c.ledger.Cursor(ctx, Name)
	if err != nil {
		return err
	}
	from, saved, err := c.ledger.LoadCheckpoint(ctx, Name)
	if err != nil {
		return err
	}
	c.engine = New(rules)
	if saved.Given() {
		if err := saved.Into(c.engine); err != nil {
			c.log.Warn("the checkpoint of the safety rules cannot be used; the journal is read instead", "error", err)
			c.engine, from = New(rules), 1
		}
	}
	if err := c.replay(ctx, from, cursor); err != nil {
		return err
	}
	c.replayed = c.since
	c.next = max(from, cursor)
	open, err := c.openFlags(ctx)
	if err != nil {
		return err
	}
	c.counts.start(open)
	c.reconcile(open)
	c.engine.Wake()
	return nil
}

// replay applies the journal between two entries; its flags were raised before.
func (c *Consumer) replay(ctx context.Context, from, to ledger.Seq) error {
	for from < to {
		b, err := c.ledger.Read(ctx, from, readAtOnce)
		var bad *ledger.DamagedError
		if errors.As(err, &bad) {
			if bad.Seq > from {
				b, err = c.ledger.Read(ctx, from, int(bad.Seq-from)) // what stands before it is good
			} else {
				c.log.Error("a damaged part of the journal is passed over", "from", bad.Seq, "entries", bad.Count, "error", err)
				from = bad.Seq + ledger.Seq(max(1, bad.Count))
				continue
			}
		}
		if err != nil {
			return err
		}
		if len(b.Entries) == 0 {
			return nil
		}
		for i := range b.Entries {
			if b.First+ledger.Seq(i) < to {
				c.engine.Apply(&b.Entries[i], nil)
				c.since++
			}
		}
		from = b.Next()
	}
	return nil
}

func (c *Consumer) openFlags(ctx context.Context) ([]ledger.Flag, error) {
	open := true
	f := ledger.Filter{Open: &open, Limit: 1000, Oldest: true}
	var all []ledger.Flag
	for {
		items, next, err := c.ledger.Flags(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" {
			return all, nil
		}
		f.After = next
	}
}

// reconcile makes the engine and the ledger agree on what stands. What the clock
// raised is not in the engine's input, so the ledger says whether it stands.
// Anything else differs only where rules or thresholds were changed: then the
// rules as they are now decide.
func (c *Consumer) reconcile(open []ledger.Flag) {
	e := c.engine
	e.emit = c.collect
	defer func() { e.emit = nil }()
	e.adoptOffline(open)
	held := map[string]bool{}
	e.eachFlag(func(row *standing) { held[row.Flag.ID] = true })
	known := map[string]bool{}
	for i := range open {
		f := &open[i]
		known[f.ID] = true
		if !held[f.ID] {
			f.ClearedAt = max(e.received, f.RaisedAt)
			e.tell(&standing{Flag: f}, true)
		}
	}
	e.eachFlag(func(row *standing) {
		if !known[row.Flag.ID] {
			e.tell(row, false)
		}
	})
}

// eachFlag visits the flags that stand, in order of place.
func (e *Engine) eachFlag(visit func(row *standing)) {
	walk := func(f flags) {
		for i := range f {
			if f[i].Flag != nil {
				visit(&f[i])
			}
		}
	}
	walk(e.flags)
	for _, name := range e.names() {
		p := e.piles[name]
		walk(p.Whole.flags())
		for _, q := range p.Ports {
			walk(q.flags())
		}
	}
}

// adoptOffline takes over the standing flags of silence.
func (e *Engine) adoptOffline(open []ledger.Flag) {
	if e.offline == nil {
		return
	}
	id := e.offline.ID
	e.eachFlag(func(row *standing) {
		if row.Rule == id && !slices.ContainsFunc(open, func(f ledger.Flag) bool { return f.ID == row.Flag.ID }) {
			row.Flag = nil
		}
	})
	cut := false
	for i := range open {
		f := &open[i]
		if f.Rule != id {
			continue
		}
		if f.Pile == "" {
			cut = true
			e.adoptOutage(f)
			continue
		}
		p := e.pile(f.Pile)
		e.adopt(&p.place(0).more().Flags, f)
	}
	if !cut {
		e.endOutage(e.outage.Ended)
	}
}

// adoptOutage takes over a power cut: who did not speak since is still away.
func (e *Engine) adoptOutage(f *ledger.Flag) {
	e.adopt(&e.flags, f)
	if len(e.outage.Piles) > 0 {
		return // known from the checkpoint, and who spoke since was counted
	}
	var ev struct {
		Piles []string `json:"piles"`
	}
	if err := json.Unmarshal(f.Evidence, &ev); err != nil {
		return
	}
	for _, name := range ev.Piles {
		p := e.pile(name)
		e.outage.Piles = append(e.outage.Piles, name)
		if p.Out = p.Heard <= f.RaisedAt; p.Out {
			e.outage.Still++
		}
	}
}

func (e *Engine) adopt(all *flags, f *ledger.Flag) {
	row := all.find(f.Rule, "")
	if row == nil {
		*all = append(*all, standing{Rule: f.Rule})
		row = &(*all)[len(*all)-1]
	}
	own := *f
	row.Flag, row.Last = &own, f.ID
}
