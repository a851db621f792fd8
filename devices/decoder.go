package devices

import (
	"fmt"
	"time"
)

// Input is one MQTT message as it was received.
type Input struct {
	Topic    string
	Payload  []byte // valid until Decode returns
	Received Millis
	Retained bool // stored by the broker: it may be old
}

// Message is what one Input says. A decoder fills it; the caller resets it.
type Message struct {
	Readings []Reading
	Events   []Event
	Statuses []Status // at most one in practice
	Rejects  []Reject // entries that were refused while their neighbours are good
}

// Reset empties m and keeps its memory.
func (m *Message) Reset() {
	m.Readings, m.Events = m.Readings[:0], m.Events[:0]
	m.Statuses, m.Rejects = m.Statuses[:0], m.Rejects[:0]
}

// Empty reports whether nothing good was found.
func (m *Message) Empty() bool {
	return len(m.Readings) == 0 && len(m.Events) == 0 && len(m.Statuses) == 0
}

// Reason says why something was refused. The set is closed, because it labels a metric.
type Reason string

// The reasons for a reject.
const (
	Malformed    Reason = "malformed"     // not the format at all: truncated, wrong type, no good entry
	InvalidUTF8  Reason = "invalid_utf8"  // text that is not UTF-8
	TooLarge     Reason = "too_large"     // over MaxPayload
	UnknownTopic Reason = "unknown_topic" // no decoder reads this topic
	BadPort      Reason = "bad_port"      // a port outside 1 to 255
	BadPower     Reason = "bad_power"     // under -1 W or over 100 kW, or missing
	BadNumber    Reason = "bad_number"    // another quantity that is no number or is absurd
	BadEvent     Reason = "bad_event"     // an event without what it needs
)

// Reasons lists every Reason, for labels that are known from the start.
var Reasons = []Reason{Malformed, InvalidUTF8, TooLarge, UnknownTopic, BadPort, BadPower, BadNumber, BadEvent}

// MaxPayload is the longest payload that is read, in bytes.
const MaxPayload = 256 << 10

// Reject is a message, or one entry of it, that was refused. As an error it is
// what Decode returns for a whole message.
type Reject struct {
	Reason Reason
	Detail string // one line: what was found and what was expected
}

// Error gives reason and detail in one line.
func (r *Reject) Error() string { return string(r.Reason) + ": " + r.Detail }

// Rejectf builds a Reject.
func Rejectf(reason Reason, format string, a ...any) *Reject {
	return &Reject{Reason: reason, Detail: fmt.Sprintf(format, a...)}
}

// Decoder turns the messages of one kind of device into the vocabulary.
type Decoder interface {
	// Decode adds to m what in says. It returns a *Reject when nothing of it can
	// be used; entries refused alone go to m.Rejects. A message that is well
	// formed and says nothing of use (an acknowledgement, say) adds nothing and
	// returns nil. Decode never panics, and keeps no reference to in.Payload.
	//
	// A decoder is used by one goroutine at a time. It may remember earlier
	// messages only where the protocol sends differences.
	Decode(in Input, m *Message) error
}

// Options are what a decoder is built with.
type Options struct {
	Location *time.Location // the estate's time zone, for clocks that send none
	Mapping  map[string]string
}
