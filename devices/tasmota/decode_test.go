package tasmota

import (
	"reflect"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/devices/devicetest"
)

func TestConformance(t *testing.T) {
	devicetest.Run(t, devicetest.Suite{New: New})
}

func TestKilowattHoursAndLocalTimeArriveExactly(t *testing.T) {
	d, err := New(devices.Options{Location: devicetest.Location()})
	if err != nil {
		t.Fatal(err)
	}
	received := devices.MillisOf(time.Date(2026, 11, 23, 12, 15, 31, 0, time.UTC))
	payload := `{"Time":"2026-11-23T20:15:30","ENERGY":{"Total":6.294,"Power":2635,"Factor":0.99,"Voltage":227,"Current":11.661}}`
	var m devices.Message
	if err := d.Decode(devices.Input{Topic: "tele/P07/SENSOR", Payload: []byte(payload), Received: received}, &m); err != nil {
		t.Fatal(err)
	}
	want := []devices.Reading{{
		Pile: "P07", Port: 1, DeviceTime: true,
		Time:    devices.MillisOf(time.Date(2026, 11, 23, 12, 15, 30, 0, time.UTC)),
		PowerMW: 2_635_000, EnergyMWh: 6_294_000, VoltageMV: 227_000, CurrentMA: 11_661, PFMilli: 990,
		Has: devices.HasEnergy | devices.HasVoltage | devices.HasCurrent | devices.HasPowerFactor,
	}}
	if !reflect.DeepEqual(m.Readings, want) || len(m.Statuses)+len(m.Events)+len(m.Rejects) > 0 {
		t.Errorf("got %+v, want the reading %+v", m, want)
	}
}

func TestWithoutALocationLocalTimeIsUTC(t *testing.T) {
	d, err := New(devices.Options{})
	if err != nil {
		t.Fatal(err)
	}
	received := devices.MillisOf(time.Date(2026, 11, 23, 12, 15, 31, 0, time.UTC))
	payload := `{"Time":"2026-11-23T12:15:30","ENERGY":{"Power":1}}`
	var m devices.Message
	if err := d.Decode(devices.Input{Topic: "tele/P07/SENSOR", Payload: []byte(payload), Received: received}, &m); err != nil {
		t.Fatal(err)
	}
	if r := m.Readings[0]; r.Time != received-1000 || !r.DeviceTime {
		t.Errorf("got %v, want a second before receipt", r.Time.Time())
	}
}
