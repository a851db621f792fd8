package native

import (
	"bytes"
	"encoding/json"
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// names keeps one copy of what each port last said of its card and order, so that
// a reading of a session under way allocates nothing and finds it with one look-up
// a message.
type names struct {
	piles map[string][]said // by port, from 1
	ports int
}

// said is what a port said, as JSON; "" for nothing.
type said struct{ card, order string }

const mostPorts = 1 << 20 // of a city

// of gives what was said by the ports of a pile, at least as many as are asked for.
func (n *names) of(pile string, ports int) []said {
	old := n.piles[pile]
	if len(old) >= ports {
		return old
	}
	if n.ports += ports - len(old); n.ports > mostPorts {
		clear(n.piles)
		n.ports = ports
	}
	longer := make([]said, ports)
	copy(longer, old)
	n.piles[strings.Clone(pile)] = longer
	return longer
}

// read gives what a message says now.
func (s *said) read(cardJSON, orderJSON json.RawMessage) (card, order string, rej *devices.Reject) {
	if card, rej = name("card", cardJSON, &s.card); rej != nil {
		return "", "", rej
	}
	order, rej = name("order", orderJSON, &s.order)
	return card, order, rej
}

// name gives the name in raw: "" where it is absent. last is the name that stood
// there before. what says in a refusal which name it is.
func name(what string, raw json.RawMessage, last *string) (string, *devices.Reject) {
	if string(raw) == *last {
		return unquoted(*last), nil
	}
	if field.Absent(raw) {
		*last = ""
		return "", nil
	}
	s, ok := text(raw)
	if !ok {
		return "", devices.Rejectf(devices.Malformed, "%s %s, expected a string", what, field.Shown(raw))
	}
	if r := field.Name(what, s); r != nil {
		return "", r
	}
	if bytes.IndexByte(raw, '\\') < 0 { // s is what is between the quotes
		*last = string(raw)
		s = unquoted(*last)
	}
	return s, nil
}

func unquoted(raw string) string {
	if raw != "" && raw[0] == '"' {
		return raw[1 : len(raw)-1]
	}
	return raw
}

// text gives a string, or an integer as its digits.
func text(raw json.RawMessage) (string, bool) {
	for _, c := range raw {
		if c < '0' || c > '9' {
			return field.Text(raw)
		}
	}
	return string(raw), true
}
