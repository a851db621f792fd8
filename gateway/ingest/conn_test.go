package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
)

func TestAWriteThatNobodyTakesFailsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &bounded{Conn: ours, limit: 10 * time.Second}
		defer c.Close()
		taken := make(chan error)
		go func() {
			_, err := io.CopyN(io.Discard, theirs, 3)
			taken <- err
		}()
		for range 3 { // with silence between: a deadline that has passed harms no later write
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := c.Write([]byte("x"))
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d > 10*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

func TestADeadlineOfTheHandshakeDoesNotUndoTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &bounded{Conn: ours, limit: 10 * time.Second}
		defer c.Close()
		go func() { _, _ = io.CopyN(io.Discard, theirs, 1) }()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil { // as paho does when it is connected
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestTheConnectionToABrokerIsBounded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := mqtt.NewClientOptions().SetConnectTimeout(5 * time.Second).SetWriteTimeout(writeFor)
	conn, err := open(&url.URL{Scheme: "tcp", Host: ln.Addr().String()}, *o)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, ok := conn.(*bounded); !ok || b.limit != writeFor {
		t.Errorf("%T", conn)
	}
}

// A server that accepts and says nothing does not hold a TLS connection for longer than connecting may take.
func TestATLSHandshakeEndsInTime(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := mqtt.NewClientOptions().SetConnectTimeout(50 * time.Millisecond)
	if conn, err := open(&url.URL{Scheme: "ssl", Host: ln.Addr().String()}, *o); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, %v", conn, err)
	}
}

// paho tells of connections that open and end in goroutines of their own.
func TestNewsOfAConnectionThatComeLateChangeNothing(t *testing.T) {
	s := NewSubscriber(SubscriberConfig{Broker: "tcp://b:1883"}, &holder{}, nil, nil, slog.New(slog.DiscardHandler))
	first := s.begin()
	if !s.stateOf(first, nil) || s.Connected() != nil {
		t.Fatalf("the first connection: %v", s.Connected())
	}
	second := s.begin()
	s.lost(io.EOF) // of the first
	if !s.stateOf(second, nil) || s.Connected() != nil {
		t.Errorf("the second is open: %v", s.Connected())
	}
	if s.stateOf(first, io.EOF) || s.Connected() != nil {
		t.Errorf("a subscription on the first failed, the second is open: %v", s.Connected())
	}
	s.lost(io.EOF)
	if s.stateOf(second, nil) || !errors.Is(s.Connected(), io.EOF) {
		t.Errorf("a subscription on the second succeeded, and it is lost: %v", s.Connected())
	}
}

// small is a sink with room for one.
type small struct{ in chan Delivery }

func (s small) Put(d Delivery) bool {
	select {
	case s.in <- d:
		return true
	default:
		return false
	}
}

func (s small) Submit(ctx context.Context, d Delivery) error {
	select {
	case s.in <- d:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type message struct {
	mqtt.Message
	qos     byte
	payload string
}

func (m message) Topic() string   { return "t" }
func (m message) Payload() []byte { return []byte(m.payload) }
func (m message) Qos() byte       { return m.qos }
func (m message) Retained() bool  { return false }
func (m message) Ack()            {}

// After a reconnection the broker sends again what waits in a full pipeline.
func TestAMessageOfQoS1IsNeverLeftOutWhereThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, overflown := small{make(chan Delivery, 1)}, 0
		s := NewSubscriber(SubscriberConfig{}, sink, func() devices.Millis { return 1 }, func() { overflown++ }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 4 {
				s.handle(ctx, message{qos: 1, payload: fmt.Sprint(i)})
			}
		})
		for i := range 3 {
			synctest.Wait() // one is in the sink, the next waits
			s.handle(ctx, message{qos: 0})
			if got := string((<-sink.in).Payload); got != fmt.Sprint(i) {
				t.Errorf("message %d is %q", i, got)
			}
		}
		wg.Wait()
		wg.Go(func() { s.handle(ctx, message{qos: 1}) })
		synctest.Wait()
		cancel() // who waits for room does not hold up the end
		wg.Wait()
		if overflown != 3 {
			t.Errorf("%d of QoS 0 left out, want 3", overflown)
		}
	})
}
