package field

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"pilewatch/devices"
)

// Instant reads an instant written as RFC 3339, or as unix seconds or
// milliseconds, a number or its digits in a string. ok is false for anything
// else. loc is the zone of a date and time without one; nil refuses such.
func Instant(raw json.RawMessage, loc *time.Location) (at devices.Millis, ok bool) {
	if x, ok := Number(raw); ok {
		return Unix(x)
	}
	if n := len(raw); n > 2 && raw[0] == '"' && plain(raw[1:n-1]) {
		return InstantText(string(raw[1:n-1]), loc)
	}
	return 0, false // no escape stands in an instant
}

// InstantText reads an instant as Instant does, from the text itself.
func InstantText(s string, loc *time.Location) (at devices.Millis, ok bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return devices.MillisOf(t), true
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil {
		return Unix(x)
	}
	if loc == nil {
		return 0, false
	}
	for _, layout := range [...]string{"2006-01-02T15:04:05", time.DateTime} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return devices.MillisOf(t), true
		}
	}
	return 0, false
}

// Unix gives the instant of unix seconds or milliseconds, which it tells apart
// by size: seconds reach 1e11 in the year 5138, milliseconds passed it in 1973.
// ok is false for what is neither.
func Unix(x float64) (at devices.Millis, ok bool) {
	const firstMillis, last = 1e11, 1e15
	switch {
	case !(math.Abs(x) < last): // NaN, too
		return 0, false
	case math.Abs(x) >= firstMillis:
		return devices.Millis(math.Floor(x)), true
	}
	// A decimal second such as .123 may lie a hair under its float64, so that the
	// cut to the millisecond needs a hair's room.
	return devices.Millis(math.Floor(x*1000 + 1e-3)), true
}

func plain(b []byte) bool {
	for _, c := range b {
		if c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
