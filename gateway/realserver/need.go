package realserver

import (
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// How to get what a test needs, on Debian 12.
const (
	getMosquitto  = "apt-get install -y --no-install-recommends mosquitto"
	getInflux     = "go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10"
	getPrometheus = "apt-get install -y --no-install-recommends prometheus"
	getSystemd    = "apt-get install -y --no-install-recommends systemd"

	getAlertmanager = "apt-get install -y --no-install-recommends prometheus-alertmanager"
)

// need gives the path of a program, or ends the test: see the package comment.
func need(t testing.TB, program, get string) string {
	t.Helper()
	real := os.Getenv("PILEWATCH_REAL")
	if real == "0" {
		t.Skipf("%s not started: PILEWATCH_REAL=0", program)
	}
	if path := find(program); path != "" {
		return path
	}
	if real == "1" || os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: run `deploy/test`, or `%s`", program, get)
	}
	t.Skipf("%s is not installed, so this is not tested: run `deploy/test`, or `%s`", program, get)
	return ""
}

// Need ends the test, as a missing server does, where a program that a script calls
// is not installed; pkg is the Debian package that has it.
func Need(t testing.TB, program, pkg string) {
	t.Helper()
	need(t, program, "apt-get install -y --no-install-recommends "+pkg)
}

// find looks in PATH, where Debian puts servers (a user's PATH may lack it),
// where deploy/test puts what it builds, and where go install does. It gives ""
// where the program is in none of them.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	dirs := []string{"/usr/sbin", os.Getenv("GOBIN")}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "pilewatch-tools"))
	}
	for _, p := range filepath.SplitList(build.Default.GOPATH) {
		dirs = append(dirs, filepath.Join(p, "bin"))
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); dir != "" && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// Tool builds a program of the module deploy/tools, and gives its path; go's cache makes that quick.
func Tool(t testing.TB, name, pkg string) string {
	t.Helper()
	if os.Getenv("PILEWATCH_REAL") == "0" {
		t.Skipf("%s not built: PILEWATCH_REAL=0", name)
	}
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-modfile=deploy/tools/go.mod", "-o", path, pkg)
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("PILEWATCH_REAL") == "1" || os.Getenv("CI") == "true" {
			t.Fatalf("go build %s: %v\n%s", pkg, err, out)
		}
		t.Skipf("%s could not be built, so this is not tested: %v", name, err)
	}
	return path
}
