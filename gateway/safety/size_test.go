package safety

import (
	"testing"
	"time"
	"unsafe"

	"pilewatch/devices"
)

// What a port holds, in bytes, with its samples and the curve of its session.
func TestAPortIsSmall(t *testing.T) {
	held := func(p *port) int {
		n := int(unsafe.Sizeof(*p)) + cap(p.Recent.ring)*int(unsafe.Sizeof(packed{}))
		if m := p.Charge.Model; m != nil {
			n += int(unsafe.Sizeof(*m)) + cap(m.Curve.W)*4
		}
		return n
	}
	r := newRig(t)
	for m := range 600 {
		r.read(t0.Add(time.Duration(m)*time.Minute), 200, func(x *devices.Reading) { x.State = devices.StateCharging })
	}
	busy := held(r.e.piles["P01"].Ports[0])
	for m := range 60 {
		r.read(at("10h").Add(time.Duration(m)*time.Minute), 0, func(x *devices.Reading) { x.State = devices.StateIdle })
	}
	idle := held(r.e.piles["P01"].Ports[0])
	t.Logf("charging %d bytes, idle %d bytes", busy, idle)
	if busy > 3072 || idle > 512 {
		t.Errorf("charging %d bytes, idle %d bytes", busy, idle)
	}
}
