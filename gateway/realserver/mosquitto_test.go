package realserver

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// connect gives a connected client whose messages go to the channel, or the
// broker's refusal.
func connect(t *testing.T, b *Broker, id, password string, got chan<- mqtt.Message) (mqtt.Client, error) {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(b.URL).SetClientID(id).SetCleanSession(false).SetAutoReconnect(false)
	if password != "" {
		o.SetUsername(id).SetPassword(password)
	}
	if b.CAFile != "" {
		pool, err := CertPool(b.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		o.SetTLSConfig(&tls.Config{RootCAs: pool})
	}
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- m })
	c := mqtt.NewClient(o)
	err := done(c.Connect())
	if err == nil {
		t.Cleanup(func() { c.Disconnect(0) })
	}
	return c, err
}

func mustConnect(t *testing.T, b *Broker, id, password string, got chan<- mqtt.Message) mqtt.Client {
	t.Helper()
	c, err := connect(t, b, id, password, got)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func done(token mqtt.Token) error {
	if !token.WaitTimeout(30 * time.Second) {
		return fmt.Errorf("no answer")
	}
	return token.Error()
}

func must(t *testing.T, token mqtt.Token) {
	t.Helper()
	if err := done(token); err != nil {
		t.Fatal(err)
	}
}

// next gives the next message, and fails the test where none comes.
func next(t *testing.T, got <-chan mqtt.Message) mqtt.Message {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("no message came")
		return nil
	}
}

func TestMosquittoKeepsQueueAcrossRestart(t *testing.T) {
	const n = 3000 // mosquitto's default keeps 1,000
	b := Mosquitto(t, MosquittoOptions{})
	got := make(chan mqtt.Message, n)
	gateway := mustConnect(t, b, "gateway", "", got)
	must(t, gateway.Subscribe("pilewatch/#", 1, nil))
	gateway.Disconnect(100)

	pile := mustConnect(t, b, "pile", "", nil)
	for i := range n {
		must(t, pile.Publish("pilewatch/v1/e/p/telemetry", 1, false, fmt.Sprint(i)))
	}
	pid := b.PID()
	b.Stop()
	if _, err := connect(t, b, "gateway", "", got); err == nil {
		t.Fatal("a stopped broker still answers")
	}
	b.Start()
	if b.PID() == pid {
		t.Fatal("it was not restarted")
	}

	mustConnect(t, b, "gateway", "", got)
	for i := range n {
		if m := string(next(t, got).Payload()); m != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
}

func TestMosquittoInMemoryForgets(t *testing.T) {
	b := Mosquitto(t, MosquittoOptions{Memory: true})
	got := make(chan mqtt.Message, 10)
	c := mustConnect(t, b, "c", "", got)
	must(t, c.Publish("old", 1, true, "retained"))
	b.Stop()
	b.Start()
	c = mustConnect(t, b, "c", "", got)
	must(t, c.Subscribe("#", 1, nil))
	must(t, c.Publish("new", 1, false, "after"))
	if m := next(t, got); m.Topic() != "new" {
		t.Fatalf("%s was kept", m.Topic())
	}
}

func TestShippedACLHoldsAPileToItsTopic(t *testing.T) {
	users := map[string]string{"gateway": "g", "pile-a": "a", "pile-b": "b"}
	b := Mosquitto(t, MosquittoOptions{Users: users, ACL: true})
	got := make(chan mqtt.Message, 10)
	gateway := mustConnect(t, b, "gateway", "g", got)
	must(t, gateway.Subscribe("#", 1, nil))
	for _, topic := range []string{
		"pilewatch/v1/fuxing/pile-b/telemetry", "pilewatch/v1/fuxing/pile-b/event", "tele/x/SENSOR",
		"pilewatch/v1/fuxing/pile-a/telemetry",
	} {
		pile := mustConnect(t, b, "pile-a", "a", nil) // again each time: mosquitto may hang up after a refusal
		_ = done(pile.Publish(topic, 1, false, "{}")) // a refusal looks like an acknowledgement in MQTT 3.1.1
		pile.Disconnect(0)
	}
	if m := next(t, got); m.Topic() != "pilewatch/v1/fuxing/pile-a/telemetry" {
		t.Fatalf("pile-a could publish to %s", m.Topic())
	}
	for id, password := range map[string]string{"pile-b": "a", "nobody": "x", "pile-c": ""} {
		if _, err := connect(t, b, id, password, nil); err == nil {
			t.Errorf("%s got in with %q", id, password)
		}
	}
}

func TestMosquittoSpeaksTLS(t *testing.T) {
	b := Mosquitto(t, MosquittoOptions{TLS: true})
	got := make(chan mqtt.Message, 1)
	c := mustConnect(t, b, "c", "", got)
	must(t, c.Subscribe("t", 1, nil))
	must(t, c.Publish("t", 1, false, "secret"))
	if m := next(t, got); string(m.Payload()) != "secret" {
		t.Fatalf("got %q", m.Payload())
	}
	plain := &Broker{URL: "tcp://" + b.Addr}
	if _, err := connect(t, plain, "p", "", nil); err == nil {
		t.Fatal("it takes clients without TLS")
	}
}

func TestShippedConfigurationLosesNothing(t *testing.T) {
	conf, err := os.ReadFile(filepath.Join(moduleRoot(t), "deploy", "mosquitto", "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"max_queued_messages 0", "max_inflight_messages 0", "set_tcp_nodelay true", "persistence true", "allow_anonymous false",
	} {
		if !strings.Contains("\n"+string(conf), "\n"+want+"\n") {
			t.Errorf("deploy/mosquitto/mosquitto.conf lacks %q", want)
		}
	}
}

func TestOverrideReplacesDropsAndAdds(t *testing.T) {
	const conf = "# listener 1\nlistener 1883\npassword_file /x\nkeep 1\n"
	got := override(conf, map[string]string{"listener": "7 127.0.0.1", "password_file": "", "user": "root"})
	if want := "# listener 1\nlistener 7 127.0.0.1\nkeep 1\nuser root\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
