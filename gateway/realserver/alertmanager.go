package realserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// AlertManager is a running Alertmanager that tells nobody.
type AlertManager struct {
	*Server
	URL string // http://127.0.0.1:port
}

// Alert is an alert as the API v2 has it.
type Alert struct {
	StartsAt     time.Time
	EndsAt       time.Time
	GeneratorURL string
	Labels       map[string]string
	Annotations  map[string]string
}

// Alertmanager starts one by itself: with no others, and no port for them.
func Alertmanager(t testing.TB) *AlertManager {
	t.Helper()
	program := need(t, "prometheus-alertmanager", getAlertmanager)
	dir, addr := t.TempDir(), loopback(Port(t))
	conf := write(t, dir, "alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
	a := &AlertManager{URL: "http://" + addr}
	a.Server = launch(t, "prometheus-alertmanager", a.ready, program, "--config.file="+conf,
		"--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--cluster.listen-address=")
	return a
}

func (a *AlertManager) ready() error {
	_, err := a.alerts()
	return err
}

// Alerts gives the alerts that it takes for standing now.
func (a *AlertManager) Alerts() []Alert {
	a.t.Helper()
	alerts, err := a.alerts()
	if err != nil {
		a.t.Fatalf("Alertmanager: %v", err)
	}
	return alerts
}

func (a *AlertManager) alerts() (alerts []Alert, err error) {
	resp, err := client().Get(a.URL + "/api/v2/alerts")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("/api/v2/alerts: " + resp.Status)
	}
	return alerts, json.NewDecoder(resp.Body).Decode(&alerts)
}
