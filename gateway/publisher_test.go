package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// publisher publishes reports in order at QoS 1, some of them in flight.
type publisher struct {
	acked atomic.Int64 // all reports before it were acknowledged
	limit atomic.Int64 // how many are published
	done  chan error
}

func publish(t testing.TB, url string, reports []portReport) *publisher {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("piles").SetAutoReconnect(false).SetPingTimeout(time.Minute))
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal("connecting to the broker:", tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	p := &publisher{done: make(chan error, 1)}
	go func() {
		const window = 50
		var flying []mqtt.Token
		for i := 0; i < len(reports) || len(flying) > 0; {
			if i < len(reports) && int64(i) < p.limit.Load() && len(flying) < window {
				flying = append(flying, c.Publish(reports[i].topic, 1, false, reports[i].payload))
				i++
				continue
			}
			if len(flying) == 0 { // until more is allowed
				select {
				case <-t.Context().Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
				continue
			}
			if !flying[0].WaitTimeout(2*time.Minute) || flying[0].Error() != nil {
				p.done <- fmt.Errorf("report %d: %w", p.acked.Load(), errors.Join(flying[0].Error(), errors.New("not acknowledged")))
				return
			}
			flying = flying[1:]
			p.acked.Add(1)
		}
		p.done <- nil
	}()
	return p
}

func (p *publisher) reach(t testing.TB, n int) {
	t.Helper()
	p.limit.Store(int64(n))
	await(t, "reports to be acknowledged", func() error {
		if a := p.acked.Load(); a < int64(n) {
			return fmt.Errorf("%d of %d", a, n)
		}
		return nil
	})
}

func (p *publisher) finish(t testing.TB, n int) {
	t.Helper()
	p.limit.Store(int64(n))
	select {
	case err := <-p.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%d of %d reports acknowledged", p.acked.Load(), n)
	}
}
