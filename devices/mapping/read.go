package mapping

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// eval gives the value of e in scope; nil where e is left out, or uses a field that
// is missing and does not say what to do then. It refuses, with reason, an
// expression that fails.
func (d *decoder) eval(s *scope, e *expression, reason devices.Reason) (any, *devices.Reject) {
	if e == nil {
		return nil, nil
	}
	missing := e.missing(s)
	if missing && !e.asks {
		return nil, nil
	}
	v, err := d.machine.Run(e.program, s.env)
	if err != nil && !missing {
		return nil, devices.Rejectf(reason, "%s: %.120q", e.key, oneLine(err))
	}
	return v, nil
}

// number gives the value of e as a number; given is false where it is absent.
func (d *decoder) number(s *scope, e *expression, reason devices.Reason) (x float64, given bool, rej *devices.Reject) {
	v, rej := d.eval(s, e, reason)
	if v == nil || rej != nil {
		return 0, false, rej
	}
	switch n := v.(type) {
	case int:
		return float64(n), true, nil
	case float64:
		return n, true, nil
	case string:
		n = strings.TrimSpace(n)
		if x, err := strconv.ParseFloat(n, 64); err == nil || n == "" {
			return x, n != "", nil
		}
	}
	return 0, false, devices.Rejectf(reason, "%s: %.60q is no number", e.key, fmt.Sprint(v))
}

// name gives the value of e as text: a string, or the digits of a whole number.
func (d *decoder) name(s *scope, e *expression) (string, *devices.Reject) {
	v, rej := d.eval(s, e, devices.Malformed)
	if v == nil || rej != nil {
		return "", rej
	}
	switch n := v.(type) {
	case string:
		return strings.Clone(n), field.Name(e.key, n) // n is a part of the whole message
	case int:
		return strconv.Itoa(n), nil
	case float64:
		if n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
			return strconv.FormatFloat(n, 'f', 0, 64), nil
		}
	}
	return "", devices.Rejectf(devices.Malformed, "%s: %.60q is no name", e.key, fmt.Sprint(v))
}

// read fills r, but for time and seq, from the element in scope.
func (d *decoder) read(s *scope, r *devices.Reading) (rej *devices.Reject) {
	if r.Pile, rej = d.name(s, d.rules.pile); rej != nil {
		return rej
	}
	if rej = field.Pile(r.Pile); rej != nil {
		return rej
	}
	if rej = d.setPort(s, r); rej != nil {
		return rej
	}
	if rej = d.setPower(s, r); rej != nil {
		return rej
	}
	for _, q := range d.rules.quantities {
		x, given, rej := d.number(s, q.expression, devices.BadNumber)
		if rej == nil && given {
			rej = field.Set(r, q.what, x)
		}
		if rej != nil {
			return rej
		}
	}
	if r.Card, rej = d.name(s, d.rules.card); rej != nil {
		return rej
	}
	if r.Order, rej = d.name(s, d.rules.order); rej != nil {
		return rej
	}
	r.State = d.state(s)
	return nil
}

func (d *decoder) setPort(s *scope, r *devices.Reading) *devices.Reject {
	if d.rules.port == nil {
		r.Port = 1
		return nil
	}
	x, given, rej := d.number(s, d.rules.port, devices.BadPort)
	if rej == nil && !given {
		rej = devices.Rejectf(devices.BadPort, "port is missing, expected 1 to 255")
	}
	if rej != nil {
		return rej
	}
	r.Port, rej = field.Port(x)
	return rej
}

func (d *decoder) setPower(s *scope, r *devices.Reading) *devices.Reject {
	x, given, rej := d.number(s, d.rules.power, devices.BadPower)
	switch {
	case rej != nil:
		return rej
	case !given:
		return devices.Rejectf(devices.BadPower, "power_w is missing, expected watts")
	}
	return field.SetPower(r, x)
}

// setSeq sets the message's counter, or refuses what is no integer.
func (d *decoder) setSeq(s *scope, r *devices.Reading) *devices.Reject {
	x, given, rej := d.number(s, d.rules.sequence, devices.BadNumber)
	if rej != nil || !given {
		return rej
	}
	if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return devices.Rejectf(devices.BadNumber, "seq: %v is no integer", x)
	}
	r.Seq, r.Has = int64(x), r.Has|devices.HasSeq
	return nil
}

// state gives the port's state; what is no known state is unknown.
func (d *decoder) state(s *scope) devices.PortState {
	v, rej := d.eval(s, d.rules.state, devices.Malformed)
	if v == nil && rej == nil {
		return devices.StateNone
	}
	name, ok := v.(string)
	if state, known := devices.ParseState(name); ok && known {
		return state
	}
	return devices.StateUnknown
}

// clock gives the time of the element.
func (d *decoder) clock(s *scope, received devices.Millis) (at devices.Millis, device bool) {
	v, _ := d.eval(s, d.rules.time, devices.Malformed)
	var sent devices.Millis
	ok := false
	switch t := v.(type) {
	case string:
		sent, ok = field.InstantText(t, d.location)
	case int:
		sent, ok = field.Unix(float64(t))
	case float64:
		sent, ok = field.Unix(t)
	}
	if !ok {
		return received, false
	}
	return devices.Clock(sent, received)
}
