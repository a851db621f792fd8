package sim

import (
	"testing"
	"time"
)

// BenchmarkDemo plays the 30 days that the demo fills, at 60 s.
func BenchmarkDemo(b *testing.B) {
	b.ReportAllocs()
	var messages int64
	for b.Loop() {
		for range mustNew(b, days(30)).All() {
			messages++
		}
	}
	b.ReportMetric(float64(messages*8)/b.Elapsed().Seconds(), "readings/s")
	b.ReportMetric(float64(messages)/float64(b.N), "messages/op")
}

// BenchmarkSteady reports ports that all charge: the most work for a reading.
func BenchmarkSteady(b *testing.B) {
	e := mustNew(b, Config{Seed: 1, Scenario: "steady", Piles: 1000, Ports: 12, From: start()})
	b.ReportAllocs()
	var bytes int64
	for b.Loop() {
		m, _ := e.Next()
		bytes += int64(len(m.Payload))
	}
	b.ReportMetric(float64(b.N)*12/b.Elapsed().Seconds(), "readings/s")
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/message")
}

// BenchmarkMillionPorts builds the largest estate of the load tests.
func BenchmarkMillionPorts(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustNew(b, Config{Seed: 1, Scenario: "steady", Piles: 83_333, Ports: 12, From: start(), Interval: time.Minute})
	}
}
