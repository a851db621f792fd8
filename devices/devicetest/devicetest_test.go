package devicetest

import (
	"fmt"
	"runtime"
	"testing"

	"pilewatch/devices"
)

// The suite must see each way to break a promise; otherwise it proves nothing.
func TestTheSuiteSeesABrokenPromise(t *testing.T) {
	const received = 1795436131000
	good := devices.Reading{Pile: "P01", Port: 1, Time: received}
	for name, decode := range map[string]decoderFunc{
		"port 0":                  says(func(r *devices.Reading) { r.Port = 0 }),
		"power out of bounds":     says(func(r *devices.Reading) { r.PowerMW = 100_000_001 }),
		"no pile":                 says(func(r *devices.Reading) { r.Pile = "" }),
		"a line in a card":        says(func(r *devices.Reading) { r.Card = "a\nb" }),
		"time from nowhere":       says(func(r *devices.Reading) { r.Time++ }),
		"device time of 1970":     says(func(r *devices.Reading) { r.Time, r.DeviceTime = 1, true }),
		"device time ahead":       says(func(r *devices.Reading) { r.Time, r.DeviceTime = received+300_001, true }),
		"unmeasured voltage":      says(func(r *devices.Reading) { r.VoltageMV = 1 }),
		"error that is no reject": func(devices.Input, *devices.Message) error { return fmt.Errorf("no") },
		"reject of no known reason": func(devices.Input, *devices.Message) error {
			return devices.Rejectf("because", "of this")
		},
		"reject and readings": func(_ devices.Input, m *devices.Message) error {
			m.Readings = append(m.Readings, good)
			return devices.Rejectf(devices.BadPort, "of this")
		},
		"rejects and nothing good": func(_ devices.Input, m *devices.Message) error {
			m.Rejects = append(m.Rejects, *devices.Rejectf(devices.BadPort, "of this"))
			return nil
		},
		"event of port 0": func(in devices.Input, m *devices.Message) error {
			m.Events = append(m.Events, devices.Event{Pile: "P01", Time: in.Received, Kind: devices.EventStop})
			return nil
		},
		"status that says nothing": func(in devices.Input, m *devices.Message) error {
			m.Statuses = append(m.Statuses, devices.Status{Pile: "P01", Time: in.Received})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !caught(t, decode) {
				t.Error("not seen")
			}
		})
	}
	if caught(t, says(func(*devices.Reading) {})) {
		t.Error("a good reading is refused")
	}
}

type decoderFunc func(devices.Input, *devices.Message) error

func (f decoderFunc) Decode(in devices.Input, m *devices.Message) error { return f(in, m) }

// says gives a decoder that says a good reading, changed.
func says(change func(*devices.Reading)) decoderFunc {
	return func(in devices.Input, m *devices.Message) error {
		r := devices.Reading{Pile: "P01", Port: 1, Time: in.Received}
		change(&r)
		m.Readings = append(m.Readings, r)
		return nil
	}
}

// caught reports whether the suite finds fault with a decoder.
func caught(t *testing.T, d devices.Decoder) bool {
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // Fatalf ends it
		defer close(done)
		decodeWith(rec, d, devices.Input{Topic: "t", Payload: []byte("{}"), Received: 1795436131000})
	}()
	<-done
	return rec.failed
}

// recorder is a test whose failure is what is looked for.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}
