// Package broker is the embedded MQTT broker, for estates that have none.
//
// It is a front only: a pile's message goes straight into the pipeline, and the
// PUBACK goes out after the commit that holds it, so that the pile itself keeps
// what was not committed. The broker's own queues serve other listeners (a
// recorder, a test client) at best effort and hold nothing of ours.
package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"pilewatch/devices"
	"pilewatch/gateway/ingest"
)

// Config says who may speak.
type Config struct {
	// Allowed tells whether a user may connect; nil lets everybody in, which is
	// for loopback addresses only.
	Allowed func(user string, password []byte) bool
	// Reader is the user who may read every topic; the others are piles, named
	// after themselves, and speak and hear of themselves alone.
	Reader string
}

// Broker is the source that piles connect to.
type Broker struct {
	cfg    Config
	sink   ingest.Sink
	now    func() devices.Millis
	log    *slog.Logger
	server *mqtt.Server
	addr   string
	up     atomic.Bool
}

// maxClients bounds the connections of one small box.
const maxClients = 20_000

// New makes the broker on a listener, which it owns from then on. Nothing is
// accepted before Run.
func New(cfg Config, ln net.Listener, sink ingest.Sink, now func() devices.Millis, log *slog.Logger) (*Broker, error) {
	b := &Broker{cfg: cfg, sink: sink, now: now, log: log}
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClients = maxClients
	caps.MaximumClientWritesPending = 1024
	caps.MaximumPacketSize = 2 * devices.MaxPayload
	caps.MaximumSessionExpiryInterval = 3600
	b.server = mqtt.New(&mqtt.Options{Capabilities: caps, InlineClient: true, Logger: slog.New(quiet{log.Handler()})})
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if err := b.server.AddListener(listeners.NewNet("mqtt", listener{ln})); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	b.addr = ln.Addr().String()
	return b, nil
}

// Addr is the address that the broker listens on.
func (b *Broker) Addr() string { return b.addr }

// Run serves until ctx is done; then it takes no more messages, and closes the
// connections once drained is closed.
func (b *Broker) Run(ctx context.Context, drained <-chan struct{}) error {
	b.up.Store(true) // before the first client is let in
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	b.log.Info("embedded broker listening", "address", b.addr)
	<-ctx.Done()
	b.up.Store(false)
	<-drained
	return b.server.Close()
}

// Connected says why messages can't come now; nil when they can.
func (b *Broker) Connected() error {
	if !b.up.Load() {
		return errors.New("the embedded broker is not serving")
	}
	return nil
}

// hook is where the broker asks us.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

// ID names the hook.
func (h *hook) ID() string { return "pilewatch" }

// Provides lists what the broker asks.
func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnWillSent}, []byte{b})
}

// OnConnectAuthenticate lets a client in.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	allowed := h.broker.cfg.Allowed
	if allowed == nil || allowed(string(pk.Connect.Username), pk.Connect.Password) {
		return true
	}
	h.broker.log.Warn("a client with a wrong name or password was refused", "client", cl.ID, "address", cl.Net.Remote)
	return false
}

// OnACLCheck lets a pile speak and hear of itself alone: one level of the topic
// is its user name.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if h.broker.cfg.Allowed == nil {
		return true
	}
	user := string(cl.Properties.Username)
	if user == h.broker.cfg.Reader {
		return !write
	}
	for level := range strings.SplitSeq(topic, "/") {
		if level == user {
			return true
		}
	}
	h.broker.log.Warn("a client was kept from a topic that is not its own", "user", user, "topic", topic, "write", write)
	return false
}

// OnPublish hands a message to the pipeline. The answer to QoS 1 goes out after the
// commit, from there: a pile may have many messages under way, and waits only when
// they are too many. What can't be committed ends the connection, so that the pile
// sends it again.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	b := h.broker
	conn, ours := cl.Net.Conn.(*conn)
	if !ours || strings.HasPrefix(pk.TopicName, "$") {
		return pk, nil // our own word to listeners, or the broker's
	}
	if !b.up.Load() {
		cl.Stop(ingest.ErrStopped)
		return pk, packets.ErrRejectPacket
	}
	d := ingest.Delivery{Input: devices.Input{Topic: pk.TopicName, Payload: pk.Payload, Received: b.now()}}
	switch pk.FixedHeader.Qos {
	case 0:
		return pk, b.submit(cl, conn, d)
	case 1:
		d.Done = func(err error) { b.answer(cl, conn, &pk, err) }
		if err := b.submit(cl, conn, d); err != nil {
			return pk, err
		}
		return pk, packets.ErrRejectPacket // the library is done with it: the rest is answer's
	}
	done := make(chan error, 1)
	d.Done = func(err error) { done <- err }
	err := b.submit(cl, conn, d)
	if err == nil {
		err = <-done
	}
	if err != nil {
		cl.Stop(err)
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// submit passes a delivery on, when the connection has not too many under way.
func (b *Broker) submit(cl *mqtt.Client, c *conn, d ingest.Delivery) error {
	c.underway <- struct{}{}
	done := d.Done
	d.Done = func(err error) {
		<-c.underway
		if done != nil {
			done(err)
		}
	}
	if err := b.sink.Submit(context.Background(), d); err != nil {
		<-c.underway
		cl.Stop(err)
		return packets.ErrRejectPacket
	}
	return nil
}

// answer sends the PUBACK of a message that was committed, and passes the message
// on to who listens.
func (b *Broker) answer(cl *mqtt.Client, c *conn, pk *packets.Packet, err error) {
	if err != nil {
		cl.Stop(err)
		return
	}
	if err := c.Queue([]byte{packets.Puback << 4, 2, byte(pk.PacketID >> 8), byte(pk.PacketID)}); err != nil {
		return // it is gone, and sends again
	}
	if pk.FixedHeader.Retain || atomic.LoadInt64(&b.server.Info.Subscriptions) > 0 {
		if err := b.server.Publish(pk.TopicName, pk.Payload, pk.FixedHeader.Retain, 1); err != nil {
			b.log.Warn("a message was not passed on to listeners", "topic", pk.TopicName, "error", err)
		}
	}
}

// maxUnderway bounds the messages of one connection that are not committed yet: a
// pile that floods waits, and the others have their turn.
const maxUnderway = 256

// conn is a pile's connection.
type conn struct {
	*ingest.Conn
	underway chan struct{} // has an element for each message
}

// listener makes a conn of each connection.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{ingest.NewConn(c, c), make(chan struct{}, maxUnderway)}, nil
}

// OnWillSent passes on the word of a pile that is gone.
func (h *hook) OnWillSent(_ *mqtt.Client, pk packets.Packet) {
	b := h.broker
	d := ingest.Delivery{Input: devices.Input{Topic: pk.TopicName, Payload: bytes.Clone(pk.Payload), Received: b.now()}}
	if err := b.sink.Submit(context.Background(), d); err != nil {
		b.log.Warn("a pile's last will could not be kept", "topic", pk.TopicName, "error", err)
	}
}

// quiet passes on only the errors of the broker's own log: a client that leaves
// is no news.
type quiet struct{ slog.Handler }

// Enabled lets errors through.
func (q quiet) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

// WithAttrs keeps the handler quiet.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup keeps the handler quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
