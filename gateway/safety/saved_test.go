package safety

import (
	"bytes"
	"os"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// mixedEvening is the journal of a port with a charge, another load beside it, a
// kettle, an alarm, a fridge later, and a temperature.
func mixedEvening(t *testing.T) []ledger.Entry {
	r := newRig(t)
	r.taped = true
	kettle := plus(charger(250, 2*time.Hour), during("50m", "4h", 90), during("80m", "84m", 1500))
	evening := plus(kettle, later("7h", fridge(110, 2)))
	r.event(devices.EventAlarm, at("1m"), alarmOf("water", 1))
	r.play(report{every: time.Minute, jitter: 3 * time.Second, noise: 0.004, digits: 0.1, register: true}, evening, 10*time.Hour, cardOf("04A1B2C3"), func(x *devices.Reading) {
		x.Has |= devices.HasTemperature
		x.TempMC = int32(30_000 + x.PowerMW/50)
	})
	return r.tape
}

// The files were written by the program before states were packed in memory.
func TestAStateOfAnOlderProgramGoesOn(t *testing.T) {
	tape := mixedEvening(t)
	for _, x := range []struct {
		file string
		at   int // entries of the tape that it has seen
	}{{"testdata/state_charging.jsonl", 120}, {"testdata/state_later.jsonl", 470}} {
		var want, got []FlagChange
		e := New(Defaults())
		for i := range tape {
			e.Apply(&tape[i], func(c FlagChange) {
				if i >= x.at {
					want = append(want, c)
				}
			})
		}
		old, err := os.ReadFile(x.file)
		if err != nil {
			t.Fatal(err)
		}
		again := New(Defaults())
		if _, err := again.ReadFrom(bytes.NewReader(old)); err != nil {
			t.Fatal(err)
		}
		for i := x.at; i < len(tape); i++ {
			again.Apply(&tape[i], func(c FlagChange) { got = append(got, c) })
		}
		if a, b := asJSON(t, want), asJSON(t, got); len(want) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s: flags\n%s\nwant\n%s", x.file, b, a)
		}
		var one, two bytes.Buffer
		if _, err := e.WriteTo(&one); err != nil {
			t.Fatal(err)
		}
		if _, err := again.WriteTo(&two); err != nil {
			t.Fatal(err)
		}
		if one.String() != two.String() {
			t.Errorf("%s: the state is\n%s\nwant\n%s", x.file, &two, &one)
		}
	}
}
