package realserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// recorder is a test whose failures are kept instead of counted.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }
func (r *recorder) Skipf(format string, args ...any) {
	r.said += "skip: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.said += "fatal: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run runs f as a test would be, up to its Fatalf or Skipf, and gives what it said.
func run(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	end := make(chan struct{})
	go func() {
		defer close(end)
		f(r)
	}()
	<-end
	return r.said
}

func TestMissingServerSkipsUnlessItMustBeThere(t *testing.T) {
	for _, c := range []struct{ ci, real, want string }{
		{"", "", "skip: nosuchserver is not installed"},
		{"true", "", "fatal: nosuchserver is not installed"},
		{"", "1", "fatal: nosuchserver is not installed"},
		{"true", "0", "skip: nosuchserver not started"},
	} {
		t.Setenv("CI", c.ci)
		t.Setenv("PILEWATCH_REAL", c.real)
		said := run(t, func(t testing.TB) { need(t, "nosuchserver", "apt-get install nosuchserver") })
		if !strings.HasPrefix(said, c.want) {
			t.Errorf("CI=%q PILEWATCH_REAL=%q: it said %q, want %q", c.ci, c.real, said, c.want)
		}
		if c.real != "0" && !strings.Contains(said, "apt-get install nosuchserver") {
			t.Errorf("it does not say how to install: %q", said)
		}
	}
}

func TestNoProcessIsLeft(t *testing.T) {
	var pid int
	t.Run("owner", func(t *testing.T) {
		s := launch(t, "sleep", func() error { return nil }, "sleep", "1000")
		if pid = s.PID(); !alive(pid) {
			t.Fatal("it was not started")
		}
	})
	if alive(pid) {
		t.Errorf("process %d outlived its test", pid)
	}
}

func TestServerThatLeavesAtItsStartSaysWhy(t *testing.T) {
	said := run(t, func(t testing.TB) {
		never := func() error { return errors.New("not yet") }
		launch(t, "sh", never, "sh", "-c", "echo no such option >&2; exit 3")
	})
	if !strings.Contains(said, "sh left at its start") || !strings.Contains(said, "no such option") {
		t.Errorf("it said %q", said)
	}
}

// TestServerEndsWithItsParent kills a test process, this test binary run again,
// and sees the server that it owned end.
func TestServerEndsWithItsParent(t *testing.T) {
	if os.Getenv("REALSERVER_PARENT") == "1" {
		s := launch(t, "sleep", func() error { return nil }, "sleep", "1000")
		fmt.Printf("child %d\n", s.PID())
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent")
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsParent$")
	parent.Env = append(os.Environ(), "REALSERVER_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	_, err = fmt.Fscanf(out, "child %d\n", &child)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil {
		t.Fatal(err)
	}
	err = poll(stopLimit, nil, func() error {
		if alive(child) {
			return fmt.Errorf("process %d outlived its parent", child)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// alive reports whether a process runs; one that has ended and waits to be reaped does not.
func alive(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		return !strings.Contains(string(stat), ") Z ")
	}
	return syscall.Kill(pid, 0) == nil
}

func TestPortsOfLivingTestsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p := Port(t)
		if seen[p] {
			t.Fatalf("port %d was given twice", p)
		}
		seen[p] = true
	}
}
