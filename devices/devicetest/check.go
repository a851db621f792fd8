package devicetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pilewatch/devices"
)

// maxDetail is the longest a refusal may be: it is kept and shown in one line.
const maxDetail = 400

// check holds a result to the vocabulary.
func check(t testing.TB, in devices.Input, r result) {
	t.Helper()
	m := &r.message
	if r.err != nil {
		var rej *devices.Reject
		if !errors.As(r.err, &rej) || rej == nil {
			t.Fatalf("%T %v, want a *devices.Reject", r.err, r.err)
		}
		checkReject(t, rej)
		if !m.Empty() || len(m.Rejects) > 0 {
			t.Errorf("refused whole (%v), and yet it says %+v", r.err, m)
		}
	}
	for i := range m.Rejects {
		checkReject(t, &m.Rejects[i])
	}
	if len(m.Rejects) > 0 && m.Empty() {
		t.Errorf("refused entries %v and nothing good: want the message refused whole", m.Rejects)
	}
	for i := range m.Readings {
		checkReading(t, in, &m.Readings[i])
	}
	for i := range m.Events {
		checkEvent(t, in, &m.Events[i])
	}
	for i := range m.Statuses {
		checkStatus(t, in, &m.Statuses[i])
	}
}

func checkReject(t testing.TB, r *devices.Reject) {
	t.Helper()
	oneLine := strings.IndexFunc(r.Detail, unicode.IsControl) < 0
	if !slices.Contains(devices.Reasons, r.Reason) || r.Detail == "" || len(r.Detail) > maxDetail || !oneLine || !utf8.ValidString(r.Detail) {
		t.Errorf("reject %+v, want a known reason and one line of text", r)
	}
}

func checkReading(t testing.TB, in devices.Input, r *devices.Reading) {
	t.Helper()
	checkName(t, r.Pile, 1)
	checkName(t, r.Card, 0)
	checkName(t, r.Order, 0)
	checkClock(t, in, r.Time, r.DeviceTime)
	if r.Port == 0 || r.PowerMW < devices.MinPowerMW || r.PowerMW > devices.MaxPowerMW {
		t.Errorf("port %d with %d mW is out of bounds", r.Port, r.PowerMW)
	}
	if r.State > devices.StateUnknown {
		t.Errorf("state %d is none", r.State)
	}
	unmeasured(t, r.Has, map[devices.Fields]int64{
		devices.HasSeq: r.Seq, devices.HasEnergy: r.EnergyMWh, devices.HasOrderEnergy: r.OrderMWh,
		devices.HasVoltage: int64(r.VoltageMV), devices.HasCurrent: int64(r.CurrentMA),
		devices.HasPowerFactor: int64(r.PFMilli), devices.HasTemperature: int64(r.TempMC),
	})
}

func checkEvent(t testing.TB, in devices.Input, e *devices.Event) {
	t.Helper()
	checkName(t, e.Pile, 1)
	checkName(t, e.Card, 0)
	checkName(t, e.Order, 0)
	checkClock(t, in, e.Time, e.DeviceTime)
	switch {
	case e.Kind == devices.EventNone || e.Kind > devices.EventSettle:
		t.Errorf("event %d is none", e.Kind)
	case e.Port == 0 && e.Kind != devices.EventAlarm:
		t.Errorf("%s of port 0", e.Kind)
	case e.Reason != "" && !slices.Contains(devices.StopReasons, e.Reason):
		t.Errorf("reason %q is none", e.Reason)
	case (e.Kind == devices.EventAlarm) != slices.Contains(devices.Alarms, e.Alarm):
		t.Errorf("%s with alarm %q", e.Kind, e.Alarm)
	case e.Kind == devices.EventSettle && (e.Order == "" || e.End < e.Start || e.SettledMWh < 0):
		t.Errorf("settle of %q from %d to %d, %d mWh", e.Order, e.Start, e.End, e.SettledMWh)
	case e.Kind != devices.EventSettle && (e.Start != 0 || e.End != 0 || e.SettledMWh != 0):
		t.Errorf("%s with what only a settle has: %+v", e.Kind, e)
	}
	unmeasured(t, e.Has, map[devices.Fields]int64{
		devices.HasSeq: e.Seq, devices.HasEnergy: e.EnergyMWh, devices.HasOrderEnergy: e.OrderMWh,
	})
}

func checkStatus(t testing.TB, in devices.Input, s *devices.Status) {
	t.Helper()
	checkName(t, s.Pile, 1)
	checkClock(t, in, s.Time, s.DeviceTime)
	if s.Has&^devices.HasSeq == 0 {
		t.Errorf("status that says nothing: %+v", s)
	}
	if s.Online && !s.Has.Has(devices.HasOnline) {
		t.Errorf("online without HasOnline")
	}
	unmeasured(t, s.Has, map[devices.Fields]int64{
		devices.HasSeq: s.Seq, devices.HasEnergy: s.MainMWh,
		devices.HasTemperature: int64(s.TempMC), devices.HasRSSI: int64(s.RSSI),
	})
}

// checkName checks what becomes a label: at least least bytes, at most 64, text.
func checkName(t testing.TB, s string, least int) {
	t.Helper()
	if len(s) < least || len(s) > 64 || !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		t.Errorf("name %q is no label", s)
	}
}

// checkClock checks an instant against the window of interfaces.md.
func checkClock(t testing.TB, in devices.Input, at devices.Millis, device bool) {
	t.Helper()
	const first, ahead = 1_704_067_200_000, 5 * 60 * 1000 // 2024-01-01T00:00:00Z, 5 min
	switch {
	case !device && at != in.Received:
		t.Errorf("time %d is neither the device's nor that of receipt %d", at, in.Received)
	case device && (at < first || at > in.Received+ahead):
		t.Errorf("device time %d is implausible at receipt %d", at, in.Received)
	}
}

// unmeasured checks that what was not measured is zero.
func unmeasured(t testing.TB, has devices.Fields, values map[devices.Fields]int64) {
	t.Helper()
	for field, v := range values {
		if v != 0 && !has.Has(field) {
			t.Errorf("%d without the field %#x that says so", v, field)
		}
	}
}
