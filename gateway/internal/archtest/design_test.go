package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The design says where each promise is tested.
func TestTheTestsThatTheDesignNamesAreThere(t *testing.T) {
	design, err := os.ReadFile(filepath.Join(root(t), "gateway", "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	var have strings.Builder
	err = filepath.WalkDir(filepath.Join(root(t), "gateway"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		have.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(string(design), -1)
	if len(names) < 10 {
		t.Errorf("the design names %d tests", len(names))
	}
	for _, n := range names {
		if !strings.Contains(have.String(), "\nfunc "+n[1]+"(") {
			t.Errorf("gateway/DESIGN.md names %s, and there is no such test", n[1])
		}
	}
}
