package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// stop wants the gateway gone within 10 s, with status 0; what it leaves needs no
// recovery: no log of the database, and nothing of the journal behind the checkpoints.
func TestSIGTERMUnderFullLoadLosesNothingAndTheNextStartRecoversNothing(t *testing.T) {
	day := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	const ports = 12
	l := estateLoad(day, 40, ports, 240, nil)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	dir, addr := t.TempDir(), freeAddr(t)
	cfg := settingsFile(t, dir, mosquitto.URL, addr, "")
	g := start(t, addr, "run", "--config", cfg)
	published := make(chan struct{})
	go func() {
		defer close(published)
		publishAll(t, mosquitto.URL, l.messages)
	}()
	committed := 0.0
	for n := range 3 {
		await(t, "the load to be under way", func() error {
			if c := metric(t, g, "pilewatch_readings_committed_total", ""); c < ports*100 && closedSessions(g) < len(l.charges) {
				return fmt.Errorf("%.0f readings", c)
			}
			return nil // or over already, where a stop committed all that was under way
		})
		committed += metric(t, g, "pilewatch_readings_committed_total", "")
		g.stop()
		t.Logf("stop %d after %.0f of %d readings", n+1, committed, l.readings)
		if left, err := filepath.Glob(filepath.Join(dir, "data", "ledger.db-*")); err != nil || len(left) > 0 {
			t.Errorf("stop %d left %q, %v", n+1, left, err)
		}
		g = start(t, addr, "run", "--config", cfg)
		if want := "entries_after_checkpoint=0 entries_after_checkpoint_safety=0"; !strings.Contains(g.log.String(), want) {
			t.Errorf("start %d read more of the journal than it had to, expected %s in\n%s", n+2, want, g.log)
		}
	}
	<-published
	closedAll(t, g, len(l.charges))
	checkSessions(t, g, l.charges)
	if n := scan[int](t, filepath.Join(dir, "data"), "SELECT count(*) FROM flag"); n == 0 {
		t.Error("the rules have raised nothing that could stand behind a checkpoint")
	}
}
