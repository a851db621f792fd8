package broker

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Passwords are the names and the password hashes of who may connect.
type Passwords struct {
	hashes map[string][]byte

	mu    sync.Mutex
	known map[string][sha256.Size]byte // of passwords that were right: bcrypt is slow on purpose, and piles reconnect
}

// LoadPasswords reads a file of lines `name:bcrypt hash`, such as `htpasswd -nB
// P01` prints. Empty lines and lines that begin with # are passed over. An error
// names the line.
func LoadPasswords(path string) (*Passwords, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mqtt.passwords_file: %w", err)
	}
	defer f.Close()
	p := &Passwords{hashes: map[string][]byte{}, known: map[string][sha256.Size]byte{}}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if _, err := bcrypt.Cost([]byte(hash)); !ok || name == "" || err != nil {
			return nil, fmt.Errorf("%s:%d: expected name:hash with a bcrypt hash, such as `htpasswd -nB P01` prints", path, n)
		}
		if p.hashes[name] != nil {
			return nil, fmt.Errorf("%s:%d: %s stands twice: remove one", path, n, name)
		}
		p.hashes[name] = []byte(hash)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("mqtt.passwords_file: %w", err)
	}
	return p, nil
}

// Allowed tells whether a name and a password belong together.
func (p *Passwords) Allowed(name string, password []byte) bool {
	hash := p.hashes[name]
	if hash == nil {
		return false
	}
	sum := sha256.Sum256(password)
	p.mu.Lock()
	known, ok := p.known[name]
	p.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(known[:], sum[:]) == 1 {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, password) != nil {
		return false
	}
	p.mu.Lock()
	p.known[name] = sum
	p.mu.Unlock()
	return true
}
