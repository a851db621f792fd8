package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices/sim"
	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
)

// Simulation says how the simulated piles speak.
type Simulation struct {
	Estate sim.Config
	Speed  float64 // seconds of event time a second; 0 as fast as the broker takes it
}

// inFlight bounds the messages that wait for their PUBACK.
const inFlight = 1000

// Simulate publishes the simulated piles to a broker until the span ends or ctx
// is done, and gives how many messages it published. Each is acknowledged by the
// broker before Simulate returns.
func Simulate(ctx context.Context, m config.MQTT, s Simulation, progress func(at time.Time, messages int)) (int, error) {
	estate, err := sim.New(s.Estate)
	if err != nil {
		return 0, Usage(err)
	}
	c, err := connect(m, "simulate", func(*mqtt.ClientOptions) {})
	if err != nil {
		return 0, err
	}
	defer c.Disconnect(250)
	p := newPublisher(c)
	n, err := publish(ctx, estate, s, p, progress)
	return n, errors.Join(err, p.wait())
}

// publish sends the estate's messages, each at its time. Event time begins with
// the first message and runs Speed times as fast as the clock.
func publish(ctx context.Context, estate *sim.Estate, s Simulation, p *publisher, progress func(time.Time, int)) (int, error) {
	began, first, n := time.Now(), s.Estate.From, 0
	for msg := range estate.All() {
		if s.Speed > 0 {
			due := began.Add(time.Duration(float64(msg.At.Sub(first)) / s.Speed))
			if !feed.Sleep(ctx, time.Until(due)) {
				return n, nil
			}
		} else if ctx.Err() != nil {
			return n, nil
		}
		if err := p.publish(ctx, msg); err != nil {
			if ctx.Err() != nil {
				return n, nil
			}
			return n, err
		}
		if n++; n%1000 == 0 {
			progress(msg.At, n)
		}
	}
	return n, nil
}

// publisher publishes with a bounded number of messages in flight.
type publisher struct {
	client mqtt.Client
	tokens chan mqtt.Token // in flight, oldest first
}

func newPublisher(c mqtt.Client) *publisher {
	return &publisher{client: c, tokens: make(chan mqtt.Token, inFlight)}
}

func (p *publisher) publish(ctx context.Context, m sim.Message) error {
	t := p.client.Publish(m.Topic, m.QoS, m.Retained, bytes.Clone(m.Payload))
	for {
		select {
		case p.tokens <- t:
			return nil
		case oldest := <-p.tokens:
			if err := settle(ctx, oldest); err != nil {
				return err
			}
		}
	}
}

// settle waits for a message's acknowledgement, also over a lost connection.
func settle(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waitAtEnd is how long the last acknowledgements may take.
const waitAtEnd = 10 * time.Second

// wait waits until all that was published is acknowledged.
func (p *publisher) wait() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), waitAtEnd, errors.New("the broker does not acknowledge the last messages"))
	defer cancel()
	for {
		select {
		case t := <-p.tokens:
			if err := settle(ctx, t); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
