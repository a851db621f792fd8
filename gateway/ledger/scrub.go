package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// scrubRows is how many blocks are read at a time.
const scrubRows = 64

// scrub computes the checksum of every block from a number on, and gives how many
// it read and those that differ. between, where there is one, is called after each
// run of blocks.
func scrub(ctx context.Context, db *sql.DB, from Seq, between func(ctx context.Context) error) (blocks int, damaged []*DamagedError, err error) {
	for {
		n, next, bad, err := scrubSome(ctx, db, from)
		if err != nil {
			return blocks, damaged, explain(err)
		}
		blocks, damaged, from = blocks+n, append(damaged, bad...), next
		if n < scrubRows {
			return blocks, damaged, nil
		}
		if between != nil {
			if err := between(ctx); err != nil {
				return blocks, damaged, err
			}
		}
	}
}

func scrubSome(ctx context.Context, db *sql.DB, from Seq) (n int, next Seq, damaged []*DamagedError, err error) {
	rows, err := db.QueryContext(ctx, blockQuery+" WHERE seq >= ? ORDER BY seq LIMIT ?", from, scrubRows)
	if err != nil {
		return 0, from, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanBlockRow(rows)
		var bad *DamagedError
		switch {
		case errors.As(err, &bad):
			damaged = append(damaged, bad)
		case err != nil:
			return n, from, damaged, err
		}
		n, from = n+1, r.seq+1
	}
	return n, from, damaged, rows.Err()
}

// scrubPause is the wait between two runs of blocks: what is read beside the work
// must not hold it up.
const scrubPause = 50 * time.Millisecond

// Scrub reads the whole journal slowly, and logs each block that is damaged: what
// nobody has read for a year is found while a backup that has it is still there.
func (l *Ledger) Scrub(ctx context.Context) {
	began := time.Now()
	blocks, damaged, err := scrub(ctx, l.read, 0, func(ctx context.Context) error {
		select {
		case <-time.After(scrubPause):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for _, bad := range damaged {
		l.log.Error("the ledger has a damaged block", "error", bad)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.log.Error("the journal could not be read through", "error", err)
	default:
		l.log.Info("the journal was read through", "blocks", blocks, "damaged", len(damaged), "after", time.Since(began).Round(time.Millisecond))
	}
}
