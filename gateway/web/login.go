package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Users are those who may log in to a running gateway, as the file has them now.
type Users struct {
	path string
	log  *slog.Logger
	key  [32]byte      // of the fingerprints in roster.known
	turn chan struct{} // one password is hashed at a time: it costs a core for a while
	bad  tries

	mu   sync.Mutex
	now  *roster
	seen fs.FileInfo // the file that now was read from, or that could not be read; nil for none
}

// roster is the file at one time.
type roster struct {
	hashes map[string]string // by name
	roles  map[string]Role   // by name
	any    string            // some hash, for names that there are not
	mu     sync.Mutex
	known  map[[32]byte]struct{} // fingerprints of logins that were right: at most one a user
}

// OpenUsers reads the users file, and again whenever it has changed. A missing
// file is one without users. It fails on a file that cannot be read; one that
// breaks later is logged, and the users before it stay.
func OpenUsers(path string, log *slog.Logger) (*Users, error) {
	u := &Users{path: path, log: log, turn: make(chan struct{}, 1), bad: newTries()}
	rand.Read(u.key[:])
	u.seen, _ = os.Stat(path) // missing is as good as empty; readUsers says the rest
	f, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	u.now = newRoster(f)
	return u, nil
}

func newRoster(f *file) *roster {
	r := &roster{hashes: map[string]string{}, roles: map[string]Role{}, known: map[[32]byte]struct{}{}}
	for _, e := range f.Users {
		r.hashes[e.Name], r.roles[e.Name], r.any = e.Hash, e.Role, e.Hash
	}
	return r
}

// Empty reports whether nobody may log in.
func (u *Users) Empty() bool { return len(u.current().hashes) == 0 }

// role is that of a user who has logged in; "" for none.
func (u *Users) role(name string) Role { return u.current().roles[name] }

// current gives the users, read again where the file has changed. A file that is
// taken away leaves them: only `pilewatch user remove` takes the last one out.
func (u *Users) current() *roster {
	u.mu.Lock()
	defer u.mu.Unlock()
	info, err := os.Stat(u.path)
	if err != nil || u.seen != nil && os.SameFile(info, u.seen) && info.ModTime().Equal(u.seen.ModTime()) && info.Size() == u.seen.Size() {
		return u.now
	}
	u.seen = info
	f, err := readUsers(u.path)
	if err != nil {
		u.log.Error("the users file has changed and cannot be read; the users before stay", "error", err)
		return u.now
	}
	u.log.Info("the users file was read again", "users", len(f.Users))
	u.now = newRoster(f)
	return u.now
}

// login checks a name and a password from an address. ok is whether they are
// right; wait is for how long the address is not listened to, after too many
// that were wrong. What was right once passes at once.
func (u *Users) login(ctx context.Context, from netip.Addr, name, password string, now time.Time) (ok bool, wait time.Duration) {
	r := u.current()
	hash, exists := r.hashes[name]
	mark := u.fingerprint(name, password, hash)
	if exists && r.knows(mark) {
		return true, 0
	}
	if wait := u.bad.take(from, now); wait > 0 {
		return false, wait
	}
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return false, 0
	}
	if !exists { // takes as long as for a name that exists
		hash = r.any
	}
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	if !right || !exists || len(password) > maxPassword {
		u.log.Warn("a login was refused", "address", from.String())
		return false, 0
	}
	u.bad.giveBack(from)
	r.learn(mark)
	return true, 0
}

// fingerprint stands for a login that was right, so that the password itself is
// not kept.
func (u *Users) fingerprint(name, password, hash string) (sum [32]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write(fmt.Appendf(nil, "%q %q %q", name, password, hash))
	mac.Sum(sum[:0])
	return sum
}

func (r *roster) knows(mark [32]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.known[mark]
	return ok
}

func (r *roster) learn(mark [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[mark] = struct{}{}
}
