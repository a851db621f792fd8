package metrics

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// The outcomes of a delivery, as labels.
const (
	ResultOK       = "ok"
	ResultError    = "error"    // failed; it is tried again
	ResultRejected = "rejected" // refused for good
)

// noDecoder labels messages that no decoder reads.
const noDecoder = "none"

// noPile labels a flood of piles that are not in the registry.
const noPile = "unregistered"

// Known lists the label values that start at 0.
type Known struct {
	Decoders []string // names of the decoders that are in use
	Drops    []string // reasons for which readings are dropped
	Channels []string // of alerts
	Floods   []string // kinds of them
	Estate   string   // of the piles
}

// Counters counts what the gateway does. Its methods are for any goroutine; none fails.
type Counters struct {
	received   *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	dropped    *prometheus.CounterVec
	flood      *prometheus.CounterVec
	unkept     prometheus.Counter
	committed  prometheus.Counter
	commit     prometheus.Histogram
	lag        prometheus.Gauge
	closed     *prometheus.CounterVec
	energy     prometheus.Histogram
	deliveries *prometheus.CounterVec
	estate     string
}

// NewCounters makes the counters and registers them. It fails when one of their
// names is registered already.
func NewCounters(reg prometheus.Registerer, k Known) (*Counters, error) {
	c := &Counters{
		estate:     k.Estate,
		received:   counter("messages_received_total", "MQTT messages received, by the decoder that reads their topic; none: no decoder does.", "decoder"),
		rejected:   counter("messages_rejected_total", "Messages, or single entries of them, that could not be read.", "decoder", "reason"),
		dropped:    counter("readings_dropped_total", "Readings, events and statuses that changed nothing: duplicate, retained without a time of its own, overflow (QoS 0 without room); or late, which is stored but changes no session.", "reason"),
		committed:  prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "readings_committed_total", Help: "Readings that are on disk in the ledger."}),
		flood:      counter("flood_messages_total", "What is over what one topic may say in a minute: messages over 6,000, rejects over 60, old readings over what is looked up; of a pile of the registry, or of unregistered ones. The log names the topic.", "estate", "building", "pile", "kind"),
		unkept:     prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "rejects_not_kept_total", Help: "Rejects of a flood that were counted, and not kept with their text."}),
		lag:        prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "ingest_lag_seconds", Help: "Seconds from the receipt of a message to its commit, at the last commit: the oldest message of it."}),
		closed:     counter("sessions_closed_total", "Charging sessions that ended; one that was closed as lost, reopened and closed again counts twice.", "stop_reason"),
		deliveries: counter("alert_deliveries_total", "Alert messages: delivered (ok), failed and to be tried again (error), or refused for good (rejected).", "channel", "result"),
		commit: histogram("commit_duration_seconds", "Seconds that a commit to the ledger took.",
			0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
		energy: histogram("session_energy_joules", "Energy of charging sessions that ended, in joules (1 kWh is 3.6 million).",
			kWh(0.05), kWh(0.1), kWh(0.25), kWh(0.5), kWh(0.75), kWh(1), kWh(1.5), kWh(2), kWh(3.2), kWh(5), kWh(10)),
	}
	c.zero(k)
	var errs []error
	for _, m := range []prometheus.Collector{c.received, c.rejected, c.dropped, c.flood, c.unkept, c.committed, c.commit, c.lag, c.closed, c.energy, c.deliveries} {
		errs = append(errs, reg.Register(m))
	}
	return c, errors.Join(errs...)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
}

// histogram has classic buckets, and native ones for who scrapes those.
func histogram(name, help string, buckets ...float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: prefix + name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	})
}

func kWh(k float64) float64 { return k * 3_600_000 }

// zero makes the series of known labels.
func (c *Counters) zero(k Known) {
	for _, d := range append(slices.Clone(k.Decoders), noDecoder) {
		c.received.WithLabelValues(d)
		for _, r := range devices.Reasons {
			c.rejected.WithLabelValues(d, string(r))
		}
	}
	for _, r := range k.Drops {
		c.dropped.WithLabelValues(r)
	}
	for _, r := range devices.StopReasons {
		c.closed.WithLabelValues(r)
	}
	for _, kind := range k.Floods {
		c.flood.WithLabelValues(k.Estate, "", noPile, kind)
	}
	for _, ch := range k.Channels {
		for _, r := range []string{ResultOK, ResultError, ResultRejected} {
			c.deliveries.WithLabelValues(ch, r)
		}
	}
}

// Received counts n messages of a decoder, "" for messages that none reads.
func (c *Counters) Received(decoder string, n int) {
	c.received.WithLabelValues(decoderLabel(decoder)).Add(float64(n))
}

// Rejected counts n messages, or entries of messages, that were refused.
func (c *Counters) Rejected(decoder string, reason devices.Reason, n int) {
	c.rejected.WithLabelValues(decoderLabel(decoder), string(reason)).Add(float64(n))
}

func decoderLabel(name string) string {
	if name == "" {
		return noDecoder
	}
	return name
}

// Dropped counts n readings that changed no session.
func (c *Counters) Dropped(reason string, n int) { c.dropped.WithLabelValues(reason).Add(float64(n)) }

// Flooded counts n messages too many of a pile of the registry, or, where pile is
// "", of any other: what made-up topics name is no label.
func (c *Counters) Flooded(building, pile, kind string, n int) {
	if pile == "" {
		pile = noPile
	}
	c.flood.WithLabelValues(c.estate, building, pile, kind).Add(float64(n))
}

// Unkept counts n rejects that were not kept with their text.
func (c *Counters) Unkept(n int) { c.unkept.Add(float64(n)) }

// Committed counts a commit with its readings, and how long it took.
func (c *Counters) Committed(readings int, took time.Duration) {
	c.committed.Add(float64(readings))
	c.commit.Observe(took.Seconds())
}

// Lag notes how long the oldest message of a commit had waited for it.
func (c *Counters) Lag(d time.Duration) { c.lag.Set(d.Seconds()) }

// SessionClosed counts a session that ended, and its energy in mWh.
func (c *Counters) SessionClosed(reason string, mWh int64) {
	if !slices.Contains(devices.StopReasons, reason) {
		reason = session.ReasonUnknown
	}
	c.closed.WithLabelValues(reason).Inc()
	c.energy.Observe(joules(mWh))
}

// AlertDelivered counts one attempt at a channel, by its result.
func (c *Counters) AlertDelivered(channel, result string) {
	c.deliveries.WithLabelValues(label(channel), result).Inc()
}

// joules are exact up to the last rounding: 1 mWh is 3.6 J.
func joules(mWh int64) float64 { return float64(mWh*36) / 10 }
