package native

import (
	"encoding/json"
	"reflect"
	"testing"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

func FuzzDecode(f *testing.F) {
	devicetest.Fuzz(f, devicetest.Suite{New: New}, devices.Options{})
}

// The fast parser must say exactly what encoding/json says, of any input, also
// when it has read others before.
func FuzzBothParsersAgree(f *testing.F) {
	for _, payload := range []string{
		onePort, `{"ports":[{"port":1,"w":NaN},{"port":2,"w":2}]}`, `{"Ports":[{"PORT":1,"w":5,"W":6}],"ts":1795436130.5}`,
		`{"ports":[{"port":1,"w":5},{"port":2,"w":6,"wh":3}],"ports":[{"port":3}],"ports":null,"ports":[null,1]}`,
		`{"event":"stop","port":1,"reason":"full","wh":1.5e3,"card":"\u00e9\ud83d"}`, `{"ports":[{"port":1,"w":01}]}`,
		`{"event":"settle","port":1,"order":"A","energy_wh":4,"start":1795348800,"end":1795377600}`, ` {} `, `{"a":{"b":[[]]}}x`,
	} {
		f.Add([]byte(onePort), []byte(payload))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		fast, slow := newTestDecoder(t), newDecoder(json.Unmarshal)
		for _, leaf := range []string{"telemetry", "event"} {
			for _, payload := range [][]byte{first, second, first} {
				in := devices.Input{Topic: "pilewatch/v1/fuxing/P01/" + leaf, Payload: payload, Received: received}
				var a, b devices.Message
				errA, errB := fast.Decode(in, &a), slow.Decode(in, &b)
				if !reflect.DeepEqual(a, b) || devicetest.ReasonOf(errA) != devicetest.ReasonOf(errB) {
					t.Fatalf("%s %q\n  fast: %+v, %v\n  encoding/json: %+v, %v", leaf, payload, a, errA, b, errB)
				}
			}
		}
	})
}
