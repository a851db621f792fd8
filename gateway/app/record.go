package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ingest"
)

// connectFor is how long a command waits for a broker.
const connectFor = 10 * time.Second

// connect opens a connection of a command to a broker, as somebody of its own.
func connect(m config.MQTT, name string, edit func(*mqtt.ClientOptions)) (mqtt.Client, error) {
	tlsConfig, err := clientTLS(m)
	if err != nil {
		return nil, Usage(err)
	}
	password, err := m.Password.Resolve()
	if err != nil {
		return nil, Usage(err)
	}
	o := mqtt.NewClientOptions().AddBroker(m.Broker).SetClientID(fmt.Sprintf("%s-%s-%d", m.ClientID, name, os.Getpid())).
		SetCleanSession(true).SetConnectTimeout(connectFor).
		SetAutoReconnect(true).SetMaxReconnectInterval(10 * time.Second)
	if m.Username != "" { // else the URL may hold one
		o.SetUsername(m.Username).SetPassword(password)
	}
	if tlsConfig != nil {
		o.SetTLSConfig(tlsConfig)
	}
	edit(o)
	c := mqtt.NewClient(o)
	t := c.Connect()
	if !t.WaitTimeout(connectFor) {
		c.Disconnect(0)
		return nil, fmt.Errorf("broker %s does not answer: start it, or give another with mqtt.broker or --broker", m.Broker)
	}
	if err := t.Error(); err != nil {
		return nil, fmt.Errorf("broker %s: %w", m.Broker, ingest.Explain(err))
	}
	return c, nil
}

// BrokerOf gives the broker that a command talks to: the one given, the
// configured one, or where the embedded one listens.
func BrokerOf(cfg *config.Config, given string) config.MQTT {
	m := cfg.MQTT
	if given != "" && given != m.Broker { // our password is none of another broker's business
		m.Broker, m.Username, m.Password = given, "", config.Secret{}
	}
	if m.Broker == "" {
		m.Broker = "tcp://" + m.Listen
	}
	return m
}

// Record writes what the broker carries on the configured topics, until ctx is
// done or limit messages are written (0: no limit). It gives how many they were.
// listening is called at each connection, when the broker has granted the topics.
func Record(ctx context.Context, cfg *config.Config, brokerURL string, limit int, listening func(), w io.Writer) (int, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &recorder{w: bufio.NewWriter(w), limit: limit, stop: stop}
	filters := map[string]byte{}
	for _, s := range cfg.MQTT.Subscriptions {
		filters[s.Filter()] = 1
	}
	c, err := connect(BrokerOf(cfg, brokerURL), "record", func(o *mqtt.ClientOptions) {
		o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			r.write(devices.Input{Topic: m.Topic(), Payload: m.Payload(), Received: now(), Retained: m.Retained()})
		})
		o.SetOnConnectHandler(func(c mqtt.Client) {
			switch t := c.SubscribeMultiple(filters, nil); {
			case !t.WaitTimeout(connectFor):
				r.fail(errors.New("the broker does not answer the subscription"))
			case t.Error() != nil:
				r.fail(t.Error())
			default:
				listening()
			}
		})
	})
	if err != nil {
		return 0, err
	}
	<-ctx.Done()
	c.Disconnect(250)
	return r.close()
}

// recorder writes messages as lines.
type recorder struct {
	mu    sync.Mutex
	w     *bufio.Writer
	n     int
	limit int
	err   error
	stop  func()
}

func (r *recorder) write(in devices.Input) {
	line, err := json.Marshal(recordOf(in))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.limit > 0 && r.n >= r.limit {
		return
	}
	if err == nil {
		_, err = r.w.Write(append(line, '\n'))
	}
	if err == nil {
		err = r.w.Flush()
	}
	r.n++
	if r.err = err; err != nil || r.n == r.limit {
		r.stop()
	}
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.stop()
}

func (r *recorder) close() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.n, fmt.Errorf("recording: %w", r.err)
	}
	return r.n, r.w.Flush()
}
