package safety

import (
	"encoding/binary"
	"fmt"
	"slices"

	"pilewatch/devices"
)

const (
	// sketchSize is how many points a curve in evidence has at most.
	sketchSize = 120
	// sketchWidth is how far apart they are at first: a session's first hour.
	sketchWidth = 30 * second
)

// sketch is the curve of a whole session in at most sketchSize points, evenly
// apart. When it is full, two points become one.
type sketch struct {
	begin devices.Millis
	width devices.Millis // of a point
	old   []byte         // the points before the newest, each as the difference to the one before it; see point
	last  int32          // the newest of those, mW
	mW    int32          // the newest point: a mean; noPoint where nothing was heard
	count int32          // samples in it
	n     uint8          // points, the newest included
}

const noPoint = -1

func (s *sketch) add(at devices.Millis, mW int64) {
	if s.n == 0 {
		s.begin, s.width = at, sketchWidth
	}
	if since := at - s.begin - devices.Millis(s.n)*s.width; s.n > 0 && since < 0 && since >= -s.width {
		s.join(int32(mW))
		return
	}
	for at-s.begin >= sketchSize*s.width {
		s.halve()
	}
	switch i := int((at - s.begin) / s.width); {
	case i < int(s.n)-1:
	case i >= int(s.n):
		for int(s.n) < i {
			s.point(noPoint)
		}
		s.point(int32(mW))
		s.count = 1
	default:
		s.join(int32(mW))
	}
}

// join takes a sample into the newest point.
func (s *sketch) join(mW int32) {
	s.count++
	s.mW += (mW - s.mW) / s.count
}

// point begins a point, and puts the one before it to the others: 0 for none, else
// one more than its difference, whose lowest bit is the sign.
func (s *sketch) point(mW int32) {
	if s.n > 0 {
		x := uint64(0)
		if s.mW != noPoint {
			d := int64(s.mW - s.last)
			x = uint64(d<<1^d>>63) + 1
			s.last = s.mW
		}
		s.old = binary.AppendUvarint(roomFor(s.old, binary.MaxVarintLen32), x)
	}
	s.mW = mW
	s.n++
}

// roomFor gives bytes the room for some more, and not much beyond it.
func roomFor(b []byte, more int) []byte {
	if n := len(b) + more; n > cap(b) {
		return append(slices.Grow([]byte(nil), n+n/16), b...)
	}
	return b
}

// points gives the means of all points, in order.
func (s *sketch) points(b *[sketchSize]int32) []int32 {
	old, last, n := s.old, int64(0), 0
	for len(old) > 0 {
		x, k := binary.Uvarint(old)
		if b[n] = noPoint; x > 0 {
			last += int64((x-1)>>1) ^ -int64((x-1)&1)
			b[n] = int32(last)
		}
		n++
		old = old[k:]
	}
	if s.n > 0 {
		b[n] = s.mW
		n++
	}
	return b[:n]
}

// halve makes one point of two.
func (s *sketch) halve() {
	var buf [sketchSize]int32
	all := s.points(&buf)
	s.width *= 2
	s.old, s.last, s.n = s.old[:0], 0, 0
	for ; len(all) > 1; all = all[2:] {
		a, b := all[0], all[1]
		switch {
		case a == noPoint:
			a = b
		case b != noPoint:
			a += (b - a) / 2
		}
		s.point(a)
	}
	if len(all) > 0 {
		s.point(all[0])
	}
}

// curve gives the points as they go into evidence: Unix seconds and watts.
func (s *sketch) curve() [][2]float64 {
	var b [sketchSize]int32
	c := make([][2]float64, 0, s.n)
	for i, w := range s.points(&b) {
		if w != noPoint {
			c = append(c, plot(s.begin+devices.Millis(i)*s.width, int64(w)))
		}
	}
	return c
}

// read takes what a checkpoint has of a curve, with bytes that it may use for a while.
func (s *sketch) read(x *savedCurve, room []byte) error {
	if len(x.W) > sketchSize {
		return fmt.Errorf("%d points are no curve", len(x.W))
	}
	s.begin, s.width, s.count = x.Begin, x.Width, x.N
	s.old = room[:0]
	for _, w := range x.W {
		s.point(w)
	}
	s.old = slices.Clone(s.old)
	return nil
}

// stretch gives the samples of the last d, as they came, joined where they are
// too many.
func (w *window) stretch(d devices.Millis) [][2]float64 {
	var b [windowSize]sample
	all := w.back(&b, d)
	n := len(all)
	if n > 0 && all[0].T-all[n-1].T > d {
		n--
	}
	each := (n + sketchSize - 1) / sketchSize
	var c [][2]float64
	for i := n - 1; i >= 0; i -= each {
		k := min(each, i+1)
		var sum int64
		for j := range k {
			sum += int64(all[i-j].W)
		}
		c = append(c, plot(all[i].T, sum/int64(k)))
	}
	return c
}

// plot gives a point of a curve in evidence, to the tenth of a watt.
func plot(at devices.Millis, mW int64) [2]float64 {
	return [2]float64{float64(at/1000) + float64(at%1000/100)/10, watts(mW)}
}

// watts gives a power to the tenth of a watt.
func watts(mW int64) float64 { return float64((mW+50)/100) / 10 }
