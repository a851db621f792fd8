package safety

import (
	"slices"

	"pilewatch/devices"
)

// beat follows a load that goes on and off: when it was on and off the last
// times, and how much it drew.
type beat struct {
	On  [beats]devices.Millis `json:"on"`  // how long, newest first
	Off [beats]devices.Millis `json:"off"` // the rests before them
	W   [beats]int32          `json:"w"`   // mW
	N   int32                 `json:"n"`
	End devices.Millis        `json:"end"` // of the newest
}

const (
	beats    = 3           // make a rhythm
	beatRest = 60 * minute // the longest rest in one
)

func (b *beat) on(now devices.Millis) {
	copy(b.Off[1:], b.Off[:])
	b.Off[0] = 0
	if b.End != 0 {
		b.Off[0] = now - b.End
	}
}

// off: a thermostat's load is on for about as long each time, off for about as
// long, and draws about the same. An interrupted charge is not so even.
func (b *beat) off(m *model, now devices.Millis) (f finding) {
	copy(b.On[1:], b.On[:])
	copy(b.W[1:], b.W[:])
	b.On[0], b.W[0], b.End = now-m.Since, 0, now
	if m.Ticks.n > 0 {
		b.W[0] = m.Ticks.median(0, medianOf)
	}
	b.N++
	if b.N < beats || slices.Min(b.W[:]) < 15_000 {
		return f
	}
	on, off := slices.Max(b.On[:]), slices.Max(b.Off[:beats-1])
	if slices.Min(b.On[:]) < 2*minute || on > 60*minute || on*10 > slices.Min(b.On[:])*25 ||
		off*10 > slices.Min(b.Off[:beats-1])*30 || slices.Max(b.W[:])*100 > slices.Min(b.W[:])*120 || on > off*4 {
		return f
	}
	return finding{After: b.W[0], Before: int32(on / minute), Times: b.N}
}

func sortInt32(s []int32) { slices.Sort(s) }
