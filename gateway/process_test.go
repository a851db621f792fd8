package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests here run the real binary, as a user does.

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pilewatch-binary-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "pilewatch")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	if spec := os.Getenv(bareAddr); spec != "" {
		bareSubscriber(spec)
		return
	}
	status := m.Run()
	if bin, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(status)
}

func binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// pilewatch runs a command to its end.
func pilewatch(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is pilewatch for a command that should succeed.
func must(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, status := pilewatch(t, args...)
	if status != 0 {
		t.Fatalf("pilewatch %s: status %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}

// gateway is a running `pilewatch run`.
type gateway struct {
	t    testing.TB
	cmd  *exec.Cmd
	http string // address of the page
	log  *lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a gateway that listens for HTTP on an address, and waits until it is ready.
func start(t testing.TB, http string, args ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, http: http, log: &lockedBuffer{}, done: make(chan struct{})}
	g.cmd = exec.Command(binary(t), args...)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.cmd.Wait() //nolint:errcheck // the status is looked at by who stops it
		close(g.done)
	}()
	t.Cleanup(func() {
		g.kill()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log)
		}
	})
	await(t, "the gateway to be ready", func() error {
		select {
		case <-g.done:
			t.Fatalf("the gateway ended: %s\n%s", g.cmd.ProcessState, g.log)
		default:
		}
		_, err := g.get("/readyz")
		return err
	})
	return g
}

// kill ends the gateway as a power cut does.
func (g *gateway) kill() {
	g.cmd.Process.Kill() //nolint:errcheck // it may be gone
	<-g.done
}

// stop ends the gateway as an operator does, and wants status 0.
func (g *gateway) stop() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	select {
	case <-g.done:
	case <-time.After(10 * time.Second):
		g.t.Fatalf("SIGTERM: still running after 10 s\n%s", g.log)
	}
	if s := g.cmd.ProcessState; !s.Success() {
		g.t.Fatalf("SIGTERM: %s\n%s", s, g.log)
	}
}

func (g *gateway) get(path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.http+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, body)
	}
	return body, err
}

// list gets all the items of a list of the API, page by page.
func list[T any](g *gateway, path string) []T {
	g.t.Helper()
	var all []T
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for after := ""; ; {
		body, err := g.get(path + sep + "limit=500" + after)
		if err != nil {
			g.t.Fatal(err)
		}
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			g.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		after = "&after=" + page.Next
	}
}

// await waits for something of another process to come true, for a minute at most.
func await(t testing.TB, what string, try func() error) {
	t.Helper()
	awaitUntil(t, time.Now().Add(time.Minute), what, try)
}

// awaitUntil is await with a deadline of its own.
func awaitUntil(t testing.TB, deadline time.Time, what string, try func() error) {
	t.Helper()
	awaitEvery(t, 50*time.Millisecond, deadline, what, try)
}

// awaitEvery tries less often, where trying costs what is measured.
func awaitEvery(t testing.TB, pause time.Duration, deadline time.Time, what string, try func() error) {
	t.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(pause)
	}
}

// write makes a file in a folder.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
