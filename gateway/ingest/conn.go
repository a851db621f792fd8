package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/net/proxy"
)

// Conn is a network connection that gathers what is written while the last write
// is under way. An MQTT client library writes each PUBACK, four bytes, by itself,
// and reads a packet in four pieces: with a call of the system for each, that is
// more than half of what a message costs.
//
// A write error shows at a later Write, and ends the connection, so that the
// reader learns of it at once.
type Conn struct {
	net.Conn
	in io.Reader

	mu     sync.Mutex
	moved  sync.Cond // out got shorter, or err was set
	out    []byte    // not handed to the system yet
	err    error     // why no more is taken
	wake   chan struct{}
	closed chan struct{} // by Close
	ended  chan struct{} // the writer has
}

// Bounds of what waits to be written.
const (
	maxOut     = 64 << 10    // over which Write waits
	flushClose = time.Second // how long the last bytes may take at Close
)

// NewConn gathers what is written to c. It reads from in, which reads from c.
func NewConn(c net.Conn, in io.Reader) *Conn {
	b := &Conn{Conn: c, in: in, wake: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{})}
	b.moved.L = &b.mu
	go b.writer()
	return b
}

// Read reads as c does.
func (b *Conn) Read(p []byte) (int, error) { return b.in.Read(p) }

// Write takes p, and waits only while more than 64 KiB wait to be written.
func (b *Conn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && len(b.out) >= maxOut {
		b.moved.Wait()
	}
	return b.put(p)
}

// Queue is Write without waiting, for a few bytes in answer to each of a bounded
// number of messages.
func (b *Conn) Queue(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.put(p)
	return err
}

func (b *Conn) put(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.out = append(b.out, p...)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// writer hands what was gathered to the system, until Close or an error.
func (b *Conn) writer() {
	defer close(b.ended)
	var spare []byte
	for last := false; !last; {
		select {
		case <-b.wake:
		case <-b.closed:
			last = true
		}
		b.mu.Lock()
		p := b.out
		b.out = spare[:0]
		b.moved.Broadcast()
		b.mu.Unlock()
		if spare = p; len(p) == 0 {
			continue
		}
		wait := writeFor
		if last {
			wait = flushClose
		}
		_ = b.Conn.SetWriteDeadline(time.Now().Add(wait)) // where it can't, the write says so
		if _, err := b.Conn.Write(p); err != nil {
			b.fail(err)
			_ = b.Conn.Close() // the reader hears of it
			return
		}
	}
}

func (b *Conn) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.moved.Broadcast()
}

// Close writes what waits, for a second at most, and closes the connection.
func (b *Conn) Close() error {
	b.mu.Lock()
	first := !errors.Is(b.err, net.ErrClosed)
	if first {
		b.err = net.ErrClosed
		close(b.closed)
		b.moved.Broadcast()
	}
	b.mu.Unlock()
	if first {
		_ = b.Conn.SetWriteDeadline(time.Now().Add(flushClose)) // a write under way, too
	}
	<-b.ended
	return b.Conn.Close()
}

// SetDeadline bounds reading; writing has a bound of its own.
func (b *Conn) SetDeadline(t time.Time) error { return b.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: see SetDeadline.
func (b *Conn) SetWriteDeadline(time.Time) error { return nil }

// dial connects to a broker as the client library does.
func dial(uri *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	switch uri.Scheme {
	case "ws", "wss":
		bare := *uri
		bare.User = nil // the name goes with CONNECT
		return mqtt.NewWebsocket(bare.String(), o.TLSConfig, o.ConnectTimeout, o.HTTPHeaders, o.WebsocketOptions)
	case "tcp", "mqtt":
		return proxy.FromEnvironmentUsing(o.Dialer).Dial("tcp", uri.Host)
	case "ssl", "tls", "mqtts":
		raw, err := proxy.FromEnvironmentUsing(o.Dialer).Dial("tcp", uri.Host)
		if err != nil {
			return nil, err
		}
		return secure(raw, uri.Hostname(), o)
	}
	return nil, fmt.Errorf("mqtt.broker: scheme %q: give tcp://, ssl://, ws:// or wss://", uri.Scheme)
}

// secure speaks TLS over a connection, which it closes when that fails.
func secure(raw net.Conn, host string, o mqtt.ClientOptions) (net.Conn, error) {
	cfg := &tls.Config{}
	if o.TLSConfig != nil {
		cfg = o.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.ConnectTimeout)
	defer cancel()
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}
