package shelly

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

var suite = devicetest.Suite{New: New, Remembers: true}

func TestConformance(t *testing.T) { devicetest.Run(t, suite) }

func TestADifferenceIsLaidOverTheLastValues(t *testing.T) {
	d := newDecoder(t)
	received := devices.MillisOf(time.Date(2026, 11, 23, 12, 15, 31, 0, time.UTC))
	say := func(topic, payload string) []devices.Reading {
		var m devices.Message
		if err := d.Decode(devices.Input{Topic: topic, Payload: []byte(payload), Received: received}, &m); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		return m.Readings
	}
	first := say("P03/status/switch:0", `{"apower":182.4,"voltage":232.6,"current":0.812,"aenergy":{"total":1234.5},"temperature":{"tC":46.0}}`)
	want := []devices.Reading{{
		Pile: "P03", Port: 1, Time: received, PowerMW: 182_400, VoltageMV: 232_600, CurrentMA: 812, EnergyMWh: 1_234_500, TempMC: 46_000,
		Has: devices.HasVoltage | devices.HasCurrent | devices.HasEnergy | devices.HasTemperature,
	}}
	if !reflect.DeepEqual(first, want) {
		t.Fatalf("got %+v, want %+v", first, want)
	}
	second := say("P03/events/rpc", `{"method":"NotifyStatus","params":{"ts":1795436130.5,"switch:0":{"apower":190}}}`)
	want[0].PowerMW, want[0].Time, want[0].DeviceTime = 190_000, 1795436130500, true
	if !reflect.DeepEqual(second, want) {
		t.Errorf("got %+v, want %+v", second, want)
	}
}

// One watt-minute is 1000/60 mWh, rounded half up.
func TestWattMinutesBecomeMilliwattHours(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		minutes := rapid.Int64Range(0, 1<<40).Draw(rt, "watt-minutes")
		want := (minutes*2000 + 60) / 120
		var sw known
		if rej := sw.setWattMinutes(fmt.Append(nil, minutes)); rej != nil || sw.reading.EnergyMWh != want {
			rt.Fatalf("%d watt-minutes: %d mWh, %v, want %d", minutes, sw.reading.EnergyMWh, rej, want)
		}
	})
}

func TestMemoryIsBoundedAndKeepsWhoIsHeard(t *testing.T) {
	m := newMemory()
	steady := key{"steady", 1}
	m.keep(steady, known{power: true})
	for i := range 10 * half {
		m.keep(key{fmt.Sprintf("made-up-%d", i), 1}, known{})
		if i%100 == 0 {
			if !m.of(steady).power {
				t.Fatalf("the steady switch is forgotten after %d others", i)
			}
			m.keep(steady, m.of(steady))
		}
	}
	if n := len(m.young) + len(m.old); n > 2*half {
		t.Errorf("%d switches are remembered, want at most %d", n, 2*half)
	}
	m.forget("steady")
	if m.of(steady).power {
		t.Error("a pile is remembered although it was forgotten")
	}
}

func newDecoder(t *testing.T) devices.Decoder {
	t.Helper()
	d, err := New(devices.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
