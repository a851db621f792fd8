package safety

import (
	"testing"
	"time"

	"pilewatch/devices"
)

// A pile that was silent for most of a day counted on: what its register did in
// that time is not the new session's.
func TestTheTimeBeforeASessionIsNoPartOfIt(t *testing.T) {
	r := newRig(t)
	metered := func(wh float64) func(*devices.Reading) {
		return func(x *devices.Reading) {
			x.State, x.Has, x.EnergyMWh = devices.StateCharging, devices.HasEnergy, int64(wh*1000)
		}
	}
	r.read(t0, 0, func(x *devices.Reading) { x.State, x.Has, x.EnergyMWh = devices.StateIdle, devices.HasEnergy, 0 })
	for m := range 60 {
		at := t0.Add(22*time.Hour + time.Duration(m)*time.Minute)
		r.read(at, 150, metered(3000+2.5*float64(m)))
	}
	if told := r.told("over_time"); len(told) > 0 {
		t.Errorf("after an hour: %s", told)
	}
}
