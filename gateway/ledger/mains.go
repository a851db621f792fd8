package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// PileEnergy is what a pile's meters counted in a span.
type PileEnergy struct {
	Pile      string         `json:"pile"`
	Building  string         `json:"building"`
	HasMain   bool           `json:"has_main"`   // the pile has a main meter (总表), and said so in the span
	MainStart int64          `json:"main_start"` // its register, mWh, the last before the span, else the first in it
	MainEnd   int64          `json:"main_end"`
	MainMWh   int64          `json:"main_mwh"`  // its advance: the sum of the steps, a fall counting as none
	MainFell  bool           `json:"main_fell"` // the register fell: replaced or reset
	PortsMWh  int64          `json:"ports_mwh"` // all energy of its ports, in a session or not
	from      devices.Millis // of MainEnd
}

// Mains folds the journal again and gives what each pile's meters counted from
// from to to, by name. The step that leads over a bound counts to the later side.
func (l *Ledger) Mains(ctx context.Context, from, to devices.Millis, progress func(float64)) ([]PileEnergy, error) {
	state, next, err := l.origin(ctx)
	if err != nil {
		return nil, err
	}
	m := mains{from: from, to: to, state: state, piles: map[string]*PileEnergy{}}
	for head := l.Head(); next < head; {
		b, err := l.Read(ctx, next, 1<<16)
		if err != nil {
			return nil, err
		}
		if len(b.Entries) == 0 {
			break
		}
		for i := range b.Entries {
			if err := m.step(&b.Entries[i]); err != nil {
				return nil, err
			}
		}
		next = b.Next()
		progress(float64(next) / float64(head))
	}
	return m.result(), nil
}

type mains struct {
	from, to devices.Millis
	state    *session.State
	piles    map[string]*PileEnergy
	changes  []session.Change
}

func (m *mains) step(e *Entry) error {
	in, ok := e.Input()
	if !ok {
		return nil
	}
	if e.Kind == KindStatus && e.Status.Has.Has(devices.HasEnergy) {
		m.main(e.Status)
	}
	pile, port, at := sampled(e)
	before := m.total(pile, port)
	var err error
	if m.changes, _, err = session.Step(m.state, in, m.changes[:0]); err != nil {
		return fmt.Errorf("deriving the meters: %w", err)
	}
	if at >= m.from && at < m.to {
		if advance := m.total(pile, port) - before; advance != 0 {
			m.pile(pile).PortsMWh += advance
		}
	}
	return nil
}

// sampled gives the port whose meter an entry may carry, and when: a reading, or
// an event, which is a sample too where it has the register. The port is 0 for
// another entry.
func sampled(e *Entry) (pile string, port uint8, at devices.Millis) {
	switch e.Kind {
	case KindReading:
		return e.Reading.Pile, e.Reading.Port, e.Reading.Time
	case KindEvent:
		return e.Event.Pile, e.Event.Port, e.Event.Time
	}
	return "", 0, 0
}

func (m *mains) total(pile string, port uint8) int64 {
	if q := m.state.Port(pile, port); q != nil {
		return q.TotalMWh
	}
	return 0
}

func (m *mains) pile(name string) *PileEnergy {
	p := m.piles[name]
	if p == nil {
		p = &PileEnergy{Pile: name, MainStart: -1, MainEnd: -1}
		m.piles[name] = p
	}
	return p
}

// main takes a value of a pile's main meter. One that is older than the newest is passed over.
func (m *mains) main(s *devices.Status) {
	p := m.pile(s.Pile)
	if s.Time >= m.to || s.Time < p.from || s.MainMWh < 0 {
		return
	}
	p.from = s.Time
	if s.Time < m.from {
		p.MainStart, p.MainEnd = s.MainMWh, s.MainMWh
		return
	}
	switch {
	case p.MainStart < 0:
		p.MainStart = s.MainMWh
	case s.MainMWh < p.MainEnd:
		p.MainFell = true
	default:
		p.MainMWh += s.MainMWh - p.MainEnd
	}
	p.HasMain, p.MainEnd = true, s.MainMWh
}

func (m *mains) result() []PileEnergy {
	out := []PileEnergy{}
	for name, p := range m.piles {
		if p.HasMain || p.PortsMWh != 0 {
			if known := m.state.Piles[name]; known != nil {
				p.Building = known.Building
			}
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b PileEnergy) int { return strings.Compare(a.Pile, b.Pile) })
	return out
}
