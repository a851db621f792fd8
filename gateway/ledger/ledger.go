// Package ledger keeps what happened, durably: the journal of readings, events
// and conclusions, the session and flag rows made from it, the state of the
// folds and the cursors of who reads it.
//
// The journal is the outbox. [Ledger.Append] writes one block and everything
// that follows from it in one transaction, on disk when it returns. Consumers
// read on from their cursor with [Ledger.Next]; reading never deletes. There is
// one writer; any number may read. What is guaranteed stands in gateway/DESIGN.md.
package ledger

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	_ "modernc.org/sqlite" // the database, in pure Go
)

// ErrNotFound is what a look-up of one thing returns when there is none.
var ErrNotFound = errors.New("not found")

// ErrInUse is what Open returns when another process has the ledger.
var ErrInUse = errors.New("the ledger is in use")

// ErrClosed is what a ledger returns after Close.
var ErrClosed = errors.New("the ledger is closed")

// File is the name of the ledger in its folder.
const File = "ledger.db"

//go:embed schema.sql
var schema string

// schemaVersion is what this program writes and reads (SQLite's user_version).
const schemaVersion = 2

// Ledger is an open ledger. Its methods may be called from any goroutine.
type Ledger struct {
	path  string
	lock  *lock
	write *sql.DB
	read  *sql.DB
	log   *slog.Logger
	dec   *decoder

	mu     sync.Mutex // one append at a time
	enc    *encoder
	head   atomic.Int64 // number of the next entry
	failed atomic.Pointer[error]
	closed atomic.Bool

	tail tail
	seen seenCache
}

// Open opens the ledger in a folder, and creates both where they are missing.
// It fails when another process has it open, saying which.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the ledger's folder: %w; choose another data_dir or change its rights", err)
	}
	lk, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{path: filepath.Join(dir, File), lock: lk, log: log}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger %s: %w", l.path, err), l.Close())
	}
	return l, nil
}

// OpenRead opens an existing ledger for reading only, also while a gateway runs
// on it. Append and Advance fail.
func OpenRead(ctx context.Context, dir string, log *slog.Logger) (*Ledger, error) {
	l := &Ledger{path: filepath.Join(dir, File), log: log}
	if _, err := os.Stat(l.path); err != nil {
		return nil, fmt.Errorf("no ledger in %s: %w; give the data_dir of a gateway that has run", dir, err)
	}
	if err := l.openReader(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger %s: %w", l.path, err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	var err error
	if l.write, err = sql.Open("sqlite", dsn(l.path, "rwc",
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(5000)", "journal_size_limit(67108864)")); err != nil {
		return err
	}
	l.write.SetMaxOpenConns(1)
	if err := l.migrate(ctx); err != nil {
		return err
	}
	if l.enc, err = newEncoder(); err != nil {
		return err
	}
	return l.openReader(ctx)
}

func (l *Ledger) openReader(ctx context.Context) error {
	var err error
	if l.read, err = sql.Open("sqlite", dsn(l.path, "rw", "query_only(1)", "busy_timeout(5000)")); err != nil {
		return err
	}
	l.read.SetMaxOpenConns(4)
	if l.dec, err = newDecoder(); err != nil {
		return err
	}
	var head sql.NullInt64
	if err := l.read.QueryRowContext(ctx, "SELECT max(seq + count) FROM (SELECT seq, count FROM journal ORDER BY seq DESC LIMIT 1)").Scan(&head); err != nil {
		return err
	}
	l.head.Store(max(1, head.Int64))
	l.tail.init()
	return nil
}

// dsn builds the address of a database file with its pragmas.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// migrate brings the schema to this program's version, in one transaction.
func (l *Ledger) migrate(ctx context.Context) error {
	var version int
	if err := l.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return fmt.Errorf("it has schema version %d and this program knows up to %d: run the newer program that wrote it", version, schemaVersion)
	}
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	steps := [schemaVersion]string{schema, verdictSchema}
	for _, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// Close releases the ledger. What was appended is on disk already.
func (l *Ledger) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.tail.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.read != nil {
		errs = append(errs, l.read.Close())
	}
	if l.write != nil {
		errs = append(errs, l.write.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.release())
	}
	return errors.Join(errs...)
}

// Head is the number of the next entry.
func (l *Ledger) Head() Seq { return Seq(l.head.Load()) }

// Writable says why the last commit failed; nil when it did not.
func (l *Ledger) Writable() error {
	if e := l.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// Size is what the ledger takes on disk, in bytes.
func (l *Ledger) Size() (int64, error) {
	var sum int64
	for _, suffix := range []string{"", "-wal"} {
		fi, err := os.Stat(l.path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("the ledger's size: %w", err)
		}
		sum += fi.Size()
	}
	return sum, nil
}
