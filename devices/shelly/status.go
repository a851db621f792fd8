package shelly

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// component is a switch as the device reports it, every value as it was written.
type component struct {
	Power   json.RawMessage `json:"apower"`
	Voltage json.RawMessage `json:"voltage"`
	Current json.RawMessage `json:"current"`
	Factor  json.RawMessage `json:"pf"`
	Energy  struct {
		Total json.RawMessage `json:"total"` // Wh
	} `json:"aenergy"`
	Temperature struct {
		Celsius json.RawMessage `json:"tC"`
	} `json:"temperature"`
}

// status reads <pile>/status/<component>, which is always whole.
func (d *decoder) status(in message) error {
	raw, rej := field.Valid(in.Payload)
	if rej != nil {
		return rej
	}
	batch := field.Begin(in.out)
	d.component(in, in.what, bytes.TrimSpace(raw), 0, true)
	return batch.End()
}

// notification reads <pile>/events/rpc.
func (d *decoder) notification(in message) error {
	var msg struct {
		Method string                     `json:"method"`
		Params map[string]json.RawMessage `json:"params"`
	}
	if r := field.Unmarshal(json.Unmarshal, in.Payload, &msg); r != nil {
		return r
	}
	if msg.Method != "NotifyStatus" && msg.Method != "NotifyFullStatus" {
		return nil
	}
	sent, _ := field.Instant(msg.Params["ts"], nil)
	batch := field.Begin(in.out)
	for _, name := range slices.SortedFunc(maps.Keys(msg.Params), byNumber) {
		d.component(in, name, msg.Params[name], sent, msg.Method == "NotifyFullStatus")
	}
	return batch.End()
}

// byNumber orders switch:2 before switch:10.
func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// component adds what one component of a device says. sent is the device's time,
// 0 where it gave none; whole says that what raw leaves out is not there.
func (d *decoder) component(in message, name string, raw json.RawMessage, sent devices.Millis, whole bool) {
	at, device := devices.Clock(sent, in.Received)
	var rej *devices.Reject
	if index, ok := strings.CutPrefix(name, "switch:"); ok {
		rej = d.measure(in, index, raw, whole, devices.Reading{Time: at, DeviceTime: device})
	} else if name == "wifi" {
		rej = wifi(in, raw, devices.Status{Pile: in.pile, Time: at, DeviceTime: device})
	}
	if rej != nil {
		in.out.Rejects = append(in.out.Rejects, *rej)
	}
}

// measure lays raw over what is known of a switch and adds the reading at the
// time in at, if raw measures something and the power is known.
func (d *decoder) measure(in message, index string, raw json.RawMessage, whole bool, at devices.Reading) *devices.Reject {
	if field.Absent(raw) {
		return nil
	}
	k, rej := keyOf(in.pile, index)
	if rej != nil {
		return rej
	}
	var c component
	if raw[0] != '{' || json.Unmarshal(raw, &c) != nil {
		return devices.Rejectf(devices.Malformed, "switch:%.20s %s, expected an object", index, field.Shown(raw))
	}
	sw := d.switches.of(k)
	if whole {
		sw = known{reading: devices.Reading{Pile: k.pile, Port: k.port}}
	}
	measured, rej := sw.lay(&c)
	if rej != nil || !measured {
		return rej
	}
	d.switches.keep(k, sw)
	if !sw.power || in.Retained {
		return nil
	}
	r := sw.reading
	r.Time, r.DeviceTime = at.Time, at.DeviceTime
	in.out.Readings = append(in.out.Readings, r)
	return nil
}

// keyOf gives the key of a switch or relay by its number, from 0.
func keyOf(pile, index string) (key, *devices.Reject) {
	n, err := strconv.ParseUint(index, 10, 8)
	if err != nil || n > 254 {
		return key{}, devices.Rejectf(devices.BadPort, "switch %.20q, expected 0 to 254", index)
	}
	return key{pile, uint8(n + 1)}, nil
}

// lay lays the values of c over what is known; measured says that c has one.
func (sw *known) lay(c *component) (measured bool, rej *devices.Reject) {
	if len(c.Power) > 0 {
		measured, sw.power, sw.reading.PowerMW = true, false, 0
		if !field.Absent(c.Power) {
			sw.power = true
			if rej := field.SetRawPower(&sw.reading, c.Power); rej != nil {
				return false, rej
			}
		}
	}
	for _, q := range [...]field.Raw{
		{What: devices.HasVoltage, JSON: c.Voltage},
		{What: devices.HasCurrent, JSON: c.Current},
		{What: devices.HasPowerFactor, JSON: c.Factor},
		{What: devices.HasEnergy, JSON: c.Energy.Total},
		{What: devices.HasTemperature, JSON: c.Temperature.Celsius},
	} {
		if len(q.JSON) == 0 {
			continue
		}
		measured = true
		if rej := sw.set(q); rej != nil {
			return false, rej
		}
	}
	return measured, nil
}

// set sets one quantity, or forgets it where it is null.
func (sw *known) set(q field.Raw) *devices.Reject {
	if !field.Absent(q.JSON) {
		return field.SetRaw(&sw.reading, q)
	}
	rej := field.Set(&sw.reading, q.What, 0) // nothing of it is left
	sw.reading.Has &^= q.What
	return rej
}

func wifi(in message, raw json.RawMessage, s devices.Status) *devices.Reject {
	var w struct {
		RSSI json.RawMessage `json:"rssi"`
	}
	if field.Absent(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return devices.Rejectf(devices.Malformed, "wifi %s, expected an object", field.Shown(raw))
	}
	field.SetRawStatus(in.out, &s, field.Raw{What: devices.HasRSSI, JSON: w.RSSI})
	if s.Has != 0 {
		in.out.Statuses = append(in.out.Statuses, s)
	}
	return nil
}
