package ledger

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"modernc.org/sqlite"
)

// SQLite's result codes that a person can do something about.
const (
	codeBusy     = 5
	codeReadOnly = 8
	codeIO       = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// A FaultError is an error of the database or its disk, with what to do about it.
type FaultError struct {
	Err  error
	hint string
}

// Error ends with what to do next.
func (e *FaultError) Error() string { return e.Err.Error() + "; " + e.hint }

// Unwrap gives the error itself.
func (e *FaultError) Unwrap() error { return e.Err }

// explain adds to an error what a person should do about it, where that is known
// and was not said already.
func explain(err error) error {
	var said *FaultError
	if err == nil || errors.As(err, &said) {
		return err
	}
	if hint := hintOf(err); hint != "" {
		return &FaultError{err, hint}
	}
	return err
}

func hintOf(err error) string {
	var db *sqlite.Error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hintRoom
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return hintRights
	case !errors.As(err, &db):
		return ""
	}
	switch db.Code() & 0xff { // the higher bits say more of the same
	case codeFull:
		return hintRoom
	case codeReadOnly, codeCantOpen:
		return hintRights
	case codeIO:
		return "the disk of the data_dir does not take or give the data: is it mounted read-only, full, or failing (dmesg)? Nothing that was acknowledged is lost"
	case codeCorrupt, codeNotADB:
		return hintDamaged
	case codeBusy:
		return "another program holds the file: end it (an SQLite shell, a copying program) and try again"
	}
	return ""
}

const (
	hintRoom    = "make room on the disk of the data_dir; work goes on by itself from there if the gateway runs, else start it again"
	hintDamaged = "the file itself is damaged: stop the gateway, keep the file, restore the newest one that `pilewatch backup` wrote (its --help says how), and look at the disk's health (dmesg)"
	hintRights  = "make the data_dir writable for the gateway's user: is it mounted read-only, whose is it, is the disk full"
)

// CheckWritable tries whether a folder takes a file, and leaves nothing behind.
func CheckWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable")
	if err != nil {
		return explain(err)
	}
	_, err = f.Write(make([]byte, 4096))
	return explain(errors.Join(err, f.Close(), os.Remove(f.Name())))
}

// logEvery is how often the log tells of an outage that lasts.
const logEvery = time.Minute

// outage is a stretch of commits that fail. It keeps the log short: a line at
// first, one a minute, and one when it is over.
type outage struct {
	since, said time.Time // since is zero while all is well
	failures    int
	messages    bool // what failed holds messages, or what was concluded from them
}

func (o *outage) failed(log *slog.Logger, err error, messages bool) {
	now := time.Now()
	o.messages = o.messages || messages
	if o.failures++; o.since.IsZero() {
		o.since = now
	} else if now.Sub(o.said) < logEvery {
		return
	}
	o.said = now
	log.Error("the ledger can't be written; nothing is acknowledged until it can", "error", err, "failures", o.failures, "since", o.since)
}

func (o *outage) over(log *slog.Logger) {
	if o.since.IsZero() {
		return
	}
	log.Info("the ledger can be written again", "failures", o.failures, "after", time.Since(o.since).Round(time.Millisecond))
	*o = outage{}
}

// note keeps what became of a commit: for Writable, and for the log. On a full disk
// a cursor may still find its place where messages do not: it does not end their
// outage. Whose context ended says nothing of the ledger.
func (l *Ledger) note(ctx context.Context, err error, messages bool) {
	switch {
	case err == nil && (messages || !l.outage.messages):
		l.failed.Store(nil)
		l.outage.over(l.log)
	case err != nil && ctx.Err() == nil:
		l.failed.Store(&err)
		l.outage.failed(l.log, err, messages)
	}
}
