package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Copied is what a copy of a ledger holds.
type Copied struct {
	Bytes   int64
	Blocks  int             // journal blocks whose checksum was computed again
	Damaged []*DamagedError // blocks that are damaged in the ledger, and so in the copy
}

// Backup copies the ledger of a folder, also while a gateway runs on it, as it was
// at one instant. The file gets its name when it is whole, checked and on disk;
// one that exists is not replaced. What is damaged in the ledger is damaged in the
// copy too: see Copied.
func Backup(ctx context.Context, dir, to string) (Copied, error) {
	path := filepath.Join(dir, File)
	if _, err := os.Stat(path); err != nil {
		return Copied{}, noLedger(dir, err)
	}
	if _, err := os.Lstat(to); err == nil {
		return Copied{}, fmt.Errorf("%s exists: give another name; a backup replaces nothing", to)
	}
	c, err := copyLedger(ctx, path, to, false)
	if err != nil {
		return c, fmt.Errorf("copying the ledger %s to %s: %w", path, to, err)
	}
	return c, nil
}

func noLedger(dir string, err error) error {
	return fmt.Errorf("no ledger in %s: %w; give the data_dir of a gateway that has run", dir, err)
}

// copyLedger writes a copy beside its final name, checks it, and renames it.
func copyLedger(ctx context.Context, from, to string, replace bool) (c Copied, err error) {
	tmp := to + ".unfinished"
	if err := removeAll(tmp); err != nil { // left by a process that was killed
		return c, explain(err)
	}
	defer func() {
		if err != nil {
			err = explain(errors.Join(err, removeAll(tmp)))
		}
	}()
	if err := vacuumInto(ctx, from, tmp); err != nil {
		return c, err
	}
	if c, err = checkCopy(ctx, tmp); err != nil {
		return c, fmt.Errorf("the copy is not good: %w", err)
	}
	if err := syncFile(tmp); err != nil {
		return c, err
	}
	if err := give(tmp, to, replace); err != nil {
		return c, err
	}
	return c, syncFile(filepath.Dir(to))
}

// removeAll removes a database file and what SQLite may have left beside it.
func removeAll(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// vacuumInto copies a database in one read transaction; its writer goes on.
func vacuumInto(ctx context.Context, from, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640) // SQLite takes an empty file, and keeps its rights
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", readDSN(from, "busy_timeout(5000)"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return errors.Join(err, db.Close())
}

// checkCopy looks at a copy with other eyes than those that wrote it.
func checkCopy(ctx context.Context, path string) (c Copied, err error) {
	db, err := sql.Open("sqlite", dsn(path, "ro", "query_only(1)"))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var said string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return c, err
	}
	if said != "ok" {
		return c, &FaultError{fmt.Errorf("SQLite's quick_check says: %s", said), hintDamaged}
	}
	c.Blocks, c.Damaged, err = scrub(ctx, db, 0, nil)
	if err != nil {
		return c, err
	}
	fi, err := os.Stat(path)
	if err == nil {
		c.Bytes = fi.Size()
	}
	return c, err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// give names a finished file. Without replace, a link never takes the name of
// another file; a file system without links gets a rename.
func give(tmp, to string, replace bool) error {
	if replace {
		return os.Rename(tmp, to)
	}
	err := os.Link(tmp, to)
	switch {
	case err == nil:
		return os.Remove(tmp)
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return os.Rename(tmp, to)
	}
	return err
}
