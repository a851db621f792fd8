package ingest

import (
	"crypto/tls"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/net/proxy"
)

// open makes the connection to a broker, as paho does, and bounds its writes.
func open(to *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	conn, err := dial(to, o)
	if err != nil {
		return nil, err
	}
	return &bounded{Conn: conn, limit: o.WriteTimeout}, nil
}

func dial(to *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	switch to.Scheme {
	case "ws", "wss":
		bare := *to
		bare.User = nil // the dialer refuses an address with one
		return mqtt.NewWebsocket(bare.String(), o.TLSConfig, o.ConnectTimeout, o.HTTPHeaders, o.WebsocketOptions)
	}
	conn, err := proxy.FromEnvironmentUsing(o.Dialer).Dial("tcp", to.Host)
	if err != nil || to.Scheme == "tcp" {
		return conn, err
	}
	return handshake(conn, to, o)
}

// handshake speaks TLS, no longer than connecting may take.
func handshake(conn net.Conn, to *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	cfg := o.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = to.Hostname()
	}
	secure := tls.Client(conn, cfg)
	err := conn.SetDeadline(time.Now().Add(o.ConnectTimeout)) // paho sets the next one when it connects
	if err == nil {
		err = secure.Handshake()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// bounded is a connection on which a write takes a limit at most, and then
// fails. paho bounds none but those of messages: an acknowledgement that nobody
// takes would hold up the ping behind it, and with it all notice that the
// connection is dead.
type bounded struct {
	net.Conn
	limit time.Duration
	until atomic.Int64 // the deadline that is set, in Unix nanoseconds
}

func (c *bounded) Write(b []byte) (int, error) {
	now := time.Now()
	if deadline := now.Add(c.limit); deadline.UnixNano()-c.until.Load() > int64(c.limit/4) { // not at each of many writes
		if err := c.SetWriteDeadline(deadline); err != nil {
			return 0, err
		}
		c.until.Store(deadline.UnixNano())
	}
	return c.Conn.Write(b)
}

// SetDeadline is for the handshake; the next write sets its own again.
func (c *bounded) SetDeadline(t time.Time) error {
	c.until.Store(0)
	return c.Conn.SetDeadline(t)
}
