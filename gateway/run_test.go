package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
)

// settingsFile writes a configuration with a broker, a page and more.
func settingsFile(t testing.TB, dir, broker, http, more string) string {
	t.Helper()
	return write(t, dir, "pilewatch.yaml", fmt.Sprintf("mqtt: {broker: %q, client_id: gateway-test}\nhttp: {listen: %q}\n%s\n", broker, http, more))
}

func freeAddr(t testing.TB) string { return fmt.Sprintf("127.0.0.1:%d", realserver.Port(t)) }

// shortCharges lays sessions with a known register on some ports, one report a minute.
func shortCharges(day time.Time, piles, ports, minutes int) (charges []*charge, reports []portReport) {
	for p := range piles * ports {
		c := &charge{pile: fmt.Sprintf("P%02d", p/ports+1), port: p%ports + 1, base: float64(1000 * p)}
		for m := range minutes {
			c.Points = append(c.Points, [2]float64{float64(m*60 + p), 120 + float64(p)})
			c.EnergyWh = append(c.EnergyWh, float64(m)*(2+float64(p)/1000))
		}
		c.start = day.Add(time.Duration(p) * time.Second)
		c.end = day.Add(time.Duration((minutes-1)*60+p) * time.Second)
		charges = append(charges, c)
		reports = append(reports, c.reports(day)...)
	}
	sortReports(reports)
	return charges, reports
}

// kills is how often the gateway is killed during the load.
const kills = 50

func TestWhatWasAcknowledgedSurvivesAnyKillAndIsThereOnce(t *testing.T) {
	day := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	charges, reports := shortCharges(day, 4, 10, 150)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	dir, addr := t.TempDir(), freeAddr(t)
	influx := realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	cfg := settingsFile(t, dir, mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", influx.URL))
	g := start(t, addr, "run", "--config", cfg)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range kills + 1 {
		part, next := n*len(reports)/(kills+1), (n+1)*len(reports)/(kills+1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			publishAll(t, mosquitto.URL, reports[part:next])
		}()
		if n < kills {
			time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond) // somewhere in the load
			g.kill()
			g = start(t, addr, "run", "--config", cfg)
		}
		<-done
	}
	closedAll(t, g, len(charges))
	checkSessions(t, g, charges)
	checkInflux(t, influx, charges, len(reports))
	g.stop()
	out := must(t, "verify", "--config", cfg)
	if want := fmt.Sprintf("%d sessions derived again, 0 differences", len(charges)); !strings.Contains(out, want) {
		t.Errorf("verify: %s", out)
	}
}

// TestWhatAPileWasToldSurvivesAnyKill is the same with the embedded broker: a pile
// sends again only what it has no PUBACK for.
func TestWhatAPileWasToldSurvivesAnyKill(t *testing.T) {
	charges, reports := shortCharges(damageDay, 4, 10, 100)
	data := t.TempDir()
	cfg, addr, url := embedded(t, data)
	g := start(t, addr, "run", "--config", cfg)
	random := rand.New(rand.NewPCG(3, 4))
	told := 0
	for n := range kills / 2 {
		p := publish(t, url, reports[told:(n+1)*len(reports)/(kills/2+1)])
		p.limit.Store(int64(len(reports)))
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // somewhere in the load
		g.kill()
		<-p.done // with an error, or done already
		told += int(p.acked.Load())
		g = start(t, addr, "run", "--config", cfg)
	}
	p := publish(t, url, reports[told:])
	p.finish(t, len(reports)-told)
	closedAll(t, g, len(charges))
	checkSessions(t, g, charges)
	g.stop()
	if n := readingsIn(t, data); n != len(reports) { // a register spans what is lost: the sessions alone do not show it
		t.Errorf("%d readings are in the journal, and the piles were told of %d", n, len(reports))
	}
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
}

// readingsIn counts the readings of a journal.
func readingsIn(t testing.TB, data string) (n int) {
	t.Helper()
	l, err := ledger.OpenRead(t.Context(), data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for from := ledger.Seq(1); ; {
		b, err := l.Read(t.Context(), from, 1<<14)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Entries) == 0 {
			return n
		}
		for i := range b.Entries {
			if b.Entries[i].Kind == ledger.KindReading {
				n++
			}
		}
		from = b.Next()
	}
}

func TestInfluxDBThatIsAttachedLaterGetsThePast(t *testing.T) {
	day := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	charges, reports := shortCharges(day, 2, 3, 60)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	dir, addr := t.TempDir(), freeAddr(t)
	g := start(t, addr, "run", "--config", settingsFile(t, dir, mosquitto.URL, addr, ""))
	publishAll(t, mosquitto.URL, reports)
	await(t, "the sessions", func() error {
		if n := metric(t, g, "pilewatch_sessions_closed_total", ""); int(n) != len(charges) {
			return fmt.Errorf("%v of %d", n, len(charges))
		}
		return nil
	})
	g.stop()

	influx := realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	g = start(t, addr, "run", "--config", settingsFile(t, dir, mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", influx.URL)))
	checkInflux(t, influx, charges, len(reports))
	await(t, "an empty backlog", func() error {
		if n := metric(t, g, "pilewatch_sink_backlog_readings", `sink="influxdb"`); n != 0 {
			return fmt.Errorf("%v entries", n)
		}
		return nil
	})
	g.stop()
}

func TestReadyzSaysThatTheBrokerIsAway(t *testing.T) {
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	addr := freeAddr(t)
	g := start(t, addr, "run", "--config", settingsFile(t, t.TempDir(), mosquitto.URL, addr, ""))
	realserver.CheckMetrics(t, mustGet(t, g, "/metrics"))
	mosquitto.Stop()
	await(t, "503", func() error {
		_, err := g.get("/readyz")
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "mqtt") {
			return fmt.Errorf("/readyz: %v", err)
		}
		return nil
	})
	mustGet(t, g, "/healthz")
	mosquitto.Start()
	await(t, "200", func() error { _, err := g.get("/readyz"); return err })
	g.stop()
}

func mustGet(t testing.TB, g *gateway, path string) []byte {
	t.Helper()
	body, err := g.get(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// startRecording records what the broker carries, and gives how to end that when
// the file has so many messages.
func startRecording(t testing.TB, cfg, file string) (end func(messages int)) {
	t.Helper()
	rec := exec.Command(binary(t), "record", "--config", cfg, "-o", file)
	said := &lockedBuffer{}
	rec.Stderr = said
	if err := rec.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the recorder to listen", func() error {
		if !strings.Contains(said.String(), "recording;") {
			return errors.New(said.String())
		}
		return nil
	})
	return func(messages int) {
		t.Helper()
		await(t, "the recording to be whole", func() error {
			b, err := os.ReadFile(file)
			if err == nil && strings.Count(string(b), "\n") < messages {
				err = errors.New("not yet")
			}
			return err
		})
		if err := rec.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := rec.Wait(); err != nil {
			t.Fatal("record:", err)
		}
	}
}

// TestWhatIsRecordedReplaysToTheSame runs the gateway on its embedded broker with
// the simulated piles, records them, and replays the recording.
func TestWhatIsRecordedReplaysToTheSame(t *testing.T) {
	dir, addr, mqttAddr := t.TempDir(), freeAddr(t), freeAddr(t)
	cfg := write(t, dir, "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\n", mqttAddr, addr))
	g := start(t, addr, "run", "--config", cfg)
	recording := filepath.Join(dir, "day.ndjson")
	end := startRecording(t, cfg, recording)
	must(t, "simulate", "--broker", "tcp://"+mqttAddr, "--piles", "2", "--ports", "4", "--interval", "300s",
		"--from", "2026-11-20", "--to", "2026-11-21", "--speed", "0", "--fault", "duplicates")
	end(int(metric(t, g, "pilewatch_messages_received_total", "")))
	g.stop()
	lived := must(t, "export", "sessions", "--config", cfg, "--format", "json")
	if strings.Count(lived, "session_id") < 5 {
		t.Fatalf("a day of two piles gives %s", lived)
	}
	var ledgers [2]string
	for i := range ledgers {
		data := filepath.Join(dir, fmt.Sprint("again", i))
		must(t, "replay", "--data", data, recording)
		if again := must(t, "export", "sessions", "--data", data, "--format", "json"); again != lived {
			t.Errorf("replay gives other sessions:\n%s\nlived:\n%s", again, lived)
		}
		out := must(t, "verify", "--data", data)
		if !strings.Contains(out, " 0 differences") {
			t.Error(out)
		}
		b, err := os.ReadFile(filepath.Join(data, "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		ledgers[i] = string(b)
	}
	if ledgers[0] != ledgers[1] {
		t.Error("two replays give two ledgers")
	}
	csv := must(t, "export", "sessions", "--config", cfg, "--month", "2026-11")
	if !strings.HasPrefix(csv, "\ufeff账期,") || !strings.Contains(csv, "\r\n合计,") {
		t.Errorf("CSV %.200q", csv)
	}
}

func TestTheDemoShowsItWorking(t *testing.T) {
	addr, mqttAddr := freeAddr(t), freeAddr(t)
	tmp := t.TempDir()
	g := start(t, addr, "demo", "--days", "3", "--http", addr, "--mqtt", mqttAddr, "--data", tmp)
	type flag struct{ Rule, Severity, Message string }
	if n := len(list[flag](g, "/api/v1/flags")); n == 0 {
		t.Error("no flag in three days")
	}
	if n := len(list[struct{}](g, "/api/v1/sessions")); n < 100 {
		t.Errorf("%d sessions in three days", n)
	}
	if n := len(list[struct{}](g, "/api/v1/ports")); n != 64 {
		t.Errorf("%d ports, want 8 piles of 8", n)
	}
	if page := string(mustGet(t, g, "/")); !strings.Contains(page, "复兴小区") {
		t.Error("the page does not name the estate")
	}
	before := metric(t, g, "pilewatch_readings_committed_total", "")
	await(t, "live readings", func() error {
		if now := metric(t, g, "pilewatch_readings_committed_total", ""); now <= before {
			return fmt.Errorf("%v readings, as before", now)
		}
		return nil
	})
	if !strings.Contains(g.log.String(), "http://"+addr) {
		t.Errorf("the address is not printed: %s", g.log)
	}
	g.stop()
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the throw-away folder stays: %v, %v", left, err)
	}
}

func TestWrongUseEndsWithStatus2AndALineThatHelps(t *testing.T) {
	dir := t.TempDir()
	unknown := write(t, dir, "unknown.yaml", "estate:\n  id: fuxing\n  nmae: x\n")
	twice := write(t, dir, "twice.yaml", "registry: {piles: twice.csv}\n")
	write(t, dir, "twice.csv", "pile,building,location,ports,max_port_w\nP01,1,a,10,1000\nP01,2,b,10,1000\n")
	open := write(t, dir, "open.yaml", "http: {listen: 0.0.0.0:0}\nmqtt: {listen: 127.0.0.1:0}\n")
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"dance"}, 2, "dance"},
		{[]string{"run", "--config", unknown}, 2, "unknown.yaml:3:3"},
		{[]string{"run", "--config", twice}, 2, "twice.csv:3"},
		{[]string{"run", "--config", open}, 2, "pilewatch user add"},
		{[]string{"run", "--config", filepath.Join(dir, "missing.yaml")}, 2, "missing.yaml"},
		{[]string{"export", "sessions", "--data", dir, "--month", "November"}, 2, "2026-11"},
		{[]string{"export", "sessions", "--data", filepath.Join(dir, "none")}, 1, "no ledger"},
		{[]string{"verify", "--data", filepath.Join(dir, "none")}, 1, "no ledger"},
		{[]string{"replay", "--data", filepath.Join(dir, "d"), filepath.Join(dir, "none.ndjson")}, 1, "none.ndjson"},
		{[]string{"simulate", "--broker", "tcp://127.0.0.1:1", "--piles", "1"}, 1, "127.0.0.1:1"},
		{[]string{"simulate", "--fault", "gremlins", "--broker", "tcp://127.0.0.1:1"}, 2, "gremlins"},
		{[]string{"version"}, 0, ""},
		{[]string{"--help"}, 0, ""},
	} {
		_, stderr, status := pilewatch(t, c.args...)
		if status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("pilewatch %s: status %d, want %d, with %q:\n%s", strings.Join(c.args, " "), status, c.status, c.want, stderr)
		}
		if c.status != 0 && strings.Count(stderr, "\n") != 1 {
			t.Errorf("pilewatch %s: more than one line:\n%s", strings.Join(c.args, " "), stderr)
		}
	}
}

// examples are a configuration and registries that must load as they are.
const examples = "../../shared/examples"

func TestTheExamplesLoadAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(examples)); err != nil {
		t.Skipf("the examples are not here: %v", err)
	}
	out, _, _ := pilewatch(t, "check", "--config", filepath.Join(dir, "pilewatch.yaml"))
	for _, want := range []string{"ok    registry       3 piles, 3 cards", "ok    tariffs        2", "ok    alerts         hook (webhook)", "FAIL  alerts         alerts channel \"office\""} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
}

// TestEveryProblemOfBothRegistriesIsToldAtOnce: a line each, in check and at the start.
func TestEveryProblemOfBothRegistriesIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "piles.csv", "桩号,楼号,端口数\nP01,1,0\nP02,,4\n")
	write(t, dir, "cards.csv", "卡号,楼号,门牌\n04A1B2C3,1,603\n04A1B2C3,2,101\n")
	cfg := write(t, dir, "pilewatch.yaml", "registry: {piles: piles.csv, cards: cards.csv}\n")
	for command, want := range map[string]int{"check": 1, "run": 2} {
		out, errs, status := pilewatch(t, command, "--config", cfg, "--data", filepath.Join(dir, "data"))
		if status != want {
			t.Errorf("%s: status %d, want %d", command, status, want)
		}
		said := regexp.MustCompile(`(?m)(?:piles|cards)\.csv:\d+: .*$`).FindAllString(out+errs, -1)
		if wanted := []string{
			`piles.csv:2: ports "0": expected a whole number from 1 to 255`, "piles.csv:3: no building: expected its number, such as 3",
			"cards.csv:3: card …B2C3 stands twice (first in row 2): remove one, or give valid_from where it has changed hands",
		}; !slices.Equal(said, wanted) {
			t.Errorf("%s said %q, want %q", command, said, wanted)
		}
	}
}

func TestARegistryInGBKIsRead(t *testing.T) {
	dir := t.TempDir()
	// 桩号,楼号,位置,端口数 / P01,3,北,10 as Excel in China saves it
	write(t, dir, "piles.csv", "\xd7\xae\xba\xc5,\xc2\xa5\xba\xc5,\xce\xbb\xd6\xc3,\xb6\xcb\xbf\xda\xca\xfd\nP01,3,\xb1\xb1,10\n")
	cfg := write(t, dir, "gbk.yaml", "registry: {piles: piles.csv}\nmqtt: {listen: 127.0.0.1:0}\n")
	if out := must(t, "check", "--config", cfg); !strings.Contains(out, "1 piles") {
		t.Error(out)
	}
}

func TestVersionIsOneLine(t *testing.T) {
	if out := must(t, "version"); !strings.HasPrefix(out, "pilewatch "+release) || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
}

func TestLogsAsJSON(t *testing.T) {
	addr := freeAddr(t)
	g := start(t, addr, "run", "--log-format", "json", "--config",
		write(t, t.TempDir(), "c.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\n", freeAddr(t), addr)))
	g.stop()
	for line := range strings.Lines(g.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
