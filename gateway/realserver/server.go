// Package realserver starts real servers for tests: mosquitto, InfluxDB 1.8,
// Prometheus and Alertmanager, each on loopback ports of its own, in a directory of its own, and
// gone when the test ends, however it ends.
//
// A server that is not installed skips the test, and says how to install it;
// under CI=true or PILEWATCH_REAL=1 it fails the test instead, so that nothing
// is proved by its absence. PILEWATCH_REAL=0 skips all of them.
package realserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// How long a server may take to answer after its start, and to leave after a
// SIGTERM. Both are far over what was seen on two busy cores.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// Server is one process that a test owns. It is not for use by several
// goroutines at once.
type Server struct {
	t     testing.TB
	name  string
	argv  []string
	log   string       // what it writes to both outputs, over all its starts
	ready func() error // nil once it answers
	cmd   *exec.Cmd    // nil while it is stopped
	gone  chan struct{}
}

// launch starts a process for the test and stops it at the test's end. Where the
// test failed, the end of the process's output goes to the test's log.
func launch(t testing.TB, name string, ready func() error, argv ...string) *Server {
	t.Helper()
	s := &Server{t: t, name: name, argv: argv, ready: ready, log: filepath.Join(t.TempDir(), name+".log")}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the end of what %s wrote:\n%s", name, s.tail())
		}
	})
	s.Start()
	return s
}

// Start starts the server, on the same ports and directory as before, and
// returns when it answers; where it does not, the test fails. On a running
// server it does nothing.
func (s *Server) Start() {
	s.t.Helper()
	if s.cmd != nil {
		return
	}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = endWithParent()
	s.gone = make(chan struct{})
	if err := spawn(cmd, s.gone); err != nil {
		s.t.Fatalf("start %s: %v", s.name, err)
	}
	s.cmd = cmd
	s.awaitReady()
}

// spawn starts cmd and closes gone when it has ended. The thread that started it
// waits for it: Linux ends the child when that thread ends, not the process.
func spawn(cmd *exec.Cmd, gone chan<- struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its status says only how it was stopped
		}
		close(gone)
	}()
	return <-started
}

func (s *Server) awaitReady() {
	s.t.Helper()
	err := poll(startLimit, s.gone, s.ready)
	select {
	case <-s.gone:
		s.cmd = nil
		s.t.Fatalf("%s left at its start; it wrote:\n%s", s.name, s.tail())
	default:
	}
	if err != nil {
		s.t.Fatalf("%s does not answer after %v: %v", s.name, startLimit, err)
	}
}

// poll calls try until it returns nil, and gives its last error after limit or
// when stop is closed.
func poll(limit time.Duration, stop <-chan struct{}, try func() error) error {
	deadline := time.After(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-stop:
			return err
		case <-deadline:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop asks the server to leave (SIGTERM), waits until it has, and keeps its
// directory. On a stopped server it does nothing.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server at once (SIGKILL), as a power cut would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) // an error: it has left by itself
	select {
	case <-s.gone:
	case <-time.After(stopLimit):
		_ = s.cmd.Process.Kill()
		<-s.gone
		s.t.Errorf("%s did not leave within %v of a SIGTERM", s.name, stopLimit)
	}
	s.cmd = nil
}

// PID is the process's id, 0 while it is stopped.
func (s *Server) PID() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func (s *Server) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-4096):]))
}

// write puts a file into dir and gives its path.
func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loopback is the address of a port on this machine.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
