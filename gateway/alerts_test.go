package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// posted is what a webhook was sent.
type posted struct {
	DeliveryID string `json:"delivery_id"`
	Kind       string `json:"kind"`
	Flags      []struct {
		ID string `json:"id"`
	} `json:"flags"`
	at time.Time
}

// hook is a server that webhooks go to.
type hook struct {
	URL    string
	mu     sync.Mutex
	status int // of the next answers; 0 for none at all
	all    []posted
	taken  []posted
	come   chan posted // those that were taken, for who waits
}

func newHook(t testing.TB) *hook {
	h := &hook{status: http.StatusOK, come: make(chan posted, 1000)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p posted
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		p.at = time.Now()
		h.mu.Lock()
		status := h.status
		h.all = append(h.all, p)
		if status == http.StatusOK {
			h.taken = append(h.taken, p)
		}
		h.mu.Unlock()
		if status == 0 {
			<-r.Context().Done() // whoever asks is gone
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, "noted") //nolint:errcheck // who asks may be gone
		if status == http.StatusOK {
			h.come <- p
		}
	}))
	t.Cleanup(s.Close)
	h.URL = s.URL
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// about gives what was posted about a flag, of all tries or of what was taken.
func (h *hook) about(ps *[]posted, flag string) (of []posted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range *ps {
		for _, f := range p.Flags {
			if strings.Contains(f.ID, flag) {
				of = append(of, p)
			}
		}
	}
	return of
}

// smoke is the alarm of a port, which is a critical flag at once.
func smoke(pile string, port int) portReport {
	return portReport{topic: "pilewatch/v1/fuxing/" + pile + "/event",
		payload: fmt.Sprintf(`{"ts":%q,"port":%d,"event":"alarm","alarm":"smoke"}`, time.Now().Format(time.RFC3339Nano), port)}
}

// alertsFile writes a configuration with an embedded broker, a page and channels.
func alertsFile(t testing.TB, channels string) (cfg, addr, broker string) {
	t.Helper()
	addr, mqttAddr := freeAddr(t), freeAddr(t)
	cfg = write(t, t.TempDir(), "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\nalerts:\n  public_url: http://pilewatch.local\n  channels:\n%s\n", mqttAddr, addr, channels))
	return cfg, addr, "tcp://" + mqttAddr
}

func TestAKillBetweenRaisingAndDeliveringLosesNoAlert(t *testing.T) {
	h := newHook(t)
	cfg, addr, broker := alertsFile(t, fmt.Sprintf("    - {name: hook, type: webhook, url: %q}", h.URL))
	g := start(t, addr, "run", "--config", cfg)
	random := rand.New(rand.NewPCG(1, 2))
	for n, status := range []int{http.StatusInternalServerError, 0, http.StatusInternalServerError, 0, http.StatusOK, http.StatusOK, http.StatusOK} {
		pile := fmt.Sprintf("P%02d", n)
		h.answer(status)
		publishAll(t, broker, []portReport{smoke(pile, 1), smoke(pile, 2)})
		if status != http.StatusOK {
			await(t, "an attempt", func() error {
				if len(h.about(&h.all, pile)) == 0 {
					return errors.New("none yet")
				}
				return nil
			})
		} else {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond) // somewhere between raising and noting
		}
		g.kill()
		h.answer(http.StatusOK)
		g = start(t, addr, "run", "--config", cfg)
		for port := 1; port <= 2; port++ {
			flag := fmt.Sprintf("device_alarm-smoke-%s-%d-", pile, port)
			await(t, flag, func() error {
				if len(h.about(&h.taken, flag)) == 0 {
					return errors.New("not told yet")
				}
				return nil
			})
			all := h.about(&h.all, flag)
			if len(all) > 3 || slices.ContainsFunc(all, func(p posted) bool { return p.DeliveryID != all[0].DeliveryID || p.Kind != "raised" }) {
				t.Errorf("%s was told as %+v", flag, all)
			}
			if taken := h.about(&h.taken, flag); len(taken) > 2 {
				t.Errorf("%s was taken %d times", flag, len(taken))
			}
		}
	}
	h.answer(0)
	publishAll(t, broker, []portReport{smoke("P99", 1)})
	await(t, "an attempt that hangs", func() error {
		if len(h.about(&h.all, "P99")) == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	g.stop() // within 10 s
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Error(out)
	}
}

// secrets are what must be nowhere but in the configuration.
var secrets = []string{"S3CRET-robot-token", "S3CRET-signing-key", "S3CRET-mail-password", "S3CRET-hook-path"}

func TestNoSecretIsInLogsErrorsMetricsTheAPIOrTheLedger(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	url := write(t, dir, "ding", fmt.Sprintf("http://%s/robot/send?access_token=%s\n", freeAddr(t), secrets[0]))
	key := write(t, dir, "key", secrets[1])
	cfg, addr, broker := alertsFile(t, fmt.Sprintf(`    - {name: ding, type: dingtalk, url_file: %q, secret_file: %q}
    - {name: mail, type: email, to: [wuye@example.org], smtp: "smtp://user:%s@%s"}
    - {name: gone, type: webhook, url: "http://%s/%s"}
    - {name: hook, type: webhook, url: %q}`, url, key, secrets[2], freeAddr(t), freeAddr(t), secrets[3], h.URL+"/"+secrets[3]))
	said := must(t, "check", "--config", cfg)
	g := start(t, addr, "run", "--log-level", "debug", "--config", cfg)
	publishAll(t, broker, []portReport{smoke("P01", 1)})
	await(t, "the channel that works, and failures of the others", func() error {
		if n := len(h.about(&h.taken, "P01")); n != 1 {
			return fmt.Errorf("%d messages", n)
		}
		for _, name := range []string{"ding", "mail", "gone"} {
			if metric(t, g, "pilewatch_alert_deliveries_total", fmt.Sprintf(`channel=%q,result="error"`, name)) == 0 {
				return fmt.Errorf("%s has not failed yet", name)
			}
		}
		return nil
	})
	ready := string(mustGet(t, g, "/readyz")) // 200: channels are detail
	for _, want := range []string{`"channel":"ding","type":"dingtalk","state":"failing"`, `"channel":"hook","type":"webhook","state":"ok"`} {
		if !strings.Contains(ready, want) {
			t.Errorf("%s is not in %s", want, ready)
		}
	}
	flags := list[struct{ ID string }](g, "/api/v1/flags")
	if len(flags) != 1 {
		t.Fatalf("%d flags", len(flags))
	}
	said += ready
	for _, path := range []string{"/metrics", "/", "/api/v1/flags", "/api/v1/flags/" + flags[0].ID, "/flags/" + flags[0].ID} {
		said += string(mustGet(t, g, path))
	}
	for _, name := range []string{"ding", "mail", "gone", "hook"} {
		stdout, stderr, _ := pilewatch(t, "alert", "test", name, "--config", cfg)
		said += stdout + stderr
	}
	g.stop()
	said += g.log.String()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(cfg), "data", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said += string(b)
	}
	for _, s := range secrets {
		if at := strings.Index(said, s); at >= 0 {
			t.Errorf("%s is said: %q", s, said[max(0, at-100):at+len(s)])
		}
	}
}

func TestAlertTestPrintsTheAnswer(t *testing.T) {
	h := newHook(t)
	cfg, _, _ := alertsFile(t, fmt.Sprintf("    - {name: hook, type: webhook, url: %q}\n    - {name: gone, type: webhook, url: \"http://%s/\"}", h.URL, freeAddr(t)))
	if out := must(t, "alert", "test", "hook", "--config", cfg); !strings.Contains(out, "HTTP 200 noted") {
		t.Error(out)
	}
	if h.taken[0].Kind != "test" || len(h.taken[0].Flags) != 0 {
		t.Errorf("posted %+v", h.taken[0])
	}
	for name, want := range map[string]int{"gone": 1, "nobody": 2} {
		if _, stderr, status := pilewatch(t, "alert", "test", name, "--config", cfg); status != want || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, name) {
			t.Errorf("%s: status %d, %q", name, status, stderr)
		}
	}
	if _, stderr, status := pilewatch(t, "run", "--config", write(t, t.TempDir(), "c.yaml", "alerts: {channels: [{type: webhook, url_file: none}]}")); status != 2 || !strings.Contains(stderr, "url_file") {
		t.Errorf("a secret that is not there: status %d, %q", status, stderr)
	}
}

func TestCheckNamesABuildingThatAChannelWouldWaitForInVain(t *testing.T) {
	dir := t.TempDir()
	piles := write(t, dir, "piles.csv", "pile,building,location,ports\nP01,3,北侧,10\n")
	cfg := write(t, dir, "pilewatch.yaml", fmt.Sprintf(`mqtt: {listen: %q}
http: {listen: %q}
registry: {piles: %q}
alerts:
  quiet_hours: {from: "23:00", to: "07:00"}
  channels:
    - {name: three, type: webhook, url: "http://127.0.0.1:9/", buildings: ["3"]}
    - {name: nine, type: webhook, url: "http://127.0.0.1:9/", buildings: ["9号楼"]}
    - {name: am, type: alertmanager, url: "http://127.0.0.1:9/"}
`, freeAddr(t), freeAddr(t), piles))
	out, _, status := pilewatch(t, "check", "--config", cfg)
	for _, want := range []string{"ok    alerts         three (webhook): warning and up, buildings 3, quiet 23:00-07:00;", `FAIL  alerts         alerts channel "nine"`, "am (alertmanager): warning and up;"} {
		if !strings.Contains(out, want) || status != 1 {
			t.Errorf("status %d, %q is not in\n%s", status, want, out)
		}
	}
}

func TestAnAcknowledgementOverTheAPIStopsTheEscalation(t *testing.T) {
	office, night := newHook(t), newHook(t)
	cfg, addr, broker := alertsFile(t, fmt.Sprintf("    - {name: office, type: webhook, url: %q}\n    - {name: night, type: webhook, url: %q, escalate_after: 4s}", office.URL, night.URL))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, broker, []portReport{smoke("P01", 1)})
	first := (<-office.come).Flags[0].ID
	r, err := http.Post("http://"+addr+"/api/v1/flags/"+first+"/verdict", "application/json", strings.NewReader(`{"status":"acknowledged","note":"在路上"}`))
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	r.Body.Close()
	publishAll(t, broker, []portReport{smoke("P02", 1)})
	second := (<-office.come).Flags[0].ID
	if got := <-night.come; len(got.Flags) != 1 || got.Flags[0].ID != second {
		t.Errorf("escalated: %+v", got)
	}
	var flag struct{ Verdicts, Deliveries []map[string]any }
	if err := json.Unmarshal(mustGet(t, g, "/api/v1/flags/"+first), &flag); err != nil {
		t.Fatal(err)
	}
	if len(flag.Verdicts) != 1 || flag.Verdicts[0]["note"] != "在路上" || len(flag.Deliveries) != 2 || len(night.about(&night.all, first)) != 0 {
		t.Errorf("the trail is %+v", flag)
	}
	g.stop()
}

// BenchmarkFromTheBrokerToTheWebhook is the time from the publication of a report
// that raises a flag to the webhook's request: the median, which is to be under 2 s.
func BenchmarkFromTheBrokerToTheWebhook(b *testing.B) {
	h := newHook(b)
	cfg, addr, broker := alertsFile(b, fmt.Sprintf("    - {name: hook, type: webhook, url: %q}", h.URL))
	start(b, addr, "run", "--config", cfg)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		publishAll(b, broker, []portReport{smoke(fmt.Sprint("P", len(took)), 1)})
		took = append(took, (<-h.come).at.Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms/median")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms/worst")
}
