package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pilewatch/gateway/feed"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Live is the state of the fold as it is now. View's function must not keep
// references into it.
type Live interface{ View(func(*session.State)) }

// Flags counts the flags of each rule and severity: those that are open now, and
// those that were raised, or raised in severity, since the start.
type Flags interface {
	Flags(each func(rule, severity string, open, raised int))
}

// Ledger tells how the ledger is.
type Ledger interface {
	Size() (int64, error) // bytes on disk
	Writable() error      // why the last commit failed; nil when it did not
}

// Broker tells whether messages can come; nil when they can.
type Broker interface{ Connected() error }

// Sink is somebody to whom the journal is delivered: a *feed.Runner.
type Sink interface{ Stats() feed.Stats }

// Options of a Fleet.
type Options struct {
	Estate          string
	Version, Commit string
	Live            Live
	Flags           Flags
	Ledger          Ledger
	Broker          Broker
	Sinks           []Sink
	Rules           []string         // of safety
	PortSeries      bool             // give per-port series however many ports there are
	MaxPorts        int              // beyond it there are sums per building instead; 0: 5,000
	Silent          time.Duration    // a pile not heard for so long is down; 0: 10 min
	Gone            time.Duration    // a pile not heard for so long leaves; 0: 24 h
	Now             func() time.Time // nil: time.Now
}

func severities() []string { return []string{ledger.Info, ledger.Warning, ledger.Critical} }

const (
	defaultMaxPorts = 5000
	defaultSilent   = 10 * time.Minute
	defaultGone     = 24 * time.Hour
)

// Fleet is a Prometheus collector over live state: piles, ports, sessions,
// flags, sinks, ledger and broker as they are at the scrape.
type Fleet struct {
	o Options
	d descs
}

// NewFleet makes the collector; who registers it must not register two.
func NewFleet(o Options) *Fleet {
	if o.MaxPorts <= 0 {
		o.MaxPorts = defaultMaxPorts
	}
	if o.Silent <= 0 {
		o.Silent = defaultSilent
	}
	if o.Gone <= 0 {
		o.Gone = defaultGone
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Estate = label(o.Estate)
	return &Fleet{o: o, d: newDescs()}
}

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range f.d.all() {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(ch chan<- prometheus.Metric) {
	o, now := out(ch), f.o.Now()
	s := f.look(now)
	f.piles(o, s)
	if s.ports <= f.o.MaxPorts || f.o.PortSeries {
		f.ports(o, s)
	} else {
		f.buildings(o, s)
	}
	o.gauge(f.d.sessionsOpen, float64(s.open))
	o.gauge(f.d.unregistered, float64(s.unregistered))
	f.flags(o)
	f.sinks(o, now)
	f.ledger(o)
	o.gauge(f.d.mqtt, bit(f.o.Broker.Connected() == nil))
	o.gauge(f.d.build, 1, f.o.Version, f.o.Commit, runtime.Version())
}

func (f *Fleet) flags(o out) {
	type key struct{ rule, severity string }
	type count struct{ open, raised int }
	counts := map[key]count{}
	for _, r := range f.o.Rules {
		for _, s := range severities() {
			counts[key{r, s}] = count{}
		}
	}
	f.o.Flags.Flags(func(rule, severity string, open, raised int) { counts[key{rule, severity}] = count{open, raised} })
	for k, n := range counts {
		o.gauge(f.d.flagsOpen, float64(n.open), k.rule, k.severity)
		o.counter(f.d.flagsRaised, float64(n.raised), k.rule, k.severity)
	}
}

func (f *Fleet) sinks(o out, now time.Time) {
	for _, sink := range f.o.Sinks {
		s := sink.Stats()
		age := 0.0
		if s.Oldest > 0 {
			age = max(0, now.Sub(s.Oldest.Time()).Seconds())
		}
		o.gauge(f.d.backlog, float64(s.Backlog), s.Name)
		o.gauge(f.d.oldest, age, s.Name)
		o.counter(f.d.writes, float64(s.Delivered), s.Name, ResultOK)
		o.counter(f.d.writes, float64(s.Failed), s.Name, ResultError)
		o.counter(f.d.writes, float64(s.Refused), s.Name, ResultRejected)
	}
}

// ledger leaves the size out where it can't be told.
func (f *Fleet) ledger(o out) {
	if size, err := f.o.Ledger.Size(); err == nil {
		o.gauge(f.d.size, float64(size))
	}
	o.gauge(f.d.writable, bit(f.o.Ledger.Writable() == nil))
}

// out is where a scrape's samples go.
type out chan<- prometheus.Metric

func (o out) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (o out) counter(d *prometheus.Desc, v float64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
