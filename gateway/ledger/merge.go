package ledger

import (
	"context"
	"errors"
	"fmt"
)

// A commit of a quiet estate holds a message or two, and such a block has little to
// compress: what it costs is its row. So blocks are merged once there are enough.
const (
	mergeEntries = 4096 // what a merged block holds at least
	mergeBlocks  = 4096 // how many are merged at once at most
)

// Merge joins a run of small blocks from an entry on to one, with the same entries
// under the same numbers, in one transaction. It gives the entry from which to go
// on; that is from itself where nothing is left to do for now. The newest blocks
// stay as they are until there are enough of them; a damaged block is passed over.
func (l *Ledger) Merge(ctx context.Context, from Seq) (next Seq, err error) {
	run, next, err := l.smallRun(ctx, from)
	if err != nil {
		return from, fmt.Errorf("merging journal blocks at %d: %w", from, explain(err))
	}
	if len(run) == 0 {
		return next, nil
	}
	if err := l.replace(ctx, run); err != nil {
		return from, fmt.Errorf("merging journal blocks at %d: %w", from, explain(err))
	}
	return next, nil
}

// smallRun finds the next run of blocks to merge, and where to look after it.
func (l *Ledger) smallRun(ctx context.Context, from Seq) (run []blockRow, next Seq, err error) {
	rows, err := l.read.QueryContext(ctx, blockQuery+" WHERE seq >= ? ORDER BY seq LIMIT ?", from, mergeBlocks)
	if err != nil {
		return nil, from, err
	}
	defer rows.Close()
	next = from
	entries, n := 0, 0
	for ; rows.Next(); n++ {
		r, err := scanBlockRow(rows)
		var bad *DamagedError
		switch {
		case errors.As(err, &bad):
			run, entries, next = nil, 0, bad.Seq+Seq(max(1, bad.Count))
			continue
		case err != nil:
			return nil, from, err
		case len(run) > 0 && run[len(run)-1].next() != r.seq: // a hole lies between
			run, entries, next = nil, 0, r.seq
		}
		if r.count >= mergeEntries {
			run, entries, next = nil, 0, r.next()
			continue
		}
		run, entries = append(run, r), entries+r.count
		if entries >= mergeEntries {
			return run, r.next(), rows.Err()
		}
	}
	if n == mergeBlocks && len(run) > 1 {
		return run, run[len(run)-1].next(), rows.Err()
	}
	return nil, next, rows.Err()
}

func (r *blockRow) next() Seq { return r.seq + Seq(r.count) }

// errMoved says that retention came between.
var errMoved = errors.New("the blocks are not what they were; they are looked at again")

// replace puts one block in the place of a run.
func (l *Ledger) replace(ctx context.Context, run []blockRow) error {
	var entries []Entry
	for i := range run {
		part, err := l.dec.decode(run[i].block)
		if err != nil {
			return run[i].damaged(err)
		}
		if len(part) != run[i].count {
			return run[i].damaged(errCorrupt)
		}
		entries = append(entries, part...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	first, last := run[0].seq, run[len(run)-1].seq
	if _, err := tx.ExecContext(ctx, "DELETE FROM journal_hour WHERE seq BETWEEN ? AND ?", first, last); err != nil {
		return err
	}
	gone, err := tx.ExecContext(ctx, "DELETE FROM journal WHERE seq BETWEEN ? AND ?", first, last)
	if err != nil {
		return err
	}
	if n, err := gone.RowsAffected(); err != nil || n != int64(len(run)) {
		return errors.Join(errMoved, err)
	}
	if err := l.putBlock(ctx, tx, first, entries); err != nil {
		return err
	}
	l.seen.mu.Lock() // what it knows of the first block is not all of the merged one
	defer l.seen.mu.Unlock()
	l.seen.reset()
	return tx.Commit()
}
