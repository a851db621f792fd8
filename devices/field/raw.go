package field

import (
	"encoding/json"
	"strings"
	"unicode"

	"pilewatch/devices"
)

// Raw is one optional quantity as a message wrote it.
type Raw struct {
	What devices.Fields
	JSON json.RawMessage
}

// RawPort gives the port number in raw, or refuses what is none.
func RawPort(raw json.RawMessage) (uint8, *devices.Reject) {
	x, ok := Number(raw)
	if !ok {
		return 0, devices.Rejectf(devices.BadPort, "port %s, expected 1 to 255", Shown(raw))
	}
	return Port(x)
}

// SetRawPower sets the power of r from watts in raw, or refuses what is missing,
// no number or out of bounds.
func SetRawPower(r *devices.Reading, raw json.RawMessage) *devices.Reject {
	x, ok := Number(raw)
	if !ok {
		return devices.Rejectf(devices.BadPower, "power %s, expected watts", Shown(raw))
	}
	return SetPower(r, x)
}

// SetRaw sets the quantities of r that qs hold, as Set does. It refuses at the
// first that is there and is no number.
func SetRaw(r *devices.Reading, qs ...Raw) *devices.Reject {
	for i := range qs {
		if Absent(qs[i].JSON) {
			continue
		}
		x, ok := Number(qs[i].JSON)
		if !ok {
			return badRaw(&qs[i])
		}
		if rej := Set(r, qs[i].What, x); rej != nil {
			return rej
		}
	}
	return nil
}

// SetRawStatus sets the quantities of s that qs hold, as SetStatus does. Those
// that are no number are added to m.Rejects, and the others are used.
func SetRawStatus(m *devices.Message, s *devices.Status, qs ...Raw) {
	for i := range qs {
		if Absent(qs[i].JSON) {
			continue
		}
		if rej := setRawStatus(s, &qs[i]); rej != nil {
			m.Rejects = append(m.Rejects, *rej)
		}
	}
}

func setRawStatus(s *devices.Status, q *Raw) *devices.Reject {
	x, ok := Number(q.JSON)
	if !ok {
		return badRaw(q)
	}
	return SetStatus(s, q.What, x)
}

func badRaw(q *Raw) *devices.Reject {
	return devices.Rejectf(devices.BadNumber, "%s %s is no number", Quantity(q.What), Shown(q.JSON))
}

// Shown gives raw for a refusal: short, and in one line.
func Shown(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "is missing"
	}
	const most = 40
	text := strings.ToValidUTF8(string(raw[:min(len(raw), most)]), "")
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	if len(raw) > most {
		text += "..."
	}
	return strings.Join(strings.Fields(text), " ")
}
