package safety

import "pilewatch/devices"

const (
	// sketchSize is how many points a curve in evidence has at most.
	sketchSize = 120
	// sketchWidth is how far apart they are at first: a session's first hour.
	sketchWidth = 30 * second
)

// sketch is the curve of a whole session in at most sketchSize points, evenly
// apart. When it is full, two points become one.
type sketch struct {
	Begin devices.Millis `json:"begin,omitempty"`
	Width devices.Millis `json:"width,omitempty"` // of a point
	N     int32          `json:"n,omitempty"`     // samples in the newest point
	W     []int32        `json:"w,omitempty"`     // mW, the mean of each point; noPoint where nothing was heard
}

const noPoint = -1

func (s *sketch) add(at devices.Millis, mW int64) {
	if s.W == nil {
		s.Begin, s.Width, s.W = at, sketchWidth, make([]int32, 0, sketchSize)
	}
	if since := at - s.Begin - devices.Millis(len(s.W)-1)*s.Width; since >= 0 && since < s.Width && len(s.W) > 0 {
		s.join(mW)
		return
	}
	for at-s.Begin >= sketchSize*s.Width {
		s.halve()
	}
	i := int((at - s.Begin) / s.Width)
	if i < len(s.W)-1 {
		return
	}
	if i >= len(s.W) {
		for len(s.W) < i {
			s.W = append(s.W, noPoint)
		}
		s.W, s.N = append(s.W, int32(mW)), 1
		return
	}
	s.join(mW)
}

// join takes a sample into the newest point.
func (s *sketch) join(mW int64) {
	s.N++
	last := &s.W[len(s.W)-1]
	*last += (int32(mW) - *last) / s.N
}

// halve makes one point of two.
func (s *sketch) halve() {
	s.Width *= 2
	n := (len(s.W) + 1) / 2
	for i := range n {
		a, b := s.W[2*i], int32(noPoint)
		if 2*i+1 < len(s.W) {
			b = s.W[2*i+1]
		}
		switch {
		case a == noPoint:
			a = b
		case b != noPoint:
			a += (b - a) / 2
		}
		s.W[i] = a
	}
	s.W = s.W[:n]
}

// curve gives the points as they go into evidence: Unix seconds and watts.
func (s *sketch) curve() [][2]float64 {
	c := make([][2]float64, 0, len(s.W))
	for i, w := range s.W {
		if w != noPoint {
			c = append(c, plot(s.Begin+devices.Millis(i)*s.Width, int64(w)))
		}
	}
	return c
}

// stretch gives the samples of the last d, as they came, joined where they are
// too many.
func (w *window) stretch(d devices.Millis) [][2]float64 {
	n := 0
	for n < w.len() && w.at(0).T-w.at(n).T <= d {
		n++
	}
	each := (n + sketchSize - 1) / sketchSize
	var c [][2]float64
	for i := n - 1; i >= 0; i -= each {
		k := min(each, i+1)
		var sum int64
		for j := range k {
			sum += int64(w.at(i - j).W)
		}
		c = append(c, plot(w.at(i).T, sum/int64(k)))
	}
	return c
}

// plot gives a point of a curve in evidence, to the tenth of a watt.
func plot(at devices.Millis, mW int64) [2]float64 {
	return [2]float64{float64(at/1000) + float64(at%1000/100)/10, watts(mW)}
}

// watts gives a power to the tenth of a watt.
func watts(mW int64) float64 { return float64((mW+50)/100) / 10 }
