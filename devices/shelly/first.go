package shelly

import (
	"bytes"
	"encoding/json"
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// firstGeneration reads shellies/<pile>/..., one value a topic.
func (d *decoder) firstGeneration(in message) error {
	switch in.what {
	case "online":
		return d.online(in)
	case "temperature":
		return temperature(in)
	}
	relay, ok := strings.CutPrefix(in.what, "relay/")
	index, what, _ := strings.Cut(relay, "/")
	if !ok || what != "power" && what != "energy" {
		return nil
	}
	k, rej := keyOf(in.pile, index)
	if rej != nil {
		return rej
	}
	sw := d.switches.of(k)
	if what == "power" {
		rej = sw.setPower(in.value())
	} else {
		rej = sw.setWattMinutes(in.value())
	}
	if rej != nil {
		return rej
	}
	d.switches.keep(k, sw)
	both := what == "energy" || !sw.reading.Has.Has(devices.HasEnergy)
	if sw.power && both && !in.Retained {
		sw.reading.Time = in.Received
		in.out.Readings = append(in.out.Readings, sw.reading)
	}
	return nil
}

func (in *message) value() json.RawMessage { return bytes.TrimSpace(in.Payload) }

func (sw *known) setPower(watts json.RawMessage) *devices.Reject {
	sw.power = true
	return field.SetRawPower(&sw.reading, watts)
}

// setWattMinutes sets the register: 60,000 mWh are 1,000 watt-minutes.
func (sw *known) setWattMinutes(raw json.RawMessage) *devices.Reject {
	x, ok := field.Number(raw)
	thousandths, fits := devices.Milli(x)
	if !ok || !fits || thousandths < 0 {
		return devices.Rejectf(devices.BadNumber, "energy %s, expected watt-minutes", field.Shown(raw))
	}
	sw.reading.EnergyMWh = (thousandths + 30) / 60 // half up
	sw.reading.Has |= devices.HasEnergy
	return nil
}

func temperature(in message) error {
	batch := field.Begin(in.out)
	s := devices.Status{Pile: in.pile, Time: in.Received}
	field.SetRawStatus(in.out, &s, field.Raw{What: devices.HasTemperature, JSON: in.value()})
	if s.Has != 0 {
		in.out.Statuses = append(in.out.Statuses, s)
	}
	return batch.End()
}
