package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pilewatch/devices"
)

var update = flag.Bool("update", false, "write the golden files anew")

// contract lists what 'Prometheus' in the public interface promises.
const contract = `port_power_watts port_energy_joules_total port_temperature_celsius port_state
pile_up pile_temperature_celsius pile_last_seen_timestamp_seconds sessions_open sessions_closed_total
session_energy_joules flags_open flags_raised_total
messages_received_total messages_rejected_total readings_committed_total
readings_dropped_total commit_duration_seconds mqtt_connected ingest_lag_seconds
sink_backlog_readings sink_oldest_unsent_seconds sink_writes_total
alert_deliveries_total ledger_size_bytes ledger_writable build_info`

// everything gathers each metric there is: per port, or per building instead.
func everything(t testing.TB, buildings bool) *prometheus.Registry {
	t.Helper()
	w := newWorld(t)
	w.charging(t, "p1", 1, 100, time.Minute)
	w.charging(t, "p1", 2, 100, time.Minute)
	w.status(t, time.Minute, devices.Status{Pile: "p1", TempMC: 31_000, Has: devices.HasTemperature})
	reg := w.registry(t, func(o *Options) {
		o.Sinks = []Sink{sink{Name: "influxdb"}}
		if buildings {
			o.MaxPorts = 1
		}
	})
	if _, err := NewCounters(reg, known()); err != nil {
		t.Fatal(err)
	}
	return reg
}

// A name is an API: it changes with a version and a word in the changelog only.
func TestNamesTypesLabelsAndHelpsAreThoseOfTheList(t *testing.T) {
	lines := map[string]bool{}
	for _, buildings := range []bool{false, true} {
		families, err := everything(t, buildings).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			lines[fmt.Sprintf("%s{%s} %s\n\t%s\n", f.GetName(), strings.Join(labels, ","), strings.ToLower(f.GetType().String()), f.GetHelp())] = true
		}
	}
	var all []string
	for l := range lines {
		all = append(all, l)
	}
	slices.Sort(all)
	got := strings.Join(all, "")
	path := filepath.Join("testdata", "metrics.golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range strings.Fields(contract) {
		if !strings.Contains(got, prefix+name+"{") {
			t.Errorf("%s is in the contract and is not given", name)
		}
	}
}

func TestMetricsAreFreeOfLint(t *testing.T) {
	for _, buildings := range []bool{false, true} {
		problems, err := testutil.GatherAndLint(everything(t, buildings))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestEveryDescriptionIsAnnounced(t *testing.T) {
	d := newDescs()
	if got, want := len(d.all()), reflect.TypeFor[descs]().NumField(); got != want {
		t.Errorf("%d descriptions are announced, want %d", got, want)
	}
}
