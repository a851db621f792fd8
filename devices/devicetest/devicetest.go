// Package devicetest is the conformance suite of decoders. A decoder's test
// calls Run, its fuzz target calls Fuzz; both hold it to what devices.Decoder
// and the vocabulary promise, for any input, and Run holds it to its goldens.
//
// A golden is a folder in testdata named after the fault or the field it shows:
//
//	testdata/<case>/messages.ndjson   the input, as `pilewatch record` writes it
//	testdata/<case>/mapping.json      Options.Mapping, where the decoder needs one
//	testdata/<case>/want.json         what each message says, in order
//
// The tests' flag -update writes want.json; read it before you keep it.
package devicetest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

var update = flag.Bool("update", false, "write the goldens' want.json")

// Suite is a decoder under test.
type Suite struct {
	New       func(devices.Options) (devices.Decoder, error)
	Remembers bool // the protocol sends differences: a message depends on earlier ones
	AnyTopic  bool // the decoder reads every topic
}

// Location is the estate's time zone in the goldens, eight hours ahead of UTC.
func Location() *time.Location { return time.FixedZone("CST", 8*60*60) }

// Run holds the decoder to its goldens in testdata and to the promises.
func Run(t *testing.T, s Suite) {
	cases := goldens(t)
	if len(cases) == 0 {
		t.Fatal("no goldens in testdata")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Run("Golden", func(t *testing.T) { c.golden(t, s) })
			for i, in := range c.inputs {
				t.Run(fmt.Sprintf("Message%d", i+1), func(t *testing.T) { s.promises(t, c.options, in) })
			}
		})
	}
	t.Run("Extremes", func(t *testing.T) { s.extremes(t, cases) })
	if !s.Remembers {
		t.Run("NothingIsRemembered", func(t *testing.T) { s.nothingIsRemembered(t, cases) })
	}
}

// Fuzz feeds the decoder any message, beginning with its goldens, and holds what
// it says to the promises. options are used for all of them.
func Fuzz(f *testing.F, s Suite, options devices.Options) {
	for _, c := range goldens(f) {
		for _, in := range c.inputs {
			f.Add(in.Topic, in.Payload, int64(in.Received), in.Retained)
		}
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, received int64, retained bool) {
		const until = 1<<44 - 1 // the year 2527, in milliseconds
		in := devices.Input{Topic: topic, Payload: payload, Received: devices.Millis(received & until), Retained: retained}
		s.Check(t, options, in)
	})
}

// Check decodes one message twice, each time with a new decoder, and holds what
// is said to the promises.
func (s Suite) Check(t testing.TB, options devices.Options, in devices.Input) {
	t.Helper()
	once := s.decode(t, options, in)
	if again := s.decode(t, options, in); !reflect.DeepEqual(once, again) {
		t.Errorf("decoded twice: %+v, then %+v", once, again)
	}
}

// ReasonOf gives the reason of a reject; "" for any other error and for none.
func ReasonOf(err error) devices.Reason {
	var rej *devices.Reject
	if !errors.As(err, &rej) {
		return ""
	}
	return rej.Reason
}

// result is what a decoder made of one message.
type result struct {
	message devices.Message
	err     error
}

// build builds a new decoder, for one test.
func (s Suite) build(t testing.TB, o devices.Options) devices.Decoder {
	t.Helper()
	d, err := s.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return d
}

// decode decodes one message with a new decoder and checks it.
func (s Suite) decode(t testing.TB, o devices.Options, in devices.Input) result {
	t.Helper()
	return decodeWith(t, s.build(t, o), in)
}

// decodeWith decodes a copy of the payload, writes over the copy and checks what
// was said: a reference to the payload shows as a change.
func decodeWith(t testing.TB, d devices.Decoder, in devices.Input) result {
	t.Helper()
	in.Payload = bytes.Clone(in.Payload)
	var r result
	r.err = d.Decode(in, &r.message)
	check(t, in, r)
	if r.err != nil {
		return r
	}
	before := dump(t, r)
	for i := range in.Payload {
		in.Payload[i] ^= 0x55
	}
	if after := dump(t, r); after != before {
		t.Fatalf("a reference to the payload is kept:\n%s\nbecame\n%s", before, after)
	}
	return r
}

// promises holds the decoder to what must be true of every message, around one.
func (s Suite) promises(t *testing.T, o devices.Options, in devices.Input) {
	d := s.build(t, o)
	once, again := decodeWith(t, d, in), decodeWith(t, d, in)
	if !reflect.DeepEqual(once, again) {
		t.Errorf("decoded twice: %+v, then %+v", once, again)
	}
	for n := range in.Payload {
		decodeWith(t, d, withPayload(in, in.Payload[:n]))
		broken := bytes.Clone(in.Payload)
		broken[n] = 0xff // stands nowhere in UTF-8
		refused(t, d, withPayload(in, broken), devices.InvalidUTF8)
	}
	if !s.AnyTopic {
		in.Topic = "neither/of/our/topics"
		if r := decodeWith(t, d, in); ReasonOf(r.err) != devices.UnknownTopic {
			t.Errorf("%s: %v, want a reject for its topic", in.Topic, r.err)
		}
	}
}

// extremes tries payloads of the largest size on the topics of the goldens.
func (s Suite) extremes(t *testing.T, cases []golden) {
	tried := map[string]bool{}
	for _, c := range cases {
		for _, in := range c.inputs {
			shape := in.Topic[strings.LastIndex(in.Topic, "/")+1:]
			if tried[shape] {
				continue
			}
			tried[shape] = true
			d := s.build(t, c.options)
			huge := bytes.Repeat([]byte(" "), devices.MaxPayload+1)
			copy(huge, in.Payload)
			refused(t, d, withPayload(in, huge), devices.TooLarge)
			decodeWith(t, d, withPayload(in, huge[:devices.MaxPayload]))
			for _, part := range []string{"[", `{"a":`, `[{"ports":[`, "NaN", "{},", "9"} {
				decodeWith(t, d, withPayload(in, bytes.Repeat([]byte(part), devices.MaxPayload/len(part))))
			}
		}
	}
}

// refused checks that a message is refused for a reason, or for its topic, where
// the decoder does not read that.
func refused(t *testing.T, d devices.Decoder, in devices.Input, want devices.Reason) {
	t.Helper()
	r := decodeWith(t, d, in)
	if got := ReasonOf(r.err); got != want && got != devices.UnknownTopic {
		t.Errorf("%s %.60q: %v, want a reject for %s", in.Topic, in.Payload, r.err, want)
	}
}

// nothingIsRemembered decodes the messages of all goldens that share options one
// after the other with one decoder, forth and back, and compares with new ones.
func (s Suite) nothingIsRemembered(t *testing.T, cases []golden) {
	for _, c := range cases {
		d := s.build(t, c.options)
		var inputs []devices.Input
		for _, other := range cases {
			if reflect.DeepEqual(other.options, c.options) {
				inputs = append(inputs, other.inputs...)
			}
		}
		for i := range 2 * len(inputs) {
			in := inputs[min(i, 2*len(inputs)-1-i)]
			got, want := decodeWith(t, d, in), s.decode(t, c.options, in)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %.60q after others: %+v, want %+v", in.Topic, in.Payload, got, want)
			}
		}
	}
}

func withPayload(in devices.Input, payload []byte) devices.Input {
	in.Payload = payload
	return in
}

// goldens reads the cases in testdata; a decoder's package has no other folders there but fuzz.
func goldens(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "messages.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	cases := make([]golden, 0, len(files))
	for _, file := range files {
		c, err := readGolden(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// writeOrCompare writes got to file with -update, else compares the two.
func writeOrCompare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -update, and read what it writes", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", file, got, want)
	}
}
