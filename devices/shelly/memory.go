package shelly

import "pilewatch/devices"

// memory holds the last values of switches, in two halves: when the younger is
// full it becomes the older, and the older is dropped. So it is bounded, and who
// keeps sending stays.
type memory struct{ young, old map[key]known }

type key struct {
	pile string
	port uint8
}

// known is what is known of a switch.
type known struct {
	reading devices.Reading // of no time yet
	power   bool            // the power is known
}

const half = 4096

func newMemory() memory { return memory{young: map[key]known{}, old: map[key]known{}} }

// of gives what is known of a switch, with its pile and port filled in.
func (m *memory) of(k key) known {
	v, ok := m.young[k]
	if !ok {
		v = m.old[k]
	}
	v.reading.Pile, v.reading.Port = k.pile, k.port
	return v
}

func (m *memory) keep(k key, v known) {
	if len(m.young) >= half {
		m.young, m.old = map[key]known{}, m.young
	}
	m.young[k] = v
}

// forget drops what is known of a pile.
func (m *memory) forget(pile string) {
	for port := range 256 {
		delete(m.young, key{pile, uint8(port)})
		delete(m.old, key{pile, uint8(port)})
	}
}
