package safety

import (
	"encoding/json"
	"fmt"
	"slices"

	"pilewatch/devices"
)

const (
	// tickWidth is how far apart two reports are to be a tick each; what comes
	// oftener is gathered for half of that or more.
	tickWidth = 45_000
	// tickCount is how many ticks are kept: 48 minutes, or 4 hours at 300 s.
	tickCount = 48
)

// tick is the mean power of about a minute, or one report where a pile reports
// more seldom.
type tick struct {
	T int32 // tenths of a second since the model began
	W int32 // mW
}

// ticks are those of a stretch without a rest, 0 the newest.
type ticks struct {
	ring [tickCount]tick
	head int
	n    int
}

func (r *ticks) push(t tick) {
	r.head = (r.head + 1) % tickCount
	r.ring[r.head] = t
	r.n = min(r.n+1, tickCount)
}

func (r *ticks) at(i int) tick {
	i = r.head - i
	if i < 0 {
		i += tickCount
	}
	return r.ring[i]
}

// age is how long before the newest tick the i-th was.
func (r *ticks) age(i int) devices.Millis { return devices.Millis(r.ring[r.head].T-r.at(i).T) * 100 }

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
func (r *ticks) median(i, j int) int32 { return r.rank(i, j, 2) }

// low is the second smallest of the ticks from i to j, the smallest of three or fewer.
func (r *ticks) low(i, j int) int32 { return r.rank(i, j, 0) }

// rank sorts up to medianOf ticks from i on: 2 is their middle, 0 the lowest but
// for one outlier.
func (r *ticks) rank(i, j, how int) int32 {
	var b [medianOf]int32
	j = min(j, r.n-1, i+medianOf-1)
	for k := i; k <= j; k++ {
		b[k-i] = r.at(k).W
	}
	s := b[:j-i+1]
	slices.Sort(s)
	switch {
	case how == 2:
		return s[len(s)/2]
	case len(s) > 3:
		return s[1]
	}
	return s[0]
}

// sorted puts the powers of the ticks from i to j into b, ascending.
func (r *ticks) sorted(b *[tickCount]int32, i, j int) []int32 {
	n := 0
	for k := max(0, i); k <= min(j, r.n-1); k++ {
		b[n] = r.at(k).W
		n++
	}
	slices.Sort(b[:n])
	return b[:n]
}

// span gives the lowest and the highest of the ticks from i to j.
func (r *ticks) span(i, j int) (low, high int32) {
	low, high = r.at(i).W, r.at(i).W
	for k := i + 1; k <= j; k++ {
		low, high = min(low, r.at(k).W), max(high, r.at(k).W)
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

// MarshalJSON writes the ticks as one flat list, oldest first.
func (r ticks) MarshalJSON() ([]byte, error) {
	flat := make([]int32, 0, 2*r.n)
	for i := r.n - 1; i >= 0; i-- {
		flat = append(flat, r.at(i).T, r.at(i).W)
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *ticks) UnmarshalJSON(b []byte) error {
	var flat []int32
	if err := json.Unmarshal(b, &flat); err != nil {
		return err
	}
	if len(flat)%2 != 0 || len(flat) > 2*tickCount {
		return fmt.Errorf("%d numbers are no ticks", len(flat))
	}
	*r = ticks{}
	for i := 0; i < len(flat); i += 2 {
		r.push(tick{flat[i], flat[i+1]})
	}
	return nil
}
