package mapping

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

var suite = devicetest.Suite{New: New, AnyTopic: true}

func TestConformance(t *testing.T) { devicetest.Run(t, suite) }

// acme is the mapping of the package comment, which stands in the sample configuration, too.
const acme = `
pile: topic[1]
each: data.sockets
port: id
time: data.t                 # RFC 3339, or unix s/ms
power_w: p / 10
energy_wh: kwh * 1000
state: 'st == 1 ? "charging" : "idle"'
card: uid
`

func TestTheSampleMappingReadsItsVendor(t *testing.T) {
	received := devices.MillisOf(time.Date(2026, 11, 23, 12, 15, 31, 0, time.UTC))
	payload := `{"data":{"t":1795436130,"sockets":[{"id":1,"st":1,"p":1824,"kwh":12.345,"uid":"04A1B2C3"},{"id":2,"st":0,"p":0}]}}`
	var m devices.Message
	err := newDecoder(t, acme).Decode(devices.Input{Topic: "acme/P09/up", Payload: []byte(payload), Received: received}, &m)
	want := []devices.Reading{{
		Pile: "P09", Port: 1, Time: received - 1000, DeviceTime: true, PowerMW: 182_400, EnergyMWh: 12_345_000,
		State: devices.StateCharging, Card: "04A1B2C3", Has: devices.HasEnergy,
	}, {
		Pile: "P09", Port: 2, Time: received - 1000, DeviceTime: true, State: devices.StateIdle,
	}}
	if err != nil || len(m.Readings) != 2 || m.Readings[0] != want[0] || m.Readings[1] != want[1] || len(m.Rejects) > 0 {
		t.Errorf("got %+v, %v, want %+v", m, err, want)
	}
}

func TestAWrongMappingIsRefusedByItsKey(t *testing.T) {
	for mapping, want := range map[string][]string{
		"":                                                          {"pile is missing", "power_w is missing"},
		"{pile: 'topic[1]'}":                                        {"power_w is missing"},
		"{pile: id, power_w: p, powr: p}":                           {`unknown key "powr"`, "power_factor power_w"},
		"{pile: id, power_w: 'p /'}":                                {`power_w: "p /" does not compile`, "at character"},
		"{pile: id, power_w: ''}":                                   {`power_w: "" does not compile`},
		"{pile: id, power_w: p, card: 'a b'}":                       {`card: "a b" does not compile`},
		"{pile: 'f(id)', power_w: p}":                               {"pile:", "no function f"},
		"{pile: id, power_w: 'now()'}":                              {"power_w:", "no function now"},
		"{pile: id, power_w: 'sum(a)'}":                             {"power_w:"},
		"{pile: id, power_w: 'map(a, # * 2)'}":                      {"power_w:"},
		"{pile: id, power_w: 'all(1..9, true)'}":                    {"power_w:"},
		"{pile: id, power_w: 'reduce(a, #acc + #, 0)'}":             {"power_w:"},
		"{pile: id, power_w: 'repeat(a, 9)'}":                       {"power_w:", "no function repeat"},
		"{pile: id, power_w: p, state: '$env'}":                     {"state:", "$env"},
		"{pile: '1 +', power_w: '2 +', card: '3 +'}":                {"pile:", "power_w:", "card:"},
		"{pile: id, power_w: '" + strings.Repeat("p+", 600) + "p'}": {"power_w:"},
	} {
		_, err := New(options(t, mapping))
		if err == nil {
			t.Errorf("%s: taken", mapping)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%.60s: %q, want one line with %q", mapping, err, part)
			}
		}
	}
}

// A range or an array in an expression must not fill the memory.
func TestAnExpressionHasABudget(t *testing.T) {
	for _, power := range []string{"len(1..100000000)", "len(1..n)", "len(string(1..n))"} {
		d := newDecoder(t, "{pile: 'topic[0]', power_w: '"+power+"'}")
		var m devices.Message
		err := d.Decode(devices.Input{Topic: "P", Payload: []byte(`{"n":100000000}`)}, &m)
		if devicetest.ReasonOf(err) != devices.BadPower {
			t.Errorf("%s: %v, %+v, want bad_power", power, err, m)
		}
	}
}

func TestMoreElementsThanAPileHasAreRefused(t *testing.T) {
	d := newDecoder(t, "{pile: 'topic[0]', each: a, power_w: it}")
	payload := `{"a":[` + strings.Repeat("1,", mostElements) + `1]}`
	var m devices.Message
	err := d.Decode(devices.Input{Topic: "P", Payload: []byte(payload)}, &m)
	if devicetest.ReasonOf(err) != devices.Malformed {
		t.Errorf("%v, want malformed", err)
	}
}

func options(t testing.TB, mapping string) devices.Options {
	t.Helper()
	o := devices.Options{Location: devicetest.Location()}
	if err := yaml.Unmarshal([]byte(mapping), &o.Mapping); err != nil {
		t.Fatal(err)
	}
	return o
}

func newDecoder(t testing.TB, mapping string) devices.Decoder {
	t.Helper()
	d, err := New(options(t, mapping))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkDecode(b *testing.B) {
	d := newDecoder(b, acme)
	in := devices.Input{Topic: "acme/P09/up", Received: 1795436131000, Payload: []byte(`{"data":{"t":1795436130,"sockets":[` +
		strings.Repeat(`{"id":1,"st":1,"p":1824,"kwh":12.345,"uid":"04A1B2C3"},`, 11) + `{"id":12,"st":0,"p":0}]}}`)}
	var m devices.Message
	b.ReportAllocs()
	for b.Loop() {
		m.Reset()
		if err := d.Decode(in, &m); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(12*float64(b.N)/b.Elapsed().Seconds(), "readings/s")
}
