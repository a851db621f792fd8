// Package mapping decodes any vendor's JSON by expressions in the configuration,
// without code. For a pile that publishes to acme/P09/up
//
//	{"data":{"t":1795436130,"sockets":[{"id":1,"st":1,"p":1824,"kwh":12.345,"uid":"04A1B2C3"}]}}
//
// the mapping reads
//
//	pile: topic[1]                              # acme is topic[0]
//	each: data.sockets                          # one reading for each element
//	port: id                                    # 1 where it is left out
//	time: data.t                                # or the time of receipt
//	power_w: p / 10
//	energy_wh: kwh * 1000
//	state: 'st == 1 ? "charging" : "idle"'
//	card: uid
//
// The keys are pile and power_w, which are required, and each, port, time,
// energy_wh, order_wh, voltage_v, current_a, power_factor, temperature_c, state,
// card, order and seq. New refuses any other key, and an expression that does not
// compile, by its key.
//
// The key each is a gjson path (github.com/tidwall/gjson) to an array; without it
// the message itself is the one element. All others are expressions of
// github.com/expr-lang/expr, which see
//   - the fields of the element and of the message by name: the element's field
//     where both have one of that name (time above is of the message, id of the
//     element);
//   - it, the element, and msg, the message, for it["a name"], msg.id and the like;
//   - index, the element's place from 0, and topic, the segments of the topic.
//
// What it promises beyond devices.Decoder:
//   - A number may be a numeric string, as some vendors write all of them: "12.5"
//     is 12.5. In arithmetic write float(p) / 10 then.
//   - An expression that uses a field which is missing or null has no value, nor has
//     the text "": an optional quantity is absent then, and a required one refuses
//     the element alone. An expression with ??, ?. or nil decides for itself:
//     st ?? 0 is 0 without st. A value of a wrong type refuses the element alone,
//     whichever the quantity.
//   - time is RFC 3339, unix seconds or milliseconds, or a date and time in the
//     estate's zone; what it cannot read counts as none. A state it does not know is
//     unknown. A seq that is no integer is refused alone.
//   - An array without elements says nothing.
//   - The cost is bounded by the lengths of expression and message. There are no
//     loops and no clock, and 16 levels of a message are seen. The functions are abs
//     ceil first float floor get hasPrefix hasSuffix indexOf int last lastIndexOf len
//     lower max min round split string trim trimPrefix trimSuffix upper.
//
// It remembers nothing.
package mapping

import (
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/tidwall/gjson"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// mostElements bounds what one message may hold; vendors that buffer send hundreds.
const mostElements = 4096

type decoder struct {
	rules    rules
	location *time.Location
	machine  vm.VM
}

// New builds the decoder from o.Mapping. Its error names every key that is wrong.
func New(o devices.Options) (devices.Decoder, error) {
	rules, err := compile(o.Mapping)
	if err != nil {
		return nil, err
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	return &decoder{rules: rules, location: o.Location, machine: vm.VM{MemoryBudget: 10_000}}, nil
}

// Decode implements devices.Decoder.
func (d *decoder) Decode(in devices.Input, m *devices.Message) error {
	if r := field.Check(in); r != nil {
		return r
	}
	raw, rej := field.Valid(in.Payload)
	if rej != nil {
		return rej
	}
	msg := gjson.ParseBytes(raw)
	elements, rej := d.elements(msg)
	if rej != nil {
		return rej
	}
	batch := field.Begin(m)
	s := newScope(&d.rules, msg, in.Topic)
	for i, element := range elements {
		s.enter(i, element)
		r := devices.Reading{}
		if rej := d.read(s, &r); rej != nil {
			batch.Refuse(rej)
			continue
		}
		if rej := d.setSeq(s, &r); rej != nil {
			batch.Refuse(rej)
		}
		r.Time, r.DeviceTime = d.clock(s, in.Received)
		m.Readings = append(m.Readings, r)
	}
	return batch.End()
}

// elements gives the elements of a message.
func (d *decoder) elements(msg gjson.Result) ([]gjson.Result, *devices.Reject) {
	each := d.rules.each
	if each == "" {
		return []gjson.Result{msg}, nil
	}
	list := msg.Get(each)
	if !list.IsArray() {
		return nil, devices.Rejectf(devices.Malformed, "each: no array at %.80q", each)
	}
	elements := list.Array()
	if n := len(elements); n > mostElements {
		return nil, devices.Rejectf(devices.Malformed, "each: %d elements, at most %d are read", n, mostElements)
	}
	return elements, nil
}
