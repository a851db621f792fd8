package influx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// BenchmarkWrite is all of our side: encoding, compressing, one request.
func BenchmarkWrite(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	c, err := New(Options{URL: s.URL, Bucket: "b", Estate: "fuxing", Sessions: &book{}, Rejects: &book{}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	benchmark(b, c)
}

func BenchmarkEncodeReading(b *testing.B) {
	r := devices.Reading{
		Pile: "pile-1", Port: 3, Time: t0, PowerMW: 152_400, EnergyMWh: 1_284_531_250, VoltageMV: 221_300, CurrentMA: 712,
		Has: devices.HasEnergy | devices.HasVoltage | devices.HasCurrent, State: devices.StateCharging,
	}
	batch := newBatch("fuxing")
	b.ReportAllocs()
	for b.Loop() {
		if batch.full() {
			batch.reset()
		}
		if err := batch.add(func(e *encoder) { e.reading(&r, "3") }); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmark delivers blocks of 5,000 readings of 50 ports, as they come from the journal.
func benchmark(b *testing.B, c *Consumer) {
	e := make([]ledger.Entry, maxLines)
	for i := range e {
		e[i] = ledger.Entry{Kind: ledger.KindReading, Reading: devices.Reading{
			Pile: fmt.Sprintf("pile-%d", i%5), Port: uint8(i%10 + 1), PowerMW: int64(100_000 + i*7), EnergyMWh: int64(1_000_000 + i*1234),
			VoltageMV: 221_300, CurrentMA: 712, Has: devices.HasEnergy | devices.HasVoltage | devices.HasCurrent, State: devices.StateCharging,
		}}
	}
	at, next := t0, ledger.Seq(1)
	b.ReportAllocs()
	for b.Loop() {
		for i := range e {
			if i%50 == 0 {
				at += 30_000
			}
			e[i].Reading.Time = at
		}
		if err := c.Consume(context.Background(), ledger.Block{First: next, Entries: e}); err != nil {
			b.Fatal(err)
		}
		next += maxLines
	}
	b.ReportMetric(float64(b.N)*maxLines/b.Elapsed().Seconds(), "lines/s")
}
