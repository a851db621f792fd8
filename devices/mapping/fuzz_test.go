package mapping

import (
	"testing"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

func FuzzDecode(f *testing.F) {
	devicetest.Fuzz(f, suite, options(f, `
pile: topic[1] ?? msg.dev
each: data.sockets
port: id
time: data.t
seq: n
power_w: p / 10
energy_wh: kwh * 1000
order_wh: float(owh)
voltage_v: v[index]
current_a: it.a
power_factor: msg.pf
temperature_c: max(t, 0)
state: '["idle", "charging"][st]'
card: uid
order: split(ord, "-")[1]
`))
}

// Whatever stands in a mapping, New must answer in one line or give a decoder
// that keeps its promises.
func FuzzMapping(f *testing.F) {
	for _, source := range []string{"p / 10", `st == 1 ? "charging" : "idle"`, "topic[1]", "msg.a.b[0]?.c ?? 5", "1..9", "let x = p; x * 2",
		"[1, {a: p}]", "p in a", `uid matches "^0"`, "a[1:2]", "-p ** 2", "p | float()", "it", "not a"} {
		f.Add(source, `{"p":5,"st":1,"uid":"04","a":[1,{"b":2}]}`)
	}
	f.Fuzz(func(t *testing.T, source, payload string) {
		o := devices.Options{Mapping: map[string]string{"pile": "topic[0]", "power_w": source, "card": source, "state": source, "time": source}}
		if _, err := New(o); err != nil {
			return
		}
		suite.Check(t, o, devices.Input{Topic: "P01", Payload: []byte(payload), Received: 1795436131000})
	})
}
