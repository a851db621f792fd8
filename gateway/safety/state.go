package safety

import (
	"fmt"
	"io"

	"pilewatch/devices"
	"pilewatch/gateway/lines"
)

// stateFormat changes with what the fields of a checkpoint mean.
const stateFormat = 3

// stateFile is the head of a checkpoint; a line for each pile follows.
type stateFile struct {
	Format   int                    `json:"format"`
	Registry registry               `json:"registry"`
	Outage   outage                 `json:"outage"`
	Flags    flags                  `json:"flags,omitempty"`
	Cards    map[string]*cardMemory `json:"cards,omitempty"`
	Hour     devices.Millis         `json:"hour,omitempty"`
	Received devices.Millis         `json:"received"`
	Listens  devices.Millis         `json:"listens"`
	Ticked   devices.Millis         `json:"ticked"`
	Asleep   bool                   `json:"asleep,omitempty"`
	Due      string                 `json:"due,omitempty"` // the pile of a reading that is not judged yet
	DuePort  uint8                  `json:"due_port,omitempty"`
}

// WriteTo writes the state for a checkpoint: the same state, the same bytes.
func (e *Engine) WriteTo(w io.Writer) (int64, error) {
	f := stateFile{
		Format:   stateFormat,
		Registry: e.registry, Outage: e.outage, Flags: e.flags, Received: e.received,
		Cards: e.cards, Hour: e.hour, Listens: e.listens, Ticked: e.ticked, Asleep: e.asleep,
	}
	if e.due != nil {
		f.Due, f.DuePort = e.due.pile.Name, e.due.port.Number
	}
	var x savedPile
	return lines.Write(w, f, func(yield func(*savedPile) bool) {
		for _, name := range e.names() {
			if e.piles[name].save(&x); !yield(&x) {
				return
			}
		}
	})
}

// ReadFrom makes the state what WriteTo wrote. The rules and their thresholds stay
// those of New. With an error the engine cannot be used.
func (e *Engine) ReadFrom(r io.Reader) (int64, error) {
	var f stateFile
	e.piles, e.order, e.latest, e.due = map[string]*pile{}, nil, nil, nil
	l := loader{texts: lines.Texts{}, room: make([]byte, 0, windowSize*sampleMost)}
	n, err := lines.Read(r, &f, func(x *savedPile) {
		e.add(l.pile(x))
	})
	if err == nil {
		err = l.err
	}
	if err != nil {
		return n, fmt.Errorf("checkpoint of the safety rules: %w", err)
	}
	if f.Format != stateFormat {
		return n, fmt.Errorf("checkpoint of the safety rules: format %d, and this program reads %d", f.Format, stateFormat)
	}
	e.registry, e.outage, e.flags, e.received = f.Registry, f.Outage, f.Flags, f.Received
	e.listens, e.ticked, e.asleep = f.Listens, f.Ticked, f.Asleep
	e.hour, e.cards = f.Hour, l.cards(f.Cards)
	if f.Registry.Zone != "" {
		e.loc = location(f.Registry.Zone)
	}
	if p := e.piles[f.Due]; p != nil {
		e.dueAt = place{p, p.port(f.DuePort)}
		e.due = &e.dueAt
	}
	return n, nil
}
