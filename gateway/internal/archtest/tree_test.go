package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The top level is fixed; files whose names begin with a dot may be there too.
var top = []string{"gateway", "devices", "metrics", "deploy", "go.mod", "go.sum", "README.md"}

// What the program and a build leave where they run; .gitignore names them too.
var leftovers = []string{"data", "pilewatch"}

func TestTopLevelHoldsWhatWasAgreed(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(top, name) && !slices.Contains(leftovers, name) {
			t.Errorf("%s is at the top of the repository: it belongs into one of %v", name, top)
		}
	}
}

// A build that ran in the wrong folder is tens of megabytes in everybody's clone, for good.
func TestNoBuiltProgramIsCommitted(t *testing.T) {
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	git.Dir = root(t)
	out, err := git.Output()
	if err != nil {
		t.Skipf("not a clone, or no git: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f, err := os.Open(filepath.Join(root(t), name))
		if err != nil {
			continue // deleted, and not committed yet
		}
		head := make([]byte, 4)
		n, _ := f.Read(head) //nolint:errcheck // an empty file is no program
		f.Close()
		for _, magic := range []string{"\x7fELF", "MZ\x90\x00", "\xcf\xfa\xed\xfe"} {
			if bytes.Equal(head[:n], []byte(magic)) {
				t.Errorf("%s is a built program: git rm it, and build with -o", name)
			}
		}
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		want := "Package " + path.Base(p.ImportPath) + " "
		if p.name() == "gateway" {
			want = "" // a command begins as it likes
		}
		if p.Doc == "" || !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its package comment is %q; begin one with %q", p.name(), p.Doc, want)
		}
	}
}
