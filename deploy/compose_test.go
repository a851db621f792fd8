package deploy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pilewatch/gateway/realserver"
)

// service is what of a service in compose.yaml is looked at.
type service struct {
	Image       string
	User        string
	Command     []string
	Environment map[string]string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Privileged  bool
	MemLimit    any `yaml:"mem_limit"`
	Restart     string
	Healthcheck struct{ Test []string }
	Ports       []struct {
		HostIP    string `yaml:"host_ip"`
		Published string
	}
	Volumes   []struct{ Type, Source, Target string }
	Secrets   []struct{ Source string }
	DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
}

type project struct {
	Services map[string]service
	Volumes  map[string]any
	Secrets  map[string]struct{ File string }
}

// stack gives compose.yaml as compose's own loader resolves it, in a copy of this
// folder for which setup has been run.
func stack(t *testing.T) project {
	t.Helper()
	loader := realserver.Tool(t, "compose", "github.com/compose-spec/compose-go/v2/cmd")
	dir := t.TempDir()
	for _, name := range []string{"setup", "compose.yaml", "pilewatch.yaml", "mosquitto", "prometheus", "alertmanager", "influxdb", "grafana", "Dockerfile"} {
		copyTo(t, name, filepath.Join(dir, "deploy", name))
	}
	setup := exec.CommandContext(t.Context(), filepath.Join(dir, "deploy", "setup"))
	setup.Env = append(os.Environ(), "PILEWATCH="+program(t))
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("setup: %v\n%s", err, out)
	}
	load := exec.CommandContext(t.Context(), loader, "compose.yaml")
	load.Dir = filepath.Join(dir, "deploy")
	var stderr strings.Builder
	load.Stderr = &stderr
	out, err := load.Output()
	if err != nil {
		t.Fatalf("compose.yaml: %v\n%s", err, stderr.String())
	}
	var p project
	if err := yaml.Unmarshal(out, &p); err != nil || len(p.Services) == 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// copyTo copies a file or a folder; what is not there is left out, and missed by who mounts it.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		return
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, []byte(read(t, from)), info.Mode())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestComposeIsWhatADefaultInstallationNeeds(t *testing.T) {
	t.Parallel()
	p := stack(t)
	t.Run("every service is pinned, bounded, watched and hardened", func(t *testing.T) { hardened(t, p) })
	t.Run("only what is needed is published", func(t *testing.T) { published(t, p) })
	t.Run("every password comes from a file that setup made", func(t *testing.T) { noPasswords(t, p) })
}

func hardened(t *testing.T, p project) {
	if got := len(p.Services); got != 6 {
		t.Errorf("%d services, want mosquitto, gateway, InfluxDB, Prometheus, Alertmanager, Grafana", got)
	}
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?$`)
	for name, s := range p.Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s is not pinned", name, s.Image)
		}
		if uid, _, _ := strings.Cut(s.User, ":"); uid == "" || uid == "0" || uid == "root" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not hardened: %+v", name, s)
		}
		if s.MemLimit == nil || len(s.Healthcheck.Test) < 2 || s.Restart != "unless-stopped" {
			t.Errorf("%s: memory %v, health %v, restart %s", name, s.MemLimit, s.Healthcheck.Test, s.Restart)
		}
		kept := 0
		for _, v := range s.Volumes {
			if _, named := p.Volumes[v.Source]; v.Type == "volume" && named {
				kept++
			} else if info, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			} else if strings.HasSuffix(v.Source, ".sh") && info.Mode()&0o111 == 0 {
				t.Errorf("%s would pass over %s, which is not executable", name, v.Source)
			}
		}
		if kept == 0 {
			t.Errorf("%s keeps nothing in a named volume", name)
		}
		for _, secret := range s.Secrets {
			if _, err := os.Stat(p.Secrets[secret.Source].File); err != nil {
				t.Errorf("%s: secret %s: %v", name, secret.Source, err)
			}
		}
	}
	if g := p.Services["grafana"].DependsOn; g["influxdb"].Condition != "service_healthy" || g["prometheus"].Condition != "service_healthy" {
		t.Errorf("Grafana may start before what it reads: %v", g)
	}
	if _, waits := p.Services["gateway"].DependsOn["influxdb"]; waits {
		t.Error("the gateway waits for InfluxDB: nobody would take what the piles say meanwhile")
	}
}

func published(t *testing.T, p project) {
	open := map[string]string{}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			open[name+" "+port.Published] = port.HostIP
		}
	}
	want := map[string]string{"mosquitto 8883": "0.0.0.0", "gateway 8080": "127.0.0.1", "grafana 3000": "127.0.0.1"}
	for port, ip := range want {
		if open[port] != ip {
			t.Errorf("%s is published on %q, want %q", port, open[port], ip)
		}
	}
	if len(open) != len(want) {
		t.Errorf("published: %v, want %v", open, want)
	}
}

func noPasswords(t *testing.T, p project) {
	secret := regexp.MustCompile(`(?i)password|token|secret`)
	for name, s := range p.Services {
		for key, value := range s.Environment {
			if secret.MatchString(key) && !strings.HasPrefix(value, "/run/secrets/") {
				t.Errorf("%s: %s is given as %q", name, key, value)
			}
		}
		for _, arg := range s.Command {
			if secret.MatchString(arg) {
				t.Errorf("%s: %s", name, arg)
			}
		}
	}
}

func TestTheImagesVersionIsThatOfTheProgram(t *testing.T) {
	version := regexp.MustCompile(`(?m)^const release = "(.*)"$`).FindStringSubmatch(read(t, "../gateway/version.go"))
	if version == nil || !strings.Contains(read(t, "compose.yaml"), "image: pilewatch:"+version[1]+"\n") {
		t.Errorf("compose.yaml has another version than gateway/version.go: %v", version)
	}
}

// TestSetupMakesSecretsOnceAndForOneReader runs setup twice.
func TestSetupMakesSecretsOnceAndForOneReader(t *testing.T) {
	t.Parallel()
	site := realserver.NewSite(t, program(t))
	site.Setup(nil, "pile", "P01")
	before := contents(t, site.Dir)
	site.Setup(nil)
	site.Setup(nil, "pile", "P01")
	after := contents(t, site.Dir)
	seen := map[string]string{}
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s is another after the second run", name)
		}
		if !strings.HasPrefix(name, "secrets/") || text == "" {
			continue
		}
		if len(text) < 48 {
			t.Errorf("%s has %d characters", name, len(text))
		}
		twin := strings.NewReplacer("secrets/influxdb_gateway", "secrets/influxdb_token").Replace(name) // one token, two readers
		if other, ok := seen[text]; ok && other != twin {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[text] = twin
	}
	if len(after) != len(before) || len(seen) < 8 {
		t.Errorf("%d files, then %d; %d secrets", len(before), len(after), len(seen))
	}
	// An old copy of the certificate stays when it is renewed, and the authority is the same.
	site.Setup(nil, "renew")
	renewed := contents(t, site.Dir)
	if renewed["certs/server.crt"] == before["certs/server.crt"] || renewed["certs/ca.crt"] != before["certs/ca.crt"] || len(renewed) != len(before)+2 {
		t.Error("renew did not make one new certificate of the same authority beside the old one")
	}
}

// TestTheCertificateHoldsForTheNamesThatPilesUse adds a name to a site that is there.
func TestTheCertificateHoldsForTheNamesThatPilesUse(t *testing.T) {
	t.Parallel()
	site := realserver.NewSite(t, program(t))
	if info, err := os.Stat(filepath.Join(site.Dir, "..", ".env")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("who calls docker without being root can't read .env: %v, %v", info, err)
	}
	before := contents(t, site.Dir)
	const hint = "does not hold for 192.168.1.10: "
	if out := site.Setup(nil, "--name", "192.168.1.10"); !strings.Contains(out, hint) {
		t.Errorf("a new name is passed over:\n%s", out)
	}
	for _, wrong := range []string{"http://box.lan:8883", "box.lan:8883", "999.1.2.3", ""} {
		setup := exec.CommandContext(t.Context(), "./setup", "--dir", filepath.Dir(site.Dir), "--name", wrong, "renew")
		if out, err := setup.CombinedOutput(); err == nil || !strings.Contains(string(out), "--name") {
			t.Errorf("--name %q: %v\n%s", wrong, err, out)
		}
	}
	for _, name := range []string{"certs/server.crt", "certs/server.key"} {
		if site.Read(name) != before[name] {
			t.Errorf("a renewal that failed took %s away", name)
		}
	}
	site.Setup(nil, "--name", "192.168.1.10", "--name", "box.lan", "renew")
	if out := site.Setup(nil, "--name", "192.168.1.10", "--name", "box.lan"); strings.Contains(out, "does not hold") {
		t.Errorf("the certificate lacks a name that it was renewed for:\n%s", out)
	}
	site.Setup(nil, "renew")
	if out := site.Setup(nil, "--name", "192.168.1.10"); strings.Contains(out, "does not hold") {
		t.Errorf("a renewal forgot a name:\n%s", out)
	}
}

// contents gives the files of a folder, of which nobody but their owner may read one.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		name, err := filepath.Rel(dir, path)
		all[filepath.ToSlash(name)] = read(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
