package ingest

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"pilewatch/devices"
)

// line is a broker at the end of a pipe, and what can go wrong with the pipe.
type line struct {
	mu    sync.Mutex
	away  func(o mqtt.ClientOptions) error // what connecting comes to; nil: it succeeds
	conns []net.Conn
	dead  map[net.Conn]bool // nothing that comes is answered any more
}

var errRefused = errors.New("connection refused")

// refuses is a machine without a broker, loses a network that drops everything.
func refuses(mqtt.ClientOptions) error { return errRefused }

func loses(o mqtt.ClientOptions) error {
	time.Sleep(o.ConnectTimeout)
	return errors.New("i/o timeout")
}

func (l *line) open(_ *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	l.mu.Lock()
	away := l.away
	l.mu.Unlock()
	if away != nil {
		return nil, away(o)
	}
	ours, theirs := net.Pipe()
	l.mu.Lock()
	l.conns = append(l.conns, theirs)
	l.mu.Unlock()
	go l.serve(theirs)
	return ours, nil
}

func (l *line) serve(conn net.Conn) {
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		l.mu.Lock()
		dead := l.dead[conn]
		l.mu.Unlock()
		var answer packets.ControlPacket
		switch p := p.(type) {
		case *packets.ConnectPacket:
			answer = packets.NewControlPacket(packets.Connack)
		case *packets.SubscribePacket:
			a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			a.MessageID, a.ReturnCodes = p.MessageID, make([]byte, len(p.Topics))
			answer = a
		case *packets.PingreqPacket:
			answer = packets.NewControlPacket(packets.Pingresp)
		}
		if answer == nil || dead {
			continue
		}
		if err := answer.Write(conn); err != nil {
			return
		}
	}
}

// set says what connecting comes to from now on; cut ends the connections that are there.
func (l *line) set(away func(mqtt.ClientOptions) error, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
	for _, c := range l.conns {
		if cut {
			c.Close()
		}
	}
}

// die leaves the present connection open, and silent; a deaf one takes nothing
// either, so that each write to it blocks.
func (l *line) die(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn := l.conns[len(l.conns)-1]
	l.dead = map[net.Conn]bool{conn: true}
	if deaf {
		_ = conn.SetReadDeadline(time.Now()) // whoever reads leaves
	}
}

func (l *line) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// subscribed runs a subscriber over the line, in a bubble of its own clock, and
// gives f what it needs.
func subscribed(t *testing.T, f func(t *testing.T, l *line, s *Subscriber)) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		s := NewSubscriber(SubscriberConfig{Broker: "tcp://broker:1883", ClientID: "g", Filters: []string{"#"}}, &holder{},
			func() devices.Millis { return 1 }, func() {}, slog.New(slog.DiscardHandler))
		s.open = l.open
		stop := run(t, s)
		connectedWithin(t, s, time.Second)
		f(t, l, s)
		l.set(refuses, true)
		stop()
		time.Sleep(time.Minute) // paho's last goroutines
	})
}

// connectedWithin wants a connection, and gives how long it took.
func connectedWithin(t *testing.T, s *Subscriber, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for s.Connected() != nil {
		if time.Since(began) > limit {
			t.Fatalf("not connected after %v: %v", limit, s.Connected())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

// TestABrokerThatIsBackIsFoundWithinHalfAMinute tries outages of many lengths, so
// that the broker comes back at any moment of an attempt or of a wait.
func TestABrokerThatIsBackIsFoundWithinHalfAMinute(t *testing.T) {
	for name, away := range map[string]func(mqtt.ClientOptions) error{"refuses": refuses, "loses": loses} {
		subscribed(t, func(t *testing.T, l *line, s *Subscriber) {
			var longest time.Duration
			for i := range 60 {
				l.set(away, true)
				time.Sleep(time.Duration(i*i)*300*time.Millisecond + time.Duration(i)*time.Second) // up to 18 min
				l.set(nil, false)
				longest = max(longest, connectedWithin(t, s, 30*time.Second))
				time.Sleep(time.Minute)
			}
			t.Logf("%s: %v at most", name, longest)
		})
	}
}

// TestADeadConnectionIsReplacedWithinHalfAMinute lets connections go silent at
// any moment between two pings.
func TestADeadConnectionIsReplacedWithinHalfAMinute(t *testing.T) {
	subscribed(t, func(t *testing.T, l *line, s *Subscriber) {
		for i := range 40 {
			before := l.connections()
			l.die(i%2 == 0)
			began := time.Now()
			for l.connections() == before {
				if time.Since(began) > 30*time.Second {
					t.Fatal("a connection that is silent for half a minute is kept")
				}
				time.Sleep(100 * time.Millisecond)
			}
			connectedWithin(t, s, 30*time.Second-time.Since(began))
			time.Sleep(time.Duration(40*i) * time.Second / 37)
		}
	})
}
