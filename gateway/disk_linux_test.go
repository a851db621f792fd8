package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pilewatch/gateway/billing"
	"pilewatch/gateway/realserver"
)

// The tests here take the disk away from the running binary: full, by a file on a
// small file system that leaves no room, and read-only, as ext4 makes itself after
// an error. They need to mount: as root, or in a user namespace of their own.

// smallDisk mounts a file system of a few megabytes. Where the process may not, it
// runs the test again in a namespace where it may, and gives "": then the test is done.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes))
	if err == nil {
		t.Cleanup(func() { unmount(t, dir) })
		return dir
	}
	const inside = "PILEWATCH_TEST_NAMESPACE"
	if os.Getenv(inside) != "" {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.ProcessState == nil:
		t.Skipf("not root, and no namespace may be made: %v", err)
	case err != nil:
		t.Fatalf("in a namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in a namespace: %s", out)
	}
	return ""
}

func unmount(t *testing.T, dir string) {
	await(t, "the file system to be let go", func() error {
		if err := syscall.Unmount(dir, 0); !errors.Is(err, syscall.EINVAL) { // it is no mount any more
			return err
		}
		return nil
	})
}

// fill leaves no room in a folder's file system; the file that takes it is given.
func fill(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// unwritable waits until the gateway says that it cannot write, and looks that it
// says so everywhere; lines of the log tell of it, one an outage.
func unwritable(t testing.TB, g *gateway, reason string, lines int) {
	t.Helper()
	await(t, "503 with the reason", func() error {
		_, err := g.get("/readyz")
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), reason) {
			return fmt.Errorf("/readyz: %v", err)
		}
		return nil
	})
	if v := metric(t, g, "pilewatch_ledger_writable", ""); v != 0 {
		t.Errorf("pilewatch_ledger_writable is %v", v)
	}
	if n := strings.Count(g.log.String(), "the ledger can't be written"); n != lines {
		t.Errorf("%d lines of the log tell of it, want %d", n, lines)
	}
	mustGet(t, g, "/healthz")
	mustGet(t, g, "/api/v1/sessions") // what is there can be read
}

// startsBadly wants a start to say what to do: in one line as it ends with status 1,
// or in a line of the log where it could begin.
func startsBadly(t testing.TB, what string, args ...string) {
	t.Helper()
	var out lockedBuffer
	cmd := exec.Command(binary(t), append([]string{"run", "--log-level", "error"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // its status is looked at
		close(ended)
	}()
	defer func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		<-ended
	}()
	await(t, "a word of what to do", func() error {
		if strings.Contains(out.String(), what) {
			return nil
		}
		select {
		case <-ended:
			t.Fatalf("it ended without %q:\n%s", what, out.String())
		default:
		}
		return errors.New(out.String())
	})
	select {
	case <-ended:
		if status := cmd.ProcessState.ExitCode(); status != 1 || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("status %d:\n%s", status, out.String())
		}
	case <-time.After(300 * time.Millisecond): // it goes on
	}
}

// stands looks for a while that a number stays.
func stands(t testing.TB, what string, n func() int64) {
	t.Helper()
	before := n()
	for range 30 {
		if now := n(); now != before {
			t.Fatalf("%s went from %d to %d", what, before, now)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func checkTruth(t *testing.T, g *gateway, cfg string, charges []*charge) {
	t.Helper()
	closedAll(t, g, len(charges))
	checkSessions(t, g, charges)
	g.stop()
	out := must(t, "verify", "--config", cfg)
	if want := fmt.Sprintf("%d sessions derived again, 0 differences", len(charges)); !strings.Contains(out, want) {
		t.Errorf("verify: %s", out)
	}
}

// TestADiskThatIsFullAcknowledgesNothingAndGoesOnByItself: the embedded broker.
func TestADiskThatIsFullAcknowledgesNothingAndGoesOnByItself(t *testing.T) {
	data := smallDisk(t, 12)
	if data == "" {
		return
	}
	charges, reports := shortCharges(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 4, 10, 100)
	addr, mqttAddr := freeAddr(t), freeAddr(t)
	cfg := write(t, t.TempDir(), "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\ndata_dir: %q\n", mqttAddr, addr, data))
	g := start(t, addr, "run", "--config", cfg)
	p := publish(t, "tcp://"+mqttAddr, reports)
	for round := range 2 {
		p.reach(t, (round+1)*len(reports)/4)
		said := g.log.String()
		filler := fill(t, data)
		p.limit.Store(int64(len(reports)))
		unwritable(t, g, "make room", round+1)
		stands(t, "the count of acknowledged reports", p.acked.Load)
		if p.acked.Load() == int64(len(reports)) {
			t.Fatal("all was acknowledged although the disk was full")
		}
		p.limit.Store(p.acked.Load())
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		await(t, "200 again", func() error { _, err := g.get("/readyz"); return err })
		if v := metric(t, g, "pilewatch_ledger_writable", ""); v != 1 {
			t.Errorf("pilewatch_ledger_writable is %v", v)
		}
		more := strings.TrimPrefix(g.log.String(), said)
		if strings.Count(more, "the ledger can be written again") != 1 || strings.Count(more, "\n") > 8 {
			t.Errorf("the log of the outage:\n%s", more)
		}
	}
	p.finish(t, len(reports))
	checkTruth(t, g, cfg, charges)
}

// TestADiskThatIsFullLosesNothingBehindMosquitto kills the gateway and stops it while there
// is no room, with mosquitto before it.
func TestADiskThatIsFullLosesNothingBehindMosquitto(t *testing.T) {
	data := smallDisk(t, 12)
	if data == "" {
		return
	}
	charges, reports := shortCharges(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 4, 10, 100)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	addr := freeAddr(t)
	cfg := settingsFile(t, t.TempDir(), mosquitto.URL, addr, fmt.Sprintf("data_dir: %q", data))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, reports[:len(reports)/4])
	filler := fill(t, data)
	publishAll(t, mosquitto.URL, reports[len(reports)/4:len(reports)/2]) // mosquitto keeps them
	unwritable(t, g, "make room", 1)
	committed := func() int64 { return int64(metric(t, g, "pilewatch_readings_committed_total", "")) }
	stands(t, "the count of committed readings", committed)
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.done:
	case <-time.After(20 * time.Second):
		t.Fatal("SIGTERM on a full disk: still running")
	}
	fill(t, data) // what closing the ledger let go
	for _, dir := range []string{data, filepath.Join(data, "new")} {
		startsBadly(t, "make room on the disk", "--config", cfg, "--data", dir)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	g = start(t, addr, "run", "--config", cfg)
	filler = fill(t, data)
	publishAll(t, mosquitto.URL, reports[len(reports)/2:])
	unwritable(t, g, "make room", 1)
	g.kill()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	g = start(t, addr, "run", "--config", cfg)
	checkTruth(t, g, cfg, charges)
}

// TestALedgerThatTurnsReadOnlyAcknowledgesNothing has ext4 give up its disk, as after an error of it.
func TestALedgerThatTurnsReadOnlyAcknowledgesNothing(t *testing.T) {
	dir := t.TempDir()
	image, data := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	command := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Skipf("no file system in a file can be mounted here: %s: %v: %s", name, err, out)
		}
	}
	if err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	command("mkfs.ext4", "-q", "-F", image)
	mount := func(options string) {
		t.Helper()
		command("mount", "-o", "loop,"+options, image, data)
	}
	mount("rw")
	t.Cleanup(func() { unmount(t, data) })
	charges, reports := shortCharges(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 2, 5, 60)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	addr := freeAddr(t)
	cfg := settingsFile(t, dir, mosquitto.URL, addr, fmt.Sprintf("data_dir: %q", data))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, reports[:len(reports)/2])
	await(t, "some readings", func() error {
		if metric(t, g, "pilewatch_readings_committed_total", "") < 1 {
			return errors.New("none")
		}
		return nil
	})
	command("mount", "-o", "remount,abort", data)
	publishAll(t, mosquitto.URL, reports[len(reports)/2:])
	unwritable(t, g, "mounted read-only", 1)
	stands(t, "the count of committed readings", func() int64 { return int64(metric(t, g, "pilewatch_readings_committed_total", "")) })
	g.kill()
	unmount(t, data)
	exec.Command("e2fsck", "-fy", image).Run() //nolint:errcheck // its status says that it mended something
	mount("ro")
	startsBadly(t, "is it mounted read-only", "--config", cfg)
	readable(t, cfg, filepath.Join(dir, "with-log.db"))
	unmount(t, data)
	mount("rw")
	g = start(t, addr, "run", "--config", cfg)
	checkTruth(t, g, cfg, charges)
	unmount(t, data)
	mount("ro")
	readable(t, cfg, filepath.Join(dir, "closed.db"))
}

// readable wants what only reads to work on a disk that is mounted read-only: a
// backup from a failing one above all.
func readable(t testing.TB, cfg, backup string) {
	t.Helper()
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
	must(t, "backup", "--config", cfg, backup)
}

// TestAnExportOnADiskThatIsFullLeavesNothing: nothing under the name that was asked
// for, nor a part of it under another; a file that was there stays as it was.
func TestAnExportOnADiskThatIsFullLeavesNothing(t *testing.T) {
	disk := smallDisk(t, 1)
	if disk == "" {
		return
	}
	dir := t.TempDir()
	cfg := write(t, dir, "pilewatch.yaml", "tariffs: [{name: t, valid_from: 2026-01-01, electricity: [{price: \"0.641\"}]}]\n")
	record(t, filepath.Join(dir, "months.ndjson"), monthOfCharges())
	must(t, "replay", "--config", cfg, filepath.Join(dir, "months.ndjson"))
	old := write(t, disk, "old", "of last month")
	filler := fill(t, disk)
	for _, what := range billing.Exports {
		for _, format := range billing.Formats {
			args := []string{"export", what, "--config", cfg, "--month", "2026-10", "--format", format}
			for _, to := range [][]string{{"-o", filepath.Join(disk, "new")}, {"-o", old, "--force"}} {
				_, errs, status := pilewatch(t, append(args, to...)...)
				if status != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "no space left on device; free some space, nothing was left behind") {
					t.Errorf("%s.%s %v: status %d, %q", what, format, to, status, errs)
				}
			}
			if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil { // > /dev/full
				status, errs := runTo(t, full, nil, args...)
				if full.Close(); status != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "no space left on device") {
					t.Errorf("%s.%s to a full standard output: status %d, %q", what, format, status, errs)
				}
			}
			if format == "xlsx" { // its rows wait in temporary files
				status, errs := runTo(t, io.Discard, []string{"TMPDIR=" + disk}, args...)
				if status != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "set TMPDIR to a folder with room") {
					t.Errorf("%s.%s without room for temporary files: status %d, %q", what, format, status, errs)
				}
			}
		}
	}
	data, err := os.ReadFile(old)
	if err != nil || string(data) != "of last month" {
		t.Errorf("the file that was there: %q, %v", data, err)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	must(t, "export", "sessions", "--config", cfg, "--month", "2026-10", "--format", "xlsx", "-o", filepath.Join(disk, "new"))
}

// runTo runs a command with a standard output and environment of its own.
func runTo(t testing.TB, stdout io.Writer, env []string, args ...string) (status int, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = stdout, &errs, append(os.Environ(), env...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

func TestAnUpgradeWithoutRoomForTheCopyChangesNothing(t *testing.T) {
	data := smallDisk(t, 1)
	if data == "" {
		return
	}
	unpackVersion1(t, data)
	cfg, addr, _ := embedded(t, data)
	filler := fill(t, data)
	fi, err := os.Stat(filler)
	if err == nil {
		err = os.Truncate(filler, fi.Size()-72<<10) // for the lock and the log's index, and no more
	}
	if err != nil {
		t.Fatal(err)
	}
	_, errs, status := pilewatch(t, "run", "--config", cfg)
	if status != 1 || !strings.Contains(errs, "make room on the disk") || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("status %d: %s", status, errs)
	}
	if v := scan[int64](t, data, "PRAGMA user_version"); v != 1 {
		t.Errorf("version %d", v)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	start(t, addr, "run", "--config", cfg).stop()
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, "6 sessions derived again, 0 differences") {
		t.Errorf("verify: %s", out)
	}
	if left, err := filepath.Glob(data + "/*unfinished*"); err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
