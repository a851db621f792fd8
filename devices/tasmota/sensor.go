package tasmota

import (
	"encoding/json"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// sensor is a SENSOR message, every value as it was written.
type sensor struct {
	Time   json.RawMessage
	Energy json.RawMessage `json:"ENERGY"`
	Analog struct {
		Temperature json.RawMessage
	} `json:"ANALOG"`
	TempUnit json.RawMessage // "C" or "F"
}

// energy is what the meter says: each is one value, or an array of one a channel.
type energy struct {
	Power   values // W
	Total   values // kWh
	Factor  values
	Voltage values // V
	Current values // A
}

func (d *decoder) sensor(pile string, in devices.Input, m *devices.Message) error {
	var msg sensor
	if r := field.Unmarshal(json.Unmarshal, in.Payload, &msg); r != nil {
		return r
	}
	batch := field.Begin(m)
	at, device := d.clock(msg.Time, in.Received)
	if r := readEnergy(msg.Energy, devices.Reading{Pile: pile, Time: at, DeviceTime: device}, m); r != nil {
		batch.Refuse(r)
	}
	s := d.status(pile, msg.Time, in.Received)
	if r := setTemperature(&s, msg.Analog.Temperature, msg.TempUnit); r != nil {
		batch.Refuse(r)
	}
	addStatus(m, &s)
	return batch.End()
}

// readEnergy adds a reading for each channel of the meter, and a refusal for
// each that is wrong; what it returns refuses the whole meter.
func readEnergy(raw json.RawMessage, common devices.Reading, m *devices.Message) *devices.Reject {
	if field.Absent(raw) {
		return nil
	}
	var e energy
	if err := json.Unmarshal(raw, &e); err != nil {
		return devices.Rejectf(devices.Malformed, "ENERGY %s, expected an object", field.Shown(raw))
	}
	n := max(len(e.Power.each), 1)
	if n > 255 {
		return devices.Rejectf(devices.Malformed, "Power of %d channels, at most 255 are read", n)
	}
	for i := range n {
		r := common
		r.Port = uint8(i + 1)
		if rej := e.read(i, n, &r); rej != nil {
			m.Rejects = append(m.Rejects, *rej)
			continue
		}
		m.Readings = append(m.Readings, r)
	}
	return nil
}

// read fills r from channel i of n.
func (e *energy) read(i, n int, r *devices.Reading) *devices.Reject {
	if rej := field.SetRawPower(r, e.Power.of(i, n)); rej != nil {
		return rej
	}
	voltage := e.Voltage.of(i, n)
	if e.Voltage.each == nil {
		voltage = e.Voltage.one // the same for all channels
	}
	rej := field.SetRaw(r,
		field.Raw{What: devices.HasPowerFactor, JSON: e.Factor.of(i, n)},
		field.Raw{What: devices.HasVoltage, JSON: voltage},
		field.Raw{What: devices.HasCurrent, JSON: e.Current.of(i, n)})
	total := e.Total.of(i, n)
	if rej != nil || field.Absent(total) {
		return rej
	}
	kwh, ok := field.Number(total)
	if !ok {
		return devices.Rejectf(devices.BadNumber, "Total %s is no number", field.Shown(total))
	}
	return field.Set(r, devices.HasEnergy, kwh*1000)
}

// setTemperature sets the temperature inside the plug.
func setTemperature(s *devices.Status, raw, unit json.RawMessage) *devices.Reject {
	if field.Absent(raw) {
		return nil
	}
	x, ok := field.Number(raw)
	if !ok {
		return devices.Rejectf(devices.BadNumber, "ANALOG.Temperature %s is no number", field.Shown(raw))
	}
	if string(unit) == `"F"` {
		x = (x - 32) * 5 / 9
	}
	return field.SetStatus(s, devices.HasTemperature, x)
}

// values is a quantity of the meter: one value, or one for each channel.
type values struct {
	one  json.RawMessage
	each []json.RawMessage
}

// UnmarshalJSON keeps what raw holds, whatever it is.
func (v *values) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		return json.Unmarshal(raw, &v.each)
	}
	v.one = append(v.one[:0], raw...)
	return nil
}

// of gives the value of channel i of n: one value is that of the only channel,
// but of none where there are several.
func (v *values) of(i, n int) json.RawMessage {
	switch {
	case i < len(v.each):
		return v.each[i]
	case v.each == nil && n == 1:
		return v.one
	}
	return nil
}
