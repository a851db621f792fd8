package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// thresholds is what two rules know, for the files about thresholds.
var thresholds = map[string][]string{"over_power": {"warn_w", "critical_w"}, "hot_burst": {}}

// check is all that a file goes through before the gateway runs on it without users.
func check(path string) error {
	c, err := Load(path)
	if err != nil {
		return err
	}
	return errors.Join(c.CheckRules(thresholds), c.CheckExposure(0))
}

// Each file in testdata/bad holds one kind of mistake, and the .err beside it is
// all that the person who made it is told.
func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			err := check(file)
			if err == nil {
				t.Fatal("accepted")
			}
			got := filepath.ToSlash(err.Error()) + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret stands in the error")
			}
		})
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(path, bytes.Repeat([]byte("# long\n"), maxFile/7+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "over 1 MB") {
		t.Error(err)
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Error(err)
	}
}

// Lists of aliases of lists of aliases would be visited for ever.
func TestMultiplyingAliasesEnd(t *testing.T) {
	bomb := "alerts:\n  channels:\n    - {rules: &r [" + strings.Repeat("over_power, ", 1000) + "over_time], <<: &a {name: x}}\n" +
		strings.Repeat("    - {name: x, rules: *r, buildings: *r, to: *r}\n", 1000)
	_, err := parse("bomb.yaml", []byte(bomb))
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("%.200v", err)
	}
	merges := "estate: &a {id: x}\nmqtt: &b {<<: [" + strings.Repeat("*a, ", 2000) + "*a]}\nhttp: {<<: [" + strings.Repeat("*b, ", 2000) + "*b]}\n"
	if _, err := parse("merges.yaml", []byte(merges)); err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("%.200v", err)
	}
}

func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "sample.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f", data)
		if err == nil {
			if c.CheckExposure(0) == nil && !loopback(c.HTTP.Listen) {
				t.Fatal("open to others without users")
			}
			return
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if !strings.HasPrefix(line, "f:") {
				t.Fatalf("line %q of %v", line, err)
			}
		}
	})
}
