package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "pilewatch"

// pkg is what `go list` says of one package of the module.
type pkg struct {
	ImportPath, Dir, Doc               string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// name is the package's path under the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// files are the package's own Go files, tests left out.
func (p pkg) files() []string {
	paths := make([]string, len(p.GoFiles))
	for i, f := range p.GoFiles {
		paths[i] = filepath.Join(p.Dir, f)
	}
	return paths
}

// root is the top of the repository.
func root(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(goTool(t, "list", "-m", "-f", "{{.Dir}}"))
}

// packages lists the module. A package that does not compile is listed too.
func packages(t *testing.T) []pkg {
	t.Helper()
	out := goTool(t, "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", module+"/...")
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 2 {
		t.Fatalf("go list found %d packages: the test looks at nothing", len(pkgs))
	}
	return pkgs
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
