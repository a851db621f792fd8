package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/crypto/bcrypt"

	"pilewatch/devices"
	"pilewatch/gateway/ingest"
)

// sink takes deliveries and leaves it to the test when they are done.
type sink struct {
	mu  sync.Mutex
	got chan ingest.Delivery
	err error
}

func (s *sink) Put(d ingest.Delivery) bool { s.got <- d; return true }

func (s *sink) Submit(_ context.Context, d ingest.Delivery) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	d.Payload = append([]byte(nil), d.Payload...)
	s.got <- d
	return nil
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// next is the next delivery, which must come soon.
func (s *sink) next(t *testing.T) ingest.Delivery {
	t.Helper()
	select {
	case d := <-s.got:
		return d
	case <-time.After(20 * time.Second):
		t.Fatal("no message was delivered")
		return ingest.Delivery{}
	}
}

func startBroker(t *testing.T, cfg Config) (addr string, s *sink) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &sink{got: make(chan ingest.Delivery, 100)}
	b, err := New(cfg, ln, s, func() devices.Millis { return 1_790_000_000_000 }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if b.Connected() == nil {
		t.Error("a broker that does not run says that it is connected")
	}
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Run(ctx, drained); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		close(drained)
		wg.Wait()
	})
	return b.Addr(), s
}

func dial(addr, id, user, password string, edit ...func(*mqtt.ClientOptions)) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetUsername(user).SetPassword(password).
		SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetConnectRetry(false)
	for _, e := range edit {
		e(o)
	}
	c := mqtt.NewClient(o)
	t := c.Connect()
	t.WaitTimeout(5 * time.Second)
	return c, t.Error()
}

func mustDial(t *testing.T, addr, id, user, password string, edit ...func(*mqtt.ClientOptions)) mqtt.Client {
	t.Helper()
	var c mqtt.Client
	var err error
	for range 50 { // the broker begins to serve in its own goroutine
		if c, err = dial(addr, id, user, password, edit...); err == nil {
			t.Cleanup(func() { c.Disconnect(50) })
			return c
		}
	}
	t.Fatal(err)
	return nil
}

func TestThePileHearsOfItAfterTheCommit(t *testing.T) {
	addr, s := startBroker(t, Config{})
	c := mustDial(t, addr, "P01", "", "")
	token := c.Publish("pilewatch/v1/fuxing/P01/telemetry", 1, false, "hello")
	d := s.next(t)
	if d.Topic != "pilewatch/v1/fuxing/P01/telemetry" || string(d.Payload) != "hello" || d.Received != 1_790_000_000_000 {
		t.Errorf("delivery %+v", d)
	}
	select {
	case <-token.Done():
		t.Fatal("PUBACK before the commit")
	default:
	}
	d.Done(nil)
	if !token.WaitTimeout(5*time.Second) || token.Error() != nil {
		t.Errorf("no PUBACK after the commit: %v", token.Error())
	}
}

func TestWhatIsNotCommittedIsNotAcknowledged(t *testing.T) {
	addr, s := startBroker(t, Config{})
	for _, failing := range []string{"at the commit", "at the door"} {
		lost := make(chan error, 1)
		c := mustDial(t, addr, "P01", "", "", func(o *mqtt.ClientOptions) {
			o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
		})
		if failing == "at the door" {
			s.fail(ingest.ErrStopped)
		}
		token := c.Publish("pilewatch/v1/fuxing/P01/telemetry", 1, false, "hello")
		if failing == "at the commit" {
			s.next(t).Done(errors.New("disk full"))
		}
		select {
		case <-lost: // the pile connects again and repeats it
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: the connection stays", failing)
		}
		token.WaitTimeout(time.Second)
		if token.Error() == nil {
			t.Errorf("%s: acknowledged", failing)
		}
	}
}

func TestALastWillIsDelivered(t *testing.T) {
	addr, s := startBroker(t, Config{})
	conn, err := net.Dial("tcp", addr)
	for range 50 {
		if err == nil {
			break
		}
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	topic, payload := "pilewatch/v1/fuxing/P01/status", "offline"
	connect := []byte{0, 4, 'M', 'Q', 'T', 'T', 4, 0x04 | 0x02, 0, 60, 0, 3, 'P', '0', '1', 0, byte(len(topic))}
	connect = append(append(connect, topic...), 0, byte(len(payload)))
	connect = append(connect, payload...)
	if _, err := conn.Write(append([]byte{0x10, byte(len(connect))}, connect...)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 4)); err != nil { // CONNACK
		t.Fatal(err)
	}
	conn.Close() // without DISCONNECT: the line broke
	select {
	case d := <-s.got:
		if d.Topic != topic || string(d.Payload) != payload {
			t.Errorf("delivery %+v", d)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no last will")
	}
}

func passwordsFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestAPileSpeaksForItselfAlone(t *testing.T) {
	p, err := LoadPasswords(passwordsFile(t, "# piles", "", "P01:"+hash(t, "one"), "gateway:"+hash(t, "two")))
	if err != nil {
		t.Fatal(err)
	}
	addr, s := startBroker(t, Config{Allowed: p.Allowed, Reader: "gateway"})
	lost := make(chan error, 1)
	c := mustDial(t, addr, "a", "P01", "one", func(o *mqtt.ClientOptions) {
		o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	})
	for user, password := range map[string]string{"P01": "two", "P02": "one", "": "", "gateway": "one"} {
		if _, err := dial(addr, "b", user, password); err == nil {
			t.Errorf("%q with %q was let in", user, password)
		}
	}
	if tok := c.Subscribe("pilewatch/v1/fuxing/P02/#", 1, nil); tok.WaitTimeout(5*time.Second) && tok.Error() == nil {
		if code := tok.(*mqtt.SubscribeToken).Result()["pilewatch/v1/fuxing/P02/#"]; code < 0x80 {
			t.Errorf("a pile may listen to another: %#x", code)
		}
	}
	c.Publish("pilewatch/v1/fuxing/P02/telemetry", 1, false, "I am P02")
	select {
	case <-lost: // MQTT 3.1.1 has no other way to say no
	case <-time.After(20 * time.Second):
		t.Fatal("a pile that speaks for another stays connected")
	}
	c = mustDial(t, addr, "a2", "P01", "one")
	token := c.Publish("pilewatch/v1/fuxing/P01/telemetry", 1, false, "I am P01")
	d := s.next(t)
	d.Done(nil)
	if string(d.Payload) != "I am P01" || !token.WaitTimeout(5*time.Second) {
		t.Errorf("delivered %q", d.Payload)
	}
	reader := mustDial(t, addr, "r", "gateway", "two")
	tok := reader.Subscribe("pilewatch/#", 1, nil)
	if !tok.WaitTimeout(5*time.Second) || tok.(*mqtt.SubscribeToken).Result()["pilewatch/#"] >= 0x80 {
		t.Errorf("the reader may not read: %v", tok.Error())
	}
}

func TestPasswordFileNamesTheBadLine(t *testing.T) {
	good := "P01:" + hash(t, "one")
	for text, want := range map[string]string{
		"P01":                    ":1: expected name:hash",
		good + "\nP02:plaintext": ":2: expected name:hash",
		good + "\n" + good:       ":2: P01 stands twice",
		":" + hash(t, "x"):       ":1: expected name:hash",
	} {
		if _, err := LoadPasswords(passwordsFile(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := LoadPasswords("/nowhere"); err == nil {
		t.Error("a missing file was read")
	}
}
