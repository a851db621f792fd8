package sim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOrderOfTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Scenario: rapid.SampledFrom(Scenarios()).Draw(t, "scenario"),
			Piles: rapid.IntRange(1, 6).Draw(t, "piles"), Ports: rapid.IntRange(1, 5).Draw(t, "ports"),
			Interval: time.Duration(rapid.IntRange(60, 900).Draw(t, "interval")) * time.Second,
			Faults:   rapid.SliceOfDistinct(rapid.SampledFrom(Faults()), rapid.ID).Draw(t, "faults"),
			From:     start(), To: start().Add(9 * time.Hour), Live: start().Add(6 * time.Hour),
		}
		e, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		last := c.From
		for m := range e.All() {
			if m.At.Before(last) || !m.At.Before(c.To) {
				t.Fatalf("%s at %s, after %s", m.Topic, m.At, last)
			}
			last = m.At
			status := strings.HasSuffix(m.Topic, "/status")
			if m.Retained != status || m.QoS != 1 || !status && !json.Valid(m.Payload) {
				t.Fatalf("%+v %s", m, m.Payload)
			}
		}
	})
}

// Two messages of a port in one millisecond would look like one and its repetition.
func TestAPortSpeaksOnceAMillisecond(t *testing.T) {
	for _, scenario := range Scenarios() {
		type key struct {
			pile string
			port int
		}
		last := map[key]time.Time{}
		c := Config{From: start(), To: start().Add(4 * time.Hour), Scenario: scenario, Interval: time.Second}
		for m := range mustNew(t, c).All() {
			if m.Retained {
				continue
			}
			pile := strings.Split(m.Topic, "/")[3]
			ports := []int{1, 2, 3, 4, 5, 6, 7, 8}
			if strings.HasSuffix(m.Topic, "/event") {
				ports = []int{parse(t, m).Port}
			}
			for _, port := range ports {
				if k := (key{pile, port}); !m.At.After(last[k]) {
					t.Fatalf("%s: %v twice at %s", scenario, k, m.At)
				} else {
					last[k] = m.At
				}
			}
		}
	}
}

func TestPilesTakeTurns(t *testing.T) {
	last := map[string]time.Time{}
	instants := map[time.Time]bool{}
	for m := range mustNew(t, days(1)).All() {
		if !strings.HasSuffix(m.Topic, "/telemetry") {
			continue
		}
		if gap := m.At.Sub(last[m.Topic]); !last[m.Topic].IsZero() && gap%time.Minute != 0 {
			t.Fatalf("%s after %s", m.Topic, gap)
		}
		if instants[m.At] {
			t.Fatalf("two piles report at %s", m.At)
		}
		last[m.Topic], instants[m.At] = m.At, true
	}
}
