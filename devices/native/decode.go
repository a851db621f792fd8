// Package native decodes pilewatch's own telemetry, version 1: the topics
// pilewatch/v1/<estate>/<pile>/{telemetry,event,status}.
//
//	pilewatch/v1/fuxing/P01/telemetry
//	{"ts":"2026-11-23T20:15:30.000+08:00","seq":18234,"temp_c":31.0,"main_wh":5230010.0,
//	 "ports":[{"port":1,"state":"charging","w":152.4,"wh":1284531.25,"card":"04A1B2C3"},
//	          {"port":2,"w":0}]}
//
// What it promises beyond devices.Decoder:
//   - Only port and w are required. A field that is null is a field left out, and
//     unknown fields are passed over. Keys match without case and the last of two
//     equal keys counts, as in encoding/json.
//   - A port entry that is wrong is refused alone, also where it holds a bare NaN.
//     A telemetry without one good entry is refused whole, with the reason of its
//     first. A seq, temp_c, rssi or main_wh that is no number is refused alone.
//   - An unreadable ts counts as none: the time of receipt takes its place.
//   - A card or an order may be an integer; its digits are the name.
//   - Which estate a topic names does not matter: the subscription chose it.
//   - A status without payload is a retained status being deleted and says nothing.
//
// It remembers nothing of a message but the spelling of cards and orders.
//
// Every field is decoded to its raw JSON first, by goccy/go-json into memory that
// is used again: nothing is allocated for a good message, and a value of a wrong
// type is seen where it belongs. A test and a fuzz target hold that path to what
// encoding/json gives.
package native

import (
	"bytes"
	"encoding/json"
	"strings"

	gojson "github.com/goccy/go-json"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

type decoder struct {
	unmarshal func([]byte, any) error
	telemetry telemetry // used again for each message
	names     names
}

// New builds the decoder. It needs no options and never fails.
func New(devices.Options) (devices.Decoder, error) { return newDecoder(gojson.Unmarshal), nil }

func newDecoder(unmarshal func([]byte, any) error) *decoder {
	return &decoder{unmarshal: unmarshal, names: names{piles: make(map[string][]said)}}
}

// Decode implements devices.Decoder.
func (d *decoder) Decode(in devices.Input, m *devices.Message) error {
	pile, what, ok := split(in.Topic)
	if !ok {
		return devices.Rejectf(devices.UnknownTopic, "%.80q, expected pilewatch/v1/<estate>/<pile>/{telemetry,event,status}", in.Topic)
	}
	if r := field.Check(in); r != nil {
		return r
	}
	if r := field.Pile(pile); r != nil {
		return r
	}
	switch what {
	case "telemetry":
		return d.decodeTelemetry(pile, in, m)
	case "event":
		return d.decodeEvent(pile, in, m)
	}
	return decodeStatus(pile, in, m)
}

// split takes a topic apart; ok is false if it is none of ours.
func split(topic string) (pile, what string, ok bool) {
	rest, ok := strings.CutPrefix(topic, "pilewatch/v1/")
	if !ok {
		return "", "", false
	}
	_, rest, _ = strings.Cut(rest, "/") // the estate
	pile, what, _ = strings.Cut(rest, "/")
	return pile, what, what == "telemetry" || what == "event" || what == "status"
}

func decodeStatus(pile string, in devices.Input, m *devices.Message) error {
	text := bytes.TrimSpace(in.Payload)
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		text = text[1 : n-1]
	}
	s := devices.Status{Pile: pile, Time: in.Received, Has: devices.HasOnline}
	switch string(text) {
	case "":
		return nil
	case "online":
		s.Online = true
	case "offline":
	default:
		return devices.Rejectf(devices.Malformed, "status %.40q, expected online or offline", text)
	}
	m.Statuses = append(m.Statuses, s)
	return nil
}

// clock gives the time of a message from its ts.
func clock(ts json.RawMessage, received devices.Millis) (at devices.Millis, device bool) {
	sent, ok := field.Instant(ts, nil)
	if !ok {
		return received, false
	}
	return devices.Clock(sent, received)
}

// seqOf gives the message's counter; ok is false for what is no integer.
func seqOf(raw json.RawMessage) (seq int64, ok bool) {
	const most = 1 << 53 // above, a float64 is no longer exact
	x, ok := field.Number(raw)
	return int64(x), ok && x == float64(int64(x)) && x > -most && x < most
}

func badSeq(raw json.RawMessage) *devices.Reject {
	return devices.Rejectf(devices.BadNumber, "seq %s is no integer", field.Shown(raw))
}
