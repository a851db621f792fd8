package native

import (
	"encoding/json"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

// telemetry is one message of the ports of a pile, every value as it was written.
type telemetry struct {
	TS     json.RawMessage `json:"ts"`
	Seq    json.RawMessage `json:"seq"`
	TempC  json.RawMessage `json:"temp_c"`
	RSSI   json.RawMessage `json:"rssi"`
	MainWh json.RawMessage `json:"main_wh"`
	Ports  []port          `json:"ports"`
}

type port struct {
	Port    json.RawMessage `json:"port"`
	State   json.RawMessage `json:"state"`
	W       json.RawMessage `json:"w"`
	V       json.RawMessage `json:"v"`
	A       json.RawMessage `json:"a"`
	PF      json.RawMessage `json:"pf"`
	Wh      json.RawMessage `json:"wh"`
	OrderWh json.RawMessage `json:"order_wh"`
	TempC   json.RawMessage `json:"temp_c"`
	Card    json.RawMessage `json:"card"`
	Order   json.RawMessage `json:"order"`
}

// The memory kept from one message to the next; larger messages are rare.
const (
	keptPorts   = 32
	keptPayload = 16 << 10
)

// reset forgets the last message, also what lies beyond the length of Ports: an
// element that is decoded again keeps the fields that the new one leaves out.
func (t *telemetry) reset() {
	if cap(t.Ports) > keptPorts {
		t.Ports = nil
	}
	t.TS, t.Seq, t.TempC, t.RSSI, t.MainWh = t.TS[:0], t.Seq[:0], t.TempC[:0], t.RSSI[:0], t.MainWh[:0]
	all := t.Ports[:cap(t.Ports)]
	for i := range all {
		all[i].reset()
	}
	t.Ports = t.Ports[:0]
}

func (p *port) reset() {
	p.Port, p.State, p.W, p.V, p.A, p.PF = p.Port[:0], p.State[:0], p.W[:0], p.V[:0], p.A[:0], p.PF[:0]
	p.Wh, p.OrderWh, p.TempC, p.Card, p.Order = p.Wh[:0], p.OrderWh[:0], p.TempC[:0], p.Card[:0], p.Order[:0]
}

func (d *decoder) decodeTelemetry(pile string, in devices.Input, m *devices.Message) error {
	t := &d.telemetry
	if len(in.Payload) > keptPayload {
		t = new(telemetry)
	}
	t.reset()
	if r := field.Unmarshal(d.unmarshal, in.Payload, t); r != nil {
		return r
	}
	if n := len(t.Ports); n < 1 || n > 255 {
		return devices.Rejectf(devices.Malformed, "%d ports, expected an object with an array ports of 1 to 255", n)
	}
	batch := field.Begin(m)
	at, device := clock(t.TS, in.Received)
	common := devices.Reading{Pile: pile, Time: at, DeviceTime: device}
	seq, hasSeq := seqOf(t.Seq)
	if hasSeq {
		common.Seq, common.Has = seq, devices.HasSeq
	}
	var last []said
	for i := range t.Ports {
		m.Readings = append(m.Readings, common)
		p, r := &t.Ports[i], &m.Readings[len(m.Readings)-1]
		rej := readPort(p, r)
		if rej == nil {
			if int(r.Port) > len(last) {
				last = d.names.of(pile, max(int(r.Port), len(t.Ports)))
			}
			r.Card, r.Order, rej = last[r.Port-1].read(p.Card, p.Order)
		}
		if rej != nil {
			m.Readings = m.Readings[:len(m.Readings)-1]
			batch.Refuse(rej)
		}
	}
	if err := batch.End(); err != nil {
		return err
	}
	if !hasSeq && !field.Absent(t.Seq) {
		batch.Refuse(badSeq(t.Seq))
	}
	addStatus(t, &common, m)
	return nil
}

// readPort fills r, which has what is common to the ports of the message, but for
// the names.
func readPort(p *port, r *devices.Reading) (rej *devices.Reject) {
	if r.Port, rej = field.RawPort(p.Port); rej != nil {
		return rej
	}
	if rej = field.SetRawPower(r, p.W); rej != nil {
		return rej
	}
	rej = field.SetRaw(r,
		field.Raw{What: devices.HasVoltage, JSON: p.V},
		field.Raw{What: devices.HasCurrent, JSON: p.A},
		field.Raw{What: devices.HasPowerFactor, JSON: p.PF},
		field.Raw{What: devices.HasEnergy, JSON: p.Wh},
		field.Raw{What: devices.HasOrderEnergy, JSON: p.OrderWh},
		field.Raw{What: devices.HasTemperature, JSON: p.TempC})
	if rej != nil {
		return rej
	}
	r.State = stateOf(p.State)
	return nil
}

// stateOf gives the state of a port; what is no known state is unknown.
func stateOf(raw json.RawMessage) devices.PortState {
	if field.Absent(raw) {
		return devices.StateNone
	}
	if n := len(raw); n >= 2 && raw[0] == '"' {
		if s, ok := devices.ParseState(string(raw[1 : n-1])); ok {
			return s
		}
	}
	return devices.StateUnknown
}

// addStatus adds what the message says of the pile itself, if it does.
func addStatus(t *telemetry, common *devices.Reading, m *devices.Message) {
	s := devices.Status{Pile: common.Pile, Time: common.Time, DeviceTime: common.DeviceTime}
	field.SetRawStatus(m, &s,
		field.Raw{What: devices.HasTemperature, JSON: t.TempC},
		field.Raw{What: devices.HasRSSI, JSON: t.RSSI},
		field.Raw{What: devices.HasEnergy, JSON: t.MainWh})
	if s.Has == 0 {
		return
	}
	s.Seq, s.Has = common.Seq, s.Has|common.Has
	m.Statuses = append(m.Statuses, s)
}
