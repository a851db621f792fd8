package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// Role is what a user of the page is to the estate.
type Role string

// The roles.
const (
	Manager   Role = "manager"   // property manager
	Committee Role = "committee" // reads and acknowledges
	Viewer    Role = "viewer"    // reads
)

// Roles lists every role.
var Roles = []Role{Manager, Committee, Viewer}

// User is somebody who may log in.
type User struct {
	Name string
	Role Role
}

// entry is a user as the file has it.
type entry struct {
	Name string `yaml:"name"`
	Role Role   `yaml:"role"`
	Hash string `yaml:"bcrypt"`
}

// file is the users file.
type file struct {
	Users []entry `yaml:"users"`
}

// The bounds of what a user may be called and use as a password. bcrypt reads no
// more than 72 bytes.
const (
	maxName     = 64 // runes
	minPassword = 8  // runes
	maxPassword = 72 // bytes
	maxCost     = 14 // of a hash that somebody else put into the file
	maxFile     = 1 << 20
)

// AddUser writes a user to the file, which it creates where it is missing, with
// mode 0600. A user of that name gets the new role and password.
func AddUser(path, name string, role Role, password string) error {
	return addUser(path, name, role, password, bcrypt.DefaultCost)
}

func addUser(path, name string, role Role, password string, cost int) error {
	if err := checkUser(name, role); err != nil {
		return err
	}
	switch {
	case !utf8.ValidString(password) || utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("the password is too short: use %d characters or more", minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("the password is too long: use %d bytes or less, which is %d Chinese characters", maxPassword, maxPassword/3)
	}
	f, err := readUsers(path)
	if err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return fmt.Errorf("hashing the password: %w", err)
	}
	added := entry{name, role, string(hash)}
	if i := f.index(name); i >= 0 {
		f.Users[i] = added
	} else {
		f.Users = append(f.Users, added)
	}
	return f.write(path)
}

// RemoveUser takes a user out of the file. It fails when there is none of that name.
func RemoveUser(path, name string) error {
	f, err := readUsers(path)
	if err != nil {
		return err
	}
	i := f.index(name)
	if i < 0 {
		return fmt.Errorf("there is no user %q in %s: see `pilewatch user list`", name, path)
	}
	f.Users = slices.Delete(f.Users, i, i+1)
	return f.write(path)
}

// ListUsers gives the users in the order of the file; none where it is missing.
func ListUsers(path string) ([]User, error) {
	f, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	return convert(f.Users, func(e *entry) User { return User{e.Name, e.Role} }), nil
}

func checkUser(name string, role Role) error {
	switch {
	case strings.TrimSpace(name) != name || name == "" || utf8.RuneCountInString(name) > maxName ||
		strings.ContainsFunc(name, func(r rune) bool { return r == ':' || r == utf8.RuneError || !unicode.IsPrint(r) }):
		return fmt.Errorf("the user name %q cannot be used: give 1 to %d characters, no colon, no space around it", name, maxName)
	case !slices.Contains(Roles, role):
		return fmt.Errorf("the role %q of %s is none: use manager, committee or viewer", role, name)
	}
	return nil
}

func (f *file) index(name string) int {
	return slices.IndexFunc(f.Users, func(e entry) bool { return e.Name == name })
}

// readUsers reads the file; an empty one where it is missing.
func readUsers(path string) (*file, error) {
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &file{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w; check http.users_file and its rights", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	f, err := parseUsers(data)
	if err != nil {
		return nil, fmt.Errorf("users in %s: %w; mend it, or remove it and run `pilewatch user add`", path, err)
	}
	return f, nil
}

// parseUsers reads a users file strictly: a typing error must not open a door.
func parseUsers(data []byte) (*file, error) {
	f := &file{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	for i, e := range f.Users {
		if err := checkUser(e.Name, e.Role); err != nil {
			return nil, err
		}
		if cost, err := bcrypt.Cost([]byte(e.Hash)); err != nil || cost > maxCost {
			return nil, fmt.Errorf("the bcrypt hash of %s is none, or costs over %d", e.Name, maxCost)
		}
		if f.index(e.Name) != i {
			return nil, fmt.Errorf("%s stands there twice", e.Name)
		}
	}
	return f, nil
}

// write replaces the file in one step, so that no reader sees half of it.
func (f *file) write(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing users: %w; check http.users_file and the rights of its folder", err)
		}
	}()
	var data bytes.Buffer
	data.WriteString("# Written by `pilewatch user add` and `remove`.\n")
	if err := yaml.NewEncoder(&data).Encode(f); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".users-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // after the rename it is gone
	_, err = tmp.Write(data.Bytes())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
