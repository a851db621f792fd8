// Package tasmota decodes plugs and meters that run Tasmota, with its standard
// topics tele/<pile>/... and stat/<pile>/... (the pile id is Tasmota's Topic).
//
//	tele/P07/SENSOR  {"Time":"2026-11-23T20:15:30","ENERGY":{"Total":6.294,"Power":2635,"Factor":0.99,"Voltage":227,"Current":11.661}}
//	tele/P07/LWT     Online
//
// What it promises beyond devices.Decoder:
//   - ENERGY gives a reading of port 1, or of ports 1 to n where Power is an array.
//     In that case a single Voltage is common to all ports, and any other single
//     value is a sum over them that belongs to none. A port whose value is null or
//     wrong is refused alone.
//   - Time is the estate's local time unless it says its zone.
//   - LWT and the Wi-Fi signal in STATE give the pile's status, and so does
//     ANALOG.Temperature, which is the temperature inside the plug, not at its port.
//   - A relay that is on is not a charge: neither stat/<pile>/POWER nor STATE gives
//     a port state or an event, and sessions follow from the power.
//   - Any other message of tele or stat says nothing, a SENSOR without ENERGY too.
//
// It remembers nothing.
package tasmota

import (
	"encoding/json"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

type decoder struct{ location *time.Location }

// New builds the decoder. Without o.Location, local times are taken as UTC.
func New(o devices.Options) (devices.Decoder, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	return &decoder{location: o.Location}, nil
}

// Decode implements devices.Decoder.
func (d *decoder) Decode(in devices.Input, m *devices.Message) error {
	kind, pile, what, ok := split(in.Topic)
	if !ok {
		return devices.Rejectf(devices.UnknownTopic, "%.80q, expected tele/<pile>/... or stat/<pile>/...", in.Topic)
	}
	if r := field.Check(in); r != nil {
		return r
	}
	if r := field.Pile(pile); r != nil {
		return r
	}
	if kind == "stat" {
		return nil
	}
	switch what {
	case "SENSOR":
		return d.sensor(pile, in, m)
	case "STATE":
		return d.state(pile, in, m)
	case "LWT":
		return lastWill(pile, in, m)
	}
	return nil
}

func split(topic string) (kind, pile, what string, ok bool) {
	kind, rest, _ := strings.Cut(topic, "/")
	pile, what, ok = strings.Cut(rest, "/")
	return kind, pile, what, ok && what != "" && (kind == "tele" || kind == "stat")
}

// clock gives the time of a message.
func (d *decoder) clock(local json.RawMessage, received devices.Millis) (at devices.Millis, device bool) {
	sent, ok := field.Instant(local, d.location)
	if !ok {
		return received, false
	}
	return devices.Clock(sent, received)
}

func lastWill(pile string, in devices.Input, m *devices.Message) error {
	s := devices.Status{Pile: pile, Time: in.Received, Has: devices.HasOnline}
	switch text := strings.TrimSpace(string(in.Payload)); text {
	case "": // the retained message is being deleted
		return nil
	case "Online":
		s.Online = true
	case "Offline":
	default:
		return devices.Rejectf(devices.Malformed, "LWT %.40q, expected Online or Offline", text)
	}
	m.Statuses = append(m.Statuses, s)
	return nil
}

func (d *decoder) state(pile string, in devices.Input, m *devices.Message) error {
	var msg struct {
		Time json.RawMessage
		Wifi struct {
			Signal json.RawMessage // dBm
		}
	}
	if r := field.Unmarshal(json.Unmarshal, in.Payload, &msg); r != nil {
		return r
	}
	batch := field.Begin(m)
	s := d.status(pile, msg.Time, in.Received)
	field.SetRawStatus(m, &s, field.Raw{What: devices.HasRSSI, JSON: msg.Wifi.Signal})
	addStatus(m, &s)
	return batch.End()
}

func (d *decoder) status(pile string, local json.RawMessage, received devices.Millis) devices.Status {
	s := devices.Status{Pile: pile}
	s.Time, s.DeviceTime = d.clock(local, received)
	return s
}

// addStatus adds s if it says anything.
func addStatus(m *devices.Message, s *devices.Status) {
	if s.Has != 0 {
		m.Statuses = append(m.Statuses, *s)
	}
}
