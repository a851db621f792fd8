package safety

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// dataFile finds a file of the shared data beside the repository; it skips the
// test where there is none.
func dataFile(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no repository around the test")
		}
	}
	path := filepath.Join(dir, "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the labelled traces are not here: %v", err)
	}
	return path
}

// every keeps one point of n, as a pile would that reports more seldom.
func (t *Trace) every(n int) *Trace {
	x := *t
	x.Points, x.EnergyWh = nil, nil
	for i := 0; i < len(t.Points); i += n {
		x.Points = append(x.Points, t.Points[i])
		if i < len(t.EnergyWh) {
			x.EnergyWh = append(x.EnergyWh, t.EnergyWh[i])
		}
	}
	return &x
}

// blind takes the register away, and steps of a tenth of a watt for whole ones.
func (t *Trace) blind() *Trace {
	x := *t
	x.EnergyWh = nil
	x.Points = nil
	for i, p := range t.Points {
		x.Points = append(x.Points, [2]float64{p[0], max(0, p[1]+float64(i%7-3)/10)})
	}
	return &x
}

// worse takes every tenth report away, and adds noise of 1.5 %.
func (t *Trace) worse() *Trace {
	r := rand.New(rand.NewPCG(uint64(len(t.Points)), 5))
	x := *t
	x.Points, x.EnergyWh = nil, nil
	for i, p := range t.Points {
		if i%10 == 7 {
			continue
		}
		x.Points = append(x.Points, [2]float64{p[0], math.Round(p[1] * (1 + 0.015*r.NormFloat64()))})
		if i < len(t.EnergyWh) {
			x.EnergyWh = append(x.EnergyWh, t.EnergyWh[i])
		}
	}
	return &x
}

// TestLabelledTraces holds floors under how the rules do on the development
// split; REPORT.md has the figures.
func TestLabelledTraces(t *testing.T) {
	same := func(x *Trace) *Trace { return x }
	for _, c := range []struct {
		name, file             string
		as                     func(*Trace) *Trace
		easy, hard             float64 // recall, at least
		falseEasy, falseAlarms float64 // at most
		minutes                float64 // median, at most
	}{
		{"30 s", "dev_30s.ndjson", same, 0.99, 0.86, 0.004, 0.003, 5.5},
		{"60 s", "dev_60s.ndjson", same, 0.99, 0.85, 0.004, 0.003, 5.8},
		{"30 s, 0.1 W, no register", "dev_30s.ndjson", (*Trace).blind, 0.98, 0.85, 0.004, 0.003, 5.8},
		{"60 s, noise and gaps", "dev_60s.ndjson", (*Trace).worse, 0.97, 0.79, 0.01, 0.01, 6},
		{"300 s", "dev_60s.ndjson", func(x *Trace) *Trace { return x.every(5) }, 0.83, 0.66, 0.008, 0.008, 16},
	} {
		traces := readTraces(t, c.file)
		for i := range traces {
			traces[i] = c.as(traces[i])
		}
		s := judgeAll(t, Defaults(), traces)
		easy, hard, falseEasy, falseAlarms := s.rate("1unsafe, easy"), s.rate("1unsafe, hard"), s.rate("0normal, easy"), s.rate("0normal, all")
		minutes := s.sums["1unsafe, all"].median()
		t.Logf("%s: recall easy %.3f, hard %.3f; false alarms easy %.4f, all %.4f; median %.1f min; %v", c.name, easy, hard, falseEasy, falseAlarms, minutes, s.False)
		if easy < c.easy || hard < c.hard || falseEasy > c.falseEasy || falseAlarms > c.falseAlarms || minutes > c.minutes {
			t.Errorf("%s: under the floors %+v", c.name, c)
		}
	}
}
