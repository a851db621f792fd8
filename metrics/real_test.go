package metrics

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pilewatch/gateway/realserver"
)

func TestPromtoolFindsNoFault(t *testing.T) {
	for _, buildings := range []bool{false, true} {
		w := httptest.NewRecorder()
		Handler(everything(t, buildings), slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		realserver.CheckMetrics(t, w.Body.Bytes())
	}
}

func TestRealPrometheusTakesTheScrape(t *testing.T) {
	reg := everything(t, false)
	s := httptest.NewServer(Handler(reg, slog.New(slog.DiscardHandler)))
	defer s.Close()
	p := realserver.Prometheus(t, strings.TrimPrefix(s.URL, "http://"))
	for expr, want := range map[string]float64{
		`sum(pilewatch_port_power_watts{estate="fuxing",building="3"})`:    200,
		`sum(pilewatch_port_energy_joules_total)`:                          720_000,
		`count(pilewatch_port_state == 1)`:                                 2,
		`pilewatch_sessions_open`:                                          2,
		`count(pilewatch_flags_open)`:                                      6,
		`pilewatch_session_energy_joules_bucket{le="3.6e+06"}`:             0,
		`sum(pilewatch_sink_writes_total{sink="influxdb",result="error"})`: 0,
	} {
		if got := p.Await(expr); len(got) != 1 || got[0].Value != want {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
}
