package app

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pilewatch/devices/catalog"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ingest"
	"pilewatch/gateway/safety"
	"pilewatch/metrics"
)

// meters are the gateway's metrics.
type meters struct {
	registry *prometheus.Registry
	counters *metrics.Counters
	app      *App
}

func newMeters(a *App) (*meters, error) {
	m := &meters{registry: prometheus.NewRegistry(), app: a}
	channels := make([]string, len(a.cfg.Alerts.Channels))
	for i, c := range a.cfg.Alerts.Channels {
		channels[i] = c.Name
	}
	var err error
	m.counters, err = metrics.NewCounters(m.registry, metrics.Known{
		Decoders: catalog.Names(), Drops: ingest.DropReasons, Channels: channels, Floods: ingest.FloodKinds, Estate: a.cfg.Estate.ID,
	})
	if err != nil {
		return nil, err
	}
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// watch adds what is looked at when it is scraped; the source and the consumers
// must be there.
func (m *meters) watch() error {
	a := m.app
	sinks := make([]metrics.Sink, len(a.runners))
	for i, r := range a.runners {
		sinks[i] = r
	}
	return m.registry.Register(metrics.NewFleet(metrics.Options{
		Estate: a.cfg.Estate.ID, Version: a.opts.Version.Version, Commit: a.opts.Version.Commit,
		Live: a.batcher, Flags: flagCounts{a.safety}, Ledger: a.ledger, Broker: a.source, Sinks: sinks, Rules: slices.Clone(config.RuleIDs),
	}))
}

// flagCounts gives the safety rules' counts as the collector asks for them.
type flagCounts struct{ safety *safety.Consumer }

func (f flagCounts) Flags(each func(rule, severity string, open, raised int)) {
	open, raised := f.safety.Counts()
	for k, n := range raised {
		each(k.Rule, k.Severity, open[k], n)
	}
}

func (m *meters) handler() http.Handler { return metrics.Handler(m.registry, m.app.log) }

// overflow counts a message of QoS 0 for which there was no room.
func (m *meters) overflow() { m.counters.Dropped(ingest.DropOverflow, 1) }

// committed counts what a commit held.
func (m *meters) committed(t ingest.Tally) {
	for decoder, n := range t.Messages {
		m.counters.Received(decoder, n)
	}
	for k, n := range t.Rejects {
		m.counters.Rejected(k.Decoder, k.Reason, n)
		if k.Decoder == "" {
			m.counters.Received("", n)
		}
	}
	for k, n := range t.Flood {
		m.counters.Flooded(m.app.settings.Piles[k.Pile].Building, k.Pile, k.Kind, n)
	}
	m.counters.Unkept(t.Unkept)
	for reason, n := range t.Drops {
		m.counters.Dropped(reason, n)
	}
	m.counters.Committed(t.Readings, t.Commit)
	if t.Oldest != 0 {
		m.counters.Lag(max(0, now().Sub(t.Oldest)))
	}
	for i := range t.Closed {
		m.counters.SessionClosed(t.Closed[i].Reason, t.Closed[i].EnergyMWh)
	}
}

// name says in the log who sends too much, or what can't be read: once a minute each.
func (m *meters) name(t ingest.Tally) {
	for _, l := range t.Loud {
		m.app.log.Warn("a topic has more to say than a pile should, or much that can't be read or is old: look at this pile and what it sends (/api/v1/rejects)",
			"topic", l.Topic, "pile", l.Pile, "kind", l.Kind, "messages_this_minute", l.Messages, "rejects_this_minute", l.Rejects)
	}
}
