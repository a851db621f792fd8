package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// tail keeps the newest blocks as they were appended, so that consumers who
// keep up need not decode them, and wakes who waits for more.
type tail struct {
	mu     sync.Mutex
	blocks []Block
	held   int           // entries in blocks
	grown  chan struct{} // closed at the next append
}

// TailEntries bounds what the tail holds, about 200 bytes an entry: a consumer
// that is some seconds behind a flood still need not decode what was just encoded.
const TailEntries = 64 << 10

func (t *tail) init() { t.grown = make(chan struct{}) }

func (t *tail) push(b Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks = append(t.blocks, b)
	t.held += len(b.Entries)
	drop := 0
	for t.held > TailEntries && drop < len(t.blocks)-1 {
		t.held -= len(t.blocks[drop].Entries)
		drop++
	}
	n := copy(t.blocks, t.blocks[drop:])
	clear(t.blocks[n:])
	t.blocks = t.blocks[:n]
	close(t.grown)
	t.grown = make(chan struct{})
}

// close wakes who waits, for good.
func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grown != nil {
		close(t.grown)
		t.grown = make(chan struct{})
	}
}

// find gives the entries of the tail's block that holds from; ok is false when
// the tail does not reach back that far.
func (t *tail) find(from Seq) (b Block, grown <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.blocks) - 1; i >= 0; i-- {
		if b := t.blocks[i]; b.First <= from {
			if from >= b.Next() {
				return Block{First: from}, t.grown, true // at the head
			}
			return Block{First: from, Entries: b.Entries[from-b.First:]}, t.grown, true
		}
	}
	return Block{}, t.grown, false
}

// Next waits until the journal has an entry numbered from or later, and gives
// up to limit of them in order, half as many where there are. They are shared: to be read only. It fails
// with ctx's error, ErrClosed, or when a block cannot be read.
func (l *Ledger) Next(ctx context.Context, from Seq, limit int) (Block, error) {
	for {
		_, grown, _ := l.tail.find(from)
		b, err := l.Read(ctx, from, limit)
		if err != nil || len(b.Entries) > 0 {
			return b, err
		}
		if l.closed.Load() {
			return Block{}, ErrClosed
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Block{}, context.Cause(ctx)
		}
	}
}

// Read is Next without waiting: at the head it gives an empty block.
func (l *Ledger) Read(ctx context.Context, from Seq, limit int) (Block, error) {
	if from >= l.Head() {
		return Block{First: from}, nil
	}
	if b, _, ok := l.tail.find(from); ok {
		b.Entries = b.Entries[:share(len(b.Entries), limit)]
		if len(b.Entries) < limit/2 {
			b = l.more(b, limit)
		}
		return b, nil
	}
	b, ok := l.begun.take(from)
	if !ok {
		var err error
		if b, err = l.readRows(ctx, from, limit); err != nil {
			return b, err
		}
	}
	return l.begun.cut(b, limit), nil
}

// share is how many of n entries are given at once: limit at most, and no few that
// stay behind, which would have to be copied together with those after them.
func share(n, limit int) int {
	if n > limit && n < 2*limit {
		return (n + 1) / 2
	}
	return min(n, limit)
}

// begun keeps what was decoded of the journal and not delivered yet: a commit
// under load is many times as long as a delivery. A slot is for a reader or two.
type begun struct {
	mu    sync.Mutex
	slots [2]Block
	turn  int
}

// cut gives up to limit entries of b, and keeps the others.
func (g *begun) cut(b Block, limit int) Block {
	n := share(len(b.Entries), limit)
	if n == len(b.Entries) {
		return b
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slots[g.turn] = Block{First: b.First + Seq(n), Entries: b.Entries[n:]}
	g.turn = (g.turn + 1) % len(g.slots)
	b.Entries = b.Entries[:n:n]
	return b
}

// take gives what is kept from an entry on, and lets go of it.
func (g *begun) take(from Seq) (Block, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.slots {
		if b := g.slots[i]; b.First == from && len(b.Entries) > 0 {
			g.slots[i] = Block{}
			g.turn = i
			return b, true
		}
	}
	return Block{}, false
}

// more joins blocks of the tail, so that a consumer of many small commits has
// few large deliveries.
func (l *Ledger) more(b Block, limit int) Block {
	joined := false
	for len(b.Entries) < limit {
		n, _, ok := l.tail.find(b.Next())
		if !ok || len(n.Entries) == 0 {
			break
		}
		if !joined {
			b.Entries = append(make([]Entry, 0, min(limit, 2*len(b.Entries)+len(n.Entries))), b.Entries...)
			joined = true
		}
		b.Entries = append(b.Entries, n.Entries[:min(len(n.Entries), limit-len(b.Entries))]...)
	}
	return b
}

// readRows reads whole blocks from the database until they hold half of limit.
func (l *Ledger) readRows(ctx context.Context, from Seq, limit int) (Block, error) {
	rows, err := l.read.QueryContext(ctx, blockQuery+` WHERE seq >= (SELECT coalesce(max(seq), 0) FROM journal WHERE seq <= ?) ORDER BY seq`, from)
	if err != nil {
		return Block{}, explain(fmt.Errorf("reading the journal at %d: %w", from, err))
	}
	defer rows.Close()
	b := Block{First: from}
	for len(b.Entries) < max(1, limit/2) && rows.Next() {
		first, entries, err := l.scanBlock(rows)
		if err != nil {
			return Block{}, explain(err)
		}
		next := first + Seq(len(entries))
		switch {
		case next <= from: // from lies in a stretch that retention took
			continue
		case first < from:
			entries = entries[from-first:]
		case len(b.Entries) == 0:
			b.First = first
		case first != b.Next(): // a hole lies between
			return b, nil
		}
		if len(b.Entries) == 0 {
			b.Entries = entries
		} else {
			b.Entries = append(b.Entries, entries...)
		}
	}
	if err := rows.Err(); err != nil {
		return Block{}, explain(fmt.Errorf("reading the journal at %d: %w", from, err))
	}
	return b, nil
}

// A DamagedError is a block that is not what was written.
type DamagedError struct {
	Seq         Seq // of its first entry
	Count       int
	First, Last time.Time // of what it held
	Err         error
}

// Error says which block it is, and how to go on.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("journal block %d (%d entries, %s to %s) is damaged: %v; restore a backup that has it whole, or stop the gateway and run `pilewatch repair`, which sets it aside and goes on without its readings; the sessions stand in their own rows",
		e.Seq, e.Count, e.First.Format(time.RFC3339), e.Last.Format(time.RFC3339), e.Err)
}

// Unwrap gives what was found wrong.
func (e *DamagedError) Unwrap() error { return e.Err }

var errSum = errors.New("its checksum differs")

// blockQuery selects what scanBlockRow takes.
const blockQuery = "SELECT seq, count, received, first_time, last_time, sum, block FROM journal"

// scanBlockRow takes a row of the journal, and compares its checksum.
func scanBlockRow(rows *sql.Rows) (r blockRow, err error) {
	var sum int64 // of 32 bits, unless it is the sum that is damaged
	if err := rows.Scan(&r.seq, &r.count, &r.received, &r.firstTime, &r.lastTime, &sum, &r.block); err != nil {
		if r.seq == 0 {
			return r, fmt.Errorf("reading the journal: %w", err)
		}
		return r, r.damaged(err) // a column is of another kind
	}
	if int64(r.sum()) != sum {
		return r, r.damaged(errSum)
	}
	return r, nil
}

func (r *blockRow) damaged(err error) error {
	return &DamagedError{Seq: r.seq, Count: r.count, First: r.firstTime.Time(), Last: r.lastTime.Time(), Err: err}
}

func (l *Ledger) scanBlock(rows *sql.Rows) (Seq, []Entry, error) {
	r, err := scanBlockRow(rows)
	if err != nil {
		return 0, nil, err
	}
	entries, err := l.dec.decode(r.block)
	if err == nil && len(entries) != r.count {
		err = fmt.Errorf("%w: %d entries instead of %d", errCorrupt, len(entries), r.count)
	}
	if err != nil {
		return 0, nil, r.damaged(err)
	}
	return r.seq, entries, nil
}

// Cursor is the number of the next entry that a consumer has not had; 1 for a
// consumer that is new.
func (l *Ledger) Cursor(ctx context.Context, name string) (Seq, error) {
	var seq Seq
	err := l.read.QueryRowContext(ctx, "SELECT seq FROM cursor WHERE name = ?", name).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the cursor %s: %w", name, err)
	}
	return seq, nil
}
