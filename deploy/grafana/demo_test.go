package grafana

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

const (
	database = "pilewatch"
	days     = 30 // as the demonstration has it
)

// demo runs the demonstration as a user does, with an InfluxDB for it to write to
// and a Prometheus that scrapes it, and returns when both have its month.
func demo(t *testing.T) *asker {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{t: t, influx: realserver.Influx(t)}
	a.influx.CreateDatabase(database)
	page := fmt.Sprintf("127.0.0.1:%d", realserver.Port(t))
	a.prom = realserver.Prometheus(t, page)
	a.filled = time.Now().In(loc).AddDate(0, 0, -days)

	dir := t.TempDir()
	config := filepath.Join(dir, "pilewatch.yaml")
	text := fmt.Sprintf("influxdb: {url: %q, bucket: %s}\n", a.influx.URL, database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "pilewatch")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "pilewatch/gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	run(t, binary, "demo", "--config", config, "--http", page, "--mqtt", fmt.Sprintf("127.0.0.1:%d", realserver.Port(t)), "--interval", "5m")

	for _, waiting := range []int{2_000_000, 1_000_000, 500_000, 100} { // a minute for each
		a.prom.Await(fmt.Sprintf(`pilewatch_sink_backlog_readings{sink="influxdb"} < %d and on () pilewatch_sink_writes_total{sink="influxdb",result="ok"} > 3`, waiting))
	}
	a.prom.Await("count_over_time(pilewatch_build_info[1m]) > 5") // for rates
	a.now = time.Now().In(loc)
	return a
}

// run starts a program for the test and returns when it has said that it runs.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for said.Scan() {
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("%s: %v\n%s", name, err, log.String())
		}
	})
	for said.Scan() {
		if strings.Contains(said.Text(), "metrics:") {
			return
		}
	}
	t.Fatalf("%s left at its start:\n%s", name, log.String())
}
