// Package field reads single values the way every decoder reads them: numbers
// into whole thousandths with their bounds, ports, names that become labels,
// and the JSON around them. It promises that what it lets pass satisfies the
// vocabulary of package devices, and that each refusal names the quantity and
// what was found. The values themselves stay raw JSON until they are asked for,
// so that one of a wrong type spoils its own entry and no other.
package field

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"pilewatch/devices"
)

// MaxName is the longest name of a pile, a card or an order, in bytes. Names
// become labels of metrics and keys of the ledger.
const MaxName = 64

// Check refuses a payload that is too long or is not text. Every decoder of a
// text format calls it before it reads anything.
func Check(in devices.Input) *devices.Reject {
	if len(in.Payload) > devices.MaxPayload {
		return devices.Rejectf(devices.TooLarge, "payload of %d bytes, at most %d are read", len(in.Payload), devices.MaxPayload)
	}
	if !utf8.Valid(in.Payload) {
		return devices.Rejectf(devices.InvalidUTF8, "payload is not UTF-8 text")
	}
	return nil
}

// Pile refuses what cannot name a pile: nothing, or what Name refuses.
func Pile(id string) *devices.Reject {
	if id == "" {
		return devices.Rejectf(devices.Malformed, "pile id is empty")
	}
	return Name("pile id", id)
}

// Name refuses a name over MaxName bytes or with characters that are not text.
// what says in the refusal which name it is.
func Name(what, s string) *devices.Reject {
	if len(s) > MaxName {
		return devices.Rejectf(devices.Malformed, "%s has %d bytes, at most %d are taken", what, len(s), MaxName)
	}
	if !utf8.ValidString(s) {
		return devices.Rejectf(devices.InvalidUTF8, "%s %q is not UTF-8 text", what, s)
	}
	for _, c := range s {
		if unicode.IsControl(c) {
			return devices.Rejectf(devices.Malformed, "%s %q has control characters", what, s)
		}
	}
	return nil
}

// Absent reports whether a message said nothing in a field: no such key, or null.
func Absent(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }

// Number gives the number in raw; ok is false for anything else, and for a
// number that no float64 holds.
func Number(raw json.RawMessage) (x float64, ok bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	if x, ok := decimal(raw); ok {
		return x, true
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	return x, err == nil
}

// powers are the powers of ten that a point can divide by.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// decimal gives what strconv.ParseFloat gives of at most 15 digits with or without
// a point, in a quarter of the time: a float64 holds the digits and the power of
// ten exactly, so that their quotient is rounded once. ok is false for anything else.
func decimal(raw []byte) (x float64, ok bool) {
	text := raw
	if text[0] == '-' {
		text = text[1:]
	}
	var digits int64
	n, point := 0, -1
	for _, c := range text {
		switch {
		case c-'0' <= 9:
			digits = digits*10 + int64(c-'0')
			n++
		case c == '.' && point < 0:
			point = n
		default:
			return 0, false
		}
	}
	if n == 0 || n >= len(powers) {
		return 0, false
	}
	x = float64(digits)
	if point >= 0 {
		x /= powers[n-point]
	}
	if len(text) < len(raw) {
		x = -x
	}
	return x, true
}

// Text gives the string in raw; ok is false for anything else.
func Text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// Port gives the port number x, or refuses what is none.
func Port(x float64) (uint8, *devices.Reject) {
	if x != math.Trunc(x) || x < 1 || x > math.MaxUint8 {
		return 0, devices.Rejectf(devices.BadPort, "port %v, expected 1 to 255", x)
	}
	return uint8(x), nil
}

// SetPower sets the power of r from watts, or refuses what is outside of
// devices.MinPowerMW and devices.MaxPowerMW.
func SetPower(r *devices.Reading, watts float64) *devices.Reject {
	mw, ok := devices.Milli(watts)
	if !ok || mw < devices.MinPowerMW || mw > devices.MaxPowerMW {
		return devices.Rejectf(devices.BadPower, "power %v W, expected -1 to 100000", watts)
	}
	r.PowerMW = mw
	return nil
}

// Set sets one optional quantity of r, in the base unit: Wh for the registers,
// V, A, degrees Celsius, and the power factor as it is. It refuses what does not
// fit. what is one of HasEnergy, HasOrderEnergy, HasVoltage, HasCurrent,
// HasPowerFactor and HasTemperature.
func Set(r *devices.Reading, what devices.Fields, x float64) *devices.Reject {
	v, ok := devices.Milli(x)
	if !ok || !fits(what, v) {
		return notANumber(what, x)
	}
	switch what {
	case devices.HasEnergy:
		r.EnergyMWh = v
	case devices.HasOrderEnergy:
		r.OrderMWh = v
	case devices.HasVoltage:
		r.VoltageMV = int32(v)
	case devices.HasCurrent:
		r.CurrentMA = int32(v)
	case devices.HasPowerFactor:
		r.PFMilli = int16(v)
	case devices.HasTemperature:
		r.TempMC = int32(v)
	}
	r.Has |= what
	return nil
}

// SetStatus sets one quantity of s: HasEnergy (the main meter, Wh),
// HasTemperature (degrees Celsius) or HasRSSI (dBm). It refuses what does not fit.
func SetStatus(s *devices.Status, what devices.Fields, x float64) *devices.Reject {
	v, ok := devices.Milli(x)
	if !ok || !fits(what, v) {
		return notANumber(what, x)
	}
	switch what {
	case devices.HasEnergy:
		s.MainMWh = v
	case devices.HasTemperature:
		s.TempMC = int32(v)
	case devices.HasRSSI:
		s.RSSI = int32(math.Round(x))
	}
	s.Has |= what
	return nil
}

// fits reports whether v thousandths of a quantity have room in its field.
func fits(what devices.Fields, v int64) bool {
	switch what {
	case devices.HasEnergy, devices.HasOrderEnergy:
		return true
	case devices.HasPowerFactor:
		return v == int64(int16(v))
	}
	return v == int64(int32(v))
}

func notANumber(what devices.Fields, x float64) *devices.Reject {
	return devices.Rejectf(devices.BadNumber, "%s %v is absurd", Quantity(what), x)
}

// Quantity names an optional quantity for a refusal.
func Quantity(what devices.Fields) string {
	switch what {
	case devices.HasEnergy:
		return "energy register"
	case devices.HasOrderEnergy:
		return "order's energy register"
	case devices.HasVoltage:
		return "voltage"
	case devices.HasCurrent:
		return "current"
	case devices.HasPowerFactor:
		return "power factor"
	case devices.HasTemperature:
		return "temperature"
	case devices.HasRSSI:
		return "rssi"
	case devices.HasSeq:
		return "seq"
	}
	return "number"
}
