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
	"errors"
	"fmt"
	"io/fs"
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

// Ledger is an open ledger. Its methods may be called from any goroutine.
type Ledger struct {
	path  string
	steps []string // of the schema, see migrate.go
	lock  *lock
	write *sql.DB
	read  *sql.DB
	log   *slog.Logger
	dec   *decoder

	mu     sync.Mutex // one append at a time
	enc    *encoder
	head   atomic.Int64 // number of the next entry
	failed atomic.Pointer[error]
	outage outage // under mu
	closed atomic.Bool

	tail  tail
	begun begun
	seen  seenCache
}

// Open opens the ledger in a folder, and creates both where they are missing.
// It fails when another process has it open, saying which.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Ledger, error) {
	return openWith(ctx, dir, log, schemaFiles)
}

func openWith(ctx context.Context, dir string, log *slog.Logger, schema fs.FS) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the ledger's folder: %w; choose another data_dir or change its rights", err)
	}
	lk, err := acquire(dir)
	if err != nil {
		return nil, explain(err)
	}
	l := &Ledger{path: filepath.Join(dir, File), lock: lk, log: log}
	if l.steps, err = migrations(schema); err == nil {
		err = l.open(ctx)
	}
	if err != nil {
		l.Close() //nolint:errcheck // the first error says what is wrong
		return nil, explain(fmt.Errorf("opening the ledger %s: %w", l.path, err))
	}
	return l, nil
}

// OpenRead opens an existing ledger for reading only, also while a gateway runs
// on it. Append and Advance fail.
func OpenRead(ctx context.Context, dir string, log *slog.Logger) (*Ledger, error) {
	l := &Ledger{path: filepath.Join(dir, File), log: log}
	if _, err := os.Stat(l.path); err != nil {
		return nil, noLedger(dir, err)
	}
	var err error
	if l.steps, err = migrations(schemaFiles); err == nil {
		err = l.openReader(ctx, 4)
	}
	if err != nil {
		l.Close() //nolint:errcheck // the first error says what is wrong
		return nil, explain(fmt.Errorf("opening the ledger %s: %w", l.path, err))
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
	return l.openReader(ctx, 4)
}

func (l *Ledger) openReader(ctx context.Context, conns int) error {
	var err error
	if l.read, err = sql.Open("sqlite", readDSN(l.path, "query_only(1)", "busy_timeout(5000)")); err != nil {
		return err
	}
	l.read.SetMaxOpenConns(conns)
	if l.dec, err = newDecoder(); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, l.read)
	if err != nil {
		return err
	}
	if version != len(l.steps) {
		return &VersionError{Has: version, Knows: len(l.steps)}
	}
	return l.findHead(ctx)
}

// findHead reads where the journal ends: a hole may be the last of it, and where
// the last row's numbers are damaged, whoever has read it knows better.
func (l *Ledger) findHead(ctx context.Context) error {
	var head int64
	if err := l.read.QueryRowContext(ctx, `SELECT max(
		coalesce((SELECT seq + count FROM journal ORDER BY seq DESC LIMIT 1), 1),
		coalesce((SELECT max(seq + count) FROM hole), 1),
		coalesce((SELECT max(seq) FROM cursor), 1),
		coalesce((SELECT max(seq) FROM checkpoint), 1))`).Scan(&head); err != nil {
		return err
	}
	l.head.Store(head)
	l.tail.init()
	return nil
}

// readDSN is for who only reads: also from a disk that is mounted read-only, where
// SQLite cannot make the index of the log that it else wants.
func readDSN(path string, pragmas ...string) string {
	if !readOnly(filepath.Dir(path)) {
		return dsn(path, "rw", pragmas...)
	}
	address := dsn(path, "ro", pragmas...)
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		address += "&immutable=1"
	}
	return address
}

// dsn builds the address of a database file with its pragmas.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
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
