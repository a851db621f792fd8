package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// InfluxServer is a running InfluxDB 1.8, with Flux.
type InfluxServer struct {
	*Server
	URL string // http://127.0.0.1:port

	user, password string
}

// Row is one row of a result: its columns and tags by name. Numbers are
// [json.Number], so that integers stay exact; "time" is in nanoseconds. A field
// that a row lacks is nil.
type Row map[string]any

// Influx starts an empty InfluxDB that asks for no password.
func Influx(t testing.TB) *InfluxServer {
	t.Helper()
	return influx(t, "", "")
}

// InfluxWithPassword starts an InfluxDB that asks for a password and has one
// user, who may do everything. The v2 API takes "user:password" as the token.
func InfluxWithPassword(t testing.TB, user, password string) *InfluxServer {
	t.Helper()
	s := influx(t, user, password)
	s.influxQL(url.Values{"q": {fmt.Sprintf("CREATE USER %q WITH PASSWORD '%s' WITH ALL PRIVILEGES", user, password)}})
	return s
}

func influx(t testing.TB, user, password string) *InfluxServer {
	t.Helper()
	program := need(t, "influxd", getInflux)
	addr, dir := loopback(Port(t)), t.TempDir()
	s := &InfluxServer{URL: "http://" + addr, user: user, password: password}
	conf := write(t, dir, "influxdb.conf", fmt.Sprintf(influxConf, loopback(Port(t)), dir, addr, user != ""))
	s.Server = launch(t, "influxd", s.ping, program, "run", "-config", conf)
	return s
}

const influxConf = `reporting-disabled = true
bind-address = "%[1]s"
[meta]
dir = "%[2]s/meta"
[data]
dir = "%[2]s/data"
wal-dir = "%[2]s/wal"
query-log-enabled = false
[http]
bind-address = "%[3]s"
auth-enabled = %[4]t
flux-enabled = true
log-enabled = false
[monitor]
store-enabled = false
[subscriber]
enabled = false
[continuous_queries]
enabled = false
`

func (s *InfluxServer) ping() error {
	resp, err := client().Get(s.URL + "/ping")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return errors.New("/ping: " + resp.Status)
	}
	return nil
}

// CreateDatabase makes a database; its bucket in the v2 API has the same name.
func (s *InfluxServer) CreateDatabase(name string) {
	s.t.Helper()
	s.influxQL(url.Values{"q": {fmt.Sprintf("CREATE DATABASE %q", name)}})
}

// Query runs an InfluxQL query over a database and gives its rows in the order
// of the answer. A query that fails fails the test.
func (s *InfluxServer) Query(database, query string) []Row {
	s.t.Helper()
	return s.influxQL(queryForm(database, query))
}

// Ask is Query for a test that judges failures itself.
func (s *InfluxServer) Ask(database, query string) ([]Row, error) {
	answer, err := s.post(queryForm(database, query))
	if err != nil {
		return nil, err
	}
	return answer.rows(), nil
}

func queryForm(database, query string) url.Values {
	return url.Values{"db": {database}, "q": {query}, "epoch": {"ns"}}
}

type influxAnswer struct {
	Error   string
	Results []struct {
		Error  string
		Series []struct {
			Tags    map[string]string
			Columns []string
			Values  [][]any
		}
	}
}

func (s *InfluxServer) influxQL(form url.Values) []Row {
	s.t.Helper()
	answer, err := s.post(form)
	if err != nil {
		s.t.Fatalf("InfluxDB, %s: %v", form.Get("q"), err)
	}
	return answer.rows()
}

func (a *influxAnswer) rows() (rows []Row) {
	for _, result := range a.Results {
		for _, series := range result.Series {
			for _, values := range series.Values {
				row := Row{}
				for name, v := range series.Tags {
					row[name] = v
				}
				for i, name := range series.Columns {
					row[name] = values[i]
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func (s *InfluxServer) post(form url.Values) (*influxAnswer, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.user != "" {
		req.SetBasicAuth(s.user, s.password)
	}
	resp, err := client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer influxAnswer
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	for _, result := range answer.Results {
		if result.Error != "" {
			return nil, errors.New(result.Error)
		}
	}
	return &answer, nil
}

// client keeps no connection open, so that a test that counts goroutines sees none of ours.
func client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}
