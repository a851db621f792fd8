package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestABackupIsTheLedgerOfOneInstant(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	state := newState(t)
	for day := range 3 {
		charge(t, l, state, day, 10)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // writes go on while it is copied
		for day := 3; ctx.Err() == nil; day++ {
			charge(t, l, state, day, 10)
		}
	})
	to := filepath.Join(t.TempDir(), "copy.db")
	c, err := Backup(t.Context(), dir, to)
	stop()
	wg.Wait()
	if err != nil || c.Blocks < 3 || len(c.Damaged) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	if fi, err := os.Stat(to); err != nil || fi.Size() != c.Bytes || fi.Mode().Perm()&0o007 != 0 {
		t.Errorf("the copy: %+v, %v", fi, err)
	}
	restored := t.TempDir()
	if err := os.Rename(to, filepath.Join(restored, File)); err != nil {
		t.Fatal(err)
	}
	r := open(t, restored)
	if rep := verify(t, r); rep.Sessions != c.Blocks || len(rep.Differences) != 0 {
		t.Errorf("%d blocks, %+v", c.Blocks, rep)
	}
	if seq, _, err := r.LoadCheckpoint(t.Context(), SessionCheckpoint); err != nil || seq != r.Head() {
		t.Errorf("checkpoint at %d, head at %d, %v", seq, r.Head(), err)
	}
}

func TestABackupReplacesNothingAndLeavesNoHalf(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	l := open(t, dir)
	charge(t, l, newState(t), 0, 10)
	taken := filepath.Join(out, "taken.db")
	if err := os.WriteFile(taken, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, taken); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(taken); err != nil || string(b) != "something else" {
		t.Errorf("it was changed: %q, %v", b, err)
	}
	if _, err := Backup(t.Context(), dir, filepath.Join(out, "none", "x.db")); err == nil {
		t.Error("a folder that is not there was taken")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ended, dir, filepath.Join(out, "broken-off.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left := filepath.Join(out, "good.db.unfinished") // of a process that was killed
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, filepath.Join(out, "good.db")); err != nil {
		t.Error(err)
	}
	names, err := filepath.Glob(out + "/*")
	if want := []string{filepath.Join(out, "good.db"), taken}; err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("left: %q, want %q, %v", names, want, err)
	}
	if _, err := Backup(t.Context(), t.TempDir(), filepath.Join(out, "y.db")); err == nil || !strings.Contains(err.Error(), "no ledger") {
		t.Errorf("error %v", err)
	}
}

func TestABackupSaysWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	state := newState(t)
	for day := range 3 {
		charge(t, l, state, day, 10)
	}
	flip(t, l, 13)
	c, err := Backup(t.Context(), dir, filepath.Join(t.TempDir(), "copy.db"))
	if err != nil || len(c.Damaged) != 1 || c.Damaged[0].Seq != 13 {
		t.Errorf("%+v, %v", c, err)
	}
}

// flip changes a byte of a journal block.
func flip(t testing.TB, l *Ledger, seq Seq) {
	t.Helper()
	var block []byte
	if err := l.write.QueryRowContext(t.Context(), "SELECT block FROM journal WHERE seq = ?", seq).Scan(&block); err != nil {
		t.Fatal(err)
	}
	block[len(block)/2] ^= 0x10
	if err := l.exec(t.Context(), "UPDATE journal SET block = ? WHERE seq = ?", block, seq); err != nil {
		t.Fatal(err)
	}
}
