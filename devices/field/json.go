package field

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"pilewatch/devices"
)

// Unmarshal reads payload, an object, into v with f, which is
// encoding/json.Unmarshal or a stand-in for it. A value of another type than its
// field's leaves the field as it was, and the rest is read: fields that must know
// are json.RawMessage. It refuses what Valid refuses and what is no object, and
// leaves v undefined then.
func Unmarshal(f func([]byte, any) error, payload []byte, v any) *devices.Reject {
	if f(payload, v) != nil {
		valid, rej := Valid(payload)
		if rej != nil {
			return rej
		}
		_ = f(valid, v) // what is left to fail is a type
	}
	return object(payload)
}

// Valid gives payload itself if it is JSON. If a bare NaN or Infinity (Python and
// printf write them) is all that makes it none, it gives what Repair makes of it.
// It refuses anything else.
func Valid(payload []byte) (json.RawMessage, *devices.Reject) {
	var raw json.RawMessage
	err := json.Unmarshal(payload, &raw)
	if err == nil {
		return payload, nil
	}
	if repaired, ok := Repair(payload); ok && json.Valid(repaired) {
		return repaired, nil
	}
	return nil, devices.Rejectf(devices.Malformed, "not JSON: %.150s", err.Error())
}

func object(payload []byte) *devices.Reject {
	if text := bytes.TrimLeft(payload, " \t\r\n"); text[0] != '{' {
		return devices.Rejectf(devices.Malformed, "%s, expected an object", Shown(text))
	}
	return nil
}

// Repair puts an array with its text, which is no number, in the place of each
// bare NaN, Infinity or inf of payload, with its sign. ok is false if there is
// none; payload itself is never written.
func Repair(payload []byte) (repaired []byte, ok bool) {
	for i := 0; i < len(payload); {
		n := tokenLen(payload[i:])
		if token := payload[i : i+n]; isNoNumber(token) {
			repaired, ok = fmt.Appendf(repaired, "[%q]", token), true
		} else {
			repaired = append(repaired, token...)
		}
		i += n
	}
	return repaired, ok
}

// tokenLen gives the length of what b, which is not empty, begins with: a whole
// string, a word of letters with its sign, or one byte.
func tokenLen(b []byte) int {
	n := 1
	switch c := b[0]; {
	case c == '"':
		for n < len(b) && b[n] != '"' {
			if b[n] == '\\' {
				n++
			}
			n++
		}
		return min(n+1, len(b))
	case c == '-' || c == '+' || isLetter(c):
		for n < len(b) && isLetter(b[n]) {
			n++
		}
	}
	return n
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isNoNumber(token []byte) bool {
	if token[0] == '-' || token[0] == '+' {
		token = token[1:]
	}
	for _, word := range [...]string{"nan", "inf", "infinity"} {
		if len(token) == len(word) && strings.EqualFold(string(token), word) {
			return true
		}
	}
	return false
}
