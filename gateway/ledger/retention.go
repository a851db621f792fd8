package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// pruneBlocks bounds what one Prune takes, so that it does not hold up commits.
const pruneBlocks = 500

// maxRejects is how many of the newest rejects are kept at most, however young:
// each takes 2 kB at most, all of them 200 MB.
const maxRejects = 100_000

// keepSinkRejects is how many of the newest lines that sinks refused are kept.
const keepSinkRejects = 10_000

// Prune lets go of readings received before one instant, of what is known of
// alerts that were sent before it about flags that are over, and of rejects before
// another instant. It takes only entries that every one of the consumers has had and
// that no checkpoint needs, and keeps the fold's state before the first entry
// that stays, so that what stays can be verified. Sessions and flags stay. more
// says that there was more to take than one call takes.
func (l *Ledger) Prune(ctx context.Context, readings, rejects devices.Millis, consumers []string) (more bool, err error) {
	if err := l.exec(ctx, "DELETE FROM reject WHERE time < ?", rejects); err != nil {
		return false, fmt.Errorf("letting go of old rejects: %w", err)
	}
	if err := l.exec(ctx, "DELETE FROM reject WHERE id <= (SELECT max(id) FROM reject) - ?", maxRejects); err != nil {
		return false, fmt.Errorf("letting go of rejects: %w", err)
	}
	if err := l.exec(ctx, "DELETE FROM sink_reject WHERE id <= (SELECT max(id) FROM sink_reject) - ?", keepSinkRejects); err != nil {
		return false, fmt.Errorf("letting go of old lines that a sink refused: %w", err)
	}
	if err := l.exec(ctx, "DELETE FROM delivery WHERE done_at > 0 AND done_at < ? AND flag_id NOT IN (SELECT id FROM flag WHERE cleared_at = 0)", readings); err != nil {
		return false, fmt.Errorf("letting go of old deliveries of alerts: %w", err)
	}
	keep, err := l.firstKept(ctx, readings, consumers)
	if err != nil || keep == 0 {
		return false, err
	}
	origin, at, more, err := l.originAt(ctx, keep)
	if err != nil || !origin.Given() {
		return false, err
	}
	return more, l.dropBefore(ctx, at, origin)
}

func (l *Ledger) exec(ctx context.Context, query string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.write.ExecContext(ctx, query, args...)
	return explain(err)
}

// firstKept is the first block that must stay; 0 when all must.
func (l *Ledger) firstKept(ctx context.Context, readings devices.Millis, consumers []string) (Seq, error) {
	needed := l.Head()
	for _, name := range consumers {
		c, err := l.Cursor(ctx, name)
		if err != nil {
			return 0, err
		}
		needed = min(needed, c)
	}
	var checkpoint sql.NullInt64
	if err := l.read.QueryRowContext(ctx, "SELECT min(seq) FROM checkpoint WHERE name <> ?", OriginCheckpoint).Scan(&checkpoint); err != nil {
		return 0, fmt.Errorf("reading checkpoints: %w", err)
	}
	if !checkpoint.Valid {
		return 0, nil
	}
	needed = min(needed, Seq(checkpoint.Int64))
	var keep Seq
	err := l.read.QueryRowContext(ctx, "SELECT seq FROM journal WHERE received >= ? OR seq + count > ? ORDER BY seq LIMIT 1", readings, needed).Scan(&keep)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return keep, err
}

// originAt folds the state of the origin forward to a block, or as far as one
// call goes.
func (l *Ledger) originAt(ctx context.Context, keep Seq) (origin Packed, at Seq, more bool, err error) {
	state, at, err := l.origin(ctx)
	if err != nil || at >= keep {
		return Packed{}, 0, false, err
	}
	for range pruneBlocks {
		b, err := l.readRows(ctx, at, 1)
		if err != nil {
			return Packed{}, 0, false, err
		}
		if b.First >= keep { // a hole came before it
			at = keep
			break
		}
		if err := b.Fold(state, func([]session.Change) {}); err != nil {
			return Packed{}, 0, false, err
		}
		if at = b.Next(); at >= keep {
			break
		}
	}
	origin, err = Pack(state)
	return origin, at, at < keep, err
}

// origin gives the fold's state before the first entry that is kept, and that
// entry's number. It fails where the state is damaged: nothing else knows it.
func (l *Ledger) origin(ctx context.Context) (*session.State, Seq, error) {
	state, err := session.NewState(session.DefaultSettings())
	if err != nil {
		return nil, 0, err
	}
	at, saved, err := l.loadCheckpoint(ctx, OriginCheckpoint)
	if err == nil && saved.Given() {
		err = saved.Into(state)
	}
	return state, at, err
}

// dropBefore takes the blocks before at, and sets the new origin, in one transaction.
func (l *Ledger) dropBefore(ctx context.Context, at Seq, origin Packed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("letting go of old readings: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	err = l.putCheckpoint(ctx, tx, OriginCheckpoint, Checkpoint{Seq: at, State: origin})
	for _, q := range []string{"DELETE FROM journal_hour WHERE seq < ?", "DELETE FROM journal WHERE seq < ?", "UPDATE hole SET block = x'' WHERE seq < ? AND block <> x''"} {
		if err == nil {
			_, err = tx.ExecContext(ctx, q, at)
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return explain(fmt.Errorf("letting go of old readings: %w", err))
	}
	return nil
}
