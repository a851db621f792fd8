package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Ledger is what a dispatcher asks of the ledger.
type Ledger interface {
	Head() ledger.Seq
	Cursor(ctx context.Context, name string) (ledger.Seq, error)
	Flags(ctx context.Context, f ledger.Filter) (items []ledger.Flag, next string, err error)
	EachSession(ctx context.Context, f ledger.Filter, do func(*session.Session) error) error
	Announce(ctx context.Context, ds ...ledger.Delivery) error
	SaveDeliveries(ctx context.Context, ds ...ledger.Delivery) error
	BeginChannel(ctx context.Context, cursor string, at ledger.Seq, ds ...ledger.Delivery) error
	Notices(ctx context.Context, channel string, since devices.Millis) ([]ledger.Notice, error)
}

const (
	sendTimeout = 2 * time.Minute // of one attempt; a channel may wait for its own rate limit in it
	keepTimeout = 30 * time.Second
	stopGrace   = 3 * time.Second // for what is under way when the gateway stops
	firstLook   = time.Hour       // how far back a channel's past matters at least
	neverLater  = time.Hour       // somebody looks at least so often
)

// courier delivers to one channel. It is a consumer of the journal, which makes
// deliveries of flags; run sends them.
type courier struct {
	policy
	ledger Ledger
	sender channel.Sender
	words  *writer
	log    *slog.Logger
	count  func(channel string, o Outcome)
	wake   chan struct{}
	next   atomic.Int64 // entry of the journal that was not seen yet
	past   ledger.Seq   // the journal's end at the start
	begun  devices.Millis

	// run's own.
	outage *feed.Outage
	recent []devices.Millis // when something was sent, the newest last
	keepAt devices.Millis   // when the open flags are to be shown again
	asked  string           // step of the newest digest that was asked for

	mu    sync.Mutex
	state State
}

func (c *courier) now() devices.Millis { return devices.MillisOf(time.Now()) }

// Name is that of the channel's cursor.
func (c *courier) Name() string { return cursorOf(c.channel) }

func cursorOf(channelName string) string { return "alert:" + channelName }

// Consume makes deliveries of the flags in a block.
func (c *courier) Consume(ctx context.Context, b ledger.Block) error {
	var ds []ledger.Delivery
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Kind == ledger.KindFlag && (e.Cleared || c.wants(e.Flag)) {
			ds = append(ds, c.stepOf(e))
		}
	}
	if len(ds) > 0 {
		if err := c.ledger.Announce(ctx, ds...); err != nil {
			return err
		}
		c.nudge()
	}
	c.next.Store(int64(b.Next()))
	return nil
}

// catchUp bounds how long a channel waits for its own past, so as to tell it in one.
const catchUp = devices.Millis(60_000)

// catchingUp reports whether the journal of before the start is still being read.
func (c *courier) catchingUp(now devices.Millis) bool {
	return ledger.Seq(c.next.Load()) < c.past && now < c.begun+catchUp
}

// nudge lets run look again.
func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// begin lets a channel that is new start at the journal's end: what stands now is
// one message, and what is over is none. One that is known goes on.
func (c *courier) begin(ctx context.Context) error {
	now, head := c.now(), c.ledger.Head()
	open, err := c.open(ctx, now)
	if err != nil {
		return err
	}
	var ns []ledger.Notice
	for _, f := range open {
		ns = append(ns, ledger.Notice{Delivery: ledger.Delivery{
			Channel: c.channel, FlagID: f.ID, Step: raisedStep(f.Severity), At: now, State: ledger.DeliveryWaiting,
		}})
	}
	if len(ns) > 0 && c.escalateAfter == 0 {
		id := deliveryID(c.channel, ns)
		for i := range ns {
			ns[i].Message = id
		}
	}
	ds := deliveriesOf(ns)
	if c.digest != "" {
		last, _ := c.digestAt(now)
		ds = append(ds, ledger.Delivery{Channel: c.channel, Step: c.digestStep(last), At: now, State: ledger.DeliveryDropped, DoneAt: now})
	}
	if err := c.ledger.BeginChannel(ctx, c.Name(), head, ds...); err != nil {
		return err
	}
	at, err := c.ledger.Cursor(ctx, c.Name())
	c.next.Store(int64(at))
	c.past, c.begun = head, now
	return err
}

func deliveriesOf(ns []ledger.Notice) []ledger.Delivery {
	ds := make([]ledger.Delivery, len(ns))
	for i := range ns {
		ds[i] = ns[i].Delivery
	}
	return ds
}

// open gives the flags that stand, that the channel wants and that people are not
// done with.
func (c *courier) open(ctx context.Context, now devices.Millis) (open []ledger.Flag, err error) {
	all, _, err := c.ledger.Flags(ctx, ledger.Filter{Open: new(true)})
	for i := range all {
		f := &all[i]
		if c.wants(f) && !doneWith(f) {
			open = append(open, *f)
		}
	}
	return open, err
}

// run sends what is to be sent until ctx is done. What fails is tried again for
// ever: after 1 to 2 s, then about twice as long each time, up to 5 min, or as
// long as the channel asks for. What is under way then has three seconds.
func (c *courier) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		next, err := c.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait := feed.WaitAfter(err, failures)
			failures++
			c.failing(err, wait)
			feed.Sleep(ctx, wait)
			continue
		}
		failures = 0
		c.well()
		c.rest(ctx, next)
	}
}

// rest waits for an instant, or until something happened.
func (c *courier) rest(ctx context.Context, until devices.Millis) {
	d := neverLater
	if until > 0 {
		d = min(d, until.Sub(c.now()))
	}
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.wake:
	case <-ctx.Done():
	}
}

// round sends one message, if one is due, and says when to look again.
func (c *courier) round(ctx context.Context) (next devices.Millis, err error) {
	now := c.now()
	if c.catchingUp(now) {
		return now + gather, nil
	}
	nextDigest, err := c.askDigest(ctx, now)
	if err != nil {
		return 0, err
	}
	back := max(firstLook, c.coolDown)
	ns, err := c.ledger.Notices(ctx, c.channel, now-devices.Millis(back.Milliseconds()))
	if err != nil {
		return 0, err
	}
	c.note(ns)
	d := plan(&c.policy, ns, c.recent, now)
	if len(d.drop) > 0 {
		for i := range d.drop {
			d.drop[i].State, d.drop[i].DoneAt = ledger.DeliveryDropped, now
		}
		if err := c.ledger.SaveDeliveries(ctx, d.drop...); err != nil {
			return 0, err
		}
	}
	if d.send != nil {
		return now, c.deliver(ctx, d.send)
	}
	keep, err := c.keep(ctx, now)
	if err != nil {
		return 0, err
	}
	for _, at := range []devices.Millis{nextDigest, keep} {
		if at > 0 {
			d.next = sooner(d.next, at)
		}
	}
	return d.next, nil
}

// askDigest makes a delivery of the newest digest that was due, unless half its
// period is over, and says when the next will be.
func (c *courier) askDigest(ctx context.Context, now devices.Millis) (next devices.Millis, err error) {
	if c.digest == "" {
		return 0, nil
	}
	last, following := c.digestAt(now)
	next = devices.MillisOf(following)
	step := c.digestStep(last)
	if step == c.asked || now.Time().Sub(last) > following.Sub(last)/2 {
		return next, nil
	}
	if err := c.ledger.Announce(ctx, ledger.Delivery{Channel: c.channel, Step: step, At: devices.MillisOf(last), State: ledger.DeliveryWaiting}); err != nil {
		return 0, err
	}
	c.asked = step
	return next, nil
}

func (c *courier) digestStep(due time.Time) string {
	return digestStep(c.digest, due.Format(time.DateOnly))
}

// compose gives a draft its words.
func (c *courier) compose(ctx context.Context, d *draft) (channel.Message, error) {
	if d.kind() != channel.Digest {
		return c.words.message(d, c.now()), nil
	}
	_, rest := kindOf(d.notices[0].Step)
	span, _, _ := strings.Cut(rest, "/")
	p := c.policy
	p.digest = span // as it was asked for
	from, to := p.period(d.notices[0].At.Time().In(c.loc))
	s, err := c.summarize(ctx, from, to)
	if err != nil {
		return channel.Message{}, err
	}
	return c.words.digest(d.id, span == "weekly", &s), nil
}

// deliver sends a message and keeps what came of it. Before the first attempt its
// deliveries get its id, so that a repeat is the same message.
func (c *courier) deliver(ctx context.Context, d *draft) error {
	m, err := c.compose(ctx, d)
	if err != nil {
		return err
	}
	ds := deliveriesOf(d.notices)
	if ds[0].Message == "" {
		for i := range ds {
			ds[i].Message = d.id
		}
		if err := c.ledger.SaveDeliveries(ctx, ds...); err != nil {
			return err
		}
	}
	failed := c.send(ctx, m)
	now := c.now()
	for i := range ds {
		ds[i].Attempts++
		ds[i].TriedAt, ds[i].Error = now, oneLine(failed)
		switch {
		case failed == nil:
			ds[i].State, ds[i].DoneAt = ledger.DeliverySent, now
		case isPermanent(failed):
			ds[i].State, ds[i].DoneAt = ledger.DeliveryRefused, now
		}
	}
	c.result(m, failed, now)
	if err := c.settle(ctx, ds); err != nil || isPermanent(failed) {
		return err
	}
	return failed
}

// send makes one attempt. When the gateway stops, it has a little time to end.
func (c *courier) send(ctx context.Context, m channel.Message) error {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if feed.Sleep(sending, stopGrace) {
			cancel()
		}
	})()
	answer, err := c.sender.Send(sending, m)
	if err != nil {
		return wrap(err)
	}
	c.log.Info("alert sent", "kind", m.Kind, "severity", m.Severity, "delivery_id", m.DeliveryID, "flags", len(m.Flags), "answer", answer)
	return nil
}

// settle writes what came of an attempt, again and again until that is on disk:
// the message must not go out once more only because the disk is full.
func (c *courier) settle(ctx context.Context, ds []ledger.Delivery) error {
	for n := 0; ; n++ {
		saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		err := c.ledger.SaveDeliveries(saving, ds...)
		cancel()
		if err == nil || errors.Is(err, ledger.ErrClosed) {
			return err
		}
		wait := feed.WaitAfter(err, n)
		c.failing(err, wait)
		if !feed.Sleep(ctx, wait) {
			return err
		}
	}
}

// keep shows a channel of state what stands, and says when to do so again; 0 for never.
func (c *courier) keep(ctx context.Context, now devices.Millis) (next devices.Millis, err error) {
	k, ok := c.sender.(channel.Keeper)
	if !ok {
		return 0, nil
	}
	if now < c.keepAt {
		return c.keepAt, nil
	}
	open, err := c.open(ctx, now)
	if err != nil {
		return 0, err
	}
	if c.escalateAfter > 0 {
		open = escalated(open, now-devices.Millis(c.escalateAfter.Milliseconds()))
	}
	keeping, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if err := k.Keep(keeping, open); err != nil {
		return 0, wrap(fmt.Errorf("showing what stands: %w", err))
	}
	c.keepAt = now + devices.Millis(k.Every().Milliseconds())
	return c.keepAt, nil
}

// escalated keeps the flags that nobody acknowledged since an instant.
func escalated(open []ledger.Flag, before devices.Millis) (fs []ledger.Flag) {
	for _, f := range open {
		if f.Status == ledger.StatusOpen && since(&f) <= before {
			fs = append(fs, f)
		}
	}
	return fs
}
