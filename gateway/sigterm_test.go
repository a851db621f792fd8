package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// stop wants the gateway gone within 10 s, with status 0; what it leaves needs no
// recovery: no log of the database, and nothing of the journal behind the checkpoints
// of the fold and of the rules, which raise flags all the while.
func TestSIGTERMUnderFullLoadLosesNothingAndTheNextStartRecoversNothing(t *testing.T) {
	day := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	const ports, stops, perAlarm = 12, 3, 10
	l := estateLoad(day, 40, ports, 480, nil)
	var messages []portReport
	for i, m := range l.messages {
		if messages = append(messages, m); i%perAlarm == 0 {
			messages = append(messages, portReport{m.at, strings.Replace(m.topic, "telemetry", "event", 1), fmt.Sprintf(
				`{"ts":%q,"port":%d,"event":"alarm","alarm":"smoke"}`, m.at.Format(time.RFC3339), i/perAlarm%ports+1)})
		}
	}
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	dir, addr := t.TempDir(), freeAddr(t)
	cfg := settingsFile(t, dir, mosquitto.URL, addr, "")
	g := start(t, addr, "run", "--config", cfg)
	busy := 0
	readings := func() float64 { return metric(t, g, "pilewatch_readings_committed_total", "") }
	for n := range stops {
		part := messages[n*len(messages)/stops : (n+1)*len(messages)/stops]
		published := make(chan struct{})
		go func() {
			defer close(published)
			publishAll(t, mosquitto.URL, part)
		}()
		before := readings()
		await(t, "the load to be under way", func() error {
			if readings() == before {
				return errors.New("nothing yet")
			}
			return nil
		})
		g.stop()
		if left, err := filepath.Glob(filepath.Join(dir, "data", "ledger.db-*")); err != nil || len(left) > 0 {
			t.Errorf("stop %d left %q, %v", n+1, left, err)
		}
		committed := scan[int64](t, filepath.Join(dir, "data"), "SELECT sum(count) FROM journal")
		<-published
		g = start(t, addr, "run", "--config", cfg)
		if want := "entries_after_checkpoint=0 entries_after_checkpoint_safety=0"; !strings.Contains(g.log.String(), want) {
			t.Errorf("start %d read more of the journal than it had to, expected %s in\n%s", n+2, want, g.log)
		}
		await(t, "the rest", func() error {
			if at := scan[int64](t, filepath.Join(dir, "data"), "SELECT max(last_time) FROM journal"); at != part[len(part)-1].at.UnixMilli() {
				return fmt.Errorf("the newest is of %d", at)
			}
			return nil
		})
		if readings() > 0 {
			busy++
		}
		t.Logf("stop %d with %d entries committed; %.0f readings came after it", n+1, committed, readings())
	}
	closedAll(t, g, len(l.charges))
	checkSessions(t, g, l.charges)
	if n := readingsIn(t, filepath.Join(dir, "data")); n != l.readings { // a register spans what is lost
		t.Errorf("%d readings are in the journal, expected %d", n, l.readings)
	}
	if n := scan[int](t, filepath.Join(dir, "data"), "SELECT count(*) FROM flag"); n == 0 || busy == 0 {
		t.Errorf("%d flags, %d stops under load", n, busy)
	}
}
