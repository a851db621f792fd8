package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/gateway/realserver"
)

// traceFile holds measured power curves; its licences keep it out of the repository.
const traceFile = "../../shared/data/dev_30s.ndjson"

type trace struct {
	ID       string       `json:"id"`
	Points   [][2]float64 `json:"points"`
	EnergyWh []float64    `json:"energy_wh"`
}

// charge is a trace as it is played on a port, with what must come of it.
type charge struct {
	trace
	pile       string
	port       int
	start, end time.Time // of the first and the last portReport
	base       float64   // the port's register at its beginning, Wh
}

// energyMWh is the truth: the register's advance from the first to the last portReport.
func (c *charge) energyMWh() int64 {
	return mWh(c.base+c.EnergyWh[len(c.EnergyWh)-1]) - mWh(c.base+c.EnergyWh[0])
}

func mWh(wh float64) int64 { return int64(math.Round(wh * 1000)) }

// portReport is a message of one port.
type portReport struct {
	at      time.Time
	topic   string
	payload string
}

// measuredDay lays the measured traces on the ports of some piles, one after the
// other within a day.
func measuredDay(t testing.TB, day time.Time, piles, ports int) (charges []*charge, reports []portReport) {
	t.Helper()
	f, err := os.Open(traceFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the measured traces are not here: expected %s", traceFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	port, at, register := 0, day, 1000.0
	for lines.Scan() && port < piles*ports {
		var tr trace
		if err := json.Unmarshal(lines.Bytes(), &tr); err != nil {
			t.Fatal(err)
		}
		length := time.Duration(tr.Points[len(tr.Points)-1][0]) * time.Second
		if at.Add(length).After(day.Add(24 * time.Hour)) {
			port, at, register = port+1, day, 1000*float64(port+2)
			continue
		}
		c := &charge{trace: tr, pile: fmt.Sprintf("P%02d", port/ports+1), port: port%ports + 1, base: register}
		c.start = at.Add(time.Duration(tr.Points[0][0]) * time.Second)
		c.end = at.Add(length)
		charges = append(charges, c)
		reports = append(reports, c.reports(at)...)
		at, register = at.Add(length+20*time.Minute), register+tr.EnergyWh[len(tr.EnergyWh)-1]+7
	}
	sortReports(reports)
	return charges, reports
}

func sortReports(reports []portReport) {
	slices.SortStableFunc(reports, func(a, b portReport) int { return a.at.Compare(b.at) })
}

// reports are what the port says: charging first, idle at the last portReport.
func (c *charge) reports(began time.Time) []portReport {
	var rs []portReport
	for i, p := range c.Points {
		state := "charging"
		switch {
		case i == len(c.Points)-1:
			state = "idle"
		case i > 0 && p[1] < 5:
			state = "full" // so that a pause is no end
		}
		at := began.Add(time.Duration(p[0]) * time.Second)
		rs = append(rs, portReport{at, "pilewatch/v1/fuxing/" + c.pile + "/telemetry", fmt.Sprintf(
			`{"ts":%q,"ports":[{"port":%d,"state":%q,"w":%g,"wh":%.3f}]}`, at.Format(time.RFC3339), c.port, state, p[1], c.base+c.EnergyWh[i])})
	}
	return rs
}

func publishAll(t testing.TB, url string, reports []portReport, options ...func(*mqtt.ClientOptions)) {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID("piles")
	for _, set := range options {
		set(o)
	}
	c := mqtt.NewClient(o)
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal("connecting to the broker:", tok.Error())
	}
	defer c.Disconnect(250)
	var tokens []mqtt.Token
	for i, r := range reports {
		tokens = append(tokens, c.Publish(r.topic, 1, false, r.payload))
		if len(tokens) == 500 || i == len(reports)-1 {
			for _, tok := range tokens {
				if !tok.WaitTimeout(30*time.Second) || tok.Error() != nil {
					t.Fatal("publishing:", tok.Error())
				}
			}
			tokens = tokens[:0]
		}
	}
}

// TestADayOfMeasuredTracesIsWholeEverywhere publishes a day of measured curves
// through mosquitto to the running binary, and checks sessions, InfluxDB and
// metrics against what was sent.
func TestADayOfMeasuredTracesIsWholeEverywhere(t *testing.T) {
	day := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC) // midnight in Shanghai
	charges, reports := measuredDay(t, day, 3, 8)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	influx := realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	dir := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", realserver.Port(t))
	cfg := write(t, dir, "pilewatch.yaml", fmt.Sprintf(`
mqtt: {broker: %q}
influxdb: {url: %q, bucket: pilewatch}
http: {listen: %q}
registry: {piles: piles.csv}
tariffs:
  - {name: 合表, valid_from: 2026-01-01, electricity: [{price: "0.641"}], service: {per_kwh: "0.30"}}
`, mosquitto.URL, influx.URL, addr))
	write(t, dir, "piles.csv", "pile,building,location,ports,max_port_w\nP01,1,东,8,2500\nP02,2,西,8,2500\nP03,3,北,8,2500\n")
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, reports)

	t.Run("metrics", func(t *testing.T) { checkMetrics(t, g, charges, len(reports)) })
	t.Run("sessions", func(t *testing.T) { checkSessions(t, g, charges) })
	t.Run("influxdb", func(t *testing.T) { checkInflux(t, influx, charges, len(reports)) })
	t.Run("prometheus", func(t *testing.T) { checkPrometheus(t, addr, len(reports)) })
	g.stop()
	out := must(t, "verify", "--config", cfg)
	if want := fmt.Sprintf("%d sessions derived again, 0 differences", len(charges)); !strings.Contains(out, want) {
		t.Errorf("verify: %s", out)
	}
}

// metric gives the sum of the samples of a metric whose labels contain a text.
func metric(t testing.TB, g *gateway, name, labels string) float64 {
	t.Helper()
	body, err := g.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, labels) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' '):], &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum += v
	}
	return sum
}

func checkMetrics(t *testing.T, g *gateway, charges []*charge, reports int) {
	await(t, "all readings to be committed", func() error {
		if n := metric(t, g, "pilewatch_readings_committed_total", ""); int(n) != reports {
			return fmt.Errorf("%v of %d", n, reports)
		}
		return nil
	})
	if n := metric(t, g, "pilewatch_sessions_closed_total", `stop_reason="unplugged"`); int(n) != len(charges) {
		t.Errorf("%v sessions closed, want %d", n, len(charges))
	}
	if n := metric(t, g, "pilewatch_messages_received_total", `decoder="native"`); int(n) != reports {
		t.Errorf("%v messages, want %d", n, reports)
	}
	for _, name := range []string{"pilewatch_messages_rejected_total", "pilewatch_readings_dropped_total", "pilewatch_sessions_open"} {
		if n := metric(t, g, name, ""); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	var joules float64
	for _, c := range charges {
		joules += float64(c.energyMWh()) * 3.6
	}
	if got := metric(t, g, "pilewatch_session_energy_joules_sum", ""); math.Abs(got-joules) > 1e-6*joules {
		t.Errorf("energy of sessions %v J, want %v", got, joules)
	}
}

func checkSessions(t *testing.T, g *gateway, charges []*charge) {
	type row struct {
		ID         string `json:"session_id"`
		EnergyMWh  int64  `json:"energy_mwh"`
		Start, End time.Time
		Reason     string `json:"stop_reason"`
		Quality    string
		Total      int64 `json:"total_fee_fen"`
	}
	got := map[string]row{}
	for _, r := range list[row](g, "/api/v1/sessions") {
		got[r.ID] = r
	}
	if len(got) != len(charges) {
		t.Errorf("%d sessions, want %d", len(got), len(charges))
	}
	for _, c := range charges {
		id := fmt.Sprintf("%s-%d-%s", c.pile, c.port, c.start.UTC().Format("20060102T150405Z"))
		r, ok := got[id]
		if !ok {
			t.Errorf("trace %s: no session %s", c.ID, id)
			continue
		}
		if r.EnergyMWh != c.energyMWh() || !r.Start.Equal(c.start) || !r.End.Equal(c.end) || r.Reason != "unplugged" || r.Quality != "measured" {
			t.Errorf("trace %s: %+v, want %d mWh from %s to %s", c.ID, r, c.energyMWh(), c.start, c.end)
		}
	}
}

func checkInflux(t *testing.T, s *realserver.InfluxServer, charges []*charge, reports int) {
	await(t, "all points in InfluxDB", func() error {
		rows := s.Query("pilewatch", "SELECT count(power_w) FROM port_power")
		if len(rows) != 1 || fmt.Sprint(rows[0]["count"]) != fmt.Sprint(reports) {
			return fmt.Errorf("%v, want %d", rows, reports)
		}
		if rows = s.Query("pilewatch", "SELECT count(energy_wh) FROM session"); len(rows) != 1 || fmt.Sprint(rows[0]["count"]) != fmt.Sprint(len(charges)) {
			return fmt.Errorf("%v, want %d sessions", rows, len(charges))
		}
		return nil
	})
	got := map[string]int64{}
	for _, r := range s.Query("pilewatch", "SELECT session_id, energy_wh FROM session") {
		wh, err := r["energy_wh"].(json.Number).Float64()
		if err != nil {
			t.Fatal(err)
		}
		got[r["session_id"].(string)] = mWh(wh)
	}
	var sent float64
	for _, c := range charges {
		id := fmt.Sprintf("%s-%d-%s", c.pile, c.port, c.start.UTC().Format("20060102T150405Z"))
		if got[id] != c.energyMWh() {
			t.Errorf("session %s: %d mWh in InfluxDB, want %d", id, got[id], c.energyMWh())
		}
		for _, p := range c.Points {
			sent += p[1]
		}
	}
	rows := s.Query("pilewatch", "SELECT sum(power_w) FROM port_power")
	sum, err := rows[0]["sum"].(json.Number).Float64()
	if err != nil || math.Abs(sum-sent) > 1e-6 {
		t.Errorf("the powers sum to %v W, want %v, %v", sum, sent, err)
	}
}

func checkPrometheus(t *testing.T, addr string, reports int) {
	p := realserver.Prometheus(t, addr)
	got := p.Await("pilewatch_readings_committed_total")
	if len(got) != 1 || int(got[0].Value) != reports {
		t.Errorf("Prometheus scraped %+v, want %d", got, reports)
	}
}
