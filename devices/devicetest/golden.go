package devicetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

// golden is one case in testdata.
type golden struct {
	name, dir string
	inputs    []devices.Input
	options   devices.Options
}

// recorded is one line of messages.ndjson.
type recorded struct {
	Topic    string    `json:"topic"`
	Received time.Time `json:"received"`
	Payload  *string   `json:"payload"`
	Base64   []byte    `json:"payload_b64"`
	Retained bool      `json:"retained"`
}

func readGolden(dir string) (golden, error) {
	g := golden{name: filepath.Base(dir), dir: dir, options: devices.Options{Location: Location()}}
	mapping, err := os.ReadFile(filepath.Join(dir, "mapping.json"))
	if err == nil {
		err = json.Unmarshal(mapping, &g.options.Mapping)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return golden{}, fmt.Errorf("mapping of %s: %w", dir, err)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "messages.ndjson"))
	if err != nil {
		return golden{}, err
	}
	scan := bufio.NewScanner(bytes.NewReader(lines))
	scan.Buffer(nil, 2*devices.MaxPayload)
	for scan.Scan() {
		var r recorded
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			return golden{}, fmt.Errorf("message %d of %s: %w", len(g.inputs)+1, dir, err)
		}
		g.inputs = append(g.inputs, r.input())
	}
	return g, scan.Err()
}

func (r *recorded) input() devices.Input {
	in := devices.Input{Topic: r.Topic, Payload: r.Base64, Received: devices.MillisOf(r.Received), Retained: r.Retained}
	if r.Payload != nil {
		in.Payload = []byte(*r.Payload)
	}
	return in
}

// golden decodes the messages of the case in order with one decoder and compares
// what they say with want.json.
func (g *golden) golden(t *testing.T, s Suite) {
	d := s.build(t, g.options)
	got := make([]map[string]any, 0, len(g.inputs))
	for _, in := range g.inputs {
		got = append(got, view(decodeWith(t, d, in)))
	}
	writeOrCompare(t, filepath.Join(g.dir, "want.json"), indented(t, got))
}

// view gives a result as a golden shows it: what was not measured is left out,
// and instants are in the estate's time.
func view(r result) map[string]any {
	v := map[string]any{}
	if r.err != nil {
		v["reject"] = withoutParser(r.err)
	}
	add := func(key string, n int, entry func(i int) any) {
		var list []any
		for i := range n {
			list = append(list, entry(i))
		}
		if n > 0 {
			v[key] = list
		}
	}
	m := &r.message
	add("readings", len(m.Readings), func(i int) any { return viewReading(&m.Readings[i]) })
	add("events", len(m.Events), func(i int) any { return viewEvent(&m.Events[i]) })
	add("statuses", len(m.Statuses), func(i int) any { return viewStatus(&m.Statuses[i]) })
	add("rejects", len(m.Rejects), func(i int) any { return withoutParser(&m.Rejects[i]) })
	return v
}

// withoutParser leaves out the words of a JSON parser, which change with its version.
func withoutParser(err error) string {
	const ours = "not JSON"
	text := err.Error()
	if i := strings.Index(text, ours); i >= 0 {
		return text[:i+len(ours)]
	}
	return text
}

func viewReading(r *devices.Reading) any {
	v := entry(r.Pile, r.Time, r.DeviceTime)
	v["port"], v["power_mw"] = r.Port, r.PowerMW
	v.text("state", r.State.String())
	v.text("card", r.Card)
	v.text("order", r.Order)
	v.number(r.Has, devices.HasSeq, "seq", r.Seq)
	v.number(r.Has, devices.HasEnergy, "energy_mwh", r.EnergyMWh)
	v.number(r.Has, devices.HasOrderEnergy, "order_mwh", r.OrderMWh)
	v.number(r.Has, devices.HasVoltage, "voltage_mv", int64(r.VoltageMV))
	v.number(r.Has, devices.HasCurrent, "current_ma", int64(r.CurrentMA))
	v.number(r.Has, devices.HasPowerFactor, "pf_milli", int64(r.PFMilli))
	v.number(r.Has, devices.HasTemperature, "temp_mc", int64(r.TempMC))
	return v
}

func viewEvent(e *devices.Event) any {
	v := entry(e.Pile, e.Time, e.DeviceTime)
	v["port"], v["event"] = e.Port, e.Kind.String()
	v.text("card", e.Card)
	v.text("order", e.Order)
	v.text("reason", e.Reason)
	v.text("alarm", e.Alarm)
	v.number(e.Has, devices.HasSeq, "seq", e.Seq)
	v.number(e.Has, devices.HasEnergy, "energy_mwh", e.EnergyMWh)
	v.number(e.Has, devices.HasOrderEnergy, "order_mwh", e.OrderMWh)
	if e.Kind == devices.EventSettle {
		v["start"], v["end"], v["settled_mwh"] = shown(e.Start), shown(e.End), e.SettledMWh
	}
	return v
}

func viewStatus(s *devices.Status) any {
	v := entry(s.Pile, s.Time, s.DeviceTime)
	v.number(s.Has, devices.HasSeq, "seq", s.Seq)
	v.number(s.Has, devices.HasEnergy, "main_mwh", s.MainMWh)
	v.number(s.Has, devices.HasTemperature, "temp_mc", int64(s.TempMC))
	v.number(s.Has, devices.HasRSSI, "rssi_dbm", int64(s.RSSI))
	if s.Has.Has(devices.HasOnline) {
		v["online"] = s.Online
	}
	return v
}

// fields are what a golden shows of one entry.
type fields map[string]any

func entry(pile string, at devices.Millis, device bool) fields {
	clock := "receipt"
	if device {
		clock = "device"
	}
	return fields{"pile": pile, "time": shown(at), "clock": clock}
}

func (v fields) text(key, s string) {
	if s != "" {
		v[key] = s
	}
}

func (v fields) number(has, want devices.Fields, key string, n int64) {
	if has.Has(want) {
		v[key] = n
	}
}

func shown(at devices.Millis) string {
	return at.Time().In(Location()).Format("2006-01-02T15:04:05.000Z07:00")
}

func dump(t testing.TB, r result) string { return indented(t, view(r)) }

func indented(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
