package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
	"pilewatch/gateway/realserver"
)

// holder takes deliveries and keeps them until the test acknowledges.
type holder struct {
	mu   sync.Mutex
	held []Delivery
}

func (h *holder) Put(d Delivery) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, d)
	return true
}

func (h *holder) Submit(_ context.Context, d Delivery) error { h.Put(d); return nil }

func (h *holder) payloads() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ps []string
	for _, d := range h.held {
		ps = append(ps, string(d.Payload))
	}
	return ps
}

func (h *holder) ack(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.held[:n] {
		d.Done(nil)
	}
	h.held = h.held[n:]
}

// listen runs a subscriber until the returned function is called.
func listen(t *testing.T, cfg SubscriberConfig, h *holder) (s *Subscriber, stop func()) {
	t.Helper()
	cfg.ClientID, cfg.Filters = "gateway", []string{"pilewatch/v1/+/+/#"}
	s = NewSubscriber(cfg, h, func() devices.Millis { return devices.MillisOf(t0) }, func() { t.Error("overflow") }, slog.New(slog.DiscardHandler))
	stop = run(t, s)
	t.Cleanup(stop)
	return s, stop
}

// run runs a subscriber until the returned function is called.
func run(t *testing.T, s *Subscriber) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx, drained); err != nil {
			t.Error(err)
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		close(drained)
		wg.Wait()
	})
}

// until waits for something that another process does, for half a minute at most.
func until(t *testing.T, what string, ok func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func publish(t *testing.T, b *realserver.Broker, edit func(*mqtt.ClientOptions), payloads ...string) {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(b.URL).SetClientID("P01")
	edit(o)
	c := mqtt.NewClient(o)
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal("connecting:", tok.Error())
	}
	defer c.Disconnect(100)
	for _, p := range payloads {
		if tok := c.Publish("pilewatch/v1/fuxing/P01/telemetry", 1, false, p); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatal("publishing:", tok.Error())
		}
	}
}

func plain(*mqtt.ClientOptions) {}

func have(h *holder, want ...string) func() error {
	return func() error {
		if got := h.payloads(); strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("have %v, want %v", got, want)
		}
		return nil
	}
}

func TestWhatWasNotAcknowledgedComesAgainAndTheRestDoesNot(t *testing.T) {
	b := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	h := &holder{}
	s, stop := listen(t, SubscriberConfig{Broker: b.URL}, h)
	until(t, "the connection", s.Connected)
	publish(t, b, plain, "1", "2", "3")
	until(t, "three messages", have(h, "1", "2", "3"))
	h.ack(1)
	stop() // acknowledgements that were given before go out
	publish(t, b, plain, "4")

	again := &holder{}
	s, _ = listen(t, SubscriberConfig{Broker: b.URL}, again)
	until(t, "the connection", s.Connected)
	until(t, "what was left, and what came meanwhile", have(again, "2", "3", "4"))
}

func TestTheSubscriberComesBackWithTheBroker(t *testing.T) {
	b := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	h := &holder{}
	s, _ := listen(t, SubscriberConfig{Broker: b.URL}, h)
	until(t, "the connection", s.Connected)
	b.Stop()
	until(t, "the loss to be noticed", func() error {
		if s.Connected() == nil {
			return errors.New("still connected")
		}
		return nil
	})
	b.Start()
	until(t, "the connection", s.Connected)
	publish(t, b, plain, "after")
	until(t, "the message", have(h, "after"))
}

func TestTLSAndPassword(t *testing.T) {
	b := realserver.Mosquitto(t, realserver.MosquittoOptions{TLS: true, Users: map[string]string{"gateway": "secret", "P01": "pile"}})
	roots, err := realserver.CertPool(b.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := SubscriberConfig{Broker: b.URL, Username: "gateway", TLS: &tls.Config{RootCAs: roots}, Password: func() (string, error) { return "secret", nil }}
	h := &holder{}
	s, stop := listen(t, cfg, h)
	until(t, "the connection", s.Connected)
	publish(t, b, func(o *mqtt.ClientOptions) {
		o.SetUsername("P01").SetPassword("pile").SetTLSConfig(&tls.Config{RootCAs: roots})
	}, "over TLS")
	until(t, "the message", have(h, "over TLS"))
	stop()

	cfg.Password = func() (string, error) { return "wrong", nil }
	s, _ = listen(t, cfg, &holder{})
	until(t, "the refusal", func() error {
		if err := s.Connected(); err == nil || errors.Is(err, errNotYet) {
			return fmt.Errorf("connected: %v", err)
		}
		return nil
	})
}

func TestARefusedSubscriptionIsSaid(t *testing.T) {
	b := realserver.Mosquitto(t, realserver.MosquittoOptions{ACL: true, Users: map[string]string{"gateway": "secret", "P01": "pile"}})
	s, _ := listen(t, SubscriberConfig{Broker: b.URL, Username: "gateway", Password: func() (string, error) { return "secret", nil }}, &holder{})
	until(t, "the connection", s.Connected)
	// mosquitto grants every filter and keeps back the messages; a broker that
	// refuses says so with 0x80, which a fake shows.
	err := granted(map[string]byte{"a/#": 1, "b/#": refused}, "P01")
	if err == nil || !strings.Contains(err.Error(), `"b/#" refused`) {
		t.Errorf("error %v", err)
	}
	if err := granted(map[string]byte{"a/#": 0, "b/#": 1}, "P01"); err != nil {
		t.Errorf("granted: %v", err)
	}
}
