package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// backWithin is how soon the gateway takes messages again after the broker, or the way to it, is back.
const backWithin = 30 * time.Second

// site is a gateway with its broker and its InfluxDB, and a load with known truth.
type site struct {
	*gateway
	t         testing.TB
	load      load
	cfg       string
	mosquitto *realserver.Broker
	influx    *realserver.InfluxServer
	sent      int // messages
}

// newSite starts one, with the way to its broker that through gives.
func newSite(t *testing.T, through func(broker string) string) *site {
	t.Helper()
	s := &site{t: t, load: estateLoad(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), 10, 4, 600, nil)}
	s.mosquitto, s.influx = realserver.Mosquitto(t, realserver.MosquittoOptions{}), realserver.Influx(t)
	s.influx.CreateDatabase("pilewatch")
	addr := freeAddr(t)
	s.cfg = settingsFile(t, t.TempDir(), "tcp://"+through(s.mosquitto.Addr), addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", s.influx.URL))
	s.gateway = start(t, addr, "run", "--config", s.cfg)
	return s
}

// publish gives the broker the next messages, behind the faults.
func (s *site) publish(n int) {
	s.t.Helper()
	publishAll(s.t, s.mosquitto.URL, s.load.messages[s.sent:s.sent+n])
	s.sent += n
}

// publishAhead gives the broker the next messages while the gateway stands
// still, so that it is in the middle of them when it goes on.
func (s *site) publishAhead(n int) {
	s.t.Helper()
	before := s.readings()
	s.signal(syscall.SIGSTOP)
	s.publish(n)
	s.signal(syscall.SIGCONT)
	await(s.t, "the gateway to begin with them", func() error {
		if s.readings() == before {
			return fmt.Errorf("%v readings, as before", before)
		}
		return nil
	})
}

func (s *site) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) readings() float64 {
	return metric(s.t, s.gateway, "pilewatch_readings_committed_total", "")
}

// back waits until the gateway is ready and has all that was sent, no longer
// than it may take.
func (s *site) back(since time.Time) {
	s.t.Helper()
	want := float64(s.sent * s.load.readings / len(s.load.messages))
	awaitUntil(s.t, since.Add(backWithin), "the gateway to be back, with all that was sent", func() error {
		if _, err := s.get("/readyz"); err != nil {
			return err
		}
		if n := s.readings(); n != want {
			return fmt.Errorf("%v of %v readings", n, want)
		}
		return nil
	})
	s.t.Logf("back after %v", time.Since(since).Round(time.Millisecond))
}

// noticed waits until the gateway says that it hears nothing.
func (s *site) noticed() {
	s.t.Helper()
	await(s.t, "the loss to be noticed", func() error {
		if _, err := s.get("/readyz"); err == nil || !strings.Contains(err.Error(), "503") {
			return fmt.Errorf("/readyz: %v", err)
		}
		return nil
	})
}

// whole sends what is left, and compares ledger and InfluxDB with the truth.
func (s *site) whole(t *testing.T) {
	s.publish(len(s.load.messages) - s.sent)
	s.back(time.Now())
	checkSessions(t, s.gateway, s.load.charges)
	checkInflux(t, s.influx, s.load.charges, s.load.readings)
	s.stop()
	s.nothingComesAgain(t)
	out := must(t, "verify", "--config", s.cfg)
	if want := fmt.Sprintf("%d sessions derived again, 0 differences", len(s.load.charges)); !strings.Contains(out, want) {
		t.Errorf("verify: %s", out)
	}
}

// nothingComesAgain wants that the broker has an acknowledgement of all: to a
// gateway that starts again it gives what is new, and nothing before it.
func (s *site) nothingComesAgain(t *testing.T) {
	g := start(t, s.http, "run", "--config", s.cfg)
	last := s.load.messages[len(s.load.messages)-1]
	publishAll(t, s.mosquitto.URL, []portReport{{topic: last.topic, payload: `{"ts":"2026-11-23T00:00:00Z","ports":[{"port":1,"state":"idle","w":0}]}`}})
	received := func() float64 { return metric(t, g, "pilewatch_messages_received_total", "") }
	await(t, "a message", func() error {
		if received() == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	if n := received(); n != 1 {
		t.Errorf("%v messages came again", n-1)
	}
	g.stop()
}

// TestTheBrokerRestartingLosesNothing stops the broker while the gateway is in
// the middle of what it holds, three times.
func TestTheBrokerRestartingLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(broker string) string { return broker })
	for range 3 {
		s.publishAhead(1500)
		s.mosquitto.Stop()
		s.noticed()
		s.mosquitto.Start()
		s.back(time.Now())
	}
	s.whole(t)
}

// TestAHalfOpenConnectionLosesNothing lets a connection die without a word,
// while others would be carried: only silence tells.
func TestAHalfOpenConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	var way *network
	var f *fork
	s := newSite(t, func(broker string) string {
		way = newNetwork(t, broker)
		f = newFork(t, way.addr())
		return f.addr
	})
	s.publishAhead(1500)
	f.to.Store(&s.mosquitto.Addr)
	way.drop()
	began := time.Now()
	s.publish(1500)
	s.back(began)
	s.whole(t)
}

// TestANetworkThatDropsLosesNothing loses everything on the way for a minute: the
// gateway notices, and fails in connecting again.
func TestANetworkThatDropsLosesNothing(t *testing.T) {
	t.Parallel()
	var way *network
	s := newSite(t, func(broker string) string {
		way = newNetwork(t, broker)
		return way.addr()
	})
	s.publishAhead(1500)
	way.drop()
	back := time.Now().Add(time.Minute)
	s.publish(1500)
	s.noticed()
	awaitUntil(t, back.Add(time.Minute), "an attempt in vain, and the minute's end", func() error {
		if !strings.Contains(s.log.String(), "no connection to the broker") {
			return errors.New("the log has no attempt")
		}
		if left := time.Until(back); left > 0 {
			return fmt.Errorf("%v are left", left)
		}
		return nil
	})
	way.heal()
	s.back(time.Now())
	s.whole(t)
}
