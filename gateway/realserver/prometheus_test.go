package realserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestPrometheusScrapesTheTarget(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# TYPE port_power_watts gauge\nport_power_watts{pile=\"a\",port=\"1\"} 152.4\n")
	})
	target := httptest.NewServer(page)
	defer target.Close()
	p := Prometheus(t, strings.TrimPrefix(target.URL, "http://"))
	got := p.Await("port_power_watts")
	if len(got) != 1 || got[0].Value != 152.4 || got[0].Labels["pile"] != "a" || got[0].Labels["job"] != "pilewatch" {
		t.Errorf("got %v", got)
	}
	if up := p.Query(`up{job="pilewatch"}`); len(up) != 1 || up[0].Value != 1 {
		t.Errorf("up is %v", up)
	}
	if none := p.Query("no_such_series"); len(none) != 0 {
		t.Errorf("got %v for a series that is not there", none)
	}
}

func TestCheckMetricsFindsFault(t *testing.T) {
	CheckMetrics(t, []byte("# HELP pilewatch_mqtt_connected Whether the broker is connected.\n"+
		"# TYPE pilewatch_mqtt_connected gauge\npilewatch_mqtt_connected 1\n"))
	faulty := &recorder{TB: t}
	CheckMetrics(faulty, []byte("# TYPE pilewatch_messages counter\npilewatch_messages 1\n"))
	if !strings.Contains(faulty.said, `counter metrics should have "_total" suffix`) {
		t.Errorf("a counter without _total passed; promtool said: %s", faulty.said)
	}
}

func TestPromtoolChecksAFile(t *testing.T) {
	file := write(t, t.TempDir(), "prometheus.yml", "global: {scrape_interval: 1s}\n")
	if out := Promtool(t, "check", "config", file); !strings.Contains(out, "SUCCESS") {
		t.Errorf("promtool said: %s", out)
	}
	if err := os.WriteFile(file, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	faulty := &recorder{TB: t}
	if Promtool(faulty, "check", "config", file); faulty.said == "" {
		t.Error("an unknown key passed")
	}
}
