// Package shelly decodes Shelly plugs and relays: the status topics and
// notifications of the second and later generations, and the topics of the first.
//
//	P03/status/switch:0              {"id":0,"output":true,"apower":182.4,"voltage":232.6,"current":0.812,"aenergy":{"total":1234.5},"temperature":{"tC":46.0}}
//	P03/events/rpc                   {"src":"shellyplus1pm-a8032abe54dc","method":"NotifyStatus","params":{"ts":1795436130.51,"switch:0":{"id":0,"apower":183.0}}}
//	P03/online                       true
//	shellies/P04/relay/0/power       182.4
//	shellies/P04/relay/0/energy      6000, in watt-minutes
//
// What it promises beyond devices.Decoder:
//   - The pile id is what stands before /status/, /events/rpc or /online, usually
//     one segment, or the second segment after shellies. Switch or relay n is port n+1.
//   - NotifyStatus sends differences. They are laid over the last values of that
//     switch, and each that measures something gives a reading with all of them, the
//     register too, once the power is known. A value of null is forgotten, and a
//     device that goes offline is.
//   - The time is the notification's ts. A status topic has none: aenergy.minute_ts
//     is not the time of the sample.
//   - The first generation sends power and energy one after the other. A relay
//     that sends energy gives one reading for the two, with the energy.
//   - A retained value is remembered and gives no reading: it may be days old.
//   - A relay that is on is not a charge: output and relay give no port state.
//   - wifi.rssi, online and the first generation's temperature give the pile's
//     status. Any other component or topic of a device says nothing.
//
// It remembers up to 8192 switches, those heard last.
package shelly

import (
	"strings"

	"pilewatch/devices"
	"pilewatch/devices/field"
)

type decoder struct{ switches memory }

// New builds the decoder. It needs no options and never fails.
func New(devices.Options) (devices.Decoder, error) {
	return &decoder{switches: newMemory()}, nil
}

// Decode implements devices.Decoder.
func (d *decoder) Decode(in devices.Input, m *devices.Message) error {
	pile, what, read := d.route(in.Topic)
	if read == nil {
		return devices.Rejectf(devices.UnknownTopic,
			"%.80q, expected <pile>/{status/...,events/rpc,online} or shellies/<pile>/...", in.Topic)
	}
	if r := field.Check(in); r != nil {
		return r
	}
	if r := field.Pile(pile); r != nil {
		return r
	}
	return read(message{in, pile, what, m})
}

// message is one message of a known topic on its way to who reads it.
type message struct {
	devices.Input
	pile, what string // what is the rest of the topic, where it matters
	out        *devices.Message
}

// route takes a topic apart; read is nil if it is none of ours.
func (d *decoder) route(topic string) (pile, what string, read func(message) error) {
	if i := strings.LastIndex(topic, "/status/"); i >= 0 {
		return topic[:i], topic[i+len("/status/"):], d.status
	}
	if pile, ok := strings.CutSuffix(topic, "/events/rpc"); ok {
		return pile, "", d.notification
	}
	if rest, ok := strings.CutPrefix(topic, "shellies/"); ok {
		if pile, what, ok = strings.Cut(rest, "/"); !ok {
			return rest, "", nothing // announce, command
		}
		return pile, what, d.firstGeneration
	}
	if pile, ok := strings.CutSuffix(topic, "/online"); ok {
		return pile, "", d.online
	}
	return "", "", nil
}

func nothing(message) error { return nil }

func (d *decoder) online(in message) error {
	s := devices.Status{Pile: in.pile, Time: in.Received, Has: devices.HasOnline}
	switch text := strings.TrimSpace(string(in.Payload)); text {
	case "": // the retained message is being deleted
		return nil
	case "true":
		s.Online = true
	case "false":
		d.switches.forget(in.pile)
	default:
		return devices.Rejectf(devices.Malformed, "online %.40q, expected true or false", text)
	}
	in.out.Statuses = append(in.out.Statuses, s)
	return nil
}
