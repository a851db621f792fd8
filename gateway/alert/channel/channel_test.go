package channel

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shanghai is the estate's clock, and evening the time of what happens.
var (
	shanghai = time.FixedZone("CST", 8*60*60)
	evening  = time.Date(2026, 11, 23, 20, 15, 30, 0, shanghai)
)

// read gives the channel of a line of configuration, as it stands in a file.
func read(t testing.TB, line string) config.Channel {
	t.Helper()
	c, err := config.Load(file(t, "pilewatch.yaml", "alerts: {channels: ["+line+"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Alerts.Channels[0]
}

// options are those of the estate, on its clock of that evening.
func options() Options {
	return Options{
		Now: func() time.Time { return evening.Add(time.Second) }, PublicURL: "http://pilewatch.local:8080",
		Link:   func(id string) string { return "http://pilewatch.local:8080/#" + id },
		Estate: "复兴小区", EstateID: "fuxing", Location: shanghai,
	}
}

func open(t testing.TB, line string, o Options) Sender {
	t.Helper()
	s, err := New(read(t, line), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// burst is a flag as the rules raise it.
func burst() ledger.Flag {
	return ledger.Flag{
		ID: "hot_burst-P03-2-20261123T121530Z", Rule: "hot_burst", Severity: ledger.Critical, Suspicion: "appliance",
		Building: "3", Pile: "P03", Port: 2, SessionID: "P03-2-20261123T101200Z", Household: "3-402",
		RaisedAt: devices.MillisOf(evening), Status: "open", Evidence: json.RawMessage(`{"peak_w":2035,"minutes":4}`),
		Message:   "3号楼 P03 桩 2 号口，11月23日 20:15：短时间功率达到 2035 W，像电水壶、电吹风一类的电热电器。",
		MessageEN: "Building 3, pile P03, port 2, 23 Nov 20:15: a short burst of 2035 W, like a kettle or a hair dryer.",
		Advice:    "疑似接入了充电器以外的电器，请上门了解情况并提供帮助。",
		AdviceEN:  "Something other than a charger is suspected: please visit and offer help.", RuleVersion: 2,
	}
}

// message is one of a kind, in a language.
func message(kind, language string) Message {
	f := burst()
	m := Message{
		DeliveryID: "d-0042", Kind: kind, Severity: ledger.Critical, Link: "http://pilewatch.local:8080/#" + f.ID,
		Flags: []ledger.Flag{f}, At: evening,
	}
	zh := map[string][2]string{
		Raised:   {"【严重】3号楼 北侧 P03桩 2口：疑似电热电器", f.Message + "\n" + f.Advice},
		Repeated: {"【严重·再次】3号楼 北侧 P03桩 2口：疑似电热电器", "5 分钟内无人确认。\n" + f.Message},
		Cleared:  {"【恢复】3号楼 北侧 P03桩 2口", "20:21 已恢复正常，共 6 分钟。"},
		Digest:   {"【日报】复兴小区 11月23日", "未处理 2 条，新增 1 条，已恢复 3 条\n充电 48 次，61.2 度"},
		Test:     {"【测试】复兴小区", "这是一条测试消息，无需处理。"},
	}
	en := map[string][2]string{
		Raised:   {"[CRITICAL] Building 3 north, pile P03 port 2: an appliance?", f.MessageEN + "\n" + f.AdviceEN},
		Repeated: {"[CRITICAL, again] Building 3 north, pile P03 port 2: an appliance?", "Nobody acknowledged it in 5 minutes.\n" + f.MessageEN},
		Cleared:  {"[CLEARED] Building 3 north, pile P03 port 2", "Normal again at 20:21, after 6 minutes."},
		Digest:   {"[DAILY] Fuxing, 23 Nov", "2 open, 1 new, 3 cleared\n48 charges, 61.2 kWh"},
		Test:     {"[TEST] Fuxing", "This is a test message: nothing to do."},
	}
	said := zh
	if language == "en" {
		said = en
	}
	m.Title, m.Text = said[kind][0], said[kind][1]
	switch kind {
	case Cleared:
		m.Flags[0].ClearedAt, m.At = devices.MillisOf(evening.Add(6*time.Minute)), evening.Add(6*time.Minute)
	case Digest, Test:
		m.Flags, m.Severity, m.Link = nil, ledger.Info, "http://pilewatch.local:8080"
	}
	return m
}

var kinds = []string{Raised, Repeated, Cleared, Digest, Test}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// reaction is what an error asks of the caller: "taken", "again", "never" or
// "after 1m0s".
func reaction(err error) string {
	if err == nil {
		return "taken"
	}
	if e, ok := errors.AsType[*RetryError](err); ok {
		return "after " + e.After.String()
	}
	if _, ok := errors.AsType[*PermanentError](err); ok {
		return "never"
	}
	return "again"
}

// wants fails the test where an error asks for something else, or does not say
// what it should, or is longer than a line.
func wants(t *testing.T, err error, want, says string) {
	t.Helper()
	if got := reaction(err); got != want {
		t.Errorf("the error asks for %q, want %q: %v", got, want, err)
	}
	if err != nil && (!strings.Contains(err.Error(), says) || strings.ContainsAny(err.Error(), "\r\n")) {
		t.Errorf("the error says %q, want %q in one line", err, says)
	}
}

// file writes one, and gives its path.
func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
