package realserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Site is what deploy/setup makes for compose.yaml, in a folder of the test.
type Site struct {
	Dir string // site: secrets, certificates, configurations

	t         testing.TB
	dir       string // of the --dir
	pilewatch string
}

// NewSite runs deploy/setup; pilewatch is the program, which makes the users of the page.
func NewSite(t testing.TB, pilewatch string) *Site {
	t.Helper()
	need(t, "openssl", "apt-get install -y --no-install-recommends openssl")
	s := &Site{t: t, dir: t.TempDir(), pilewatch: pilewatch}
	s.Dir = filepath.Join(s.dir, "site")
	s.Setup(nil)
	return s
}

// Setup runs deploy/setup with further words, and environment, and gives what it prints.
func (s *Site) Setup(env []string, words ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(moduleRoot(s.t), "deploy", "setup"), append([]string{"--dir", s.dir}, words...)...)
	cmd.Env = append(append(os.Environ(), "PILEWATCH="+s.pilewatch), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("deploy/setup %v: %v\n%s", words, err, out)
	}
	return string(out)
}

// File is the path of a file of the site.
func (s *Site) File(name string) string { return filepath.Join(s.Dir, filepath.FromSlash(name)) }

// Read gives a file of the site.
func (s *Site) Read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.File(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// Write replaces a file of the site.
func (s *Site) Write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.File(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Rewrite changes a file of the site, old and new by turns; each old must be there.
func (s *Site) Rewrite(name string, pairs ...string) {
	s.t.Helper()
	text := s.Read(name)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			s.t.Fatalf("%s has no %q to put this test's own in its place", name, pairs[i])
		}
	}
	s.Write(name, strings.NewReplacer(pairs...).Replace(text))
}

// Mosquitto starts a broker with the configuration, passwords, rights and certificate of the
// site, as compose.yaml does; only addresses and paths are this test's. Plain is the
// listener without TLS, URL the one with it.
func (s *Site) Mosquitto() (b *Broker, plain string) {
	s.t.Helper()
	program := need(s.t, "mosquitto", getMosquitto)
	tls, err := os.ReadFile(filepath.Join(moduleRoot(s.t), "deploy", "mosquitto", "tls.conf"))
	if err != nil {
		s.t.Fatal(err)
	}
	clear, secure := loopback(Port(s.t)), loopback(Port(s.t))
	b = &Broker{Addr: secure, URL: "ssl://" + strings.Replace(secure, "127.0.0.1", "localhost", 1), CAFile: s.File("certs/ca.crt")}
	const conf = "mosquitto/mosquitto.conf"
	s.Rewrite(conf, "include_dir /etc/mosquitto/conf.d", string(tls)+"user root")
	s.Rewrite(conf,
		"listener 1883", "listener "+strings.TrimPrefix(clear, "127.0.0.1:")+" 127.0.0.1",
		"listener 8883", "listener "+strings.TrimPrefix(secure, "127.0.0.1:"),
		"/mosquitto/data/", s.t.TempDir()+"/",
		"/etc/mosquitto/passwd", s.File("mosquitto/passwd"),
		"/etc/mosquitto/acl", s.File("mosquitto/acl"),
		"/etc/mosquitto/certs/", s.File("certs")+"/")
	b.Server = launch(s.t, "mosquitto", func() error { return mqttAnswers(clear, "") }, program, "-c", s.File(conf))
	return b, clear
}
