package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pilewatch/gateway/billing"
)

// terminal opens a pseudo-terminal: what a program writes to tty is read from ours.
func terminal(t *testing.T) (ours, tty *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal can be had here: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no pseudo-terminal can be had here: %v", err)
	}
	return ours, tty
}

// TestAPersonAtATerminalSeesHowFarItIs, and who reads standard error as a file
// does not.
func TestAPersonAtATerminalSeesHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	cfg := write(t, dir, "pilewatch.yaml", "tariffs: [{name: t, valid_from: 2026-01-01, electricity: [{price: \"0.641\"}]}]\n")
	record(t, filepath.Join(dir, "months.ndjson"), monthOfCharges())
	must(t, "replay", "--config", cfg, filepath.Join(dir, "months.ndjson"))
	for _, what := range billing.Exports {
		args := []string{"export", what, "--config", cfg, "--month", "2026-10", "-o", filepath.Join(dir, what)}
		ours, tty := terminal(t)
		cmd := exec.CommandContext(t.Context(), binary(t), args...)
		cmd.Stderr = tty
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tty.Close()
		seen, err := io.ReadAll(ours) // it ends with an error when nobody has the terminal any more
		if waited := cmd.Wait(); waited != nil {
			t.Fatal(waited, err)
		}
		if !strings.Contains(string(seen), "\rexporting 100 %\r\n") {
			t.Errorf("%s: on a terminal one sees %q", what, seen)
		}
		if _, errs, _ := pilewatch(t, append(args, "--force")...); strings.Contains(errs, "%") {
			t.Errorf("%s: in a file is %q", what, errs)
		}
	}
}
