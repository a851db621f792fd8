package ingest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
)

// SubscriberConfig says which broker to listen to.
type SubscriberConfig struct {
	Broker   string // tcp:// ssl:// ws:// wss://
	ClientID string
	Username string
	Password func() (string, error) // asked at each connection; nil for none
	TLS      *tls.Config            // nil: the system's roots
	Filters  []string               // MQTT topic filters
}

// Subscriber is the source that listens to somebody else's broker. It keeps its
// session there (CleanSession false), so that the broker holds what comes while
// the gateway is away, and acknowledges by hand, in order.
type Subscriber struct {
	cfg      SubscriberConfig
	sink     Sink
	now      func() devices.Millis
	log      *slog.Logger
	overflow func()
	flight   *flight
	open     mqtt.OpenConnectionFunc // a test has its own

	mu     sync.Mutex
	down   error // why there is no connection; nil: there is one
	opened int   // connections, the newest among them
	ended  int   // of those, how many are known to be lost
}

var errNotYet = errors.New("not connected to the broker yet")

// NewSubscriber makes the source; overflow is called for each message of QoS 0
// that found no room.
func NewSubscriber(cfg SubscriberConfig, sink Sink, now func() devices.Millis, overflow func(), log *slog.Logger) *Subscriber {
	s := &Subscriber{cfg: cfg, sink: sink, now: now, log: log, overflow: overflow, flight: newFlight(), open: dial}
	s.state(errNotYet)
	return s
}

func (s *Subscriber) state(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// begin counts a connection in, and gives its number.
func (s *Subscriber) begin() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return s.opened
}

// stateOf notes how connection n is; false where it is not the present one.
func (s *Subscriber) stateOf(n int, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < s.opened || n <= s.ended {
		return false
	}
	s.down = err
	return true
}

// lost notes the end of a connection. paho tells of it in a goroutine beside its
// work on the next one, which may be open by then and is not lost.
func (s *Subscriber) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended++; s.ended >= s.opened {
		s.down = fmt.Errorf("connection lost: %w", err)
	}
}

// Connected says why messages can't come now; nil when they can.
func (s *Subscriber) Connected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return fmt.Errorf("broker %s: %w", s.cfg.Broker, s.down)
	}
	return nil
}

// Bounds of waiting, for the broker and for words with it. A connection that
// died without a word is noticed after keepAlive + pingTimeout and the 5 s in
// which paho looks at both, a broker that is back after maxReconnect +
// connectFor: either is less than 30 s.
const (
	keepAlive      = 10 * time.Second
	pingTimeout    = 5 * time.Second
	connectFor     = 10 * time.Second
	writeFor       = 5 * time.Second // in which a stop may have to wait
	connectRetry   = 2 * time.Second // until the first connection
	maxReconnect   = 10 * time.Second
	subscribeFor   = 10 * time.Second
	subscribeAgain = 5 * time.Second
	disconnectMs   = 250
)

// mqtt311 is how MQTT 3.1.1 calls itself when connecting.
const mqtt311 = 4

// refused is the SUBACK code for a filter that the user may not read (MQTT 3.1.1, 3.9.3).
const refused = 0x80

// Run connects, and connects again with a growing wait, until ctx is done. Then
// it takes no more, and leaves the broker once drained is closed.
func (s *Subscriber) Run(ctx context.Context, drained <-chan struct{}) error {
	o := mqtt.NewClientOptions().AddBroker(s.cfg.Broker).
		SetClientID(s.cfg.ClientID).SetUsername(s.cfg.Username).SetCleanSession(false).
		SetAutoAckDisabled(true).SetOrderMatters(true).SetStore(noStore{}).
		SetProtocolVersion(mqtt311).SetConnectRetry(true).SetConnectRetryInterval(connectRetry).
		SetAutoReconnect(true).SetMaxReconnectInterval(maxReconnect).
		SetKeepAlive(keepAlive).SetPingTimeout(pingTimeout).SetConnectTimeout(connectFor).SetWriteTimeout(writeFor).
		SetCustomOpenConnectionFn(func(u *url.URL, o mqtt.ClientOptions) (net.Conn, error) { return s.connect(ctx, u, o) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			if ctx.Err() == nil { // else it stays unacknowledged, and the broker keeps it
				s.handle(ctx, m)
			}
		})
	if s.cfg.TLS != nil {
		o.SetTLSConfig(s.cfg.TLS)
	}
	if s.cfg.Password != nil {
		o.SetCredentialsProvider(func() (string, string) {
			pw, err := s.cfg.Password()
			if err != nil {
				s.log.Error("the broker's password can't be read; connecting without", "error", err)
			}
			return s.cfg.Username, pw
		})
	}
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		s.lost(err)
		s.log.Warn("the connection to the broker is lost; connecting again", "broker", s.cfg.Broker, "error", err)
	})
	o.SetConnectionNotificationHandler(func(_ mqtt.Client, n mqtt.ConnectionNotification) {
		if f, ok := n.(mqtt.ConnectionNotificationFailed); ok {
			why := Explain(f.Reason)
			s.state(why)
			s.log.Warn("no connection to the broker; trying again", "broker", s.cfg.Broker, "error", why)
		}
	})
	o.SetOnConnectHandler(s.subscribe)
	c := mqtt.NewClient(o)
	c.Connect()
	<-ctx.Done()
	s.state(ErrStopped)
	<-drained // until then acknowledgements go out
	c.Disconnect(disconnectMs)
	return nil
}

// readAhead is how much of the broker's messages is read at once.
const readAhead = 64 << 10

// connect opens a connection once the ledger has room for what the broker will send.
func (s *Subscriber) connect(ctx context.Context, u *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	if err := s.flight.wait(ctx); err != nil {
		return nil, err
	}
	c, err := s.open(u, o)
	if err != nil {
		return nil, err
	}
	return NewConn(c, bufio.NewReaderSize(gate{s.flight, c}, readAhead)), nil
}

// subscribe asks for the topics at each connection, for the broker may have
// forgotten the session, until it has them or the connection is gone.
func (s *Subscriber) subscribe(c mqtt.Client) {
	filters := map[string]byte{}
	for _, f := range s.cfg.Filters {
		filters[f] = 1
	}
	for n := s.begin(); c.IsConnectionOpen(); time.Sleep(subscribeAgain) {
		err := s.ask(c, filters)
		switch {
		case !s.stateOf(n, err):
			return
		case err == nil:
			s.log.Info("listening to the broker", "broker", s.cfg.Broker, "filters", s.cfg.Filters)
			return
		}
		s.log.Error("the subscription failed; trying again", "broker", s.cfg.Broker, "error", err)
	}
}

func (s *Subscriber) ask(c mqtt.Client, filters map[string]byte) error {
	t := c.SubscribeMultiple(filters, nil)
	if !t.WaitTimeout(subscribeFor) {
		return errors.New("no answer to the subscription")
	}
	if err := t.Error(); err != nil {
		return err
	}
	if st, ok := t.(*mqtt.SubscribeToken); ok {
		return granted(st.Result(), s.cfg.Username)
	}
	return nil
}

// granted gives the filters that the broker refused; nil for none.
func granted(answer map[string]byte, user string) error {
	var errs []error
	for filter, code := range answer {
		if code == refused {
			errs = append(errs, fmt.Errorf("subscription to %q refused: give user %q the right to read it", filter, user))
		}
	}
	return errors.Join(errs...)
}

// handle passes a message on. It does not block, for a handler that does ends
// the connection; but for a message of QoS 1 that finds no room. That takes a
// reconnection while the pipeline is full: the broker sends again what waits in
// it. To leave such a message out would keep it at the broker until the next
// reconnection, to wait is only slow.
func (s *Subscriber) handle(ctx context.Context, m mqtt.Message) {
	d := Delivery{Input: devices.Input{Topic: m.Topic(), Payload: m.Payload(), Received: s.now(), Retained: m.Retained()}}
	n := len(d.Payload)
	s.flight.add(n)
	d.Done = func(err error) {
		if err == nil {
			m.Ack() // of QoS 0 it does nothing
		}
		s.flight.land(n)
	}
	switch {
	case s.sink.Put(d):
	case m.Qos() == 0:
		s.flight.land(n)
		s.overflow()
	default:
		_ = s.sink.Submit(ctx, d) // it fails when the gateway stops: the broker keeps the message
	}
}
