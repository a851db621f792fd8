package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// What is known of a session, where it is kept, and how it is followed: each
// stands on the one before it.
var (
	fold   = []string{"devices", "gateway/registry", "gateway/tariff", "gateway/session"}
	stored = slices.Concat(fold, []string{"gateway/ledger"})
	fed    = slices.Concat(stored, []string{"gateway/feed"})
	all    = []string{"devices", "devices/*", "gateway/*", "gateway/alert/*", "metrics", "metrics/*"}
)

// allowed says which packages of the module each package may import, by name or
// by pattern as path.Match has it. A package that is not here has the row of the
// nearest one above it, and may import what is under that one too; the rows of
// devices/* and gateway/internal/* are for each package there by itself.
//
//	devices ← session ← ledger ← {safety ← alert, billing, metrics, web}
var allowed = map[string][]string{
	"devices":            {},
	"devices/*":          {"devices", "devices/field"}, // field reads single values for every decoder
	"devices/catalog":    {"devices", "devices/*"},
	"devices/devicetest": {"devices", "devices/catalog"},

	"gateway/tariff":   {"devices"},
	"gateway/registry": {"devices"},
	"gateway/lines":    {},
	"gateway/session":  {"devices", "gateway/tariff", "gateway/lines"},
	"gateway/ledger":   {"devices", "gateway/tariff", "gateway/session"},
	"gateway/feed":     stored,

	"gateway/ingest": slices.Concat(stored, []string{"devices/*"}),
	"gateway/broker": {"devices", "gateway/ingest"},

	"gateway/view":    stored,
	"gateway/safety":  slices.Concat(fed, []string{"gateway/lines"}),
	"gateway/alert":   slices.Concat(fed, []string{"gateway/config", "gateway/view"}),
	"gateway/billing": slices.Concat(stored, []string{"gateway/view"}),
	"metrics":         slices.Concat(fed, []string{"gateway/safety"}), // for the ids of the rules
	"gateway/web":     slices.Concat(stored, []string{"gateway/billing", "gateway/view"}),

	// Configuration is read into the types of those who use it, and knows no
	// ledger, no connection and no page.
	"gateway/config": slices.Concat(fold, []string{"devices/*", "gateway/safety"}),

	// For tests.
	"gateway/internal/*": {},
	"gateway/realserver": {},
	"deploy":             {"gateway/config", "gateway/view"}, // tests alone: what is deployed, held against what the gateway says of itself

	// The dashboards' words are those of alerts, for the names of the contract.
	"deploy/grafana": slices.Concat(fed, []string{"gateway/safety", "gateway/view"}),

	// The program sees everything.
	"gateway/app": all,
	"gateway":     all,
}

// A test may use these beside what its package may; the last two are for tests alone.
var helpers = []string{"devices", "devices/*", "gateway/internal/*", "gateway/realserver"}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		row := rowOf(p.name())
		if row == "" {
			t.Errorf("%s has no row: say in `allowed` what it may import", p.name())
			continue
		}
		for _, imported := range within(p.Imports) {
			if !mayImport(p.name(), row, imported) {
				t.Errorf("%s imports %s; the row of %s allows %v", p.name(), imported, row, allowed[row])
			}
			if matchAny(helpers[2:], imported) {
				t.Errorf("%s imports %s, which is for tests", p.name(), imported)
			}
		}
		for _, imported := range within(append(p.TestImports, p.XTestImports...)) {
			if imported != p.name() && !mayImport(p.name(), row, imported) && !matchAny(helpers, imported) {
				t.Errorf("a test of %s imports %s; the row of %s allows %v and, in tests, %v",
					p.name(), imported, row, allowed[row], helpers)
			}
		}
	}
}

// pure lists what does no input or output and reads no clock, and pureNot what it
// therefore must not import. The conformance suite reads goldens: it is a test.
var (
	pure    = []string{"devices", "devices/*", "gateway/tariff", "gateway/session"}
	pureNot = []string{"os", "os/*", "net", "net/*", "log", "log/*", "database/*", "syscall", "os/signal"}
)

func TestWhatDevicesSayAndTheFoldArePure(t *testing.T) {
	for _, p := range packages(t) {
		if !matchAny(pure, p.name()) || p.name() == "devices/devicetest" {
			continue
		}
		for _, imported := range p.Imports {
			if matchAny(pureNot, imported) {
				t.Errorf("%s imports %s: it does no input or output, and tells nobody but its caller", p.name(), imported)
			}
		}
		for _, use := range usesOf(t, p, "time", "Now", "Since", "Until", "Sleep", "After", "Tick", "NewTicker", "NewTimer", "AfterFunc") {
			t.Errorf("%s: event time comes with the message; the clock on the wall is not read here", use)
		}
	}
}

// rowOf gives the row that holds for a package: its own, a pattern's, or that of
// the nearest package above it; "" where there is none. The program's row is for
// the program alone: a new folder of the gateway says what it may import.
func rowOf(name string) string {
	for at := name; at != "."; at = path.Dir(at) {
		if at == "gateway" && name != at {
			return ""
		}
		if _, ok := allowed[at]; ok {
			return at
		}
		for _, pattern := range []string{"devices/*", "gateway/internal/*"} {
			if match(pattern, at) {
				return pattern
			}
		}
	}
	return ""
}

// mayImport reports whether the row lets a package import another, which it
// always does within the folder that the row is about.
func mayImport(name, row, imported string) bool {
	folder := row
	if strings.HasSuffix(row, "/*") { // a folder of its own for each
		folder = strings.Join(strings.Split(name, "/")[:strings.Count(row, "/")+1], "/")
	}
	return matchAny(allowed[row], imported) ||
		row != "devices" && row != "gateway" && strings.HasPrefix(imported+"/", folder+"/")
}

// within keeps the packages of the module, by their names in it.
func within(imports []string) []string {
	var in []string
	for _, path := range imports {
		if name, ok := strings.CutPrefix(path, module+"/"); ok {
			in = append(in, name)
		}
	}
	return in
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func TestTheRulesThemselves(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"gateway/ledger", "gateway/session", true},
		{"gateway/session", "gateway/ledger", false},
		{"gateway/ledger/sqlite", "gateway/session", true}, // the row above it
		{"gateway/ledger/sqlite", "gateway/ledger", true},
		{"gateway/ledger", "gateway/ledger/sqlite", true},
		{"gateway/ledger/sqlite", "gateway/safety", false},
		{"devices/native", "devices", true},
		{"devices/native", "devices/tasmota", false},
		{"devices/native/internal/json", "devices/native", true},
		{"devices", "devices/native", false},
		{"devices/native", "gateway/session", false},
		{"devices/catalog", "devices/native", true},
		{"metrics/influx", "gateway/ledger", true},
		{"metrics/influx", "gateway/web", false},
		{"gateway/app", "metrics/influx", true},
		{"gateway/newfolder", "devices", false}, // without a row nothing is allowed
		{"other", "devices", false},
	} {
		row := rowOf(c.from)
		if got := row != "" && mayImport(c.from, row, c.to); got != c.want {
			t.Errorf("%s imports %s: allowed is %v, want %v (row %q)", c.from, c.to, got, c.want, row)
		}
	}
}
