// Command licences lists under which licences the libraries in the program are, and
// fails where one is unknown or asks that its users publish their own work. From
// deploy/tools:
//
//	go run ./licences            compares ../licences.md
//	go run ./licences --write    writes it
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

const list = "../licences.md"

// allowed are the licences that ask for no more than to be named.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense", "Zlib"}

// read are those that a person has read: modules that leave a choice of licences,
// and files, by module/file, for which the scanner has no name.
var read = map[string][]string{
	"github.com/eclipse/paho.mqtt.golang":     {"BSD-3-Clause"},        // edl-v10, instead of epl-v20
	"modernc.org/libc/LICENSE-3RD-PARTY.md":   {"BSD-3-Clause", "MIT"}, // Go, musl
	"modernc.org/sqlite/LICENSE-3RD-PARTY.md": {"BSD-3-Clause", "MIT"}, // and SQLite, in the public domain
	"modernc.org/sqlite/LICENSE-SQLITE":       nil,                     // the public domain
	"modernc.org/memory/LICENSE-LOGO":         nil,                     // of a picture
}

// enough of a licence's file is the licence, in per cent.
const enough = 75

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	modules, err := modules()
	if err != nil {
		return err
	}
	text := bytes.NewBufferString("# Licences of the libraries in pilewatch\n\nWritten by `go -C deploy/tools run ./licences --write`; `go version -m pilewatch` has their versions.\n\n| library | licence |\n|---|---|\n")
	var bad []error
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		ids, err := licences(path, modules[path])
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", path, err))
		}
		fmt.Fprintf(text, "| %s | %s |\n", path, strings.Join(ids, ", "))
	}
	if len(bad) > 0 {
		return errors.Join(bad...)
	}
	if slices.Contains(args, "--write") {
		return os.WriteFile(list, text.Bytes(), 0o644) //nolint:gosec // it is for everybody
	}
	has, err := os.ReadFile(list)
	if err == nil && !bytes.Equal(has, text.Bytes()) {
		err = errors.New("deploy/licences.md is old: run go -C deploy/tools run ./licences --write")
	}
	return err
}

// modules gives the folders of all modules of which something is in the program, for any processor.
func modules() (map[string]string, error) {
	found := map[string]string{}
	for _, arch := range []string{"amd64", "arm64", "arm"} {
		cmd := exec.Command("go", "list", "-deps", "-json=Module", "./gateway")
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				Module *struct {
					Path, Dir string
					Main      bool
				}
			}
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if p.Module != nil && !p.Module.Main {
				found[p.Module.Path] = p.Module.Dir
			}
		}
	}
	return found, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)

// licences gives those of a module's own files.
func licences(path, dir string) (ids []string, err error) {
	if ids, ok := read[path]; ok {
		return ids, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		if known, ok := read[path+"/"+e.Name()]; ok {
			ids = append(ids, known...)
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		c := licensecheck.Scan(text)
		if c.Percent < enough {
			return nil, fmt.Errorf("%s is no licence that is known: look at it, and add it to `read`", e.Name())
		}
		for _, m := range c.Match {
			if !slices.Contains(allowed, m.ID) {
				return nil, fmt.Errorf("%s in %s is not allowed: take another library, or ask whether it may be", m.ID, e.Name())
			}
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no licence in its folder: nobody may hand it on")
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
