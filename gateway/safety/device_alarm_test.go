package safety

import (
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

func alarmOf(kind string, port uint8) func(*devices.Event) {
	return func(e *devices.Event) { e.Alarm, e.Port = kind, port }
}

func stateOf(s devices.PortState) func(*devices.Reading) {
	return func(x *devices.Reading) { x.State = s }
}

func TestAnAlarmIsPassedOnAtOnce(t *testing.T) {
	for _, kind := range devices.Alarms {
		r := newRig(t)
		r.event(devices.EventAlarm, at("5m"), alarmOf(kind, 2))
		f := r.raised("device_alarm")
		want := "critical"
		if kind == "other" {
			want = "warning"
		}
		if f.Severity != want || f.Port != 2 || f.Building != "3" || f.Suspicion != "hardware" || f.RaisedAt != at("5m") {
			t.Errorf("%s: %+v", kind, f)
		}
		if fire := strings.Contains(f.Advice, "119") && strings.Contains(f.AdviceEN, "119"); fire != (kind == "smoke") {
			t.Errorf("%s: %s", kind, f.Advice)
		}
		if want := "device_alarm-" + kind + "-P01-2-20261123T120500Z"; f.ID != want {
			t.Errorf("id %s, want %s", f.ID, want)
		}
	}
}

func TestAnAlarmStandsUntilThePortIsSoundForAnHour(t *testing.T) {
	r := newRig(t)
	r.event(devices.EventAlarm, at("5m"), alarmOf("smoke", 1))
	r.read(at("6m"), 0, stateOf(devices.StateIdle)) // too early
	r.event(devices.EventAlarm, at("30m"), alarmOf("smoke", 1))
	r.read(at("1h10m"), 0, stateOf(devices.StateIdle)) // less than an hour after the repetition
	r.read(at("1h40m"), 0, stateOf(devices.StateFault))
	if got := r.words("device_alarm"); got != "critical" {
		t.Fatalf("told %v", r.told("device_alarm"))
	}
	r.read(at("1h45m"), 0, stateOf(devices.StateIdle))
	if got := r.told("device_alarm"); len(got) != 2 || got[1] != "cleared 105" {
		t.Errorf("told %v", got)
	}
}

func TestAnAlarmOfAPortWithoutStatesIsForgottenAfterADay(t *testing.T) {
	r := newRig(t)
	r.event(devices.EventAlarm, at("0"), alarmOf("leakage", 1))
	for h := range 30 {
		r.read(t0.Add(time.Duration(h)*time.Hour), 0)
	}
	if got := r.told("device_alarm"); len(got) != 2 || got[1] != "cleared 1440" {
		t.Errorf("told %v", got)
	}
}

func TestAlarmsOfOnePlaceAreToldApart(t *testing.T) {
	r := newRig(t)
	r.event(devices.EventAlarm, at("0"), alarmOf("water", 0))
	r.event(devices.EventAlarm, at("200ms"), alarmOf("smoke", 0))
	r.event(devices.EventAlarm, at("0"), alarmOf("smoke", 1))
	ids := map[string]bool{}
	for _, c := range r.log {
		ids[c.Flag.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d flags, want 3: %v", len(ids), ids)
	}
	r.read(at("2h"), 0, stateOf(devices.StateIdle))
	if got := r.words("device_alarm"); got != "critical critical critical cleared cleared cleared" {
		t.Errorf("told %v", r.told("device_alarm"))
	}
}

func TestASessionThatEndsDoesNotClearAnAlarm(t *testing.T) {
	r := newRig(t)
	r.read(at("0"), 150, stateOf(devices.StateCharging))
	r.event(devices.EventAlarm, at("5m"), alarmOf("over_temperature", 1))
	r.read(at("6m"), 0, stateOf(devices.StateIdle))
	if got := r.words("device_alarm"); got != "critical" {
		t.Errorf("told %v", r.told("device_alarm"))
	}
}
