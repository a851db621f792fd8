package native

import (
	"fmt"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/devices/sim"
)

// BenchmarkDecode reads what 500 piles send while every port charges, each with
// a card and an order of its own, so that the processor's caches miss as in life.
func BenchmarkDecode(b *testing.B) {
	for _, ports := range []int{1, 12} {
		b.Run(fmt.Sprintf("%dports", ports), func(b *testing.B) {
			const piles, rounds = 500, 3
			inputs := steady(b, piles, ports, rounds)
			d := newTestDecoder(b)
			var m devices.Message
			var bytes, i int
			decode := func() {
				m.Reset()
				if err := d.Decode(inputs[i], &m); err != nil || len(m.Readings) != ports {
					b.Fatal(err, len(m.Readings))
				}
				bytes += len(inputs[i].Payload)
				i = (i + 1) % len(inputs)
			}
			for range inputs {
				decode()
			}
			b.ReportAllocs()
			b.SetBytes(int64(bytes / len(inputs)))
			for b.Loop() {
				decode()
			}
			b.ReportMetric(float64(ports)*float64(b.N)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}

// steady gives the telemetry of some rounds of an estate whose ports all charge.
func steady(b *testing.B, piles, ports, rounds int) []devices.Input {
	from := time.UnixMilli(int64(received))
	e, err := sim.New(sim.Config{Scenario: "steady", Piles: piles, Ports: ports, From: from})
	if err != nil {
		b.Fatal(err)
	}
	var inputs []devices.Input
	for len(inputs) < piles*rounds {
		m, _ := e.Next()
		in := devices.Input{Topic: m.Topic, Payload: append([]byte(nil), m.Payload...), Received: devices.MillisOf(m.At)}
		if _, what, _ := split(in.Topic); what == "telemetry" {
			inputs = append(inputs, in)
		}
	}
	return inputs
}
