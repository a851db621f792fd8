package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// recordingOf writes a report a minute of each pile but those that skip says.
func recordingOf(t *testing.T, minutes int, skip func(pile, minute int) bool) string {
	t.Helper()
	var b strings.Builder
	for m := range minutes {
		for pile := 1; pile <= 4; pile++ {
			if skip(pile, m) {
				continue
			}
			at := time.Date(2026, 11, 20, 8, m, pile, 0, time.UTC).Format(time.RFC3339)
			fmt.Fprintf(&b, `{"topic":"pilewatch/v1/fuxing/P%02d/telemetry","received":%q,"payload":"{\"ts\":\"%s\",\"ports\":[{\"port\":1,\"state\":\"idle\",\"w\":0}]}"}`+"\n", pile, at, at)
		}
	}
	path := filepath.Join(t.TempDir(), "recording.ndjson")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func replayed(t *testing.T, recording string) []ledger.Flag {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	o := Options{Log: slog.New(slog.DiscardHandler)}
	if _, err := Replay(t.Context(), cfg, o, []string{recording}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.OpenRead(t.Context(), cfg.DataDir, o.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	flags, _, err := l.Flags(t.Context(), ledger.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestReplaySeesThatAPileFellSilent(t *testing.T) {
	flags := replayed(t, recordingOf(t, 180, func(pile, minute int) bool { return pile == 2 && minute >= 60 && minute < 120 }))
	if len(flags) != 1 || flags[0].Rule != "pile_offline" || flags[0].Pile != "P02" {
		t.Fatalf("flags %+v", flags)
	}
	raised, cleared := flags[0].RaisedAt.Time(), flags[0].ClearedAt.Time()
	if raised.Hour() != 9 || raised.Minute() > 5 || cleared.Hour() != 10 || cleared.Minute() > 1 {
		t.Errorf("raised at %s, cleared at %s", raised, cleared)
	}
}

// Every pile's last will, and then not a word for an hour: the broker was there to
// say it, so it is the estate that had no power, not the gateway that was away.
func TestReplaySeesAPowerCutOfTheWholeEstate(t *testing.T) {
	recording := recordingOf(t, 180, func(_, minute int) bool { return minute >= 60 && minute < 120 })
	b, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(b), `{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":"2026-11-20T10:00:01Z"`)
	if !ok {
		t.Fatal("no report at 10:00")
	}
	for pile := 1; pile <= 4; pile++ {
		before += fmt.Sprintf(`{"topic":"pilewatch/v1/fuxing/P%02d/status","received":"2026-11-20T09:00:1%dZ","payload":"offline"}`+"\n", pile, pile)
	}
	if err := os.WriteFile(recording, []byte(before+`{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":"2026-11-20T10:00:01Z"`+after), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := replayed(t, recording)
	if len(flags) != 1 || flags[0].Rule != "pile_offline" || flags[0].Pile != "" {
		t.Fatalf("flags %+v", flags)
	}
	if raised, cleared := flags[0].RaisedAt.Time(), flags[0].ClearedAt.Time(); raised.Hour() != 9 || raised.Minute() != 0 || cleared.Hour() != 10 {
		t.Errorf("raised at %s, cleared at %s", raised, cleared)
	}
}

func TestReplayOfAQuietEstateRaisesNothing(t *testing.T) {
	if flags := replayed(t, recordingOf(t, 180, func(int, int) bool { return false })); len(flags) != 0 {
		t.Errorf("flags %+v", flags)
	}
}
