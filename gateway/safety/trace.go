package safety

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Trace is the power of one socket over one session, as recorded or made.
type Trace struct {
	ID        string       `json:"id"`
	IntervalS float64      `json:"interval_s"`
	Points    [][2]float64 `json:"points"`               // seconds from the start, watts
	EnergyWh  []float64    `json:"energy_wh,omitempty"`  // the register at each point
	StartH    float64      `json:"start_h,omitempty"`    // hour of the day
	PileMaxW  float64      `json:"pile_max_w,omitempty"` // most that the port can deliver

	// The labels of a trace that was judged by people; Label is nil without.
	Label  *int     `json:"label,omitempty"` // 1: unsafe
	Class  string   `json:"class,omitempty"`
	Tier   string   `json:"tier,omitempty"`
	OnsetS float64  `json:"onset_s,omitempty"` // when the unsafe part begins
	Source []string `json:"source,omitempty"`

	packMWh int64 // nominal energy of the registered pack; 0: not known
}

// Outcome is what the rules said of a trace.
type Outcome struct {
	ID         string   `json:"id"`
	Flagged    bool     `json:"flagged"` // a flag of warning or critical was raised
	Rules      []string `json:"rules"`   // those that raised one, in order
	FirstFlagS *float64 `json:"first_flag_s,omitempty"`
	Severity   string   `json:"severity,omitempty"`   // the gravest
	Suspicion  string   `json:"suspicion,omitempty"`  // what all of them lead to
	Info       []string `json:"info,omitempty"`       // rules that told of something for information
	TooCoarse  []string `json:"too_coarse,omitempty"` // rules that see less than they promise at this interval
	MessageZH  string   `json:"-"`
	MessageEN  string   `json:"-"`
}

// maxTraceLine bounds a line of a file of traces, in bytes.
const maxTraceLine = 64 << 20

// ReadTraces gives the traces of NDJSON, one a line; empty lines are passed over.
// An error names the line, and ends it.
func ReadTraces(name string, r io.Reader) iter.Seq2[*Trace, error] {
	return func(yield func(*Trace, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxTraceLine)
		n := 0
		for lines.Scan() {
			n++
			if len(lines.Bytes()) == 0 {
				continue
			}
			t := &Trace{}
			err := json.Unmarshal(lines.Bytes(), t)
			if err == nil {
				err = t.check()
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s:%d: %w; expected {\"id\":...,\"interval_s\":30,\"points\":[[0,0.0],[30,151.0],...]}", name, n, err))
				return
			}
			if !yield(t, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("%s:%d: %w", name, n+1, err))
		}
	}
}

func (t *Trace) check() error {
	if t.ID == "" {
		return errors.New("a trace without an id")
	}
	if t.Points == nil { // such as what backtest itself wrote
		return errors.New("a trace without points")
	}
	if len(t.EnergyWh) > 0 && len(t.EnergyWh) != len(t.Points) {
		return fmt.Errorf("%d values of energy_wh for %d points", len(t.EnergyWh), len(t.Points))
	}
	for i, p := range t.Points {
		if !(p[0] >= 0 && p[0] < 1e8) || math.IsNaN(p[1]) || math.Abs(p[1]) > 1e5 {
			return fmt.Errorf("point %d is %v", i, p)
		}
	}
	return nil
}

// tracePile, traceCard and traceDay are where, whose and when traces are taken to
// have been.
const tracePile, traceCard = "TRACE", "TRACE"

var traceDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// Judge runs a trace through the fold of sessions and the rules, as a pile's
// readings would be, and stops at its last point. It fails when the fold does.
func Judge(rules Rules, t *Trace) (Outcome, error) {
	set := session.DefaultSettings()
	set.Piles = map[string]session.Pile{tracePile: {Ports: 1, MaxPortMW: int64(t.PileMaxW * 1000)}}
	if t.packMWh > 0 {
		set.Cards = map[string]session.Card{traceCard: {Bikes: 1, PackMWh: t.packMWh}}
	}
	state, err := session.NewState(set)
	if err != nil {
		return Outcome{}, err
	}
	e := New(rules)
	out := Outcome{ID: t.ID, Rules: []string{}}
	zero := devices.MillisOf(traceDay.Add(time.Duration(t.StartH * float64(time.Hour))).Truncate(time.Second))
	note := func(c FlagChange) { out.note(c, zero) }
	e.Apply(&ledger.Entry{Kind: ledger.KindSettings, Settings: &set}, note)
	var changes []session.Change
	for i := range t.Points {
		x := t.entry(i, zero)
		in, _ := x.Input()
		var outcome session.Outcome
		if changes, outcome, err = session.Step(state, in, changes[:0]); err != nil {
			return out, err
		}
		if outcome == session.Duplicate {
			continue
		}
		e.Apply(&x, note)
		for _, c := range changes {
			e.Apply(&ledger.Entry{Kind: ledger.KindSession, Received: x.Received, Change: c.Kind, Session: c.Session}, note)
		}
	}
	e.Settle(note)
	out.TooCoarse = e.TooCoarse()[tracePile]
	return out, nil
}

// entry is the i-th point as an entry of the journal.
func (t *Trace) entry(i int, zero devices.Millis) ledger.Entry {
	p := t.Points[i]
	when := zero + devices.Millis(math.Round(p[0]*1000))
	r := devices.Reading{Pile: tracePile, Port: 1, Time: when, DeviceTime: true, PowerMW: int64(math.Round(p[1] * 1000))}
	if t.packMWh > 0 {
		r.Card = traceCard
	}
	if len(t.EnergyWh) > 0 {
		r.EnergyMWh, r.Has = int64(math.Round(t.EnergyWh[i]*1000)), devices.HasEnergy
	}
	return ledger.Entry{Kind: ledger.KindReading, Received: when, Reading: r}
}

// note takes a flag that was raised, or rose.
func (o *Outcome) note(c FlagChange, zero devices.Millis) {
	f := c.Flag
	if c.Cleared {
		return
	}
	l := levelOf(f.Severity)
	if l < warning {
		if !slices.Contains(o.Info, f.Rule) {
			o.Info = append(o.Info, f.Rule)
		}
		return
	}
	if !slices.Contains(o.Rules, f.Rule) {
		o.Rules = append(o.Rules, f.Rule)
	}
	if !o.Flagged {
		at := max(f.RaisedAt, f.SeverityAt).Sub(zero).Seconds()
		o.Flagged, o.FirstFlagS = true, &at
	}
	o.Suspicion, o.MessageZH, o.MessageEN = f.Suspicion, f.Message, f.MessageEN // the newest knows most
	if o.Severity == "" || l > levelOf(o.Severity) {
		o.Severity = f.Severity
	}
}
