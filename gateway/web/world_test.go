package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The cards of the world: no answer may hold one of them.
var cards = []string{"04A1B2C3", "04A1B2C4", "7788"}

// settings are those of the world, in JSON as the journal has them.
const settings = `{
	"start_mw": 10000, "idle_mw": 5000, "idle_for": 600000000000, "max_gap": 900000000000, "lost_after": 21600000000000, "time_zone": "Asia/Shanghai",
	"tariffs": [{"name": "2026-合表", "valid_from": "2026-01-01", "per_kwh": "0.3", "bands": [{"name": "flat", "from": 0, "to": 1440, "price": "0.641"}]}],
	"piles": {"P01": {"building": "1", "location": "1号楼东侧车棚", "ports": 4}, "P03": {"building": "3", "location": "3号楼北侧", "ports": 2}, "P10": {"building": "10", "ports": 1}},
	"cards": {"04A1B2C3": {"household": "1-603", "bikes": 1}, "04A1B2C4": {"household": "1-402", "bikes": 2}}
}`

// evening is when the tests look at the world.
var evening = devices.MillisOf(time.Date(2026, 11, 23, 20, 15, 30, 0, time.FixedZone("", 8*3600)))

// world is an estate on a real ledger, as the running gateway would have it.
type world struct {
	t      *testing.T
	ledger *ledger.Ledger
	mu     sync.RWMutex
	state  *session.State
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l, err := ledger.Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var set session.Settings
	if err := json.Unmarshal([]byte(settings), &set); err != nil {
		t.Fatal(err)
	}
	st, err := session.NewState(set)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, ledger: l, state: st}
}

// View is for Live.
func (w *world) View(f func(*session.State)) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	f(w.state)
}

// say lets inputs happen, in one commit.
func (w *world) say(inputs ...session.Input) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var b ledger.Batch
	for _, in := range inputs {
		e := ledger.Entry{Received: in.Received, Event: in.Event, Status: in.Status}
		switch {
		case in.Reading != nil:
			e.Kind, e.Reading = ledger.KindReading, *in.Reading
		case in.Event != nil:
			e.Kind = ledger.KindEvent
		case in.Status != nil:
			e.Kind = ledger.KindStatus
		}
		changes, _, err := session.Step(w.state, in, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		b.Entries = append(b.Entries, e)
		for _, c := range changes {
			b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindSession, Change: c.Kind, Session: c.Session, Received: in.Received})
		}
	}
	w.append(&b)
}

func (w *world) append(b *ledger.Batch) {
	w.t.Helper()
	if _, err := w.ledger.Append(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

// reading is one sample, minutes before the evening.
func reading(pile string, port uint8, minutes int, mW, mWh int64, state devices.PortState, card string) session.Input {
	at := evening.Add(-time.Duration(minutes) * time.Minute)
	return session.Input{Received: at.Add(400 * time.Millisecond), Reading: &devices.Reading{
		Pile: pile, Port: port, Time: at, DeviceTime: true, State: state, Card: card, PowerMW: mW, EnergyMWh: mWh, Has: devices.HasEnergy,
	}}
}

func status(pile string, minutes int, st devices.Status) session.Input {
	at := evening.Add(-time.Duration(minutes) * time.Minute)
	st.Pile, st.Time, st.DeviceTime = pile, at, true
	return session.Input{Received: at, Status: &st}
}

// flag raises a flag, or clears it where it says so.
func (w *world) flag(f ledger.Flag) {
	w.t.Helper()
	w.append(&ledger.Batch{Entries: []ledger.Entry{{Kind: ledger.KindFlag, Cleared: f.ClearedAt != 0, Received: evening, Flag: &f}}})
}

// live is an evening: a session that is over, one that goes on, one whose card
// nobody knows, a pile that is off, flags, and messages that could not be read.
func (w *world) live() {
	in := []session.Input{
		status("P01", 300, devices.Status{Has: devices.HasOnline, Online: true}),
		reading("P01", 1, 190, 0, 1_000_000, devices.StateIdle, ""),
		reading("P01", 1, 180, 152_400, 1_000_000, devices.StateCharging, cards[0]),
		reading("P01", 1, 120, 160_250, 1_156_001, devices.StateCharging, cards[0]),
		reading("P01", 1, 60, 20_000, 1_300_000, devices.StateFull, cards[0]),
		reading("P01", 1, 30, 0, 1_305_500, devices.StateIdle, ""),
		reading("P03", 2, 400, 40_000, 5_000, devices.StateFault, ""),
		status("P03", 390, devices.Status{Has: devices.HasOnline}),
		reading("P01", 2, 45, 210_000, 70_000, devices.StateCharging, cards[1]),
		reading("P01", 2, 5, 221_500, 215_250, devices.StateCharging, ""),
		reading(`<b>'x`, 7, 3, 99_000, 10, devices.StateCharging, cards[2]),
		reading(`<b>'x`, 7, 2, 98_000, 20, devices.StateCharging, ""),
		status("P01", 1, devices.Status{Has: devices.HasEnergy | devices.HasTemperature | devices.HasRSSI, MainMWh: 5_230_010_000, TempMC: 31_500, RSSI: -71}),
	}
	last := in[9].Reading
	last.VoltageMV, last.CurrentMA, last.PFMilli, last.TempMC = 221_300, 1_012, 970, 34_500
	last.Has |= devices.HasVoltage | devices.HasCurrent | devices.HasPowerFactor | devices.HasTemperature
	w.say(in...)
	w.flag(ledger.Flag{
		ID: "f-1", Rule: "second_load", Severity: ledger.Warning, Suspicion: "power_strip", Building: "1", Pile: "P01", Port: 2,
		SessionID: "P01-2-20261123T113030Z", Household: "1-402", RaisedAt: evening.Add(-20 * time.Minute), Status: ledger.StatusOpen,
		Evidence: json.RawMessage(`{"step_w":95,"before_w":110}`), Message: "疑似接了排插", MessageEN: "a power strip is suspected",
		Advice: "请上门查看并提供帮助", AdviceEN: "please visit and offer help", RuleVersion: 1,
	})
	w.flag(ledger.Flag{
		ID: "f-2", Rule: "device_alarm", Severity: ledger.Critical, Suspicion: "hardware", Building: "3", Pile: "P03",
		RaisedAt: evening.Add(-30 * time.Minute), Status: ledger.StatusAcknowledged, Message: "<i>烟雾</i>", MessageEN: "smoke", RuleVersion: 1,
	})
	w.flag(ledger.Flag{
		ID: "f-0", Rule: "hot_burst", Severity: ledger.Critical, Suspicion: "appliance", Building: "1", Pile: "P01", Port: 1,
		RaisedAt: evening.Add(-26 * time.Hour), ClearedAt: evening.Add(-2 * time.Hour), Status: ledger.StatusOpen,
		Evidence: json.RawMessage(`{}`), Message: "疑似接了电水壶", MessageEN: "a kettle is suspected", RuleVersion: 1,
	})
	w.append(&ledger.Batch{Rejects: []ledger.Reject{
		{Time: evening.Add(-time.Hour), Decoder: "native", Topic: "pilewatch/v1/fuxing/P01/telemetry", Reason: devices.Malformed, Detail: "not JSON: it ends at byte 12", Payload: []byte(`{"card":"04A1B2C3"`)},
		{Time: evening.Add(-time.Minute), Decoder: "", Topic: "x/<y>", Reason: devices.UnknownTopic, Detail: "no decoder reads this topic"},
	}})
}

// config is what a server of the world stands on.
func (w *world) config() Config {
	return Config{
		Estate: "fuxing", Name: "复兴小区", Location: time.FixedZone("CST", 8*3600), Ledger: w.ledger, Live: w,
		Now: func() time.Time { return evening.Time() }, Log: slog.New(slog.DiscardHandler),
	}
}

// serve starts a real server on loopback.
func serve(t *testing.T, c Config) (address string) {
	t.Helper()
	s := NewServer(c)
	h := httptest.NewServer(s)
	t.Cleanup(func() { s.endNow(); h.Close() })
	return h.URL
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers come in pairs.
func ask(t *testing.T, method, address string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// golden compares JSON with a file, each value on a line of its own.
func golden(t *testing.T, name, body string) {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(body), "", "  "); err != nil {
		t.Fatalf("%s: %v in %s", name, err, body)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, out.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("%s is not as agreed; got\n%s", name, out.String())
	}
}

// broken is a ledger whose disk is gone.
type broken struct{ *ledger.Ledger }

var errDisk = errors.New("disk I/O error at /secret/path")

func (broken) Sessions(context.Context, ledger.Filter) ([]session.Session, string, error) {
	return nil, "", errDisk
}
func (broken) Flags(context.Context, ledger.Filter) ([]ledger.Flag, string, error) {
	return nil, "", errDisk
}

func hasCard(body string) bool {
	for _, c := range cards[:2] {
		if strings.Contains(body, c) {
			return true
		}
	}
	return strings.Contains(body, `"`+cards[2]+`"`)
}
