package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
)

// Prom is a running Prometheus that scrapes the test's targets every second.
type Prom struct {
	*Server
	URL string // http://127.0.0.1:port
}

// Sample is one series of an instant query's answer.
type Sample struct {
	Labels map[string]string // "__name__" among them where the query keeps it
	Value  float64
}

// Prometheus starts a server that scrapes /metrics of each target (host:port) as
// the job "pilewatch".
func Prometheus(t testing.TB, targets ...string) *Prom {
	t.Helper()
	list, err := json.Marshal(targets) // a JSON list is one in YAML too
	if err != nil {
		t.Fatal(err)
	}
	return PrometheusWith(t, fmt.Sprintf(prometheusConf, list))
}

// PrometheusWith starts a server with a configuration.
func PrometheusWith(t testing.TB, conf string) *Prom {
	t.Helper()
	program := need(t, "prometheus", getPrometheus)
	dir, addr := t.TempDir(), loopback(Port(t))
	p := &Prom{URL: "http://" + addr}
	p.Server = launch(t, "prometheus", p.ready, program, "--config.file="+write(t, dir, "prometheus.yml", conf),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	return p
}

const prometheusConf = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: pilewatch
    static_configs: [{targets: %s}]
`

func (p *Prom) ready() error {
	resp, err := client().Get(p.URL + "/-/ready")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("/-/ready: " + resp.Status)
	}
	return nil
}

// Query runs an instant query that gives a vector. A query that fails fails the test.
func (p *Prom) Query(expr string) []Sample {
	p.t.Helper()
	samples, err := p.Ask(expr)
	if err != nil {
		p.t.Fatalf("Prometheus, %s: %v", expr, err)
	}
	return samples
}

// Await runs an instant query until its answer is not empty, and gives that; the
// test fails after a minute. A comparison makes it a condition: "up == 1".
func (p *Prom) Await(expr string) []Sample {
	p.t.Helper()
	var samples []Sample
	err := poll(startLimit, p.gone, func() (err error) {
		if samples, err = p.Ask(expr); err == nil && len(samples) == 0 {
			err = errors.New("still nothing")
		}
		return err
	})
	if err != nil {
		p.t.Fatalf("Prometheus, %s: %v", expr, err)
	}
	return samples
}

type promAnswer struct {
	Error string
	Data  struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  [2]any // seconds, and the value as text
		}
	}
}

// Ask is Query for a test that judges failures itself.
func (p *Prom) Ask(expr string) ([]Sample, error) {
	resp, err := client().Get(p.URL + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer promAnswer
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	samples := make([]Sample, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		samples = append(samples, Sample{Labels: r.Metric, Value: v})
	}
	return samples, nil
}

// Promtool runs promtool and gives what it writes; the test fails where it does.
func Promtool(t testing.TB, args ...string) string {
	t.Helper()
	return verdict(t, need(t, "promtool", getPrometheus), nil, args...)
}

// CheckMetrics fails the test where `promtool check metrics` finds fault with an
// exposition: a name, a type, a missing help, a unit.
func CheckMetrics(t testing.TB, exposition []byte) {
	t.Helper()
	verdict(t, need(t, "promtool", getPrometheus), exposition, "check", "metrics")
}
