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

func TestAWriteThatNobodyTakesEndsTheConnectionInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := NewConn(ours, ours)
		defer c.Close()
		for range 3 { // with silence between: a deadline that has passed harms no later write
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, theirs, 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		began := time.Now()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		if d := time.Since(began); err == nil || d > writeFor {
			t.Errorf("the reader learned of it after %v: %v", d, err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestWhatIsWrittenDuringAWriteGoesOutTogetherAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := NewConn(ours, ours)
		for i := range byte(100) {
			if err := c.Queue([]byte{i}); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				synctest.Wait() // it is being written, and nobody reads
			}
		}
		var got []byte
		pieces := 0
		for buf := make([]byte, 1000); len(got) < 100; pieces++ {
			n, err := theirs.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		for i, b := range got {
			if int(b) != i {
				t.Fatalf("byte %d is %d", i, b)
			}
		}
		if pieces != 2 {
			t.Errorf("%d writes, expected the first and all that came during it", pieces)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := NewConn(ours, ours)
		if _, err := c.Write([]byte("goodbye")); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- c.Close() }()
		if got, err := io.ReadAll(theirs); string(got) != "goodbye" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after it: %v", err)
		}
	})
}

// A broker without a bound of its own sends all that it has, at once. The
// connection is left unread while the ledger takes nothing, and left at last.
func TestABrokerIsReadOnlyWhileThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight()
		for range flightMessages {
			f.add(1)
		}
		g := gate{f, neverRead{t}}
		began := time.Now()
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, errNoRoom) || time.Since(began) != patience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		go func() {
			time.Sleep(patience / 2)
			f.land(1)
		}()
		g.in = io.LimitReader(zeros{}, 1)
		if n, err := g.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("with room again: %d, %v", n, err)
		}
	})
}

type neverRead struct{ t *testing.T }

func (r neverRead) Read([]byte) (int, error) {
	r.t.Error("the connection was read")
	return 0, io.EOF
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A server that accepts and says nothing does not hold a TLS connection for longer than connecting may take.
func TestATLSHandshakeEndsInTime(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := mqtt.NewClientOptions().SetConnectTimeout(50 * time.Millisecond)
	if conn, err := dial(&url.URL{Scheme: "ssl", Host: ln.Addr().String()}, *o); !errors.Is(err, context.DeadlineExceeded) {
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
