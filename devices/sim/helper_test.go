package sim

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

var shanghai = time.FixedZone("CST", 8*60*60)

func start() time.Time { return time.Date(2026, 10, 24, 0, 0, 0, 0, shanghai) }

func days(n int) Config { return Config{Seed: 1, From: start(), To: start().AddDate(0, 0, n)} }

func mustNew(t testing.TB, c Config) *Estate {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run plays c to its end and gives the truth.
func run(t testing.TB, c Config) (e *Estate, truth []Truth) {
	t.Helper()
	c.OnTruth = func(x Truth) { truth = append(truth, x) }
	e = mustNew(t, c)
	for range e.All() {
	}
	return e, truth
}

// What the native telemetry says, read with encoding/json alone.
type heard struct {
	TS    *time.Time `json:"ts"`
	Seq   *int64     `json:"seq"`
	TempC float64    `json:"temp_c"`
	RSSI  int        `json:"rssi"`
	Main  float64    `json:"main_wh"`
	Ports []struct {
		Port            int
		State           devices.PortState
		W, V, A, PF, Wh float64
		TempC           float64 `json:"temp_c"`
		Card, Order     string
	}
	Port                              int
	Event, Card, Order, Reason, Alarm string
	Wh                                *float64
	Start, End                        time.Time
	EnergyWh                          float64 `json:"energy_wh"`
}

func parse(t testing.TB, m Message) (h heard) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(m.Payload)))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		t.Fatalf("%s %s: %v", m.Topic, m.Payload, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("%s: more than one value in %s", m.Topic, m.Payload)
	}
	return h
}

func mwh(t testing.TB, wh float64) int64 {
	t.Helper()
	v, ok := devices.Milli(wh)
	if !ok {
		t.Fatalf("%v Wh is no register", wh)
	}
	return v
}
