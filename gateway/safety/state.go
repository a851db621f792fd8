package safety

import (
	"encoding/json"
	"fmt"

	"pilewatch/devices"
)

// stateFormat changes with what the fields of a checkpoint mean.
const stateFormat = 3

// stateFile is the state of an engine in a checkpoint.
type stateFile struct {
	Format   int                    `json:"format"`
	Registry registry               `json:"registry"`
	Piles    []*pile                `json:"piles"`
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

// MarshalBinary encodes the state for a checkpoint: the same state, the same bytes.
func (e *Engine) MarshalBinary() ([]byte, error) {
	f := stateFile{
		Format:   stateFormat,
		Registry: e.registry, Outage: e.outage, Flags: e.flags, Received: e.received,
		Cards: e.cards, Hour: e.hour, Listens: e.listens, Ticked: e.ticked, Asleep: e.asleep,
	}
	for _, name := range e.order {
		f.Piles = append(f.Piles, e.piles[name])
	}
	if e.due != nil {
		f.Due, f.DuePort = e.due.pile.Name, e.due.port.Number
	}
	return json.Marshal(f)
}

// UnmarshalBinary reads what MarshalBinary gave. The rules and their thresholds
// stay those of New.
func (e *Engine) UnmarshalBinary(b []byte) error {
	var f stateFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("checkpoint of the safety rules: %w", err)
	}
	if f.Format != stateFormat {
		return fmt.Errorf("checkpoint of the safety rules: format %d, and this program reads %d", f.Format, stateFormat)
	}
	e.registry, e.outage, e.flags, e.received = f.Registry, f.Outage, f.Flags, f.Received
	e.listens, e.ticked, e.asleep = f.Listens, f.Ticked, f.Asleep
	e.hour, e.cards = f.Hour, f.Cards
	if e.cards == nil {
		e.cards = map[string]*cardMemory{}
	}
	if f.Registry.Zone != "" {
		e.loc = location(f.Registry.Zone)
	}
	e.piles, e.order, e.latest, e.due = map[string]*pile{}, nil, nil, nil
	for _, p := range f.Piles {
		e.piles[p.Name] = p
		e.order = append(e.order, p.Name)
	}
	if p := e.piles[f.Due]; p != nil {
		e.dueAt = place{p, p.port(f.DuePort)}
		e.due = &e.dueAt
	}
	return nil
}
