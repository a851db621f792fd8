package safety

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// t0 is 2026-11-23 20:00:00 in Shanghai.
var t0 = devices.MillisOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// at is t0 plus a duration such as "1h30m".
func at(s string) devices.Millis { return t0.Add(span(s)) }

func span(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// rig drives the fold of sessions and the engine behind it, as the gateway does.
type rig struct {
	t     testing.TB
	state *session.State
	e     *Engine
	log   []FlagChange
	tape  []ledger.Entry // what the engine was fed, when taping
	taped bool
}

func testSettings() session.Settings {
	s := session.DefaultSettings()
	s.Piles = map[string]session.Pile{"P01": {Building: "3", Location: "3号楼北侧", Ports: 10}}
	s.Cards = map[string]session.Card{
		"04A1B2C3": {Building: "3", Room: "603", Household: "3-603", Bikes: 1, PackMWh: 960_000},
		"SOMECARD": {Building: "3", Room: "SOMEROOM", Household: "SOMEHOUSEHOLD"},
		"TRICYCLE": {Building: "3", Room: "101", Household: "3-101", Bikes: 1, PackMWh: 3_480_000},
		"COURIER1": {Building: "3", Room: "202", Household: "3-202", Bikes: 1, PackMWh: 960_000, Courier: true},
	}
	return s
}

func newRig(t testing.TB, edit ...func(Rules)) *rig {
	t.Helper()
	set := testSettings()
	state, err := session.NewState(set)
	if err != nil {
		t.Fatal(err)
	}
	rules := Defaults()
	for _, f := range edit {
		f(rules)
	}
	r := &rig{t: t, state: state, e: New(rules)}
	r.apply(ledger.Entry{Kind: ledger.KindSettings, Settings: &set})
	return r
}

// threshold sets one for a rig.
func threshold(rule, key string, v float64) func(Rules) {
	return func(r Rules) {
		if err := r.Set(rule, key, v); err != nil {
			panic(err)
		}
	}
}

func (r *rig) collect(c FlagChange) { r.log = append(r.log, c) }

func (r *rig) apply(e ledger.Entry) {
	if r.taped {
		r.tape = append(r.tape, e)
	}
	r.e.Apply(&e, r.collect)
}

// step folds an entry, and feeds it and what follows from it to the engine.
func (r *rig) step(e ledger.Entry) {
	in, _ := e.Input()
	changes, outcome, err := session.Step(r.state, in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if outcome == session.Duplicate {
		return
	}
	r.apply(e)
	for _, c := range changes {
		r.apply(ledger.Entry{Kind: ledger.KindSession, Received: e.Received, Change: c.Kind, Session: c.Session})
	}
}

// read feeds a reading of port 1 of P01 by the device's clock.
func (r *rig) read(when devices.Millis, watts float64, with ...func(*devices.Reading)) {
	x := devices.Reading{Pile: "P01", Port: 1, Time: when, DeviceTime: true}
	x.PowerMW, _ = devices.Milli(watts)
	for _, w := range with {
		w(&x)
	}
	r.step(ledger.Entry{Kind: ledger.KindReading, Received: when, Reading: x})
}

func (r *rig) event(kind devices.EventKind, when devices.Millis, with ...func(*devices.Event)) {
	x := devices.Event{Pile: "P01", Port: 1, Kind: kind, Time: when, DeviceTime: true}
	for _, w := range with {
		w(&x)
	}
	r.step(ledger.Entry{Kind: ledger.KindEvent, Received: when, Event: &x})
}

func orderOf(order string) func(*devices.Reading) {
	return func(x *devices.Reading) { x.Order = order }
}

func cardOf(card string) func(*devices.Reading) {
	return func(x *devices.Reading) { x.Card = card }
}

// report is how a pile reports.
type report struct {
	every    time.Duration
	jitter   time.Duration // to either side
	miss     float64       // share of reports that are lost
	noise    float64       // of the power, relative, one sigma
	digits   float64       // step of the power, W
	register bool
}

// reports are the ways of reporting that every rule must live with.
func reports() []report {
	return []report{
		{every: 30 * time.Second, jitter: 2 * time.Second, miss: 0.02, noise: 0.005, digits: 1, register: true},
		{every: 30 * time.Second, noise: 0.02, digits: 0.1},
		{every: 60 * time.Second, jitter: 5 * time.Second, miss: 0.03, noise: 0.01, digits: 1, register: true},
		{every: 60 * time.Second, digits: 0.1},
		{every: 300 * time.Second, jitter: 5 * time.Second, miss: 0.01, noise: 0.005, digits: 1, register: true},
		{every: 300 * time.Second, digits: 0.1},
	}
}

func (p report) String() string {
	return fmt.Sprintf("every %v, register %v", p.every, p.register)
}

// curve is a power in W over the time since the start.
type curve func(d time.Duration) float64

// play feeds a curve from t0 on for a time, as the pile would report it. What
// happens between two reports goes into the register alone.
func (r *rig) play(p report, f curve, long time.Duration, with ...func(*devices.Reading)) {
	rng := rand.New(rand.NewPCG(7, uint64(p.every)))
	var wh float64
	at := time.Duration(0)
	for now := time.Duration(0); now <= long; now += p.every {
		when := now
		if p.jitter > 0 && now > 0 {
			when += time.Duration(rng.Int64N(int64(2*p.jitter))) - p.jitter
		}
		for ; at < when; at += time.Second {
			if w := f(at); !math.IsNaN(w) {
				wh += w / 3600
			}
		}
		if rng.Float64() < p.miss {
			continue
		}
		w := f(when)
		if math.IsNaN(w) { // nothing is reported
			continue
		}
		w *= 1 + p.noise*rng.NormFloat64()
		r.read(t0.Add(when), math.Round(w/p.digits)*p.digits, append([]func(*devices.Reading){func(x *devices.Reading) {
			if p.register {
				x.EnergyMWh, _ = devices.Milli(math.Round(wh*10) / 10)
				x.Has |= devices.HasEnergy
			}
		}}, with...)...)
	}
	r.e.Settle(r.collect)
}

// told gives what happened to the flags of a rule: severity or "cleared", and minutes
// after t0.
func (r *rig) told(rule string) []string {
	var out []string
	for _, c := range r.log {
		if c.Flag.Rule != rule {
			continue
		}
		word, when := c.Flag.Severity, c.Flag.RaisedAt
		if c.Cleared {
			word, when = "cleared", c.Flag.ClearedAt
		}
		out = append(out, fmt.Sprintf("%s %.0f", word, when.Sub(t0).Minutes()))
	}
	return out
}

// words is told without the times.
func (r *rig) words(rule string) string {
	var out []string
	for _, s := range r.told(rule) {
		word, _, _ := strings.Cut(s, " ")
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// raised gives the first flag of a rule that was raised.
func (r *rig) raised(rule string) *ledger.Flag {
	r.t.Helper()
	for _, c := range r.log {
		if c.Flag.Rule == rule && !c.Cleared {
			return c.Flag
		}
	}
	r.t.Fatalf("no flag of %s; there are %v", rule, r.log)
	return nil
}

// last gives the flag of a rule as it was told last.
func (r *rig) last(rule string) *ledger.Flag {
	r.t.Helper()
	for i := len(r.log) - 1; i >= 0; i-- {
		if r.log[i].Flag.Rule == rule {
			return r.log[i].Flag
		}
	}
	r.t.Fatalf("no flag of %s", rule)
	return nil
}

// within checks that the first flag of a rule came between two times after t0.
func (r *rig) within(rule string, from, to time.Duration) {
	r.t.Helper()
	if got := r.raised(rule).RaisedAt.Sub(t0); got < from || got > to {
		r.t.Errorf("%s was raised after %v, want %v to %v", rule, got, from, to)
	}
}

// quiet checks that nothing of warning or more was raised.
func (r *rig) quiet() {
	r.t.Helper()
	for _, c := range r.log {
		if c.Flag.Severity != ledger.Info {
			r.t.Errorf("%s %s at %v: %s", c.Flag.Rule, c.Flag.Severity, c.Flag.RaisedAt.Sub(t0), c.Flag.MessageEN)
		}
	}
}

// charger is the curve of one lead-acid charger: it rises by a tenth over its
// constant current, falls with a time constant of 50 minutes, and floats.
func charger(peak float64, bulk time.Duration) curve {
	return func(d time.Duration) float64 {
		switch {
		case d < 0:
			return 0
		case d < 45*time.Second:
			return peak / 5 // it pre-charges
		case d < bulk:
			return peak * (0.9 + 0.1*d.Minutes()/bulk.Minutes())
		}
		w := peak * math.Exp(-(d-bulk).Minutes()/50)
		if w < peak/8 {
			w = peak / 14
		}
		return w
	}
}

// during is a power between two times, else none.
func during(from, to string, watts float64) curve {
	a, b := span(from), span(to)
	return func(d time.Duration) float64 {
		if d >= a && d < b {
			return watts
		}
		return 0
	}
}

// plus adds curves.
func plus(fs ...curve) curve {
	return func(d time.Duration) float64 {
		var w float64
		for _, f := range fs {
			w += f(d)
		}
		return w
	}
}

// later delays a curve.
func later(by string, f curve) curve {
	return func(d time.Duration) float64 { return f(d - span(by)) }
}

// each runs a test for every way of reporting.
func each(t *testing.T, test func(t *testing.T, p report)) {
	for _, p := range reports() {
		t.Run(p.String(), func(t *testing.T) { test(t, p) })
	}
}

// tooCoarse checks that the engine says so of a rule, where it sees less than it
// promises.
func (r *rig) tooCoarse(rule string) {
	r.t.Helper()
	if got := r.e.TooCoarse()["P01"]; !slices.Contains(got, rule) {
		r.t.Errorf("%s is too coarse for %v, and that is not said", r.e.piles["P01"].Name, rule)
	}
}

// fridge runs for 18 of 45 minutes, beside what stands by.
func fridge(watts, standby float64) curve {
	return func(d time.Duration) float64 {
		if d >= 0 && int(d.Minutes())%45 < 18 {
			return watts
		}
		return standby
	}
}

// raisesNothing plays look-alikes of what a rule sees, in every way of reporting.
func raisesNothing(t *testing.T, rule string, long time.Duration, curves map[string]curve) {
	t.Helper()
	for name, f := range curves {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, p report) {
				r := newRig(t)
				r.play(p, f, long)
				if got := r.told(rule); got != nil {
					t.Errorf("told %v", got)
				}
			})
		})
	}
}
