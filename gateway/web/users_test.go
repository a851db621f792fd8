package web

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// addCheap is AddUser with a hash that is quick to make.
func addCheap(t *testing.T, path, name string, role Role, password string) {
	t.Helper()
	if err := addUser(path, name, role, password, bcrypt.MinCost); err != nil {
		t.Fatal(err)
	}
}

func TestUsersAreAddedChangedAndRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	if users, err := ListUsers(path); err != nil || len(users) != 0 {
		t.Fatal(users, err)
	}
	if err := AddUser(path, "王经理", Manager, "充电桩密码123"); err != nil {
		t.Fatal(err)
	}
	addCheap(t, path, "li", Viewer, "password-of-li")
	addCheap(t, path, "li", Committee, "another-of-li")
	users, err := ListUsers(path)
	if want := []User{{"王经理", Manager}, {"li", Committee}}; err != nil || !reflect.DeepEqual(users, want) {
		t.Errorf("%+v, %v", users, err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), "another-of-li") || strings.Contains(string(data), "充电桩密码") {
		t.Errorf("the file holds a password: %s %v", data, err)
	}
	if err := RemoveUser(path, "li"); err != nil {
		t.Fatal(err)
	}
	if err := RemoveUser(path, "li"); err == nil || !strings.Contains(err.Error(), "pilewatch user list") {
		t.Error(err)
	}
	if users, err = ListUsers(path); err != nil || len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

func TestUsersFileIsForItsOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such modes there")
	}
	path := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // somebody made it by hand
		t.Fatal(err)
	}
	addCheap(t, path, "wang", Manager, "long enough")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUnusableUsersAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	for _, c := range []struct {
		name, password, want string
		role                 Role
	}{
		{"", "long enough", "1 to 64 characters", Manager},
		{"a:b", "long enough", "no colon", Manager},
		{" a", "long enough", "no space around", Manager},
		{"a\nb", "long enough", "cannot be used", Manager},
		{"\xff", "long enough", "cannot be used", Manager},
		{strings.Repeat("a", 65), "long enough", "1 to 64 characters", Manager},
		{"a", "long enough", "use manager, committee or viewer", "admin"},
		{"a", "short", "8 characters or more", Manager},
		{"a", strings.Repeat("密", 25), "72 bytes or less", Manager},
	} {
		err := AddUser(path, c.name, c.role, c.password)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written")
	}
}

func TestBrokenUsersFileOpensNoDoor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	good := `$2a$04$VS.6QB4yHQgO1Vxl7TUuxOJh9FFW9pqoVxVnFvSUX3cSPpjnhmSG6`
	for text, want := range map[string]string{
		"users: [":         "yaml",
		"user:\n- name: a": "field user not found",
		"users:\n- {name: a, role: viewer, bcrypt: x}":                                                             "bcrypt hash of a",
		"users:\n- {name: a, role: boss, bcrypt: " + good + "}":                                                    "use manager, committee or viewer",
		"users:\n- {name: a, role: viewer, bcrypt: " + strings.Replace(good, "$04", "$31", 1) + "}":                "costs over 14",
		"users:\n- {name: a, role: viewer, bcrypt: " + good + "}\n- {name: a, role: viewer, bcrypt: " + good + "}": "twice",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"list": second(ListUsers(path)), "open": second(OpenUsers(path, nil)), "add": AddUser(path, "b", Viewer, "long enough"), "remove": RemoveUser(path, "a"),
		} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "pilewatch user add") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s of %q: %v", what, text, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzUsersFile(f *testing.F) {
	f.Add([]byte("users:\n- name: wang\n  role: manager\n  bcrypt: $2a$04$VS.6QB4yHQgO1Vxl7TUuxOJh9FFW9pqoVxVnFvSUX3cSPpjnhmSG6\n"))
	f.Add([]byte("users: []"))
	f.Add([]byte("- a\n- &b [*b]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseUsers(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v", err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), "users.yaml")
		if err := got.write(path); err != nil {
			t.Fatal(err)
		}
		again, err := readUsers(path)
		if err != nil || len(again.Users) != len(got.Users) {
			t.Fatalf("%+v came back as %+v, %v", got, again, err)
		}
		for i := range got.Users {
			if got.Users[i] != again.Users[i] {
				t.Fatalf("%+v came back as %+v", got.Users[i], again.Users[i])
			}
		}
	})
}
