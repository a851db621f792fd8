package archtest

import (
	"os"
	"path"
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
