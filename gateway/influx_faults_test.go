package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
)

// flatWithin is how much more live memory, in bytes, a backlog may take when it
// is four times as long. The entries that came would take five times that, their
// lines as much.
const flatWithin = 8 << 20

// TestInfluxDBAwayForDaysGetsEverythingAndNobodyElseNotices takes three days of
// six piles in while InfluxDB is away, and lets it come back.
func TestInfluxDBAwayForDaysGetsEverythingAndNobodyElseNotices(t *testing.T) {
	t.Parallel()
	const piles, ports, small, all = 6, 12, 1440, 20 * 1440
	l := estateLoad(time.Date(2026, 11, 18, 2, 0, 0, 0, time.UTC), piles, ports, all/piles, nil)
	mosquitto, influx := realserver.Mosquitto(t, realserver.MosquittoOptions{}), realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	influx.Stop()
	addr := freeAddr(t)
	g := start(t, addr, "run", "--config", settingsFile(t, t.TempDir(), mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", influx.URL)))

	var live []float64 // bytes that the last collection found in use, after each part
	for sent := 0; sent < all; sent += small {
		publishAll(t, mosquitto.URL, l.messages[sent:sent+small])
		await(t, "the rules to have it", func() error { return sinks(t, g, (sent+small)*ports) })
		live = append(live, metric(t, g, "go_memstats_next_gc_bytes", "")/2) // the next one comes at twice as much
	}
	// What a backlog takes begins where the ledger keeps as many of the newest entries as it ever does.
	full := ledger.TailEntries/(small*ports) + 1
	if first, last := live[full], slices.Min(live[len(live)-5:]); last-first > flatWithin {
		t.Errorf("%.0f MB with %d readings waiting, %.0f MB with %d: %.0f", first/1e6, (full+1)*small*ports, last/1e6, l.readings, live)
	}
	if n := metric(t, g, "pilewatch_sink_oldest_unsent_seconds", `sink="influxdb"`); n <= 0 {
		t.Errorf("the oldest that waits for InfluxDB waits for %v s", n)
	}
	influx.Start()
	checkInflux(t, influx, l.charges, l.readings)
	checkSessions(t, g, l.charges)
	g.stop()
}

// sinks wants that all readings are committed, that the rules have had them, and that InfluxDB has not.
func sinks(t *testing.T, g *gateway, readings int) error {
	if n := metric(t, g, "pilewatch_readings_committed_total", ""); int(n) != readings {
		return fmt.Errorf("%v of %d readings are committed", n, readings)
	}
	if n := metric(t, g, "pilewatch_sink_backlog_readings", `sink="safety"`); n != 0 {
		return fmt.Errorf("%v entries wait for the rules", n)
	}
	if n := metric(t, g, "pilewatch_sink_backlog_readings", `sink="influxdb"`); int(n) < readings {
		t.Fatalf("only %v entries wait for InfluxDB, which is away", n)
	}
	return nil
}

// front is an InfluxDB that does to each write what the next of its faults says,
// and after them all serves well.
type front struct {
	*httptest.Server
	proxy  *httputil.ReverseProxy
	faults []fault
	writes atomic.Int64
	quit   chan struct{}
}

// fault answers a write; where it does not, the real server does.
type fault struct {
	name string
	do   func(f *front, w http.ResponseWriter, r *http.Request)
}

func newFront(t *testing.T, to string, faults []fault) *front {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{proxy: httputil.NewSingleHostReverseProxy(u), faults: faults, quit: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		close(f.quit)
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := int(f.writes.Add(1)) - 1; n < len(f.faults) {
		f.faults[n].do(f, w, r)
		return
	}
	f.proxy.ServeHTTP(w, r)
}

func answer(status int, header func(http.Header)) func(*front, http.ResponseWriter, *http.Request) {
	return func(_ *front, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		header(w.Header())
		w.WriteHeader(status)
	}
}

// cut ends the connection after some bytes of an answer.
func cut(w http.ResponseWriter, said string) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = rw.WriteString(said)
	_ = rw.Flush()
	_ = conn.(*net.TCPConn).SetLinger(0) // a reset
	conn.Close()
}

func faultyDay() []fault {
	seconds := func(s string) func(http.Header) {
		return func(h http.Header) { h.Set("Retry-After", s) }
	}
	date := func(h http.Header) { h.Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat)) }
	none := func(http.Header) {}
	well := fault{"well", func(f *front, w http.ResponseWriter, r *http.Request) { f.proxy.ServeHTTP(w, r) }}
	faults := []fault{
		{"429", answer(http.StatusTooManyRequests, seconds("1"))},
		{"503 with a date", answer(http.StatusServiceUnavailable, date)},
		{"500", answer(http.StatusInternalServerError, none)},
		{"503 with rubbish", answer(http.StatusServiceUnavailable, seconds("soon"))},
		{"413", answer(http.StatusRequestEntityTooLarge, none)},
		{"cut before the answer", func(_ *front, w http.ResponseWriter, _ *http.Request) { cut(w, "") }},
		{"stored, and cut in the answer", func(f *front, w http.ResponseWriter, r *http.Request) {
			f.proxy.ServeHTTP(httptest.NewRecorder(), r)
			cut(w, "HTTP/1.1 204 No Con")
		}},
		{"cut in a refusal", func(_ *front, w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			cut(w, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{\"code\":")
		}},
		{"cut in the request", func(_ *front, w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			cut(w, "")
		}},
	}
	var all []fault
	for _, f := range faults {
		all = append(all, f, well)
	}
	return all
}

// TestInfluxDBThatIsBusyCutsAndRefusesGetsEverything lets each write fail in
// another way, with good ones between, kills the gateway in the middle of it,
// and has InfluxDB refuse some points for good.
func TestInfluxDBThatIsBusyCutsAndRefusesGetsEverything(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	const piles, minutes, refused = 6, 900, 900 / rhythm
	l := estateLoad(day, piles, 12, minutes, func(m int) bool { return m%(piles*rhythm) == piles*(chargesFor+5) }) // idle ones: they hold no power
	mosquitto, influx := realserver.Mosquitto(t, realserver.MosquittoOptions{}), realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	writeLine(t, influx.URL, fmt.Sprintf("port_power,pile=other temperature_c=\"hot\" %d", day.UnixNano()))
	faults := faultyDay()
	front := newFront(t, influx.URL, faults)
	addr := freeAddr(t)
	cfg := settingsFile(t, t.TempDir(), mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", front.URL))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, l.messages)
	await(t, "half of the faults", func() error { return written(front, len(faults)/2) })
	g.kill()
	g = start(t, addr, "run", "--config", cfg)
	await(t, "all faults", func() error { return written(front, len(faults)) })
	checkInflux(t, influx, l.charges, l.readings-refused)
	checkSessions(t, g, l.charges)
	g.stop()
}

func written(f *front, n int) error {
	if at := f.writes.Load(); int(at) < n {
		return fmt.Errorf("%d writes of %d", at, n)
	}
	return nil
}

func writeLine(t *testing.T, to, line string) {
	t.Helper()
	resp, err := http.Post(to+"/write?db=pilewatch", "text/plain", strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
}

// TestInfluxDBThatHangsDelaysNoStop stops the gateway while InfluxDB holds a
// write and never answers. What waited is written after the start as it was,
// although the piles have moved to another building since.
func TestInfluxDBThatHangsDelaysNoStop(t *testing.T) {
	t.Parallel()
	l := estateLoad(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 2, 4, 200, nil)
	mosquitto, influx := realserver.Mosquitto(t, realserver.MosquittoOptions{}), realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	front := newFront(t, influx.URL, []fault{{"hangs", func(f *front, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-f.quit:
		case <-r.Context().Done():
		}
	}}})
	addr := freeAddr(t)
	cfg := settingsFile(t, t.TempDir(), mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}\nregistry: {piles: piles.csv}", front.URL))
	const registry = "pile,building,location,ports,max_port_w\nP01,%[1]s,东,4,1000\nP02,%[1]s,西,4,1000\n"
	write(t, filepath.Dir(cfg), "piles.csv", fmt.Sprintf(registry, "1"))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, l.messages)
	await(t, "a write that hangs", func() error { return written(front, 1) })
	await(t, "the rules to have it", func() error { return sinks(t, g, l.readings) })
	g.stop()
	write(t, filepath.Dir(cfg), "piles.csv", fmt.Sprintf(registry, "7"))
	g = start(t, addr, "run", "--config", cfg)
	checkInflux(t, influx, l.charges, l.readings)
	checkSessions(t, g, l.charges)
	rows := influx.Query("pilewatch", "SELECT count(power_w) FROM port_power GROUP BY building")
	if len(rows) != 1 || rows[0]["building"] != "1" {
		t.Errorf("the buildings of what waited: %v", rows)
	}
	g.stop()
}
