package metrics

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// expect compares the named metrics with an exposition; HELP and TYPE lines are
// added, for the golden list holds them.
func expect(t *testing.T, g prometheus.Gatherer, want string) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", f.GetName(), f.GetHelp(), f.GetName(), strings.ToLower(f.GetType().String()))
	}
	var b strings.Builder
	var names []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		line = prefix + line
		name := line[:strings.IndexAny(line, "{ ")]
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
			b.WriteString(kinds[name])
		}
		b.WriteString(line + "\n")
	}
	if err := testutil.GatherAndCompare(g, strings.NewReader(b.String()), names...); err != nil {
		t.Error(err)
	}
}

func TestPortsShowTheirLastReadingAndAllTheirEnergy(t *testing.T) {
	w := newWorld(t)
	w.charging(t, "p1", 2, 152, time.Minute) // 152 Wh from its first reading on
	w.reading(t, time.Minute, devices.Reading{Pile: "p3", Port: 1, PowerMW: 123, State: devices.StateFull})
	w.reading(t, time.Minute, devices.Reading{Pile: "x9", Port: 255})
	expect(t, w.registry(t), `
		port_power_watts{building="",estate="fuxing",pile="x9",port="255"} 0
		port_power_watts{building="3",estate="fuxing",pile="p1",port="2"} 152
		port_power_watts{building="5",estate="fuxing",pile="p3",port="1"} 0.123
		port_energy_joules_total{building="",estate="fuxing",pile="x9",port="255"} 0
		port_energy_joules_total{building="3",estate="fuxing",pile="p1",port="2"} 547200
		port_energy_joules_total{building="5",estate="fuxing",pile="p3",port="1"} 0
		port_temperature_celsius{building="3",estate="fuxing",pile="p1",port="2"} 34.5
		port_state{building="",estate="fuxing",pile="x9",port="255",state="charging"} 0
		port_state{building="",estate="fuxing",pile="x9",port="255",state="fault"} 0
		port_state{building="",estate="fuxing",pile="x9",port="255",state="full"} 0
		port_state{building="",estate="fuxing",pile="x9",port="255",state="idle"} 0
		port_state{building="",estate="fuxing",pile="x9",port="255",state="plugged"} 0
		port_state{building="",estate="fuxing",pile="x9",port="255",state="unknown"} 1
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="charging"} 1
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="fault"} 0
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="full"} 0
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="idle"} 0
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="plugged"} 0
		port_state{building="3",estate="fuxing",pile="p1",port="2",state="unknown"} 0
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="charging"} 0
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="fault"} 0
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="full"} 1
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="idle"} 0
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="plugged"} 0
		port_state{building="5",estate="fuxing",pile="p3",port="1",state="unknown"} 0
		sessions_open 1
		piles_unregistered 1`)
}

func TestPileIsUpUntilItSaysOfflineOrIsSilent(t *testing.T) {
	w := newWorld(t)
	online := func(pile string, ago time.Duration, on bool) {
		w.status(t, ago, devices.Status{Pile: pile, Online: on, Has: devices.HasOnline})
	}
	w.reading(t, 10*time.Minute, devices.Reading{Pile: "just", Port: 1})
	w.reading(t, 10*time.Minute+time.Millisecond, devices.Reading{Pile: "silent", Port: 1})
	online("p1", 3*time.Minute, true)
	online("p2", 3*time.Minute, false)
	online("p3", 3*time.Minute, false)
	w.reading(t, 2*time.Minute, devices.Reading{Pile: "p3", Port: 1}) // it speaks again
	w.status(t, time.Minute, devices.Status{Pile: "p1", TempMC: 31_250, Has: devices.HasTemperature})
	expect(t, w.registry(t), `
		pile_up{building="",estate="fuxing",pile="just"} 1
		pile_up{building="",estate="fuxing",pile="silent"} 0
		pile_up{building="3",estate="fuxing",pile="p1"} 1
		pile_up{building="3",estate="fuxing",pile="p2"} 0
		pile_up{building="5",estate="fuxing",pile="p3"} 1
		pile_temperature_celsius{building="3",estate="fuxing",pile="p1"} 31.25
		pile_last_seen_timestamp_seconds{building="",estate="fuxing",pile="just"} 1.7954346e+09
		pile_last_seen_timestamp_seconds{building="",estate="fuxing",pile="silent"} 1.795434599999e+09
		pile_last_seen_timestamp_seconds{building="3",estate="fuxing",pile="p1"} 1.79543514e+09
		pile_last_seen_timestamp_seconds{building="3",estate="fuxing",pile="p2"} 1.79543502e+09
		pile_last_seen_timestamp_seconds{building="5",estate="fuxing",pile="p3"} 1.79543508e+09`)
	expect(t, w.registry(t, func(o *Options) { o.Silent = 150 * time.Second }), `
		pile_up{building="",estate="fuxing",pile="just"} 0
		pile_up{building="",estate="fuxing",pile="silent"} 0
		pile_up{building="3",estate="fuxing",pile="p1"} 1
		pile_up{building="3",estate="fuxing",pile="p2"} 0
		pile_up{building="5",estate="fuxing",pile="p3"} 1`)
}

func TestPileNotHeardForADayLeaves(t *testing.T) {
	w := newWorld(t)
	w.reading(t, 24*time.Hour, devices.Reading{Pile: "p1", Port: 1, PowerMW: 1000})
	w.reading(t, 24*time.Hour+time.Millisecond, devices.Reading{Pile: "p2", Port: 1, PowerMW: 1000})
	w.reading(t, 24*time.Hour+time.Millisecond, devices.Reading{Pile: "x9", Port: 1, PowerMW: 1000})
	reg := w.registry(t)
	expect(t, reg, `
		pile_up{building="3",estate="fuxing",pile="p1"} 0
		port_power_watts{building="3",estate="fuxing",pile="p1",port="1"} 1
		piles_unregistered 0`)
	families, _ := reg.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "p2" {
					t.Errorf("%s still has the pile that left", f.GetName())
				}
			}
		}
	}
	w.reading(t, time.Minute, devices.Reading{Pile: "p2", Port: 1, PowerMW: 2000})
	expect(t, reg, `
		port_power_watts{building="3",estate="fuxing",pile="p1",port="1"} 1
		port_power_watts{building="3",estate="fuxing",pile="p2",port="1"} 2`)
}

func TestWithTooManyPortsBuildingsTakeTheirPlace(t *testing.T) {
	w := newWorld(t)
	w.charging(t, "p1", 1, 100, 25*time.Hour) // it leaves, its 100 Wh stay
	w.charging(t, "p2", 1, 200, time.Minute)
	w.charging(t, "p2", 2, 50, time.Minute)
	w.reading(t, time.Minute, devices.Reading{Pile: "p3", Port: 1, PowerMW: 1500, State: devices.StateIdle})
	few := func(o *Options) { o.MaxPorts = 2 }
	reg := w.registry(t, few)
	expect(t, reg, `
		building_power_watts{building="3",estate="fuxing"} 250
		building_power_watts{building="5",estate="fuxing"} 1.5
		building_energy_joules_total{building="3",estate="fuxing"} 1.26e+06
		building_energy_joules_total{building="5",estate="fuxing"} 0
		building_port_temperature_max_celsius{building="3",estate="fuxing"} 34.5
		building_ports{building="3",estate="fuxing",state="charging"} 2
		building_ports{building="3",estate="fuxing",state="fault"} 0
		building_ports{building="3",estate="fuxing",state="full"} 0
		building_ports{building="3",estate="fuxing",state="idle"} 0
		building_ports{building="3",estate="fuxing",state="plugged"} 0
		building_ports{building="3",estate="fuxing",state="unknown"} 0
		building_ports{building="5",estate="fuxing",state="charging"} 0
		building_ports{building="5",estate="fuxing",state="fault"} 0
		building_ports{building="5",estate="fuxing",state="full"} 0
		building_ports{building="5",estate="fuxing",state="idle"} 1
		building_ports{building="5",estate="fuxing",state="plugged"} 0
		building_ports{building="5",estate="fuxing",state="unknown"} 0
		sessions_open 3`)
	if n, _ := testutil.GatherAndCount(reg, "pilewatch_port_power_watts", "pilewatch_port_state"); n != 0 {
		t.Errorf("%d per-port series beside the sums", n)
	}
	asked := w.registry(t, few, func(o *Options) { o.PortSeries = true })
	if n, _ := testutil.GatherAndCount(asked, "pilewatch_port_power_watts"); n != 3 {
		t.Errorf("%d per-port series although asked for, want 3", n)
	}
	if n, _ := testutil.GatherAndCount(asked, "pilewatch_building_power_watts"); n != 0 {
		t.Error("sums beside per-port series")
	}
	enough := w.registry(t, func(o *Options) { o.MaxPorts = 3 })
	if n, _ := testutil.GatherAndCount(enough, "pilewatch_port_power_watts"); n != 3 {
		t.Errorf("%d per-port series at the limit, want 3: the pile that left does not count", n)
	}
}

func TestFiveThousandPortsAreNotTooMany(t *testing.T) {
	for ports, want := range map[int]int{5000: 5000, 5010: 0} {
		if n, _ := testutil.GatherAndCount(estate(t, ports).registry(t), "pilewatch_port_power_watts"); n != want {
			t.Errorf("of %d ports %d have series, want %d", ports, n, want)
		}
	}
}

func TestSinksFlagsLedgerAndBroker(t *testing.T) {
	w := newWorld(t)
	w.flags = []flagCount{{"over_power", "critical", 2, 5}, {"pile_offline", "warning", 0, 1}, {"a_rule_of_last_year", "info", 1, 0}}
	sinks := func(o *Options) {
		o.Sinks = []Sink{
			sink{Name: "influxdb", Backlog: 1234, Oldest: at(90 * time.Second), Delivered: 7, Failed: 3, Refused: 2},
			sink{Name: "safety", Oldest: at(-time.Minute)}, // a clock that was put back
		}
	}
	reg := w.registry(t, sinks)
	expect(t, reg, fmt.Sprintf(`
		sink_backlog_readings{sink="influxdb"} 1234
		sink_backlog_readings{sink="safety"} 0
		sink_oldest_unsent_seconds{sink="influxdb"} 90
		sink_oldest_unsent_seconds{sink="safety"} 0
		sink_writes_total{result="error",sink="influxdb"} 3
		sink_writes_total{result="error",sink="safety"} 0
		sink_writes_total{result="ok",sink="influxdb"} 7
		sink_writes_total{result="ok",sink="safety"} 0
		sink_writes_total{result="rejected",sink="influxdb"} 2
		sink_writes_total{result="rejected",sink="safety"} 0
		flags_open{rule="a_rule_of_last_year",severity="info"} 1
		flags_open{rule="over_power",severity="critical"} 2
		flags_open{rule="over_power",severity="info"} 0
		flags_open{rule="over_power",severity="warning"} 0
		flags_open{rule="pile_offline",severity="critical"} 0
		flags_open{rule="pile_offline",severity="info"} 0
		flags_open{rule="pile_offline",severity="warning"} 0
		flags_raised_total{rule="a_rule_of_last_year",severity="info"} 0
		flags_raised_total{rule="over_power",severity="critical"} 5
		flags_raised_total{rule="over_power",severity="info"} 0
		flags_raised_total{rule="over_power",severity="warning"} 0
		flags_raised_total{rule="pile_offline",severity="critical"} 0
		flags_raised_total{rule="pile_offline",severity="info"} 0
		flags_raised_total{rule="pile_offline",severity="warning"} 1
		ledger_size_bytes 123456
		ledger_writable 1
		mqtt_connected 1
		build_info{commit="abc",goversion="%s",version="1.2.3"} 1`, runtime.Version()))

	w.writable, w.broker, w.sizeErr = errAway, errAway, errAway
	expect(t, reg, "ledger_writable 0\n mqtt_connected 0")
	if n, _ := testutil.GatherAndCount(reg, "pilewatch_ledger_size_bytes"); n != 0 {
		t.Error("a size is given that could not be told")
	}
}

func TestSessionLostByTheClockIsNotOpen(t *testing.T) {
	w := newWorld(t)
	w.charging(t, "p1", 1, 100, 7*time.Hour)
	w.charging(t, "p1", 2, 100, time.Minute)
	w.step(t, session.Input{Received: at(0)}) // the clock closes the first
	expect(t, w.registry(t), "sessions_open 1")
}

func TestNamesThatAreNoTextDoNotStopTheScrape(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"\xff", "\xfe", "桩 \"a\"\n"} {
		w.reading(t, time.Minute, devices.Reading{Pile: name, Port: 1})
	}
	reg := w.registry(t, func(o *Options) { o.Estate = "\xff" })
	if n, err := testutil.GatherAndCount(reg, "pilewatch_pile_up"); n != 3 || err != nil {
		t.Errorf("%d piles, error %v", n, err)
	}
}

func TestHandlerSpeaksBothFormatsAndSaysWhatItCannotGather(t *testing.T) {
	var log strings.Builder
	w := newWorld(t)
	w.charging(t, "p1", 1, 100, time.Minute)
	reg := w.registry(t)
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "pilewatch_test_total", Help: "A test."}, func() float64 { return 1 }))
	s := httptest.NewServer(Handler(reg, slog.New(slog.NewTextHandler(&log, nil))))
	defer s.Close()
	for accept, want := range map[string][]string{
		"text/plain;version=0.0.4":                    {`pilewatch_port_power_watts{building="3",estate="fuxing",pile="p1",port="1"} 100`, "text/plain; version=0.0.4"},
		"application/openmetrics-text; version=1.0.0": {`pilewatch_port_power_watts{building="3",estate="fuxing",pile="p1",port="1"} 100.0`, "application/openmetrics-text; version=1.0.0", "# EOF"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		for _, part := range want {
			if all := resp.Header.Get("Content-Type") + "\n" + string(body); !strings.Contains(all, part) {
				t.Errorf("%s: %q is not in the answer", accept, part)
			}
		}
	}
	reg.MustRegister(brokenCollector{})
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(body), "pilewatch_port_power_watts") || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("status %d; log %q", resp.StatusCode, &log)
	}
}

// brokenCollector has one metric that can't be given.
type brokenCollector struct{}

func (brokenCollector) Describe(ch chan<- *prometheus.Desc) { ch <- desc("broken", "Broken.") }
func (brokenCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(desc("broken", "Broken."), errAway)
}

func TestScrapesAndReadingsGoOnTogether(t *testing.T) {
	w := newWorld(t)
	reg := w.registry(t)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 50 {
				if _, err := reg.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for port := range uint8(20) {
		w.charging(t, "p1", port+1, 100, time.Minute)
	}
	wg.Wait()
}

func BenchmarkScrapeOf5000Ports(b *testing.B) {
	reg := estate(b, 5000).registry(b)
	h := Handler(reg, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
