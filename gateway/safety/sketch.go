package safety

import "pilewatch/devices"

// sketchSize is how many points a curve in evidence has at most.
const sketchSize = 60

// sketch is the curve of a whole session in at most sketchSize points. When it
// is full, two points become one, so that the points are ever further apart.
type sketch struct {
	Points []point        `json:"points,omitempty"`
	Width  devices.Millis `json:"width,omitempty"` // of a point
}

// point is the mean power from T on.
type point struct {
	T devices.Millis `json:"t"`
	W int32          `json:"w"` // mW
	N int32          `json:"n"` // samples
}

func (s *sketch) add(at devices.Millis, mW int64) {
	if s.Points == nil {
		s.Points, s.Width = make([]point, 0, sketchSize), 60_000
	}
	if n := len(s.Points); n > 0 && at < s.Points[n-1].T+s.Width {
		last := &s.Points[n-1]
		last.N++
		last.W += (int32(mW) - last.W) / last.N
		return
	}
	if len(s.Points) == sketchSize {
		s.halve()
		s.add(at, mW)
		return
	}
	s.Points = append(s.Points, point{at, int32(mW), 1})
}

// halve joins points that lie within twice the width.
func (s *sketch) halve() {
	s.Width *= 2
	kept := s.Points[:1]
	for _, p := range s.Points[1:] {
		last := &kept[len(kept)-1]
		if p.T >= last.T+s.Width {
			kept = append(kept, p)
			continue
		}
		last.W = int32((int64(last.W)*int64(last.N) + int64(p.W)*int64(p.N)) / int64(last.N+p.N))
		last.N += p.N
	}
	s.Points = kept
}

// curve gives the points as they go into evidence: Unix seconds and watts.
func (s *sketch) curve() [][2]float64 {
	c := make([][2]float64, len(s.Points))
	for i, p := range s.Points {
		c[i] = plot(p.T, int64(p.W))
	}
	return c
}

// stretch gives the samples of the last d, joined where they are too many.
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
