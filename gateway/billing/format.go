package billing

import (
	"fmt"
	"strings"
	"time"

	"pilewatch/devices"
)

// Yuan writes fen as yuan with two places.
func Yuan(fen int64) string { return yuan(fen) }

// yuan writes fen as yuan with two places.
func yuan(fen int64) string { return fixed(fen, 100, 2) }

// kWh writes mWh as kWh, exact: six places, of which three at least.
func kWh(mWh int64) string {
	s := fixed(mWh, 1_000_000, 6)
	for strings.HasSuffix(s, "0") && len(s)-strings.IndexByte(s, '.') > 4 {
		s = s[:len(s)-1]
	}
	return s
}

// watts writes mW as W with one place, rounded half up.
func watts(mW int64) string { return fixed((mW+50)/100, 10, 1) }

// fixed writes v / unit with its places.
func fixed(v, unit int64, places int) string {
	sign, n := "", uint64(v)
	if v < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%0*d", sign, n/uint64(unit), places, n%uint64(unit))
}

// trim takes the zeros off the end of a decimal.
func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

// minutes is a duration in whole minutes, rounded half up.
func minutes(d time.Duration) int64 { return (int64(d/time.Second) + 30) / 60 }

// tenths is part of whole in tenths of a per cent, rounded half away from zero.
func tenths(part, whole int64) int64 {
	sign := int64(1)
	if part < 0 {
		sign, part = -1, -part
	}
	return sign * ((part*1000 + whole/2) / whole)
}

func clock(m devices.Millis, loc *time.Location) string {
	return m.Time().In(loc).Format("2006-01-02 15:04:05")
}

// neutral keeps a spreadsheet that opens a CSV file from taking text for a formula.
func neutral(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// asText keeps a spreadsheet that opens a CSV file from taking a number of a card
// or an order for a quantity, where it would lose digits: 0012, 04E3, 16 digits.
func asText(s string) string {
	digits := strings.Trim(s, "0123456789")
	if s != "" && (digits == "" && (len(s) > 11 || s[0] == '0' && len(s) > 1) || strings.EqualFold(digits, "E")) {
		return "\t" + s
	}
	return neutral(s)
}
