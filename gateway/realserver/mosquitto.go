package realserver

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MosquittoOptions are what a broker is started with. The zero value is a broker
// with persistence that lets anybody in.
type MosquittoOptions struct {
	Memory bool              // no persistence: a stop forgets what was queued
	Users  map[string]string // name to password; nobody without one gets in
	ACL    bool              // deploy/mosquitto/acl holds; it needs Users, "gateway" among them
	TLS    bool              // the listener speaks TLS only
}

// Broker is a running mosquitto.
type Broker struct {
	*Server
	Addr   string // 127.0.0.1:port
	URL    string // tcp:// or ssl:// and Addr
	CAFile string // with TLS, who signed its certificate, in PEM
}

// Mosquitto starts a broker with the limits of deploy/mosquitto/mosquitto.conf:
// that file itself, with the addresses and files of this test in it.
func Mosquitto(t testing.TB, o MosquittoOptions) *Broker {
	t.Helper()
	program := need(t, "mosquitto", getMosquitto)
	dir, deploy := t.TempDir(), filepath.Join(moduleRoot(t), "deploy", "mosquitto")
	b := &Broker{Addr: loopback(Port(t))}
	b.URL = "tcp://" + b.Addr
	set := map[string]string{
		"listener":             strings.TrimPrefix(b.Addr, "127.0.0.1:") + " 127.0.0.1",
		"persistence":          fmt.Sprint(!o.Memory),
		"persistence_location": dir + "/",
		"allow_anonymous":      fmt.Sprint(len(o.Users) == 0),
		"password_file":        "",
		"acl_file":             "",
		"include_dir":          "",
		"user":                 "root", // started by root, it would else become a user that can't read dir
	}
	if len(o.Users) > 0 {
		set["password_file"] = write(t, dir, "passwd", passwords(t, o.Users))
	}
	if o.ACL {
		set["acl_file"] = filepath.Join(deploy, "acl")
	}
	if o.TLS {
		b.URL = "ssl://" + b.Addr
		b.CAFile, set["certfile"], set["keyfile"] = certificates(t, dir)
	}
	base, err := os.ReadFile(filepath.Join(deploy, "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	conf := write(t, dir, "mosquitto.conf", override(string(base), set))
	b.Server = launch(t, "mosquitto", func() error { return mqttAnswers(b.Addr, b.CAFile) }, program, "-c", conf)
	return b
}

// override gives a configuration in which the keys of set have their values;
// a key with an empty value is left out, one that was not there comes last.
func override(conf string, set map[string]string) string {
	var out strings.Builder
	done := map[string]bool{}
	put := func(key string) {
		if done[key] = true; set[key] != "" {
			fmt.Fprintf(&out, "%s %s\n", key, set[key])
		}
	}
	for line := range strings.Lines(conf) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, ok := set[key]; ok {
			put(key)
		} else {
			out.WriteString(line)
		}
	}
	for key := range set {
		if !done[key] {
			put(key)
		}
	}
	return out.String()
}

// passwords gives a password file as mosquitto_passwd writes it.
func passwords(t testing.TB, users map[string]string) string {
	t.Helper()
	const iterations = 101
	b64 := base64.StdEncoding.EncodeToString
	var out strings.Builder
	for name, password := range users {
		salt := make([]byte, 12)
		_, _ = rand.Read(salt) // it never fails
		key, err := pbkdf2.Key(sha512.New, password, salt, iterations, sha512.Size)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s:$7$%d$%s$%s\n", name, iterations, b64(salt), b64(key))
	}
	return out.String()
}

// mqttAnswers sends a CONNECT and takes any CONNACK, a refusal too, for an answer.
func mqttAnswers(addr, caFile string) error {
	conn, err := dial(addr, caFile)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	connect := []byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0} // clean session, no client id
	if _, err := conn.Write(connect); err != nil {
		return err
	}
	var connack [4]byte
	if _, err := io.ReadFull(conn, connack[:]); err != nil {
		return err
	}
	if connack[0] != 0x20 {
		return fmt.Errorf("not an MQTT broker: it answered %x", connack)
	}
	return nil
}

func dial(addr, caFile string) (net.Conn, error) {
	if caFile == "" {
		return net.DialTimeout("tcp", addr, 5*time.Second)
	}
	pool, err := CertPool(caFile)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: 5 * time.Second}
	return tls.DialWithDialer(d, "tcp", addr, &tls.Config{RootCAs: pool})
}

// CertPool gives the certificates of a PEM file; it fails where there are none.
func CertPool(caFile string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	return pool, nil
}

// moduleRoot is the directory of go.mod, over the test's own.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Fatalf("no go.mod over %s: run the test in the repository", dir)
	return ""
}
