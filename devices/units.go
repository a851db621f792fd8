package devices

import (
	"math"
	"time"
)

// Millis is an instant in Unix milliseconds, UTC. The whole of pilewatch keeps
// instants to the millisecond: finer parts of a device's clock are cut off.
type Millis int64

// MillisOf gives the instant of t, cut to the millisecond.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time gives the instant as a time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Add gives the instant d later; d is cut to the millisecond.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }

// Sub gives the time from o to m, which may be negative.
func (m Millis) Sub(o Millis) time.Duration { return time.Duration(m-o) * time.Millisecond }

// Milli turns a decimal of a device (watts, volts, watt-hours, degrees) into
// whole thousandths, rounded half away from zero. ok is false for what is no
// number or does not fit.
func Milli(x float64) (v int64, ok bool) {
	v64 := math.Round(x * 1000)
	if math.IsNaN(v64) || math.Abs(v64) > 1<<53 {
		return 0, false
	}
	return int64(v64), true
}

// The window in which a device's own clock is believed (interfaces.md, Terms).
var firstPlausible = MillisOf(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))

const maxAhead = 5 * time.Minute

// Clock resolves the instant of something a device reported: its own time where
// that is plausible (not before 2024-01-01, not over 5 minutes ahead of
// receipt), else the time of receipt. device says which it is. A device that
// gave no time passes 0.
func Clock(device, received Millis) (at Millis, isDevice bool) {
	if device < firstPlausible || device > received.Add(maxAhead) {
		return received, false
	}
	return device, true
}
