package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/gateway/realserver"
)

// stack is what compose.yaml runs, as far as it runs here: deploy/setup's site, mosquitto, an
// InfluxDB and the gateway, with the files that are mounted there.
type stack struct {
	*gateway
	t         *testing.T
	site      *realserver.Site
	mosquitto *realserver.Broker
	plain     string // the broker's address without TLS
	influx    *realserver.InfluxServer
	addr, cfg string
	load      load
	sent      int
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, site: realserver.NewSite(t, binary(t)), influx: realserver.InfluxWithPassword(t, "gateway", "influx-secret"), addr: freeAddr(t)}
	s.load = estateLoad(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 1, 4, 600, nil)
	s.site.Setup(nil, "pile", "P01")
	s.mosquitto, s.plain = s.site.Mosquitto()
	s.influx.CreateDatabase("pilewatch")
	s.site.Write("secrets/influxdb_gateway", "gateway:influx-secret")
	s.site.Rewrite("pilewatch/pilewatch.yaml",
		"ssl://mosquitto:8883", s.mosquitto.URL,
		"http://influxdb:8086", s.influx.URL,
		"0.0.0.0:8080", s.addr,
		"/var/lib/pilewatch/data", filepath.Join(t.TempDir(), "data"),
		"/run/secrets/", s.site.File("secrets")+"/")
	s.cfg = s.site.File("pilewatch/pilewatch.yaml")
	return s
}

// run starts the gateway, and asks it as Prometheus does.
func (s *stack) run() {
	s.t.Helper()
	s.gateway = start(s.t, s.addr, "--config", s.cfg, "run")
	s.http = "prometheus:" + s.site.Read("secrets/prometheus_password") + "@" + s.addr
}

// publish lets the pile say the next messages, as itself.
func (s *stack) publish(n int) {
	s.t.Helper()
	publishAll(s.t, "tcp://P01:"+s.site.Read("secrets/pile_P01")+"@"+s.plain, s.load.messages[s.sent:s.sent+n])
	s.sent += n
}

// whole waits until the gateway has all that was sent.
func (s *stack) whole() {
	s.t.Helper()
	want := float64(s.sent * s.load.readings / len(s.load.messages))
	await(s.t, "all that was sent", func() error {
		if n := metric(s.t, s.gateway, "pilewatch_readings_committed_total", ""); n != want {
			return fmt.Errorf("%v of %v readings", n, want)
		}
		return nil
	})
}

// named wants of `check` a failure about something, in a line that says all of the words.
func (s *stack) named(about string, words ...string) {
	s.t.Helper()
	out, stderr, status := pilewatch(s.t, "--config", s.cfg, "check")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); f[0] == "FAIL" && f[1] == about {
			for _, w := range words {
				if !strings.Contains(line, w) {
					s.t.Errorf("check says %q, and not %q", line, w)
				}
			}
			if status != exitFailed {
				s.t.Errorf("check: status %d", status)
			}
			return
		}
	}
	s.t.Errorf("check names no %s:\n%s%s", about, out, stderr)
}

// away waits until the gateway itself says in its log that it has no broker, and what to do.
func (s *stack) away(words string) {
	s.t.Helper()
	await(s.t, words, func() error {
		if _, err := s.get("/readyz"); err == nil {
			return errors.New("the gateway is ready")
		}
		if !strings.Contains(s.log.String(), words) {
			return fmt.Errorf("the gateway's log does not say %q", words)
		}
		return nil
	})
}

func TestTheFilesOfComposeCarryTelemetry(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.run()
	if out, stderr, status := pilewatch(t, "--config", s.cfg, "check"); status != exitDone || strings.Contains(out, "FAIL") {
		t.Errorf("check: status %d\n%s%s", status, out, stderr)
	}
	must(t, "--config", s.cfg, "check", "--ready")

	s.publish(300)
	s.overTLS(300)
	s.whole()
	closedAll(t, s.gateway, len(s.load.charges))
	checkSessions(t, s.gateway, s.load.charges)
	checkInflux(t, s.influx, s.load.charges, s.load.readings)

	// The rights: a pile speaks for itself alone, the health check hears the broker's uptime.
	before := metric(t, s.gateway, "pilewatch_messages_received_total", "")
	const idle = `{"ts":"2026-11-23T00:00:00Z","ports":[{"port":1,"w":0,"state":"idle"}]}`
	pile := s.as("P01", "secrets/pile_P01") // mosquitto may close its connection
	pile.Publish("pilewatch/v1/fuxing/P02/telemetry", 0, false, idle).Wait()
	pile.Disconnect(250)
	publishAll(t, "tcp://P01:"+s.site.Read("secrets/pile_P01")+"@"+s.plain, []portReport{{topic: "pilewatch/v1/fuxing/P01/telemetry", payload: idle}})
	await(t, "the message that is allowed", func() error {
		if metric(t, s.gateway, "pilewatch_messages_received_total", "") == before {
			return errors.New("none yet")
		}
		return nil
	})
	if n := metric(t, s.gateway, "pilewatch_messages_received_total", ""); n != before+1 {
		t.Errorf("%v messages: the broker let a pile speak for another", n-before)
	}
	s.uptime()
	s.asksOfRules()
	s.scraped()
	s.stop()
}

// scraped lets a real Prometheus read the gateway by compose.yaml's configuration and rules.
func (s *stack) scraped() {
	s.t.Helper()
	const folder = "../deploy/prometheus/"
	rules, err := filepath.Abs(folder + "rules")
	if err != nil {
		s.t.Fatal(err)
	}
	conf, err := os.ReadFile(folder + "prometheus.yml")
	if err != nil {
		s.t.Fatal(err)
	}
	p := realserver.PrometheusWith(s.t, strings.NewReplacer(
		"gateway:8080", s.addr, "alertmanager:9093", freeAddr(s.t), "rules/*.yml", rules+"/*.yml",
		"/run/secrets/", s.site.File("secrets")+"/", "15s", "1s").Replace(string(conf)))
	p.Await(`up{job="pilewatch"} == 1`)
	if up := p.Await("estate:pilewatch_piles_up:ratio"); len(up) != 1 || up[0].Labels["estate"] != "fuxing" || up[0].Value != 1 {
		s.t.Errorf("recorded: %v", up)
	}
	if firing := p.Query(`ALERTS{alertstate="firing", component!="safety"}`); len(firing) != 0 {
		s.t.Errorf("a stack in order raises %v", firing)
	}
}

// overTLS is publish by the listener with TLS, the site's authority being all that the pile knows.
func (s *stack) overTLS(n int) {
	s.t.Helper()
	pool, err := realserver.CertPool(s.site.File("certs/ca.crt"))
	if err != nil {
		s.t.Fatal(err)
	}
	publishAll(s.t, s.mosquitto.URL, s.load.messages[s.sent:s.sent+n], func(o *mqtt.ClientOptions) {
		o.SetTLSConfig(&tls.Config{RootCAs: pool}).SetUsername("P01").SetPassword(s.site.Read("secrets/pile_P01"))
	})
	s.sent += n
}

// as connects somebody to the broker, without TLS.
func (s *stack) as(user, passwordFile string) mqtt.Client {
	s.t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.plain).SetUsername(user).SetPassword(s.site.Read(passwordFile)))
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		s.t.Fatal(user, tok.Error())
	}
	s.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// uptime reads what compose.yaml's health check reads, as it does.
func (s *stack) uptime() {
	s.t.Helper()
	got := make(chan string, 1)
	c := s.as("health", "secrets/mqtt_health")
	c.Subscribe("$SYS/broker/uptime", 0, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case got <- string(m.Payload()):
		default:
		}
	})
	select {
	case up := <-got:
		if !strings.Contains(up, "seconds") {
			s.t.Errorf("uptime: %q", up)
		}
	case <-time.After(30 * time.Second):
		s.t.Error("the health check hears nothing of the broker")
	}
}

// absent are metrics of the rules that this stack has no reason to give: sums in place of
// ports, and deliveries without a channel.
var absent = regexp.MustCompile(`^pilewatch_(building_\w+|alert_deliveries_total)$`)

// asksOfRules wants in the real /metrics what Prometheus' rules ask for.
func (s *stack) asksOfRules() {
	s.t.Helper()
	given := string(mustGet(s.t, s.gateway, "/metrics"))
	realserver.CheckMetrics(s.t, []byte(given))
	files, err := filepath.Glob("../deploy/prometheus/rules/*.yml")
	if err != nil || len(files) == 0 {
		s.t.Fatal("no rules", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`[(\s](pilewatch_[a-z_]+)`).FindAllStringSubmatch(string(text), -1) {
			if !absent.MatchString(m[1]) && !regexp.MustCompile(`(?m)^`+m[1]+`[{ ]`).MatchString(given) {
				s.t.Errorf("%s asks for %s, which /metrics does not have", filepath.Base(file), m[1])
			}
		}
	}
}

func TestWhatIsSetUpWronglyIsNamedAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.run()
	s.publish(100)
	s.whole()

	// The broker's password is changed at one end.
	password := s.site.Read("secrets/mqtt_gateway")
	s.site.Write("secrets/mqtt_gateway", "not-the-password")
	s.restartBroker()
	s.away("correct mqtt.username and mqtt.password")
	s.named("broker", "not Authorized", "correct mqtt.username and mqtt.password")
	s.publish(100)
	if _, stderr, status := pilewatch(t, "--config", s.cfg, "check", "--ready"); status != exitFailed || !strings.Contains(stderr, "not ready") {
		t.Errorf("check --ready: status %d, %s", status, stderr)
	}
	s.site.Write("secrets/mqtt_gateway", password)
	s.whole()

	// The certificate is about to expire, and expires.
	s.site.Setup([]string{"PILEWATCH_CERT_DAYS=10"}, "renew")
	s.restartBroker()
	if out := must(t, "--config", s.cfg, "check"); !strings.Contains(out, "its certificate ends on "+time.Now().AddDate(0, 0, 10).Format(time.DateOnly)) {
		t.Errorf("check tells of no certificate that is about to end:\n%s", out)
	}
	s.site.Setup([]string{"PILEWATCH_CERT_DAYS=0"}, "renew")
	s.restartBroker()
	s.away("deploy/setup renew")
	s.named("broker", "expired", "deploy/setup renew", "set the clock")
	s.publish(100)
	s.site.Setup(nil, "renew")
	s.restartBroker()
	s.whole()

	// InfluxDB loses the bucket, then knows another token.
	s.influx.Query("", "DROP DATABASE pilewatch")
	s.named("influxdb", "404", `create bucket "pilewatch"`, "influxdb.bucket")
	s.publish(150)
	s.influx.CreateDatabase("pilewatch")
	s.site.Write("secrets/influxdb_gateway", "gateway:wrong")
	s.named("influxdb", "401", "check influxdb.token")
	s.publish(150)
	s.site.Write("secrets/influxdb_gateway", "gateway:influx-secret")
	s.whole()

	closedAll(t, s.gateway, len(s.load.charges))
	checkSessions(t, s.gateway, s.load.charges)
	s.stop()
	if out := must(t, "--config", s.cfg, "verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
}

func (s *stack) restartBroker() {
	s.t.Helper()
	s.mosquitto.Stop()
	s.mosquitto.Start()
}

// TestCheckNamesWhatIsWrongAndTheWayOut has a mistake a line, in the configuration or around it.
func TestCheckNamesWhatIsWrongAndTheWayOut(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	right := s.site.Read("pilewatch/pilewatch.yaml")
	nobody := freeAddr(t)
	for _, c := range []struct {
		name, old, new string
		about          string
		words          []string
	}{
		{"TLS is not spoken by us", s.mosquitto.URL, "tcp://" + s.mosquitto.Addr, "broker", []string{"use ssl:// where the port speaks TLS"}},
		{"TLS is not spoken there", s.mosquitto.URL, "ssl://" + s.plain, "broker", []string{"tcp:// where it does not"}},
		{"an authority that we do not know", "  ca_file: ca.crt\n", "", "broker", []string{"unknown authority", "mqtt.ca_file"}},
		{"a name that is not the certificate's", "ssl://localhost", "ssl://127.0.0.2", "broker", []string{"mosquitto, localhost", "127.0.0.2"}},
		{"nobody at the broker's address", s.mosquitto.URL, "tcp://" + nobody, "broker", []string{"start the broker, or correct mqtt.broker"}},
		{"nobody at InfluxDB's address", s.influx.URL, "http://" + nobody, "influxdb", []string{"start InfluxDB, or correct influxdb.url"}},
		{"a port that others have", s.addr, s.plain, "page", []string{"address already in use", "set http.listen to a free address"}},
		{"InfluxDB's clock a day ahead", s.influx.URL, dayOff(t, s.influx.URL, 24*time.Hour), "clock", []string{"InfluxDB at http://", "timedatectl set-ntp true"}},
		{"InfluxDB's clock a day behind", s.influx.URL, dayOff(t, s.influx.URL, -24*time.Hour), "clock", []string{"set the one that is wrong"}},
	} {
		if !strings.Contains(right, c.old) {
			t.Fatalf("%s: the configuration has no %q", c.name, c.old)
		}
		s.site.Write("pilewatch/pilewatch.yaml", strings.ReplaceAll(right, c.old, c.new))
		s.named(c.about, c.words...)
	}
	s.site.Write("pilewatch/pilewatch.yaml", right)

	// A ledger from before the clock fell back.
	tomorrow := write(t, t.TempDir(), "tomorrow.ndjson", fmt.Sprintf(`{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":%q,"payload":"{\"ports\":[{\"port\":1,\"w\":0}]}"}`+"\n",
		time.Now().Add(24*time.Hour).Format(time.RFC3339)))
	must(t, "--config", s.cfg, "replay", tomorrow)
	s.named("clock", "the ledger has a message received at", "timedatectl set-ntp true")
}

// dayOff leads to a server whose clock is off by so much.
func dayOff(t *testing.T, to string, by time.Duration) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(ln) //nolint:errcheck // it is closed below
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return "http://" + ln.Addr().String()
}

// TestAClockThatIsADayOffLosesNoEnergy replays one day's messages as a gateway received
// them whose clock was right, a day ahead and a day behind.
func TestAClockThatIsADayOffLosesNoEnergy(t *testing.T) {
	t.Parallel()
	l := estateLoad(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 1, 4, 240, nil)
	for _, off := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour} {
		var recording strings.Builder
		for _, m := range l.messages {
			fmt.Fprintf(&recording, `{"topic":%q,"received":%q,"payload":%q}`+"\n", m.topic, m.at.Add(off+time.Second).Format(time.RFC3339), m.payload)
		}
		dir := t.TempDir()
		must(t, "--data", dir, "replay", write(t, dir, "day.ndjson", recording.String()))
		out := must(t, "--data", dir, "export", "sessions", "--from", "2026-11-01", "--to", "2026-12-01", "--format", "json")
		var sum, want int64
		for _, m := range regexp.MustCompile(`"energy_mwh":\s*(\d+),\s*"bands"`).FindAllStringSubmatch(out, -1) {
			var n int64
			if _, err := fmt.Sscan(m[1], &n); err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		for _, c := range l.charges {
			want += c.energyMWh()
		}
		if sum != want {
			t.Errorf("clock off by %v: %d mWh in the sessions, want %d", off, sum, want)
		}
	}
}
