package safety

import (
	"fmt"

	"pilewatch/devices"
)

const (
	// tickWidth is how far apart two reports are to be a tick each; what comes
	// oftener is gathered for half of that or more.
	tickWidth = 45_000
	// tickCount is how many ticks are kept: 48 minutes, or 4 hours at 300 s.
	tickCount = 48
)

// ticks are those of a stretch without a rest, 0 the newest. A tick is the mean
// power of about a minute, or one report where a pile reports more seldom. They are
// looked through far more often than one is added: so they stand in order.
type ticks struct {
	n int
	t [tickCount]int32 // tenths of a second since the model began
	w [tickCount]int32 // mW
}

func (r *ticks) push(t, w int32) {
	r.n = min(r.n+1, tickCount)
	copy(r.t[1:r.n], r.t[:])
	copy(r.w[1:r.n], r.w[:])
	r.t[0], r.w[0] = t, w
}

// age is how long before the newest tick the i-th was.
func (r *ticks) age(i int) devices.Millis { return devices.Millis(r.t[0]-r.t[i]) * 100 }

// until gives the oldest tick that is at most so old, counting from tick i.
func (r *ticks) until(i int, age devices.Millis) int {
	for i+1 < r.n && r.age(i+1) <= age {
		i++
	}
	return i
}

// medianOf is how many ticks a median is taken of.
const medianOf = 5

// median is that of the ticks from i to j, of medianOf at most.
func (r *ticks) median(i, j int) int32 {
	var b [medianOf]int32
	s := sortedInto(b[:], r.some(i, j))
	return s[len(s)/2]
}

// low is the second smallest of the ticks from i to j, of medianOf at most; the
// smallest of three or fewer.
func (r *ticks) low(i, j int) int32 {
	var b [medianOf]int32
	s := sortedInto(b[:], r.some(i, j))
	if len(s) > 3 {
		return s[1]
	}
	return s[0]
}

// some are the powers of the ticks from i to j, of medianOf at most.
func (r *ticks) some(i, j int) []int32 { return r.w[i : min(j, r.n-1, i+medianOf-1)+1] }

// sorted puts the powers of the ticks from i to j into b, ascending.
func (r *ticks) sorted(b *[tickCount]int32, i, j int) []int32 {
	return sortedInto(b[:], r.w[max(0, i):max(0, min(j, r.n-1)+1)])
}

// sortedInto copies numbers to where they stand in order. They are few, or fall as
// a taper does, which is in order nearly.
func sortedInto(b, from []int32) []int32 {
	for n, w := range from {
		k := n
		for ; k > 0 && b[k-1] > w; k-- {
			b[k] = b[k-1]
		}
		b[k] = w
	}
	return b[:len(from)]
}

// span gives the lowest and the highest of the ticks from i to j.
func (r *ticks) span(i, j int) (low, high int32) {
	low, high = r.w[i], r.w[i]
	for _, w := range r.w[i+1 : j+1] {
		low, high = min(low, w), max(high, w)
	}
	return low, high
}

// middle is the median of all ticks from i to j; 0 for none.
func (r *ticks) middle(i, j int) int32 {
	var b [tickCount]int32
	if s := r.sorted(&b, i, j); len(s) > 0 {
		return s[len(s)/2]
	}
	return 0
}

// middleWithin reports whether the median of the ticks from i to j lies between two powers.
func (r *ticks) middleWithin(i, j int, low, high int32) bool {
	under, over := 0, 0
	for _, w := range r.w[i : j+1] {
		if w < low {
			under++
		} else if w > high {
			over++
		}
	}
	n := j + 1 - i
	return under <= n/2 && over < n-n/2
}

// flat gives the ticks for a checkpoint, oldest first: time and power.
func (r *ticks) flat() []int32 {
	out := make([]int32, 0, 2*r.n)
	for i := r.n - 1; i >= 0; i-- {
		out = append(out, r.t[i], r.w[i])
	}
	return out
}

// read takes what flat gave.
func (r *ticks) read(flat []int32) error {
	if len(flat)%2 != 0 || len(flat) > 2*tickCount {
		return fmt.Errorf("%d numbers are no ticks", len(flat))
	}
	r.n = len(flat) / 2
	for i := range r.n {
		r.t[r.n-1-i], r.w[r.n-1-i] = flat[2*i], flat[2*i+1]
	}
	return nil
}
