package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLogOfAnOutageHasALineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := &Ledger{log: slog.New(slog.NewTextHandler(&b, nil))}
		full := errors.New("disk full")
		for range 151 { // every two seconds, for five minutes
			l.note(t.Context(), full, true)
			l.note(t.Context(), nil, false) // a cursor still finds its place
			if l.Writable() == nil {
				t.Fatal("writable, although messages are not written")
			}
			time.Sleep(2 * time.Second)
		}
		if n := strings.Count(b.String(), "can't be written"); n != 6 {
			t.Errorf("%d lines in five minutes:\n%s", n, b.String())
		}
		for range 3 {
			l.note(t.Context(), nil, true)
		}
		if n := strings.Count(b.String(), "can be written again"); n != 1 || l.Writable() != nil {
			t.Errorf("%d lines that it is over:\n%s", n, b.String())
		}
		b.Reset()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		l.note(ended, ended.Err(), true)
		if l.Writable() != nil || b.Len() > 0 {
			t.Errorf("who stopped waiting says that the ledger cannot be written: %s", b.String())
		}
		l.note(t.Context(), full, false) // a cursor alone
		l.note(t.Context(), nil, false)
		if l.Writable() != nil {
			t.Error("a cursor that is written again does not end its own outage")
		}
	})
}

func TestErrorsOfTheDiskSayWhatToDo(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "make room", syscall.EDQUOT: "make room", syscall.EROFS: "read-only", syscall.EACCES: "writable for",
	} {
		got := explain(fmt.Errorf("writing: %w", err))
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) || explain(got) != got {
			t.Errorf("%v: %v", err, got)
		}
	}
	if err := errors.New("something else"); explain(err) != err || explain(nil) != nil {
		t.Error("something was added to an error that nothing is known of")
	}
}
