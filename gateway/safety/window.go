package safety

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"pilewatch/devices"
)

// sample is the power of a port at an instant.
type sample struct {
	T   devices.Millis
	W   int32 // mW
	Reg int32 // how far the register went since the sample before, mWh; -1 for unknown
}

const (
	// windowSize is how many samples a port keeps: 40 minutes at 30 s.
	windowSize = 80
	// grain is how close samples are kept apart: of those within it the mean is
	// kept, so that a window is 26 minutes long however fast a pile reports.
	grain = 20_000
	// idleSize is how many a port keeps that does nothing.
	idleSize = 4
	// longestStep is how far apart two samples may be for a power in between to
	// be known: one missed report at 300 s.
	longestStep = 11 * 60_000
)

// window is the recent past of a port, oldest first, strictly ascending in time.
type window struct {
	base devices.Millis
	ring []packed
	head int   // the oldest, when the ring is full
	top  int32 // mW: no sample is over it
}

// packed is a sample as it is kept: a city has a million ports.
type packed struct {
	After  uint32 // ms since the base
	W, Reg int32
}

func (w *window) len() int { return len(w.ring) }

// at gives the i-th sample from the newest: 0 is the newest.
func (w *window) at(i int) sample {
	x := w.packed(i)
	return sample{w.base + devices.Millis(x.After), x.W, x.Reg}
}

func (w *window) packed(i int) *packed {
	if i = w.head - 1 - i; i < 0 {
		i += len(w.ring)
	}
	return &w.ring[i]
}

// join makes the newest sample the mean of n readings, of which s is the newest.
func (w *window) join(s sample, n int64) {
	last := w.packed(0)
	last.W += int32(int64(s.W-last.W) / n)
	if last.Reg >= 0 && s.Reg >= 0 {
		last.Reg += s.Reg
	}
	w.top = max(w.top, last.W)
}

// pack gives a sample as it is kept. The base moves on once in 49 days; over a hole
// so long nothing is kept.
func (w *window) pack(s sample) packed {
	if n := len(w.ring); n > 0 && s.T-w.base > math.MaxUint32 {
		oldest := w.ring[w.head%n].After
		for i := range w.ring {
			w.ring[i].After -= oldest
		}
		w.base += devices.Millis(oldest)
	}
	if len(w.ring) == 0 || s.T-w.base > math.MaxUint32 {
		w.base, w.ring, w.head = s.T, w.ring[:0], 0
	}
	return packed{uint32(s.T - w.base), s.W, s.Reg}
}

// push adds a sample that is newer than all others.
func (w *window) push(s sample) {
	x := w.pack(s)
	switch {
	case len(w.ring) < windowSize:
		if cap(w.ring) <= len(w.ring) { // a session begins: at once, so that no reading of it allocates
			w.ring = append(make([]packed, 0, windowSize), w.ring...)
		}
		w.ring = append(w.ring, x)
	default:
		w.ring[w.head] = x
		w.head++
	}
	w.top = max(w.top, x.W)
	if w.head == windowSize {
		w.head = 0
		w.look()
	}
}

// look finds the highest sample.
func (w *window) look() {
	w.top = 0
	for i := range w.ring {
		w.top = max(w.top, w.ring[i].W)
	}
}

// pushIdle adds a sample and keeps only the last few: most ports do nothing most
// of the time.
func (w *window) pushIdle(s sample) {
	if cap(w.ring) > idleSize || w.ring == nil {
		few := window{ring: make([]packed, 0, idleSize)}
		for i := min(w.len(), idleSize-1) - 1; i >= 0; i-- {
			few.ring = append(few.ring, few.pack(w.at(i)))
		}
		*w = few
		w.look()
	}
	if len(w.ring) == idleSize {
		copy(w.ring, w.ring[1:])
		w.ring = w.ring[:idleSize-1]
	}
	x := w.pack(s)
	w.ring = append(w.ring, x)
	w.top = max(w.top, x.W)
}

// cut forgets what is not after an instant, but for the newest sample.
func (w *window) cut(at devices.Millis) {
	var kept window
	for i := w.len() - 1; i >= 0; i-- {
		if s := w.at(i); s.T > at || i == 0 {
			kept.push(s)
		}
	}
	*w = kept
}

// mean is the mean power of the last d, in mW, from straight lines between the
// samples; ok is false where they do not reach back that far, or leave a hole.
func (w *window) mean(d devices.Millis) (mW int64, ok bool) {
	if w.len() < 2 || d <= 0 {
		return 0, false
	}
	b := w.at(0)
	from := b.T - d
	var sum int64 // mW x ms, twice
	for i := 1; i < w.len(); i++ {
		a := w.at(i)
		step := int64(b.T - a.T)
		if step > longestStep {
			return 0, false
		}
		if a.T <= from {
			edge := int64(a.W) + int64(b.W-a.W)*int64(from-a.T)/step
			sum += (edge + int64(b.W)) * int64(b.T-from)
			return sum / 2 / int64(d), true
		}
		sum += int64(a.W+b.W) * step
		b = a
	}
	return 0, false
}

// above counts the samples of the last d at or over a power.
func (w *window) above(d devices.Millis, mW int64) (n int) {
	for i := 0; i < w.len() && w.at(0).T-w.at(i).T <= d; i++ {
		if int64(w.at(i).W) >= mW {
			n++
		}
	}
	return n
}

// quantile is the power under which the port was for a share q, in thousandths,
// of the time between two instants, both included; a sample stands for the time since the one
// before it, at most longestStep. known is how much of the time samples stand for.
func (w *window) quantile(from, to devices.Millis, q int64) (mW int64, known devices.Millis) {
	var buf [windowSize]weighted
	n := 0
	for i := 0; i < w.len(); i++ {
		s := w.at(i)
		if s.T > to {
			continue
		}
		if s.T < from {
			break
		}
		span := devices.Millis(longestStep)
		if i+1 < w.len() {
			span = min(span, s.T-w.at(i+1).T)
		}
		span = min(span, max(1, s.T-from))
		buf[n] = weighted{s.W, span}
		known += span
		n++
	}
	part := buf[:n]
	slices.SortFunc(part, func(a, b weighted) int { return int(a.w) - int(b.w) })
	want := int64(known) * q
	for _, x := range part {
		if want -= int64(x.span) * 1000; want <= 0 {
			return int64(x.w), known
		}
	}
	return 0, known
}

type weighted struct {
	w    int32
	span devices.Millis
}

// MarshalJSON writes the samples as one flat list: time, power and register, the
// times as differences.
func (w window) MarshalJSON() ([]byte, error) {
	flat := make([]int64, 0, 3*w.len())
	var last devices.Millis
	for i := w.len() - 1; i >= 0; i-- {
		s := w.at(i)
		flat = append(flat, int64(s.T-last), int64(s.W), int64(s.Reg))
		last = s.T
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (w *window) UnmarshalJSON(b []byte) error {
	var flat []int64
	if err := json.Unmarshal(b, &flat); err != nil {
		return err
	}
	if len(flat)%3 != 0 || len(flat) > 3*windowSize {
		return fmt.Errorf("%d numbers are no window", len(flat))
	}
	*w = window{}
	var last devices.Millis
	for i := 0; i < len(flat); i += 3 {
		last += devices.Millis(flat[i])
		w.push(sample{T: last, W: int32(flat[i+1]), Reg: int32(flat[i+2])})
	}
	return nil
}
