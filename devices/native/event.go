package native

import (
	"encoding/json"
	"slices"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// event is one message of something that happened, every value as it was written.
type event struct {
	TS       json.RawMessage `json:"ts"`
	Seq      json.RawMessage `json:"seq"`
	Port     json.RawMessage `json:"port"`
	Event    json.RawMessage `json:"event"`
	Card     json.RawMessage `json:"card"`
	Order    json.RawMessage `json:"order"`
	Reason   json.RawMessage `json:"reason"`
	Alarm    json.RawMessage `json:"alarm"`
	Wh       json.RawMessage `json:"wh"`
	OrderWh  json.RawMessage `json:"order_wh"`
	EnergyWh json.RawMessage `json:"energy_wh"`
	Start    json.RawMessage `json:"start"`
	End      json.RawMessage `json:"end"`
}

// longestOrder bounds what a settled order may claim; a start before the pile
// knew the time would make one of decades.
const longestOrder = 31 * 24 * 60 * 60 * 1000 // ms

func (d *decoder) decodeEvent(pile string, in devices.Input, m *devices.Message) error {
	var raw event
	if r := field.Unmarshal(d.unmarshal, in.Payload, &raw); r != nil {
		return r
	}
	e := devices.Event{Pile: pile}
	e.Time, e.DeviceTime = clock(raw.TS, in.Received)
	if r := d.readEvent(&raw, in.Received, &e); r != nil {
		return r
	}
	var ok bool
	if e.Seq, ok = seqOf(raw.Seq); ok {
		e.Has |= devices.HasSeq
	} else if !field.Absent(raw.Seq) {
		m.Rejects = append(m.Rejects, *badSeq(raw.Seq))
	}
	m.Events = append(m.Events, e)
	return nil
}

func (d *decoder) readEvent(raw *event, received devices.Millis, e *devices.Event) (rej *devices.Reject) {
	name, _ := field.Text(raw.Event)
	var ok bool
	if e.Kind, ok = devices.ParseEvent(name); !ok {
		return devices.Rejectf(devices.BadEvent, "event %.40q, expected start, stop, card, alarm or settle", name)
	}
	if e.Port, rej = eventPort(raw, e.Kind); rej != nil {
		return rej
	}
	last := new(said) // of the pile
	if e.Port > 0 {
		last = &d.names.of(e.Pile, int(e.Port))[e.Port-1]
	}
	if e.Card, e.Order, rej = last.read(raw.Card, raw.Order); rej != nil {
		return rej
	}
	if rej = eventRegisters(raw, e); rej != nil {
		return rej
	}
	e.Reason = reasonOf(raw.Reason)
	switch e.Kind {
	case devices.EventAlarm:
		e.Alarm = alarmOf(raw.Alarm)
	case devices.EventSettle:
		return settle(raw, received, e)
	}
	return nil
}

// eventPort gives the port: 0, the whole pile, only for an alarm.
func eventPort(raw *event, kind devices.EventKind) (uint8, *devices.Reject) {
	if kind == devices.EventAlarm {
		if x, ok := field.Number(raw.Port); field.Absent(raw.Port) || ok && x == 0 {
			return 0, nil
		}
	}
	return field.RawPort(raw.Port)
}

func eventRegisters(raw *event, e *devices.Event) *devices.Reject {
	var r devices.Reading
	rej := field.SetRaw(&r,
		field.Raw{What: devices.HasEnergy, JSON: raw.Wh},
		field.Raw{What: devices.HasOrderEnergy, JSON: raw.OrderWh})
	e.EnergyMWh, e.OrderMWh, e.Has = r.EnergyMWh, r.OrderMWh, r.Has
	return rej
}

func reasonOf(raw json.RawMessage) string {
	if reason, _ := field.Text(raw); slices.Contains(devices.StopReasons, reason) {
		return reason
	} else if field.Absent(raw) || reason == "" && raw[0] == '"' {
		return ""
	}
	return "unknown"
}

func alarmOf(raw json.RawMessage) string {
	if alarm, _ := field.Text(raw); slices.Contains(devices.Alarms, alarm) {
		return alarm
	}
	return "other"
}

// settle reads a whole order that the pile kept while it was offline. Where its
// clock was wrong then, the order ends when it was received and keeps its length.
func settle(raw *event, received devices.Millis, e *devices.Event) *devices.Reject {
	if e.Order == "" {
		return devices.Rejectf(devices.BadEvent, "settle without an order")
	}
	wh, ok := field.Number(raw.EnergyWh)
	mwh, fits := devices.Milli(wh)
	if !ok || !fits || mwh < 0 {
		return devices.Rejectf(devices.BadEvent, "settle with energy_wh %s, expected 0 or more", field.Shown(raw.EnergyWh))
	}
	start, okStart := field.Instant(raw.Start, nil)
	end, okEnd := field.Instant(raw.End, nil)
	if !okStart || !okEnd || end < start || end-start > longestOrder {
		return devices.Rejectf(devices.BadEvent, "settle from %s to %s, expected two instants in order, at most 31 days apart", raw.Start, raw.End)
	}
	_, startKnown := devices.Clock(start, received)
	_, endKnown := devices.Clock(end, received)
	if !startKnown || !endKnown {
		start, end = received-(end-start), received
	}
	e.SettledMWh, e.Start, e.End = mwh, start, end
	return nil
}
