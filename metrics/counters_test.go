package metrics

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pilewatch/devices"
)

func newCounters(t *testing.T) (*Counters, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	c, err := NewCounters(reg, known())
	if err != nil {
		t.Fatal(err)
	}
	return c, reg
}

func TestCountersCountWhatTheyAreTold(t *testing.T) {
	c, reg := newCounters(t)
	c.Received("native", 5)
	c.Received("native", 2)
	c.Received("", 1)
	c.Rejected("tasmota", devices.BadPower, 3)
	c.Dropped("late", 4)
	c.Committed(100, 1500*time.Microsecond)
	c.Committed(50, 3*time.Second)
	c.Lag(250 * time.Millisecond)
	c.SessionClosed("full", 1_000_000)
	c.SessionClosed("full", 4_000_000)
	c.SessionClosed("something new", 1)
	c.AlertDelivered("office", ResultOK)
	c.Flooded("3", "P01", "messages", 5)
	c.Flooded("", "", "rejects", 2)
	c.Unkept(3)
	c.AlertDelivered("office", ResultError)
	for _, v := range []struct {
		m    prometheus.Collector
		want float64
	}{
		{c.received.WithLabelValues("native"), 7},
		{c.received.WithLabelValues("tasmota"), 0},
		{c.received.WithLabelValues("none"), 1},
		{c.rejected.WithLabelValues("tasmota", "bad_power"), 3},
		{c.dropped.WithLabelValues("late"), 4},
		{c.committed, 150},
		{c.lag, 0.25},
		{c.closed.WithLabelValues("full"), 2},
		{c.closed.WithLabelValues("unknown"), 1},
		{c.flood.WithLabelValues("fuxing", "3", "P01", "messages"), 5},
		{c.flood.WithLabelValues("fuxing", "", "unregistered", "rejects"), 2},
		{c.unkept, 3},
		{c.deliveries.WithLabelValues("office", "ok"), 1},
		{c.deliveries.WithLabelValues("office", "error"), 1},
	} {
		if got := testutil.ToFloat64(v.m); got != v.want {
			t.Errorf("%v is %v, want %v", v.m, got, v.want)
		}
	}
	for name, want := range map[string]struct {
		sum     float64
		buckets map[float64]uint64 // some of them
	}{
		"pilewatch_commit_duration_seconds": {3.0015, map[float64]uint64{0.001: 0, 0.002: 1, 2: 1, 5: 2}},
		"pilewatch_session_energy_joules":   {18_000_003.6, map[float64]uint64{180_000: 1, 3_600_000: 2, 11_520_000: 2, 18_000_000: 3}},
	} {
		sum, buckets := histogramOf(t, reg, name)
		if diff := sum - want.sum; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("%s: sum %v, want %v", name, sum, want.sum)
		}
		for at, n := range want.buckets {
			if got, ok := buckets[at]; !ok || got != n {
				t.Errorf("%s: %d up to %v, want %d", name, got, at, n)
			}
		}
	}
}

func histogramOf(t *testing.T, reg *prometheus.Registry, name string) (sum float64, buckets map[float64]uint64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	buckets = map[float64]uint64{}
	for _, f := range families {
		if f.GetName() == name {
			h := f.GetMetric()[0].GetHistogram()
			sum = h.GetSampleSum()
			for _, b := range h.GetBucket() {
				buckets[b.GetUpperBound()] = b.GetCumulativeCount()
			}
		}
	}
	return sum, buckets
}

func TestKnownLabelsStartAtZero(t *testing.T) {
	_, reg := newCounters(t)
	for name, want := range map[string]int{
		"messages_received_total":  3,                          // two decoders and none
		"messages_rejected_total":  3 * len(devices.Reasons),   //
		"readings_dropped_total":   4,                          //
		"sessions_closed_total":    len(devices.StopReasons),   //
		"alert_deliveries_total":   3,                          // one channel, three results
		"flood_messages_total":     3,                          // kinds, of piles that are not in the registry
		"readings_committed_total": 1, "ingest_lag_seconds": 1, //
		"commit_duration_seconds": 1, "session_energy_joules": 1,
	} {
		if n, err := testutil.GatherAndCount(reg, prefix+name); n != want || err != nil {
			t.Errorf("%s has %d series at the start, want %d (%v)", name, n, want, err)
		}
	}
	families, _ := reg.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum(); v != 0 {
				t.Errorf("%s starts at %v", f.GetName(), v)
			}
		}
	}
}

func TestSecondRegistrationIsAnError(t *testing.T) {
	_, reg := newCounters(t)
	_, err := NewCounters(reg, known())
	if are := (prometheus.AlreadyRegisteredError{}); !errors.As(err, &are) {
		t.Errorf("error %v", err)
	}
}
