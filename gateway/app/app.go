// Package app is the running gateway: it builds the parts, starts them, and
// stops them in reverse order. It is the only package that sees all of them.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert"
	"pilewatch/gateway/broker"
	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/ingest"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/safety"
	"pilewatch/gateway/session"
	"pilewatch/gateway/web"
	"pilewatch/metrics/influx"
)

// ErrUsage marks an error of who called: wrong flags, or a configuration that
// cannot be used. The program ends with status 2.
var ErrUsage = errors.New("wrong use")

// usage marks err as one of use or configuration, and leaves its text alone.
type usage struct{ error }

func (u usage) Is(target error) bool { return target == ErrUsage }
func (u usage) Unwrap() error        { return u.error }

// Usage marks an error as ErrUsage without a word of its own.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usage{err}
}

// Version is what the program says of itself.
type Version struct{ Version, Commit, Go string }

// Options are what an App is built with, besides its configuration.
type Options struct {
	Log     *slog.Logger
	Version Version
	// Settings changes what the configuration and the registries give; nil leaves it.
	Settings func(*session.Settings)
	// FreePorts takes a free port where the configured one is taken.
	FreePorts bool
}

// App is one gateway.
type App struct {
	cfg      *config.Config
	opts     Options
	log      *slog.Logger
	ledger   *ledger.Ledger
	settings session.Settings
	batcher  *ingest.Batcher
	safety   *safety.Consumer
	alerts   *alert.Dispatcher
	metrics  *meters

	pipeline *ingest.Pipeline
	source   ingest.Source
	runners  []*feed.Runner
	mqttAddr string
	httpAddr string

	stops  []func() error // in the order of starting
	failed chan error
}

// now is the gateway's clock.
func now() devices.Millis { return devices.MillisOf(time.Now()) }

// New opens the ledger and restores the state of the folds. Close it with Stop.
func New(ctx context.Context, cfg *config.Config, o Options) (*App, error) {
	a := &App{cfg: cfg, opts: o, log: o.Log, failed: make(chan error, 1)}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	rules, err := safetyRules(a.cfg)
	if err != nil {
		return Usage(err)
	}
	rs, err := routes(a.cfg)
	if err != nil {
		return Usage(err)
	}
	if a.settings, err = settings(a.cfg); err != nil {
		return Usage(err)
	}
	if a.opts.Settings != nil {
		a.opts.Settings(&a.settings)
	}
	if a.ledger, err = ledger.Open(ctx, a.cfg.DataDir, a.log); err != nil {
		return err
	}
	a.onStop(a.ledger.Close)
	if a.batcher, err = ingest.NewBatcher(ctx, rs, a.ledger, a.settings, a.log); err != nil {
		return err
	}
	if a.safety, err = safety.NewConsumer(ctx, a.ledger, rules, a.log); err != nil {
		return err
	}
	said, err := a.ledger.Verdicts(ctx)
	if err != nil {
		return err
	}
	a.safety.Judged(said...)
	a.metrics, err = newMeters(a)
	return err
}

func (a *App) onStop(f func() error) { a.stops = append(a.stops, f) }

// Stop ends what was started, the last first, and waits for it.
func (a *App) Stop() error {
	var errs []error
	for _, stop := range slices.Backward(a.stops) {
		errs = append(errs, stop())
	}
	a.stops = nil
	return errors.Join(errs...)
}

// Failed tells when the gateway cannot go on.
func (a *App) Failed() <-chan error { return a.failed }

func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// MQTTAddr is where the embedded broker listens; "" with another broker.
func (a *App) MQTTAddr() string { return a.mqttAddr }

// HTTPAddr is where the page is served.
func (a *App) HTTPAddr() string { return a.httpAddr }

// Start begins to listen, to take messages in and to deliver them.
func (a *App) Start(ctx context.Context) error {
	a.pipeline = ingest.NewPipeline(a.batcher, a.ledger, now, func(t ingest.Tally) {
		a.metrics.committed(t)
		a.metrics.name(t)
	}, a.log)
	if err := a.makeAlerts(); err != nil {
		return err
	}
	if err := a.makeSource(); err != nil {
		return err
	}
	page, err := a.webServer()
	if err != nil {
		return Usage(err)
	}
	ln, err := a.listen(a.cfg.HTTP.Listen, "http.listen")
	if err != nil {
		return err
	}
	a.httpAddr = ln.Addr().String()
	if err := a.makeRunners(); err != nil {
		return errors.Join(err, ln.Close())
	}
	a.onStop(a.startIngest(ctx)) // stops after the consumers: its last checkpoint has all that they wrote before it
	if err := errors.Join(a.startConsumers(ctx), a.metrics.watch()); err != nil {
		return errors.Join(err, ln.Close())
	}
	a.log.Info("the state of before is restored", "entries_after_checkpoint", a.batcher.Replayed(), "entries_after_checkpoint_safety", a.safety.Replayed())
	a.serve(page, ln)
	a.log.Info("gateway running", "page", "http://"+a.httpAddr, "ledger", a.cfg.DataDir, "version", a.opts.Version.Version)
	return nil
}

// startIngest starts source and pipeline, and gives how to stop them: the source
// takes no more, the pipeline commits and acknowledges what it has, and then the
// source leaves.
func (a *App) startIngest(ctx context.Context) (stop func() error) {
	base := context.WithoutCancel(ctx)
	taking, stopTaking := context.WithCancel(base)
	working, stopWorking := context.WithCancel(base)
	drained := make(chan struct{})
	var source, pipeline sync.WaitGroup
	pipeline.Go(func() {
		if err := a.pipeline.Run(working); err != nil {
			a.fail(err)
		}
	})
	source.Go(func() {
		if err := a.source.Run(taking, drained); err != nil {
			a.fail(err)
		}
	})
	return func() error {
		stopTaking()
		stopWorking()
		pipeline.Wait()
		close(drained)
		source.Wait()
		return nil
	}
}

// makeSource makes the subscriber to the configured broker, or the embedded one.
func (a *App) makeSource() error {
	m := a.cfg.MQTT
	if m.Broker == "" {
		return a.makeBroker()
	}
	tlsConfig, err := clientTLS(m)
	if err != nil {
		return Usage(err)
	}
	filters := make([]string, len(m.Subscriptions))
	for i, s := range m.Subscriptions {
		filters[i] = s.Filter()
	}
	a.source = ingest.NewSubscriber(ingest.SubscriberConfig{
		Broker: m.Broker, ClientID: m.ClientID, Username: m.Username, Password: m.Password.Resolve, TLS: tlsConfig, Filters: filters,
	}, a.pipeline, now, a.metrics.overflow, a.log)
	return nil
}

func (a *App) makeBroker() error {
	c := broker.Config{Reader: a.cfg.MQTT.Username}
	if a.cfg.MQTT.PasswordsFile != "" {
		passwords, err := broker.LoadPasswords(a.cfg.MQTT.PasswordsFile)
		if err != nil {
			return Usage(err)
		}
		c.Allowed = passwords.Allowed
	}
	ln, err := a.listen(a.cfg.MQTT.Listen, "mqtt.listen")
	if err != nil {
		return err
	}
	b, err := broker.New(c, ln, a.pipeline, now, a.log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	a.source, a.mqttAddr = b, ln.Addr().String()
	return nil
}

// listen opens an address; with FreePorts, a free port where it is taken.
func (a *App) listen(addr, key string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		return ln, nil
	}
	if host, _, splitErr := net.SplitHostPort(addr); splitErr == nil && a.opts.FreePorts {
		if ln, free := net.Listen("tcp", net.JoinHostPort(host, "0")); free == nil {
			return ln, nil
		}
	}
	return nil, taken(err, key)
}

// taken says what to do about an address that cannot be had.
func taken(err error, key string) error {
	return fmt.Errorf("%w; set %s to a free address, or stop the program that has this one", err, key)
}

// Bounds of how far the rules may be behind what is committed. In a flood the
// intake waits for them, so that warnings do not come late, and so that they find
// the newest entries as they were appended. Whatever holds them up, a commit waits
// only so long.
const (
	rulesBehind = ledger.TailEntries / 2
	rulesWait   = 100 * time.Millisecond
)

// makeRunners makes who reads the journal, and lets the intake wait for the rules.
func (a *App) makeRunners() error {
	consumers, err := a.consumers()
	if err != nil {
		return err
	}
	for _, c := range consumers {
		o := feed.Options{Log: a.log, Max: deliveryMax}
		if c.Name() == influx.Name {
			o.Gather = time.Second // a request has its price
		}
		r := feed.NewRunner(a.ledger, c, o)
		if c.Name() == safety.Name {
			a.pipeline.Pace(func(ctx context.Context) { r.Near(ctx, rulesBehind, rulesWait) })
		}
		a.runners = append(a.runners, r)
	}
	return nil
}

// startConsumers starts who reads the journal.
func (a *App) startConsumers(ctx context.Context) error {
	if err := a.alerts.Begin(ctx); err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, r := range a.runners {
		wg.Go(func() { r.Run(reading) })
	}
	wg.Go(func() { a.alerts.Run(reading) })
	wg.Go(func() { a.watchSilence(reading) })
	wg.Go(func() { a.tidy(reading) })
	wg.Go(func() { a.ledger.Scrub(reading) })
	a.onStop(func() error {
		stop()
		wg.Wait()
		return a.safety.Close(context.WithoutCancel(ctx))
	})
	return nil
}

// deliveryMax is how many entries a consumer gets at once.
const deliveryMax = 5000

// silenceEvery is how often silence is looked for.
const silenceEvery = 5 * time.Second

// watchSilence lets the rules see what only the passing of time shows.
func (a *App) watchSilence(ctx context.Context) {
	heard := false
	every(ctx, silenceEvery, func() {
		hears := a.source.Connected() == nil
		if hears && !heard {
			a.safety.Wake() // it was us who were away
		}
		if heard = hears; !hears {
			return
		}
		if err := a.safety.Tick(ctx, now()); err != nil && ctx.Err() == nil {
			a.log.Debug("the safety rules could not keep what they saw; trying again", "error", err) // the ledger tells of the outage
		}
	})
}

// tidyEvery is how often the ledger is tidied.
const tidyEvery = 10 * time.Minute

// tidy merges small blocks of the journal, and lets go of readings and rejects
// that are old.
func (a *App) tidy(ctx context.Context) {
	from := ledger.Seq(1) // where blocks are merged next
	every(ctx, tidyEvery, func() {
		from = a.merge(ctx, from)
		a.prune(ctx)
	})
}

// merge joins what small blocks there are from an entry on, and gives where to go
// on the next time.
func (a *App) merge(ctx context.Context, from ledger.Seq) ledger.Seq {
	for ctx.Err() == nil {
		next, err := a.ledger.Merge(ctx, from)
		if err != nil {
			a.log.Warn("small blocks of the journal could not be merged; trying again", "error", err)
			return from
		}
		if next == from {
			break
		}
		from = next
	}
	return from
}

// prune lets go of readings and rejects that are old.
func (a *App) prune(ctx context.Context) {
	names := make([]string, len(a.runners))
	for i, r := range a.runners {
		names[i] = r.Stats().Name
	}
	at := time.Now()
	for more := true; more && ctx.Err() == nil; {
		var err error
		more, err = a.ledger.Prune(ctx, devices.MillisOf(at.Add(-a.cfg.Ledger.KeepReadings)), devices.MillisOf(at.Add(-config.KeepRejects)), names)
		if err != nil {
			a.log.Warn("old readings could not be let go; trying again", "error", err)
			return
		}
	}
}

// every calls f now and then until ctx is done.
func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// serve answers requests until the gateway stops.
func (a *App) serve(s *web.Server, ln net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, ln); err != nil {
			a.fail(err)
		}
	})
	a.onStop(func() error {
		stop()
		wg.Wait()
		return nil
	})
}
