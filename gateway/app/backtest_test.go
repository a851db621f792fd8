package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/safety"
)

const someTraces = `{"id":"kettle","interval_s":60,"points":[[0,0],[60,1700],[120,1702],[180,1699],[240,0]],"label":1,"class":"appliance","tier":"easy","onset_s":60}
{"id":"bike","interval_s":60,"points":[[0,0],[60,150],[120,151],[180,150],[240,151]],"label":0,"class":"normal","tier":"easy","onset_s":-1,"unknown":{"x":1}}
`

func tryTraces(t *testing.T, in string, edit func(*BacktestRequest)) (out, report string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "traces.ndjson")
	if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	r := BacktestRequest{Traces: file, Output: "-"}
	if edit != nil {
		edit(&r)
	}
	var a, b bytes.Buffer
	err = Backtest(t.Context(), config.Default(), Options{Log: slog.New(slog.DiscardHandler)}, r, &a, &b, func(float64) {})
	return a.String(), b.String(), err
}

func TestBacktestOfTracesAnswersALineEach(t *testing.T) {
	out, report, err := tryTraces(t, someTraces, func(r *BacktestRequest) { r.Labels = true })
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var kettle, bike safety.Outcome
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &kettle) != nil || json.Unmarshal([]byte(lines[1]), &bike) != nil {
		t.Fatalf("out %s", out)
	}
	if kettle.ID != "kettle" || !kettle.Flagged || kettle.Severity != ledger.Critical || kettle.Rules[0] != "hot_burst" || *kettle.FirstFlagS != 120 {
		t.Errorf("kettle %+v", kettle)
	}
	if lines[1] != `{"id":"bike","flagged":false,"rules":[]}` {
		t.Errorf("bike %s", lines[1])
	}
	for _, want := range []string{"2 traces, 1 flagged", "easy appliance", "1/1", "100.0 %", "false alarms", "0/1", "misses: []"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

func TestBacktestTriesOtherThresholds(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte("hot_burst: {enabled: false}\nresistive_load: {enabled: false}\nover_power: {critical_w: 2500, warn_w: 2000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := tryTraces(t, someTraces, func(r *BacktestRequest) { r.Rules = rules })
	if err != nil || !strings.Contains(out, `"id":"kettle","flagged":false`) {
		t.Errorf("%v %s", err, out)
	}
	if err := os.WriteFile(rules, []byte("hot_burst: {heat: 4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err = tryTraces(t, someTraces, func(r *BacktestRequest) { r.Rules = rules }); err == nil || !strings.Contains(err.Error(), "hot_burst.heat") {
		t.Errorf("a threshold that is none: %v", err)
	}
}

func TestBacktestSaysWhatIsWrongWithATrace(t *testing.T) {
	for in, want := range map[string]string{
		"{\"id\":\"a\",\"points\":[[0,1]]}\nnonsense\n":                "traces.ndjson:2",
		"{\"id\":\"a\",\"flagged\":false,\"rules\":[]}\n":              "without points",
		"{\"points\":[[0,1]]}\n":                                       "without an id",
		"{\"id\":\"a\",\"points\":[[0,1],[30,1e9]]}\n":                 "point 1",
		"{\"id\":\"a\",\"points\":[[0,1],[30,2]],\"energy_wh\":[1]}\n": "energy_wh",
	} {
		if _, _, err := tryTraces(t, in, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
	if _, _, err := tryTraces(t, `{"id":"a","points":[[0,1]]}`, func(r *BacktestRequest) { r.Labels = true }); err == nil || !strings.Contains(err.Error(), "no labels") {
		t.Errorf("without labels: %v", err)
	}
}

// The rules on a ledger's past find what the running gateway flagged, and score
// themselves on what people said of it.
func TestBacktestOfTheLedgerScoresVerdicts(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	o := Options{Log: slog.New(slog.DiscardHandler)}
	file := filepath.Join(t.TempDir(), "rec.ndjson")
	var rec strings.Builder
	for m := range 60 {
		w := 150
		if m >= 30 && m < 34 {
			w = 1900
		}
		at := "2026-11-23T12:" + two(m) + ":00Z"
		rec.WriteString(`{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":"` + at + `","payload":"{\"ts\":\"` + at + `\",\"ports\":[{\"port\":1,\"state\":\"charging\",\"w\":` +
			itoa(w) + `}]}"}` + "\n")
	}
	if err := os.WriteFile(file, []byte(rec.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(t.Context(), cfg, o, []string{file}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	judge(t, cfg, o, "hot_burst", ledger.StatusConfirmed)
	judge(t, cfg, o, "second_load", ledger.StatusFalseAlarm)
	var out bytes.Buffer
	if err := Backtest(t.Context(), cfg, o, BacktestRequest{Verdicts: true, Output: "-"}, &out, &bytes.Buffer{}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"hot_burst    1 of 1", "second_load  0 of 0", "1 of 1", "0 flags of the ledger would not have been raised", "still flagged: [second_load-P01-1-"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte("hot_burst: {critical_w: 3000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Backtest(t.Context(), cfg, o, BacktestRequest{Verdicts: true, Rules: rules, Output: "-"}, &out, &bytes.Buffer{}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 flags of the ledger would not have been raised", "confirmed and not flagged now: [hot_burst-"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("with other thresholds the report lacks %q:\n%s", want, out.String())
		}
	}
}

// When the readings are gone, verdicts are scored on the curve that the flag kept.
func TestBacktestScoresVerdictsOnTheKeptCurve(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	o := Options{Log: slog.New(slog.DiscardHandler)}
	var rec [2]strings.Builder
	for m := range 120 { // P01 in the first hour, P02 in the second
		w, pile := 150, "P01"
		if m >= 30 && m < 34 {
			w = 1900
		}
		if m >= 60 {
			pile = "P02"
		}
		at := "2026-11-23T" + itoa(12+m/60) + ":" + two(m%60) + ":00Z"
		rec[m/60].WriteString(`{"topic":"pilewatch/v1/fuxing/` + pile + `/telemetry","received":"` + at + `","payload":"{\"ts\":\"` + at + `\",\"ports\":[{\"port\":1,\"state\":\"charging\",\"w\":` +
			itoa(w) + `}]}"}` + "\n")
	}
	for i := range rec {
		file := filepath.Join(t.TempDir(), "rec.ndjson")
		if err := os.WriteFile(file, []byte(rec[i].String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(t.Context(), cfg, o, []string{file}, func(float64) {}); err != nil {
			t.Fatal(err)
		}
	}
	judge(t, cfg, o, "hot_burst", ledger.StatusConfirmed)
	judge(t, cfg, o, "second_load", ledger.StatusFalseAlarm)
	l, err := ledger.Open(t.Context(), cfg.DataDir, o.Log)
	if err != nil {
		t.Fatal(err)
	}
	later := devices.MillisOf(time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC))
	for more := true; more; {
		if more, err = l.Prune(t.Context(), later, later, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rules, want string }{
		{"{}\n", "hot_burst    1 of 1                    0 of 0                       100 %      1                  0\n"},
		{"hot_burst: {critical_w: 3000}\n", "hot_burst    0 of 1                    0 of 0                       -          1                  0\n"},
	} {
		rules := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(rules, []byte(c.rules), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Backtest(t.Context(), cfg, o, BacktestRequest{Verdicts: true, Rules: rules, Output: "-"}, &out, &bytes.Buffer{}, func(float64) {}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), "second_load  0 of 0                    1 of 1") {
			t.Errorf("with %s the report lacks %q:\n%s", c.rules, c.want, out.String())
		}
	}
}

func judge(t *testing.T, cfg *config.Config, o Options, rule, status string) {
	t.Helper()
	l, err := ledger.Open(context.Background(), cfg.DataDir, o.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	flags, _, err := l.Flags(t.Context(), ledger.Filter{Rule: rule})
	if err != nil || len(flags) == 0 {
		t.Fatalf("no flag of %s: %v", rule, err)
	}
	if _, err := l.Judge(t.Context(), &ledger.Verdict{FlagID: flags[0].ID, Status: status}); err != nil {
		t.Fatal(err)
	}
}

func two(m int) string { return string([]byte{'0' + byte(m/10), '0' + byte(m%10)}) }

func itoa(w int) string { b, _ := json.Marshal(w); return string(b) }
