package sim

import (
	"math"
	"time"
)

// weather is the air of Shanghai's old town and the mains that share its rhythm.
// It keeps the present minute, because a message a minute asks for it often.
type weather struct {
	seed     uint64
	location *time.Location
	minute   int64 // since 1970, of air
	air      air
}

type air struct {
	ambient float64 // °C
	volts   float64 // of the mains, before noise
}

func (w *weather) at(t millis) air {
	if m := t / minute; m != w.minute || w.air.volts == 0 {
		w.minute, w.air = m, w.look(m)
	}
	return w.air
}

func (w *weather) look(m int64) air {
	t := time.Unix(m*60, 0).In(w.location)
	hours := float64(t.Hour()) + float64(t.Minute())/60
	season := 17 + 11.5*math.Cos(2*math.Pi*(float64(t.YearDay())-205)/365)
	daily := 3.5 * math.Cos(2*math.Pi*(hours-14.5)/24)
	today, share := m/1440, float64(m%1440)/1440
	spell := w.whim(today)*(1-share) + w.whim(today+1)*share
	evening := math.Exp(-(hours - 20) * (hours - 20) / 8)
	return air{
		ambient: season + daily + spell,
		volts:   228 + 3*math.Cos(2*math.Pi*(hours-4)/24) - 2.5*evening,
	}
}

// whim gives a day's departure from its season, within 4 °C.
func (w *weather) whim(d int64) float64 {
	return 8 * unit(mix64(w.seed^uint64(entityWeather)<<56^uint64(d)))
}

// stamps writes instants as RFC 3339 with milliseconds. It keeps the present
// minute, because calendars are slow.
type stamps struct {
	location     *time.Location
	minute       int64
	prefix, zone []byte
}

func (s *stamps) append(b []byte, at millis) []byte {
	m := at / minute
	if m != s.minute || s.prefix == nil {
		t := time.Unix(m*60, 0).In(s.location)
		s.minute = m
		s.prefix = t.AppendFormat(s.prefix[:0], "2006-01-02T15:04:")
		s.zone = t.AppendFormat(s.zone[:0], "Z07:00")
	}
	ms := at - m*minute
	b = append(b, s.prefix...)
	b = append(b, byte('0'+ms/10_000), byte('0'+ms/1000%10), '.',
		byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
	return append(b, s.zone...)
}
