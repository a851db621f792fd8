package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretComesFromValueFileOrEnvironment(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pilewatch.yaml")
	resolve := func(text string) string {
		t.Helper()
		c, err := parse(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.MQTT.Password.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := resolve(""); got != "" {
		t.Errorf("none given, got %q", got)
	}
	if got := resolve("mqtt: {password: 'from the value'}"); got != "from the value" {
		t.Errorf("got %q", got)
	}
	for content, want := range map[string]string{"p\n": "p", "p\r\n": "p", "p": "p", " p \n\n": " p \n"} {
		if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := resolve("mqtt: {password_file: pw}"); got != want {
			t.Errorf("file %q gives %q, want %q", content, got, want)
		}
	}
	t.Setenv("PILEWATCH_MQTT_PASSWORD", "from outside")
	for _, text := range []string{"", "mqtt: {password: x}", "mqtt: {password_file: /nowhere}"} {
		if got := resolve(text); got != "from outside" {
			t.Errorf("%q gives %q", text, got)
		}
	}
}

func TestEverySecretHasItsVariable(t *testing.T) {
	t.Setenv("PILEWATCH_INFLUXDB_TOKEN", "t")
	t.Setenv("PILEWATCH_ALERTS_NIGHT_SHIFT_URL", "http://127.0.0.1/u")
	t.Setenv("PILEWATCH_ALERTS_NIGHT_SHIFT_SECRET", "s")
	t.Setenv("PILEWATCH_ALERTS_MAIL_SMTP", "smtp://h")
	c := load(t, "influxdb: {}\nalerts: {channels: [{name: night-shift, type: dingtalk}, {name: mail, type: email, to: [a@b.cn]}, "+
		"{name: 夜班, type: webhook, url: 'http://127.0.0.1/v'}]}")
	night, mail := c.Alerts.Channels[0], c.Alerts.Channels[1]
	for want, s := range map[string]Secret{"t": c.InfluxDB.Token, "http://127.0.0.1/u": night.URL, "s": night.Secret, "smtp://h": mail.SMTP,
		"http://127.0.0.1/v": c.Alerts.Channels[2].URL} {
		if got, err := s.Resolve(); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestUnreadableSecretNamesKeyAndFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "\n", "huge": strings.Repeat("x", maxSecret+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"none": "no such file", "empty": "is empty", "huge": "is over 64 KB"} {
		c, err := parse(filepath.Join(dir, "pilewatch.yaml"), []byte("influxdb: {token_file: "+name+"}"))
		if err != nil {
			t.Fatal("the file was read on loading:", err)
		}
		_, err = c.InfluxDB.Token.Resolve()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "influxdb.token_file: ") ||
			!strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: %v", name, err)
		}
		if (name == "none") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	c := load(t, "mqtt: {password: hunter2}\ninfluxdb: {token: hunter2}\nalerts: {channels: [{type: webhook, url: 'http://hunter2'}]}")
	hidden := struct{ inner Secret }{c.MQTT.Password} // an unexported field: fmt cannot call methods on it
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%t"} {
		for _, what := range []any{c, *c, c.MQTT.Password, &c.MQTT.Password, hidden, &hidden, c.Alerts.Channels} {
			fmt.Fprintf(&out, verb+"\n", what)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("loaded", "config", c.MQTT, "password", c.MQTT.Password, "channels", c.Alerts.Channels)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	out.Write(asYAML)
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%s is in what was printed", leak)
		}
	}
	if got := c.MQTT.Password.String(); got != "***" {
		t.Errorf("a secret prints as %q", got)
	}
	if got := (Secret{}).String(); got != "" {
		t.Errorf("no secret prints as %q", got)
	}
}
