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
	On    [beats]devices.Millis `json:"on"`  // how long, newest first
	Off   [beats]devices.Millis `json:"off"` // the rests before them
	W     [beats]int32          `json:"w"`   // mW
	N     int32                 `json:"n"`
	End   devices.Millis        `json:"end"`             // of the newest
	Since devices.Millis        `json:"since,omitempty"` // it is on since then; 0: off
	Last  devices.Millis        `json:"last,omitempty"`  // newest reading that was on
	Level int32                 `json:"level,omitempty"` // mW, the mean since then
	Count int32                 `json:"count,omitempty"` // readings in it
	Now   int32                 `json:"now,omitempty"`   // mW, of the newest that was on
	Base  int32                 `json:"base,omitempty"`  // mW, the least since it is off
	Told  devices.Millis        `json:"told,omitempty"`  // when it was found last
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
		b.Last, b.Now = now, mW
	}
	return finding{}
}

func (b *beat) on(now devices.Millis, mW int32) {
	copy(b.Off[1:], b.Off[:])
	b.Off[0] = 0
	if b.End != 0 {
		b.Off[0] = now - b.End
	}
	b.Since, b.Last, b.Level, b.Count, b.Now = now, now, mW, 1, mW
}

// off: a thermostat's load is on for about as long each time, off for about as
// long, draws about the same, and all of it to the last. An interrupted charge is
// not so even, and what tops up a battery fades away.
func (b *beat) off(now devices.Millis) (f finding) {
	if b.Since == 0 {
		return f
	}
	copy(b.On[1:], b.On[:])
	copy(b.W[1:], b.W[:])
	b.On[0], b.W[0], b.End, b.Since = now-b.Since, b.Level, now, 0
	b.N++
	if b.Count < 2 && b.Level < singleLeast {
		b.N = 0
	}
	if b.N < beats || slices.Min(b.W[:]) < 15_000 || b.Now < b.Level*7/10 {
		return f
	}
	on, off := slices.Max(b.On[:]), slices.Max(b.Off[:beats-1])
	if slices.Min(b.On[:]) < 2*minute || on > 60*minute || on*10 > slices.Min(b.On[:])*25 ||
		off*10 > slices.Min(b.Off[:beats-1])*30 || int64(slices.Max(b.W[:]))*100 > int64(slices.Min(b.W[:]))*120 || on > off*4 {
		return f
	}
	if b.Told != 0 && now-b.Told < beatTold {
		return f
	}
	b.Told = now
	return finding{After: b.W[0], Before: int32(on / minute), Times: b.N}
}
