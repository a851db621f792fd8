package native

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	gojson "github.com/goccy/go-json"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

const (
	received = devices.Millis(1795436131000) // 2026-11-23T20:15:31+08:00
	topic    = "pilewatch/v1/fuxing/P01/telemetry"
	onePort  = `{"ts":"2026-11-23T20:15:30.000+08:00","seq":18234,"ports":[` + aPort + `]}`
	aPort    = `{"port":1,"state":"charging","w":152.4,"v":221.3,"a":0.712,"pf":0.97,"wh":1284531.25,"card":"04A1B2C3","order":"A-1007"}`
)

func TestConformance(t *testing.T) {
	devicetest.Run(t, devicetest.Suite{New: New})
}

func TestEveryFieldArrivesInItsUnit(t *testing.T) {
	var m devices.Message
	in := devices.Input{Topic: topic, Payload: []byte(onePort), Received: received}
	if err := newTestDecoder(t).Decode(in, &m); err != nil {
		t.Fatal(err)
	}
	want := []devices.Reading{{
		Pile: "P01", Port: 1, State: devices.StateCharging, Card: "04A1B2C3", Order: "A-1007",
		Time: 1795436130000, DeviceTime: true, Seq: 18234,
		PowerMW: 152_400, VoltageMV: 221_300, CurrentMA: 712, PFMilli: 970, EnergyMWh: 1_284_531_250,
		Has: devices.HasSeq | devices.HasVoltage | devices.HasCurrent | devices.HasPowerFactor | devices.HasEnergy,
	}}
	if !reflect.DeepEqual(m.Readings, want) || len(m.Statuses)+len(m.Events)+len(m.Rejects) > 0 {
		t.Errorf("got %+v, want the reading %+v", m, want)
	}
}

func TestWhatAMessageAddsLeavesEarlierEntriesAlone(t *testing.T) {
	earlier := devices.Message{
		Readings: []devices.Reading{{Pile: "P00", Port: 9}},
		Rejects:  []devices.Reject{{Reason: devices.BadPort, Detail: "earlier"}},
	}
	d := newTestDecoder(t)
	for _, payload := range []string{`{"ports":[{"port":0,"w":1}]}`, `{"ports":[{"port":1,"w":1},{"port":2}]}`, `{`} {
		m := devices.Message{Readings: earlier.Readings[:1:1], Rejects: earlier.Rejects[:1:1]}
		err := d.Decode(devices.Input{Topic: topic, Payload: []byte(payload), Received: received}, &m)
		if m.Readings[0] != earlier.Readings[0] || m.Rejects[0] != earlier.Rejects[0] {
			t.Errorf("%s changed what was there: %+v", payload, m)
		}
		if err != nil && len(m.Readings)+len(m.Rejects) != 2 {
			t.Errorf("%s: refused whole (%v), and yet it added to %+v", payload, err, m)
		}
	}
}

func TestMoreThan255PortsAreRefused(t *testing.T) {
	payload := `{"ports":[` + strings.Repeat(`{"port":1,"w":1},`, 255) + `{"port":2,"w":1}]}`
	var m devices.Message
	err := newTestDecoder(t).Decode(devices.Input{Topic: topic, Payload: []byte(payload), Received: received}, &m)
	if devicetest.ReasonOf(err) != devices.Malformed {
		t.Errorf("got %v, want malformed", err)
	}
}

// The table of names must stay small under piles that are made up.
func TestNamesAreBounded(t *testing.T) {
	d := newDecoder(gojson.Unmarshal)
	n := 0
	for i := range 3 * mostPorts / 255 {
		var m devices.Message
		in := devices.Input{
			Topic:    fmt.Sprintf("pilewatch/v1/fuxing/P%d/telemetry", i),
			Payload:  fmt.Appendf(nil, `{"ports":[{"port":255,"w":1,"order":"order-%d"}]}`, i),
			Received: received,
		}
		if err := d.Decode(in, &m); err != nil || m.Readings[0].Order != fmt.Sprintf("order-%d", i) {
			t.Fatalf("%s: %+v, %v", in.Payload, m, err)
		}
		n = max(n, d.names.ports)
	}
	held := 0
	for _, ports := range d.names.piles {
		held += len(ports)
	}
	if n > mostPorts || held != d.names.ports {
		t.Errorf("%d ports are kept and %d counted, want at most %d", held, n, mostPorts)
	}
}

// A name must not depend on what was said before it.
func TestANameIsReadAsWritten(t *testing.T) {
	d := newTestDecoder(t)
	for _, c := range []struct{ card, want string }{
		{`"A-1"`, "A-1"}, {`"A-1"`, "A-1"}, {`"A\u002d1"`, "A-1"}, {`"A\\u002d1"`, `A\u002d1`}, {`"A\u002d1"`, "A-1"},
		{`12`, "12"}, {`"12"`, "12"}, {`12`, "12"}, {`null`, ""}, {`"null"`, "null"}, {`null`, ""}, {`""`, ""},
		{`"楼1"`, "楼1"}, {`"楼1"`, "楼1"}, {`"12.5"`, "12.5"}, {`12.5`, "refused"}, {`"true"`, "true"}, {`true`, "refused"}, {`"A-1"`, "A-1"},
	} {
		var m devices.Message
		payload := fmt.Appendf(nil, `{"ports":[{"port":1,"w":1,"card":%s},{"port":2,"w":1}]}`, c.card)
		err := d.Decode(devices.Input{Topic: topic, Payload: payload, Received: received}, &m)
		got := "refused"
		if len(m.Rejects) == 0 {
			got = m.Readings[0].Card
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.card, got, err, c.want)
		}
	}
}

func TestAGoodMessageAllocatesNothing(t *testing.T) {
	d := newTestDecoder(t)
	in := devices.Input{Topic: topic, Payload: ports(12), Received: received}
	var m devices.Message
	allocs := testing.AllocsPerRun(500, func() {
		m.Reset()
		if err := d.Decode(in, &m); err != nil || len(m.Readings) != 12 {
			t.Fatalf("%v, %d readings", err, len(m.Readings))
		}
	})
	if allocs > 1 { // the race detector makes pools forget
		t.Errorf("%v allocations a message, want none", allocs)
	}
}

func newTestDecoder(t testing.TB) devices.Decoder {
	t.Helper()
	d, err := New(devices.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ports gives a telemetry of n ports.
func ports(n int) []byte {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Replace(aPort, `"port":1`, `"port":`+strconv.Itoa(i+1), 1)
	}
	return []byte(strings.Replace(onePort, aPort, strings.Join(list, ","), 1))
}
