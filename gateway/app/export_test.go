package app

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAFileHasItsNameOnlyWhenItIsWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "sessions.csv")
	some := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, werr := io.WriteString(w, text)
			return errors.Join(werr, err)
		}
	}
	left := func() (names string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			names += e.Name() + "=" + string(data)
		}
		return names
	}
	for _, c := range []struct {
		what      string
		overwrite bool
		write     func(io.Writer) error
		want      string // of the error
		left      string
	}{
		{"a full disk", false, some("half", syscall.ENOSPC), "free some space, nothing was left behind", ""},
		{"the first", false, some("one", nil), "", "sessions.csv=one"},
		{"over what exists", false, some("two", nil), "exists: give another name, or --force to replace it", "sessions.csv=one"},
		{"a full disk, replacing", true, some("half", syscall.ENOSPC), "free some space", "sessions.csv=one"},
		{"replacing", true, some("three", nil), "", "sessions.csv=three"},
	} {
		err := writeWhole(name, c.overwrite, nil, c.write)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if got := left(); got != c.left {
			t.Errorf("%s: %s is left, want %s", c.what, got, c.left)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(name, false, nil, func(io.Writer) error { return os.WriteFile(name, []byte("another's"), 0o600) }); err == nil {
		t.Error("a file that came into being meanwhile was replaced")
	}
	if got := left(); got != "sessions.csv=another's" {
		t.Errorf("%s is left", got)
	}
}
