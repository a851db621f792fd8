package safety

import (
	"slices"

	"pilewatch/devices"
)

// beat follows a load that goes on and off: when it was on and off the last
// times, and how much it drew. It is off under a quarter of what it drew, and on
// again far over what is left then: what stands by beside a fridge is no reason
// to miss it.
type beat struct {
	Since devices.Millis `json:"since,omitempty"` // it is on since then; 0: off
	Level int32          `json:"level,omitempty"` // mW, the mean since then
	Count int32          `json:"count,omitempty"` // readings in it
	Now   int32          `json:"now,omitempty"`   // mW, of the newest that was on
	Base  int32          `json:"base,omitempty"`  // mW, the least since it is off
	turns *turns         // nil before the first is over
}

// turns are the last times that a load was on.
type turns struct {
	On   [beats]devices.Millis `json:"on,omitzero"`    // how long, newest first
	Off  [beats]devices.Millis `json:"off,omitzero"`   // the rests before them
	W    [beats]int32          `json:"w,omitzero"`     // mW
	N    int32                 `json:"n,omitempty"`    //
	End  devices.Millis        `json:"end,omitempty"`  // of the newest
	Told devices.Millis        `json:"told,omitempty"` // when a beat was found last
}

const (
	beats = 3 // make a rhythm
	// singleLeast is the power from which one report is a turn: under it, it may be what
	// tops up a full battery, at a quarter of the largest charger's power; a compressor runs for longer.
	singleLeast = 250_000
	beatRest    = 60 * minute // the longest rest in one
	beatTold    = day         // a load that beats on is told of once a day, though each turn may be a session of its own
)

// follow takes a reading, and gives what it finds when the load went off.
func (b *beat) follow(now devices.Millis, mW int32) finding {
	switch {
	case b.Since == 0:
		if mW >= max(restMW, 2*b.Base+restMW) {
			b.on(now, mW)
		}
		b.Base = min(b.Base, mW)
	case mW < restMW || mW < b.Level/4:
		b.Base = mW
		return b.off(now)
	default:
		b.Count++
		b.Level += (mW - b.Level) / b.Count
		b.Now = mW
	}
	return finding{}
}

func (b *beat) on(now devices.Millis, mW int32) {
	if t := b.turns; t != nil {
		copy(t.Off[1:], t.Off[:])
		t.Off[0] = 0
		if t.End != 0 {
			t.Off[0] = now - t.End
		}
	}
	b.Since, b.Level, b.Count, b.Now = now, mW, 1, mW
}

// forget begins anew, but for when a beat was found last.
func (b *beat) forget() {
	was := b.turns
	*b = beat{}
	if was != nil && was.Told != 0 {
		b.turns = &turns{Told: was.Told}
	}
}

// off: a thermostat's load is on for about as long each time, off for about as
// long, draws about the same, and all of it to the last. An interrupted charge is
// not so even, and what tops up a battery fades away.
func (b *beat) off(now devices.Millis) (f finding) {
	if b.Since == 0 {
		return f
	}
	if b.turns == nil {
		b.turns = &turns{}
	}
	t := b.turns
	copy(t.On[1:], t.On[:])
	copy(t.W[1:], t.W[:])
	t.On[0], t.W[0], t.End, b.Since = now-b.Since, b.Level, now, 0
	t.N++
	if b.Count < 2 && b.Level < singleLeast {
		t.N = 0
	}
	if t.N < beats || b.Now < b.Level*7/10 || !t.even() || t.Told != 0 && now-t.Told < beatTold {
		return f
	}
	t.Told = now
	return finding{After: t.W[0], Before: int32(slices.Max(t.On[:]) / minute), Times: t.N}
}

// even reports whether the turns are about as long, as far apart and as strong.
func (t *turns) even() bool {
	on, off := slices.Max(t.On[:]), slices.Max(t.Off[:beats-1])
	switch {
	case slices.Min(t.W[:]) < 15_000, slices.Min(t.On[:]) < 2*minute, on > 60*minute, on > off*4:
		return false
	}
	return on*10 <= slices.Min(t.On[:])*25 && off*10 <= slices.Min(t.Off[:beats-1])*30 &&
		int64(slices.Max(t.W[:]))*100 <= int64(slices.Min(t.W[:]))*120
}
