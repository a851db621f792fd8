package native

import (
	"encoding/json"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// names keeps one copy of each card and order, so that a reading of a session
// under way allocates nothing.
type names map[string]string

const mostNames = 64 << 10 // of a city's ports that charge at once

// read gives the name in raw: "" where it is absent. what says in a refusal
// which name it is.
func (n names) read(what string, raw json.RawMessage) (string, *devices.Reject) {
	if field.Absent(raw) {
		return "", nil
	}
	if known, ok := n[string(raw)]; ok {
		return known, nil
	}
	s, ok := text(raw)
	if !ok {
		return "", devices.Rejectf(devices.Malformed, "%s %s, expected a string", what, field.Shown(raw))
	}
	if r := field.Name(what, s); r != nil {
		return "", r
	}
	if len(n) >= mostNames {
		clear(n)
	}
	n[string(raw)] = s
	return s, nil
}

// text gives a string, or an integer as its digits.
func text(raw json.RawMessage) (string, bool) {
	if s, ok := field.Plain(raw); ok {
		return string(s), true
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return field.Text(raw)
		}
	}
	return string(raw), true
}
