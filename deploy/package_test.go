package deploy_test

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"pilewatch/gateway/realserver"
)

// release is where deploy/package builds to, by build, once for all tests.
var (
	release string
	build   = sync.OnceValue(func() error {
		if out, err := exec.Command("./package", release).CombinedOutput(); err != nil {
			return fmt.Errorf("deploy/package: %w\n%s", err, out)
		}
		return nil
	})
)

func TestMain(m *testing.M) {
	var err error
	if release, err = os.MkdirTemp("", "pilewatch-release-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(release)
	os.Exit(status)
}

// released gives a file of the release.
func released(t *testing.T, pattern string) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return files(t, filepath.Join(release, pattern))[0]
}

// program is the released binary for this machine.
func program(t *testing.T) string {
	t.Helper()
	return released(t, "pilewatch-linux-"+runtime.GOARCH)
}

// imageLimit is what a binary, which is all of an image, may take: 40 MB.
const imageLimit = 40_000_000

func TestReleasedBinariesAreStaticSmallAndSayWhatTheyAreMadeOf(t *testing.T) {
	t.Parallel()
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM} {
		path := released(t, "pilewatch-linux-"+arch)
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", arch)
			}
		}
		if f.Machine != machine {
			t.Errorf("%s is for %v", arch, f.Machine)
		}
		if info, err := os.Stat(path); err != nil || info.Size() >= imageLimit {
			t.Errorf("%s: %d bytes (%v), want fewer than %d", arch, info.Size(), err, imageLimit)
		}
		// The list of what is in it (SBOM) comes from the Go tool chain: go version -m.
		bom, err := buildinfo.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, d := range bom.Deps {
			has[d.Path] = d.Version != "" && d.Sum != ""
		}
		if bom.Path != "pilewatch/gateway" || !has["modernc.org/sqlite"] || !has["github.com/eclipse/paho.mqtt.golang"] {
			t.Errorf("%s: built from %s of %d modules", arch, bom.Path, len(bom.Deps))
		}
	}
	out, err := exec.Command(program(t), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "pilewatch ") {
		t.Errorf("version: %v\n%s", err, out)
	}
}

func TestTheImageIsTheReleasedBinaryAndNothingElse(t *testing.T) {
	text := read(t, "Dockerfile")
	const build = "go build -trimpath -ldflags='-s -w'"
	for _, file := range []string{text, read(t, "package")} {
		if !strings.Contains(file, "CGO_ENABLED=0") || !strings.Contains(file, build) {
			t.Errorf("Dockerfile and package do not build alike: %s", build)
		}
	}
	last := text[strings.LastIndex(text, "\nFROM "):]
	if !strings.HasPrefix(last, "\nFROM scratch\n") || !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(last) || strings.Contains(last, "\nRUN ") {
		t.Errorf("the image is not scratch with a user of its own:\n%s", last)
	}
	if m := regexp.MustCompile(`(?m)^FROM (golang:\S+)`).FindStringSubmatch(text); m == nil || !regexp.MustCompile(`:\d+\.\d+\.\d+-`).MatchString(m[1]) {
		t.Errorf("the image it is built in is not pinned: %v", m)
	}
	for _, secret := range []string{"deploy/site", "deploy/.env"} {
		if !strings.Contains(read(t, "Dockerfile.dockerignore"), secret+"\n") {
			t.Errorf("%s goes into the image's build", secret)
		}
	}
}

// exposed is how much systemd finds open in a unit, from 0 to 10.
var exposed = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"pilewatch.service", "pilewatch-backup.service"} {
		out := realserver.SystemdAnalyze(t, "security", "--offline=true", "systemd/"+unit)
		var level float64
		if m := exposed.FindStringSubmatch(out); m == nil {
			t.Errorf("%s: systemd-analyze says\n%s", unit, out)
		} else if _, err := fmt.Sscan(m[1], &level); err != nil || level >= 2 {
			t.Errorf("%s: exposure %s, want under 2.0", unit, m[1])
		}
	}
}

func TestPackagesHoldWhatTheyShould(t *testing.T) {
	t.Parallel()
	for _, arch := range []string{"amd64", "arm64"} {
		deb := released(t, "pilewatch_*_"+arch+".deb")
		about := realserver.DpkgDeb(t, "--info", deb)
		for _, want := range []string{"Package: pilewatch\n", "Architecture: " + arch + "\n", "Depends: adduser"} {
			if !strings.Contains(about, want) {
				t.Errorf("%s: no %q in\n%s", arch, want, about)
			}
		}
		list := realserver.DpkgDeb(t, "--contents", deb)
		for _, want := range []string{
			`-rwxr-xr-x root/root .* \./usr/bin/pilewatch`, `-rwxr-xr-x root/root .* \./usr/lib/pilewatch/backup`,
			`-rw-r--r-- root/root .* \./usr/lib/systemd/system/pilewatch\.service`, `\./usr/lib/systemd/system/pilewatch-backup\.timer`,
			`\./etc/pilewatch/pilewatch\.yaml`, `\./usr/share/doc/pilewatch/licences\.md`,
			`\./usr/share/doc/pilewatch/mosquitto/acl`, `\./usr/share/doc/pilewatch/grafana/provisioning/datasources/pilewatch\.yaml`,
			`\./usr/share/doc/pilewatch/guides/1-install\.md`, `\./usr/share/doc/pilewatch/guides/pictures\.d/page\.png`,
		} {
			if !regexp.MustCompile(want).MatchString(list) {
				t.Errorf("%s: no %s in\n%s", arch, want, list)
			}
		}
		dir := t.TempDir()
		realserver.DpkgDeb(t, "--extract", deb, dir)
		docs := filepath.Join(dir, "usr/share/doc/pilewatch")
		linked(t, append(files(t, filepath.Join(docs, "*.md")), files(t, filepath.Join(docs, "*/*.md"))...))
	}
}

// lifeOfAPackage is run in a copy of this machine that is gone afterwards; it says which promise broke.
const lifeOfAPackage = `
set -eu
die() { echo "BROKEN: $*"; exit 1; }
as() { runuser -u pilewatch -- "$@"; }
config=/etc/pilewatch/pilewatch.yaml state=/var/lib/pilewatch

dpkg -i /root/old.deb
[ "$(stat -c %U:%a $state)" = pilewatch:700 ] || die "state: $(stat -c %U:%a $state)"
[ "$(stat -c %U:%G:%a /etc/pilewatch)" = root:pilewatch:750 ] || die 'configuration is for others to read'
systemd-analyze verify /usr/lib/systemd/system/pilewatch*.service /usr/lib/systemd/system/pilewatch*.timer || die 'units'
as pilewatch check --config $config || die check
as pilewatch replay --config $config - </root/day.ndjson
echo '# my own' >>$config

echo UPGRADE
dpkg -i /root/new.deb
grep -q '# my own' $config || die 'the configuration was replaced'
ls $state/backups/pilewatch-before-*-from-0.1.0.db || die 'no backup before the upgrade'
as pilewatch verify --config $config || die 'the ledger after the upgrade'

echo NIGHTLY
touch $state/backups/pilewatch-2026-01-0{1,2,3}T033000.db
echo PILEWATCH_KEEP=2 >>/etc/default/pilewatch
as /usr/lib/pilewatch/backup
[ "$(ls $state/backups | grep -c 'pilewatch-2')" = 2 ] || die "nightly copies: $(ls $state/backups)"
[ ! -e $state/backups/pilewatch-2026-01-02T033000.db ] || die 'an old copy stayed'
ls $state/backups/pilewatch-before-* || die 'the copy from before the upgrade went'

echo ROLLBACK
dpkg -i /root/old.deb
cp $state/backups/pilewatch-before-*-from-0.1.0.db /root/copy.db
rm $state/data/ledger.db*
install -m 600 -o pilewatch -g pilewatch /root/copy.db $state/data/ledger.db
as pilewatch verify --config $config || die 'the restored ledger'

echo REFUSED
chown root $state/backups
if dpkg -i /root/new.deb; then die 'upgraded without a backup'; fi
[ "$(dpkg-query -W -f '${Version}' pilewatch)" = 0.1.0 ] || die "version $(dpkg-query -W pilewatch)"
pilewatch version || die 'no program after a refused upgrade'
PILEWATCH_NO_BACKUP=1 dpkg -i /root/new.deb

echo PURGE
dpkg -P pilewatch
[ ! -e $config ] || die 'the configuration stayed'
[ -e $state/data/ledger.db ] || die 'the ledger went'
`

func TestAPackageIsInstalledUpgradedRolledBackAndPurged(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root on Linux can make the copy of the machine to install into")
	}
	old := released(t, "pilewatch_*_"+runtime.GOARCH+".deb")
	newer := filepath.Join(t.TempDir(), "new.deb")
	nfpm := exec.Command("go", "tool", "-modfile=deploy/tools/go.mod", "nfpm", "package", "--config", "deploy/nfpm.yaml", "--packager", "deb", "--target", newer)
	nfpm.Dir = ".."
	nfpm.Env = append(os.Environ(), "ARCH="+runtime.GOARCH, "VERSION=99.0.0", "BINARY="+program(t), "CGO_ENABLED=0")
	if out, err := nfpm.CombinedOutput(); err != nil {
		t.Fatalf("nfpm: %v\n%s", err, out)
	}
	day := filepath.Join(t.TempDir(), "day.ndjson")
	var lines bytes.Buffer
	for m := range 60 {
		fmt.Fprintf(&lines, `{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":"2026-11-22T10:%02d:01+08:00","payload":"{\"ts\":\"2026-11-22T10:%02d:00+08:00\",\"ports\":[{\"port\":1,\"state\":\"charging\",\"w\":120,\"wh\":%d}]}"}`+"\n", m, m, 2*m)
	}
	if err := os.WriteFile(day, lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	realserver.InACopyOfThisMachine(t, lifeOfAPackage, map[string]string{"old.deb": old, "new.deb": newer, "day.ndjson": day})
}
