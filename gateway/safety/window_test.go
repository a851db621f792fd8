package safety

import (
	"testing"

	"pilewatch/devices"
)

func windowOf(samples ...[2]int) *window {
	var w window
	for _, s := range samples {
		w.push(sample{T: devices.Millis(s[0] * 1000), W: int32(s[1] * 1000), Reg: -1})
	}
	return &w
}

func (w *window) len() int { return int(w.n) }

// at gives the i-th sample from the newest.
func (w *window) at(i int) sample {
	var b [windowSize]sample
	return w.all(&b)[i]
}

func TestMeanIsWeightedByTime(t *testing.T) {
	for _, c := range []struct {
		name string
		w    *window
		d    int // s
		want int // W; -1 for unknown
	}{
		{"even steps", windowOf([2]int{0, 100}, [2]int{100, 100}, [2]int{200, 400}), 200, 175},
		{"uneven steps", windowOf([2]int{0, 0}, [2]int{10, 0}, [2]int{300, 580}), 300, 280},        // (290 x 290)/300, cut
		{"the edge lies within a step", windowOf([2]int{0, 0}, [2]int{400, 400}), 100, 350},        // from 300 to 400 W
		{"not that far back", windowOf([2]int{0, 100}, [2]int{100, 100}), 101, -1},                 //
		{"one sample", windowOf([2]int{0, 100}), 10, -1},                                           //
		{"a hole", windowOf([2]int{0, 100}, [2]int{700, 100}, [2]int{730, 100}), 300, -1},          // 700 s
		{"a hole before", windowOf([2]int{0, 100}, [2]int{700, 100}, [2]int{1000, 100}), 300, 100}, //
		{"one missed report at 300 s", windowOf([2]int{0, 100}, [2]int{600, 100}), 300, 100},       //
	} {
		mean, ok := c.w.mean(devices.Millis(c.d * 1000))
		if got := int(mean / 1000); ok != (c.want >= 0) || ok && got != c.want {
			t.Errorf("%s: %d W, %v, want %d", c.name, got, ok, c.want)
		}
	}
}

func TestTheWindowKeepsTheNewest(t *testing.T) {
	var w window
	for i := range 3*windowSize + 7 {
		w.push(sample{T: devices.Millis(i * 30_000), W: int32(i)})
	}
	if w.len() != windowSize || w.at(0).W != 3*windowSize+6 || w.at(windowSize-1).W != 2*windowSize+7 {
		t.Errorf("%d samples, from %d to %d", w.len(), w.at(windowSize-1).W, w.at(0).W)
	}
	back, err := windowFrom(w.flat(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.len() {
		if w.at(i) != back.at(i) {
			t.Fatalf("sample %d came back as %v, was %v", i, back.at(i), w.at(i))
		}
	}
	for _, bad := range [][]int64{{1, 2}, make([]int64, 3*windowSize+3)} {
		if _, err := windowFrom(bad, nil); err == nil {
			t.Errorf("%v is taken for a window", bad)
		}
	}
}

func TestReadingsOfTwentySecondsAreOneSample(t *testing.T) {
	p := &port{Number: 1}
	for s := range 50 {
		p.take(&devices.Reading{Time: t0 + devices.Millis(s*1000), PowerMW: int64(s)*1000 + 20_000})
	}
	if p.Recent.len() != 3 {
		t.Fatalf("%d samples", p.Recent.len())
	}
	for i, want := range []int32{64_500, 49_500, 29_500} { // of 60-69, 40-59 and 20-39 W
		if got := p.Recent.at(i).W; got < want-10 || got > want+10 {
			t.Errorf("sample %d from the newest is %d mW, want %d", i, got, want)
		}
	}
}

// A port that lives for years goes on as it began.
func TestAWindowOutlivesItsBase(t *testing.T) {
	var w window
	const month = 30 * day
	for i := range 10 * windowSize {
		w.push(sample{T: t0 + devices.Millis(i)*day, W: int32(i), Reg: -1})
		if got := w.at(0); got.T != t0+devices.Millis(i)*day || got.W != int32(i) {
			t.Fatalf("sample %d is %+v", i, got)
		}
		if n := w.len(); n > 1 && w.at(0).T-w.at(1).T != day {
			t.Fatalf("sample %d is %v after the one before it", i, w.at(0).T-w.at(1).T)
		}
	}
	last := w.at(0).T
	w.pushIdle(sample{T: last + day, W: 1})
	w.pushIdle(sample{T: last + 3*month, W: 2})
	if got := w.at(0); got.T != last+3*month || got.W != 2 || w.len() != 1 {
		t.Errorf("after three months without a word: %d samples, %+v", w.len(), got)
	}
}

func TestTheSketchSpansTheWholeSession(t *testing.T) {
	for _, every := range []int{30, 60, 300} {
		var s sketch
		for at := 0; at <= 12*3600; at += every {
			s.add(t0+devices.Millis(at*1000), int64(at)*10) // a straight line
		}
		c := s.curve()
		if n := len(c); n < 60 || n > 120 {
			t.Errorf("every %d s: %d points", every, n)
		}
		for i, p := range c {
			width := float64(s.width) / 1000
			at := p[0] - float64(t0)/1000
			if mean := p[1] * 100; mean < at-1 || mean > at+width { // the line's value somewhere in the point's time
				t.Errorf("every %d s: point %d at %v is %v W", every, i, at, p[1])
			}
		}
		if last := c[len(c)-1][0] - float64(t0)/1000; last < 12*3600-2*float64(s.width)/1000 {
			t.Errorf("every %d s: the last point is at %v", every, last)
		}
	}
}
