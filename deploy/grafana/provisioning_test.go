package grafana

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pilewatch/gateway/realserver"
)

// sources is what Grafana reads of a file of data sources.
type sources struct {
	APIVersion  int `yaml:"apiVersion"`
	Datasources []struct {
		Name, UID, Type, Access, URL string
		IsDefault                    bool `yaml:"isDefault"`
		Editable                     bool
		JSONData                     map[string]string `yaml:"jsonData"`
		SecureJSONData               map[string]string `yaml:"secureJsonData"`
	}
}

type providers struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name, Folder, Type    string
		FolderUID             string `yaml:"folderUid"`
		AllowUIUpdates        bool   `yaml:"allowUiUpdates"`
		DisableDeletion       bool   `yaml:"disableDeletion"`
		UpdateIntervalSeconds int    `yaml:"updateIntervalSeconds"`
		Options               struct{ Path string }
	}
}

// provisioned reads a file as Grafana does, but for keys that Grafana would pass over.
func provisioned[T any](t *testing.T, file string) (v T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("provisioning", file))
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

var secretFile = regexp.MustCompile(`\$__file\{[^}]+\}`)

func TestDataSourcesAreThoseOfTheDashboardsAndHoldNoSecret(t *testing.T) {
	s := provisioned[sources](t, "datasources/pilewatch.yaml")
	kinds := map[string]string{influxUID: influxType, promUID: promType}
	for _, d := range s.Datasources {
		if kinds[d.UID] != d.Type || d.Access != "proxy" || !strings.HasPrefix(d.URL, "$") {
			t.Errorf("data source %s: uid %s, type %s, access %s, address %s", d.Name, d.UID, d.Type, d.Access, d.URL)
		}
		for key, secret := range d.SecureJSONData {
			if !secretFile.MatchString(secret) {
				t.Errorf("data source %s: %s is in the file", d.Name, key)
			}
		}
		delete(kinds, d.UID)
	}
	if s.APIVersion != 1 || len(kinds) > 0 {
		t.Errorf("version %d; not provisioned: %v", s.APIVersion, kinds)
	}
}

// The dashboards are where the container of deploy/compose has them, and can't be
// changed in Grafana, where the next start would lose the change.
func TestDashboardsAreProvisionedAndKept(t *testing.T) {
	v := provisioned[providers](t, "dashboards/pilewatch.yaml")
	if v.APIVersion != 1 || len(v.Providers) != 1 {
		t.Fatalf("%+v", v)
	}
	if p := v.Providers[0]; p.Type != "file" || p.Folder != "充电桩" || p.AllowUIUpdates || p.Options.Path == "" {
		t.Errorf("%+v", p)
	}
}

// One file of data sources serves all versions: the header that InfluxDB 2 and 3
// want is taken by 1.8 too, with user:password for the token.
func TestInfluxDB18TakesTheProvisionedHeader(t *testing.T) {
	s := provisioned[sources](t, "datasources/pilewatch.yaml")
	influx := realserver.InfluxWithPassword(t, "grafana", "s3cret")
	influx.CreateDatabase(database)
	for _, c := range []struct {
		secret string
		status int
	}{{"grafana:s3cret", http.StatusOK}, {"grafana:wrong", http.StatusUnauthorized}} {
		header := secretFile.ReplaceAllString(s.Datasources[0].SecureJSONData["httpHeaderValue1"], c.secret)
		form := url.Values{"db": {database}, "q": {"SHOW MEASUREMENTS"}, "epoch": {"ms"}}
		req, err := http.NewRequestWithContext(t.Context(), s.Datasources[0].JSONData["httpMode"], influx.URL+"/query", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(s.Datasources[0].JSONData["httpHeaderName1"], header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s %s", header, resp.Status, body)
		}
	}
}
