package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// The schema is the files of schema/, applied in order, each once: 001_first.sql,
// 002_hole.sql and so on. SQLite's user_version counts the files that a ledger has.
//
// To change the schema, add a file with the next number; nothing else is to be
// told. Never change a file that was released: ledgers have had it. A file holds
// any SQL but BEGIN and COMMIT, and nothing that differs from run to run, such as
// datetime('now'): two replays must give the same file. Two people who add a file
// of the same number at once find out by a test; the later one renumbers. Entries
// of the journal have a format byte of their own, see codec.go.
//
//go:embed schema/*.sql
var schemaFiles embed.FS

// keepCopies is how many copies of ledgers before an upgrade are kept.
const keepCopies = 2

// migrations gives the SQL of a folder's files: that of file N at N-1.
func migrations(files fs.FS) ([]string, error) {
	names, err := fs.Glob(files, "schema/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	steps := make([]string, len(names))
	for i, name := range names {
		if digits, _, _ := strings.Cut(path.Base(name), "_"); digits != fmt.Sprintf("%03d", i+1) {
			return nil, fmt.Errorf("%s: expected the number %03d: each number once, and none left out", name, i+1)
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		steps[i] = string(b)
	}
	return steps, nil
}

// A VersionError is a ledger whose schema this program cannot use as it is.
type VersionError struct{ Has, Knows int }

// Error says what to do next.
func (e *VersionError) Error() string {
	if e.Has > e.Knows {
		return fmt.Sprintf("it has schema version %d and this program knows up to %d: run the newer program that wrote it", e.Has, e.Knows)
	}
	return fmt.Sprintf("it has schema version %d and this program reads %d: `pilewatch run` upgrades it at its start, after a copy", e.Has, e.Knows)
}

func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// migrate brings the schema to this program's version: all steps that are missing
// in one transaction, or none. A ledger that holds something is copied first.
func (l *Ledger) migrate(ctx context.Context) error {
	version, err := schemaVersion(ctx, l.write)
	if err != nil || version == len(l.steps) {
		return err
	}
	if version > len(l.steps) {
		return &VersionError{Has: version, Knows: len(l.steps)}
	}
	if version > 0 {
		if err := l.copyBefore(ctx, version); err != nil {
			return err
		}
	}
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	for i, step := range l.steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("upgrading it to schema version %d: %w", version+i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(l.steps))); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("upgrading it to schema version %d: %w", len(l.steps), err)
	}
	if version > 0 {
		l.log.Info("the ledger was upgraded", "from_version", version, "to_version", len(l.steps), "copy", l.copyName(version))
		l.dropCopies(version)
	}
	return nil
}

// copyName is that of the copy of the ledger as it was in a version.
func (l *Ledger) copyName(version int) string { return fmt.Sprintf("%s.v%d", l.path, version) }

// copyBefore copies the ledger beside itself. A copy of the same version, from an
// upgrade that did not come about, is replaced.
func (l *Ledger) copyBefore(ctx context.Context, version int) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	name := l.copyName(version)
	l.log.Info("copying the ledger before it is upgraded", "copy", name, "bytes", size)
	if _, err := copyLedger(ctx, l.path, name, true); err != nil {
		return fmt.Errorf("copying it to %s before the upgrade, which takes about %s; nothing was changed: %w", name, megabytes(size), err)
	}
	return nil
}

// dropCopies removes the oldest copies, up to that of the version before.
func (l *Ledger) dropCopies(newest int) {
	for v := newest - keepCopies; v > 0; v-- {
		if err := os.Remove(l.copyName(v)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.log.Warn("an old copy of the ledger could not be removed; remove it by hand", "copy", l.copyName(v), "error", err)
		}
	}
}

func megabytes(n int64) string {
	return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
}
