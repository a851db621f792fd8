package alert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/session"
)

// Channel is a way to tell somebody, with what the configuration says of it.
type Channel struct {
	config.Channel
	Sender channel.Sender
}

// Options of a Dispatcher.
type Options struct {
	Estate    string                  // its name
	PublicURL string                  // of the page; "" for none
	Location  *time.Location          // of the estate
	Piles     map[string]session.Pile // of the registry
	Count     func(channel string, o Outcome)
	Log       *slog.Logger
}

// Dispatcher delivers flags to channels.
type Dispatcher struct{ couriers []*courier }

// New makes a dispatcher.
func New(l Ledger, channels []Channel, o Options) *Dispatcher {
	d := &Dispatcher{}
	for _, c := range channels {
		log := o.Log.With("channel", c.Name)
		d.couriers = append(d.couriers, &courier{
			policy: policyOf(c.Channel, c.Sender, o.Location), ledger: l, sender: c.Sender, words: newWriter(c.Channel, o), log: log, count: o.Count,
			wake: make(chan struct{}, 1), outage: feed.NewOutage(log), state: State{Name: c.Name, Type: c.Type},
		})
	}
	return d
}

// newWriter gives the words of a channel.
func newWriter(c config.Channel, o Options) *writer {
	w := &writer{estate: o.Estate, url: o.PublicURL, escalate: c.EscalateAfter, loc: o.Location, piles: o.Piles}
	if c.Language == "en" {
		w.language = english
	}
	return w
}

// Begin gives the channels that are new their beginning. To be called before the
// consumers run.
func (d *Dispatcher) Begin(ctx context.Context) error {
	for _, c := range d.couriers {
		if err := c.begin(ctx); err != nil {
			return fmt.Errorf("channel %s: %w", c.channel, err)
		}
	}
	return nil
}

// Consumers are the channels as readers of the journal.
func (d *Dispatcher) Consumers() (cs []feed.Consumer) {
	for _, c := range d.couriers {
		cs = append(cs, c)
	}
	return cs
}

// Run sends what is to be sent until ctx is done, and returns when what was under
// way has ended, three seconds later at most.
func (d *Dispatcher) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, c := range d.couriers {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Wait()
}

// Judged is to be called when a person has said something of a flag.
func (d *Dispatcher) Judged() {
	for _, c := range d.couriers {
		c.nudge()
	}
}

// States gives how the channels are doing, in the order of the configuration.
func (d *Dispatcher) States() (all []State) {
	for _, c := range d.couriers {
		all = append(all, c.State())
	}
	return all
}

// Test sends a message that says that it is one, and gives the channel's answer.
// Its delivery id is of the instant.
func Test(ctx context.Context, c Channel, o Options, now time.Time) (answer string, err error) {
	m := newWriter(c.Channel, o).test("test-"+now.UTC().Format("20060102T150405.000Z"), now)
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return c.Sender.Send(ctx, m)
}
