package safety

import (
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
	// forgetAfter is a hole behind which nothing is remembered.
	forgetAfter = math.MaxUint32
)

// window is the recent past of a port, strictly ascending in time. A city has a million
// ports: so only the newest sample stands as it is, and those before it in a few bytes
// each, and all that is asked at every reading is how high they are.
type window struct {
	newest sample
	old    []byte // the samples before it, oldest first: each as put by register, power and the time to the next
	off    uint16 // where the oldest begins
	n      uint8  // samples, the newest included
	lap    uint8  // samples that tops[0] is of
	tops   [2]uint16
}

// topUnit is what tops are counted in, mW, rounded up.
const topUnit = 2_000

// top is a power that no sample is over.
func (w *window) top() int64 { return int64(max(w.tops[0], w.tops[1])) * topUnit }

// raise notes the power of a sample.
func (w *window) raise(mW int32) {
	w.tops[0] = max(w.tops[0], uint16((min(mW, devices.MaxPowerMW)+topUnit-1)/topUnit))
}

// inUnits makes a number short that is a whole multiple of a unit, as most are.
func inUnits(v, unit int64) uint64 {
	if v%unit == 0 {
		return uint64(v/unit) * 2
	}
	return uint64(v)*2 + 1
}

func ofUnits(x uint64, unit int64) int64 {
	if x%2 == 0 {
		return int64(x/2) * unit
	}
	return int64(x / 2)
}

// put appends a number so that it can be read from behind: bits by seven, the highest
// first, all but the first marked.
func put(b []byte, x uint64) []byte {
	shift := 0
	for x>>shift > 0x7f {
		shift += 7
	}
	b = append(b, byte(x>>shift))
	for shift > 0 {
		shift -= 7
		b = append(b, byte(x>>shift)|0x80)
	}
	return b
}

// take reads the last number, and gives what stands before it.
func take(b []byte) (x uint64, before []byte) {
	for shift := 0; ; shift += 7 {
		last := b[len(b)-1]
		b = b[:len(b)-1]
		x |= uint64(last&0x7f) << shift
		if last < 0x80 {
			return x, b
		}
	}
}

// The units in which times and powers mostly come, and how many bytes a sample has
// at most.
const (
	unitMS, unitMW = second, 100
	sampleMost     = 5 + 5 + 5
)

// push adds a sample that is newer than all others.
func (w *window) push(s sample) { w.keep(s, windowSize) }

// pushIdle adds a sample and keeps only the last few: most ports do nothing most
// of the time.
func (w *window) pushIdle(s sample) {
	w.keep(s, idleSize)
	if cap(w.old) > idleSize*sampleMost {
		w.old, w.off = slices.Clone(w.old[w.off:]), 0
	}
}

// keep adds a sample and keeps so many at most.
func (w *window) keep(s sample, most uint8) {
	if w.n > 0 && s.T-w.newest.T > forgetAfter {
		*w = window{old: w.old[:0]}
	}
	for ; w.n >= most; w.n-- {
		w.dropOldest()
	}
	if x := &w.newest; w.n > 0 {
		var b [sampleMost]byte
		w.add(put(put(put(b[:0], uint64(x.Reg+1)), inUnits(int64(x.W), unitMW)), inUnits(int64(s.T-x.T), unitMS)))
	}
	w.newest, w.n = s, w.n+1
	if w.lap++; w.lap > windowSize {
		w.lap, w.tops = 1, [2]uint16{0, w.tops[0]}
	}
	w.raise(s.W)
}

// add appends the bytes of a sample, in the room of dropped ones if that is enough.
func (w *window) add(b []byte) {
	if len(w.old)+len(b) > cap(w.old) {
		w.old, w.off = append(w.old[:0], w.old[w.off:]...), 0
		w.old = roomFor(w.old, len(b))
	}
	w.old = append(w.old, b...)
}

// dropOldest forgets the oldest sample but the newest.
func (w *window) dropOldest() {
	numbers, off := 0, int(w.off)
	for ; off < len(w.old); off++ {
		if w.old[off] < 0x80 { // a number begins
			if numbers++; numbers > 3 {
				break
			}
		}
	}
	w.off = uint16(off)
}

// join makes the newest sample the mean of n readings, of which s is the newest.
func (w *window) join(s sample, n int32) {
	last := &w.newest
	last.W += int32(int64(s.W-last.W) / int64(n))
	if last.Reg >= 0 && s.Reg >= 0 {
		last.Reg += s.Reg
	}
	w.raise(last.W)
}

// last gives the sample before the newest; false where there is none.
func (w *window) last() (s sample, ok bool) {
	if w.n < 2 {
		return s, false
	}
	s, _ = w.newest.before(w.old)
	return s, true
}

// before gives the sample before one, which is the last of some, and what is before that.
func (s sample) before(old []byte) (sample, []byte) {
	span, old := take(old)
	mW, old := take(old)
	reg, old := take(old)
	return sample{s.T - devices.Millis(ofUnits(span, unitMS)), int32(ofUnits(mW, unitMW)), int32(reg) - 1}, old
}

// back gives the samples of the last d and the one before them, the newest first.
func (w *window) back(b *[windowSize]sample, d devices.Millis) []sample {
	if w.n == 0 {
		return nil
	}
	s, old, n := w.newest, w.old, 1
	for b[0] = s; n < int(w.n) && w.newest.T-s.T <= d; n++ {
		s, old = s.before(old)
		b[n] = s
	}
	return b[:n]
}

// all gives all samples, the newest first.
func (w *window) all(b *[windowSize]sample) []sample { return w.back(b, math.MaxInt64) }

// cut forgets what is not after an instant, but for the newest sample.
func (w *window) cut(at devices.Millis) {
	var b [windowSize]sample
	all := w.all(&b)
	*w = window{}
	for i, s := range slices.Backward(all) {
		if s.T > at || i == 0 {
			w.push(s)
		}
	}
}

// mean is the mean power of the last d, in mW, from straight lines between the
// samples; ok is false where they do not reach back that far, or leave a hole.
func (w *window) mean(d devices.Millis) (mW int64, ok bool) {
	if w.n < 2 || d <= 0 {
		return 0, false
	}
	var all [windowSize]sample
	b, from := w.newest, w.newest.T-d
	var sum int64 // mW x ms, twice
	for _, a := range w.back(&all, d)[1:] {
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
	var b [windowSize]sample
	for _, s := range w.back(&b, d) {
		if w.newest.T-s.T <= d && int64(s.W) >= mW {
			n++
		}
	}
	return n
}

// flat gives the samples for a checkpoint, oldest first: time, power and register,
// the times as differences.
func (w *window) flat() []int64 {
	var b [windowSize]sample
	out := make([]int64, 0, 3*int(w.n))
	var last devices.Millis
	for _, s := range slices.Backward(w.all(&b)) {
		out = append(out, int64(s.T-last), int64(s.W), int64(s.Reg))
		last = s.T
	}
	return out
}

// windowFrom reads what flat gave, with bytes that it may use for a while.
func windowFrom(flat []int64, room []byte) (w window, err error) {
	if len(flat)%3 != 0 || len(flat) > 3*windowSize {
		return w, fmt.Errorf("%d numbers are no window", len(flat))
	}
	w.old = room[:0]
	var last devices.Millis
	for i := 0; i < len(flat); i += 3 {
		last += devices.Millis(flat[i])
		w.push(sample{T: last, W: int32(flat[i+1]), Reg: int32(flat[i+2])})
	}
	w.old = slices.Clone(w.old)
	return w, nil
}
