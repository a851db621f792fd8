package safety

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"pilewatch/devices"
)

// held is what a port holds, in bytes, with its samples and the curve of its session.
func held(p *port) int {
	n := int(unsafe.Sizeof(*p)) + cap(p.Recent.old)
	if p.Heat != nil {
		n += int(unsafe.Sizeof(*p.Heat))
	}
	if p.Rare != nil {
		n += int(unsafe.Sizeof(*p.Rare))
	}
	if p.Charge != nil {
		n += int(unsafe.Sizeof(*p.Charge))
	}
	if m := p.Charge.model(); m != nil {
		n += int(unsafe.Sizeof(*m)) + cap(m.Curve.old)
		if m.Odd != nil {
			n += int(unsafe.Sizeof(*m.Odd))
		}
		if m.Beat.turns != nil {
			n += int(unsafe.Sizeof(*m.Beat.turns))
		}
	}
	return n
}

func TestAPortIsSmall(t *testing.T) {
	r := newRig(t)
	charge := func(from, to int, watts func(m int) float64) {
		for m := from; m < to; m++ {
			r.read(t0.Add(time.Duration(m)*time.Minute), watts(m), func(x *devices.Reading) {
				x.State, x.Has = devices.StateCharging, devices.HasEnergy
				x.EnergyMWh = int64(m) * 3317
			})
		}
	}
	noisy := charger(200, 4*time.Hour)
	charge(0, 300, func(m int) float64 {
		return math.Round(10*noisy(time.Duration(m)*time.Minute)*(1+0.01*math.Sin(float64(m*m)))) / 10
	})
	busy := held(r.e.piles["P01"].Ports[0])
	charge(300, 900, func(int) float64 { return 200 }) // a charge with flags
	flagged := held(r.e.piles["P01"].Ports[0])
	r.event(devices.EventStop, at("15h"), func(e *devices.Event) { e.Reason = "full" })
	for m := range 60 {
		r.read(at("15h1m").Add(time.Duration(m)*time.Minute), 0, func(x *devices.Reading) { x.State = devices.StateIdle })
	}
	p := r.e.piles["P01"].Ports[0]
	p.Rare = nil // its flags
	idle := held(p)
	t.Logf("charging %d bytes, with flags %d, idle %d", busy, flagged, idle)
	if busy > 1600 || flagged > 2100 || idle > 200 {
		t.Errorf("charging %d bytes, with flags %d, idle %d", busy, flagged, idle)
	}
}
