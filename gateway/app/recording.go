package app

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
	"unicode/utf8"

	"pilewatch/devices"
)

// recorded is one message of a recording: a line of NDJSON.
type recorded struct {
	Topic      string  `json:"topic"`
	Received   string  `json:"received"` // RFC 3339
	Payload    *string `json:"payload,omitempty"`
	PayloadB64 string  `json:"payload_b64,omitempty"` // where the payload is no text
	Retained   bool    `json:"retained,omitempty"`
}

func recordOf(in devices.Input) recorded {
	r := recorded{Topic: in.Topic, Received: in.Received.Time().Format("2006-01-02T15:04:05.000Z07:00"), Retained: in.Retained}
	if utf8.Valid(in.Payload) {
		s := string(in.Payload)
		r.Payload = &s
	} else {
		r.PayloadB64 = base64.StdEncoding.EncodeToString(in.Payload)
	}
	return r
}

func (r recorded) input() (devices.Input, error) {
	in := devices.Input{Topic: r.Topic, Retained: r.Retained}
	at, err := time.Parse(time.RFC3339, r.Received)
	switch {
	case r.Topic == "":
		return in, errors.New(`no "topic"`)
	case err != nil:
		return in, fmt.Errorf(`"received" %q is no time of RFC 3339`, r.Received)
	case r.Payload != nil && r.PayloadB64 != "":
		return in, errors.New(`both "payload" and "payload_b64"`)
	}
	in.Received = devices.MillisOf(at)
	if r.Payload != nil {
		in.Payload = []byte(*r.Payload)
		return in, nil
	}
	in.Payload, err = base64.StdEncoding.DecodeString(r.PayloadB64)
	if err != nil {
		return in, fmt.Errorf(`"payload_b64" is not base64: %w`, err)
	}
	return in, nil
}

// maxLine is the longest line of a recording: a payload of the largest size that
// is refused with a reason, in base64 or with every byte escaped.
const maxLine = 8 << 20

// recording reads the messages of a recording. An error names the line, and ends it.
func recording(name string, r io.Reader) iter.Seq2[devices.Input, error] {
	return func(yield func(devices.Input, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), maxLine)
		n := 0
		for lines.Scan() {
			if n++; len(lines.Bytes()) == 0 {
				continue
			}
			var rec recorded
			err := json.Unmarshal(lines.Bytes(), &rec)
			var in devices.Input
			if err == nil {
				in, err = rec.input()
			}
			if err != nil {
				yield(in, fmt.Errorf("%s:%d: %w; expected a line such as {\"topic\":...,\"received\":...,\"payload\":...}", name, n, err))
				return
			}
			if !yield(in, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(devices.Input{}, fmt.Errorf("%s:%d: %w", name, n+1, err))
		}
	}
}
