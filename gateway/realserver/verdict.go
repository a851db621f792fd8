package realserver

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Amtool runs amtool and gives what it writes; the test fails where it does.
func Amtool(t testing.TB, args ...string) string {
	t.Helper()
	return verdict(t, need(t, "amtool", getAlertmanager), nil, args...)
}

// SystemdAnalyze runs systemd-analyze and gives what it writes; the test fails where it does.
func SystemdAnalyze(t testing.TB, args ...string) string {
	t.Helper()
	return verdict(t, need(t, "systemd-analyze", getSystemd), nil, args...)
}

// DpkgDeb runs dpkg-deb and gives what it writes; the test fails where it does.
func DpkgDeb(t testing.TB, args ...string) string {
	t.Helper()
	return verdict(t, need(t, "dpkg-deb", "a Debian system"), nil, args...)
}

// verdict runs a program that judges files and gives what it writes; the test
// fails where the program does.
func verdict(t testing.TB, program string, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// overlay lays a folder in memory over the whole file system, in a name space of
// its own, and runs a script in there.
const overlay = `set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --bind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mkdir -p "$1/root/root" "$1/root/tmp"
chmod 1777 "$1/root/tmp"
cp "$2"/* "$1/root/root/"
exec chroot "$1/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive TMPDIR=/tmp HOME=/root bash -c "$3" 2>&1`

// InACopyOfThisMachine runs a bash script as root in a copy of this machine's file
// system, where it may install and remove, with files in /root; the test fails with
// what it writes where it does. The machine itself stays as it is. It takes root, on Linux.
func InACopyOfThisMachine(t testing.TB, script string, files map[string]string) {
	t.Helper()
	unshare := need(t, "unshare", "a Linux system with util-linux")
	if out, err := exec.CommandContext(t.Context(), unshare, "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no name space of its own for mounts can be had here: %v %s", err, out)
	}
	give := t.TempDir()
	for name, from := range files {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(give, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), unshare, "--mount", "--propagation", "private", "bash", "-c", overlay, "bash", t.TempDir(), give, script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v after\n%s", err, out)
	}
}
