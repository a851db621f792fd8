//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is held by the one process that writes a ledger. The kernel lets go of
// it when the process ends, however it ends.
type lock struct{ f *os.File }

func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, "ledger.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("locking the ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		who, _ := os.ReadFile(path)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w by %s: stop that gateway, or choose another data_dir than %s", ErrInUse, holder(who), dir)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	host, _ := os.Hostname()
	who := fmt.Sprintf("process %d on %s\n", os.Getpid(), host)
	_, err = f.WriteAt([]byte(who), 0)
	if err == nil {
		err = f.Truncate(int64(len(who)))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return &lock{f}, nil
}

// holder is who a lock file names: its first line.
func holder(file []byte) string {
	if who, _, _ := strings.Cut(string(file), "\n"); who != "" {
		return who
	}
	return "a process that has not said which"
}

// InUse says who has a folder's ledger, "" when nobody has. Nothing is changed.
func InUse(dir string) (string, error) {
	path := filepath.Join(dir, "ledger.lock")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return "", err
	}
	who, err := os.ReadFile(path)
	return holder(who), err
}

// readOnly says that a folder's file system takes no writes from anybody.
func readOnly(dir string) bool { return errors.Is(unix.Access(dir, unix.W_OK), unix.EROFS) }

func (l *lock) release() error { return l.f.Close() }
