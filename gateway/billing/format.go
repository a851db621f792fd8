package billing

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"pilewatch/devices"
)

// Yuan writes fen as yuan with two places.
func Yuan(fen int64) string { return yuan(fen) }

// yuan writes fen as yuan with two places.
func yuan(fen int64) string { return fixed(fen, 100, 2) }

// kWh writes mWh as kWh, exact: six places, of which three at least.
func kWh(mWh int64) string { return millionths(mWh, 3) }

// wallKWh writes mWh as kWh with two places, rounded half away from zero: six are
// neither read on a wall nor fit beside the fees of a large estate.
func wallKWh(mWh int64) string {
	const half = 5_000
	if mWh < 0 {
		return fixed((mWh-half)/10_000, 100, 2)
	}
	return fixed((mWh+half)/10_000, 100, 2)
}

// millionths writes v millionths, exact, with so many places at least.
func millionths(v int64, least int) string {
	s := fixed(v, 1_000_000, 6)
	for strings.HasSuffix(s, "0") && len(s)-strings.IndexByte(s, '.') > least+1 {
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

// asText keeps a spreadsheet that opens a CSV file from changing what a card, an
// order or a household is called. Most it shows as they are, and they are written
// so; who reads the file with a program finds the very value. One that would be
// taken for a quantity or a date gets a tab, which makes it text.
func asText(s string) string {
	if spoilt(s) {
		return "\t" + s
	}
	return neutral(s)
}

// spoilt tells most names from quantities at a glance, and looks closely at others.
func spoilt(s string) bool {
	const least = 3 // JAN
	switch {
	case s == "":
		return false
	case strings.Trim(s, "0123456789") == "":
		return len(s) > 11 || s[0] == '0' && len(s) > 1
	case s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z' && (len(s) < least || !strings.Contains("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC TRU FAL", strings.ToUpper(s[:least]))):
		return false
	}
	return spoiltForms.MatchString(s)
}

// spoiltForms are what Excel and WPS take for something else: 0012 becomes 12, 16 digits
// lose the last, 04E3 becomes 40000, 1-12 the twelfth of January, DEC1 the first of December.
var spoiltForms = regexp.MustCompile(`(?i)^(` + strings.Join([]string{
	`0[0-9]+\.[0-9]*`, `[0-9]{12,}\.[0-9]*`, `[0-9]*\.[0-9]*0`, `[0-9]+\.`, `\.[0-9]+`, `[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?`, // zeros and digits go
	`[0-9]+(\.[0-9]*)?E[+-]?[0-9]+`, `\([0-9.]+\)`, `[0-9.]+ ?%`, `[$¥￥€£] ?[0-9.]+`, `[0-9]+ [0-9]+/[0-9]+`, `TRUE|FALSE`,
	month + `[-/][0-9]{1,2}`, `[0-9]{1,2}[-/]` + month, month + `[-/]` + year, year + `[-/]` + month, `[0-9]{1,4}[-/][0-9]{1,2}[-/][0-9]{1,4}`,
	`[0-9]{1,4}(:[0-9]{1,2}){1,2}(\.[0-9]+)?( ?[AP]M?)?`, `([0-9]{1,4}[-/ ]?)?` + monthName + `[-/ ]?[0-9]{1,4}`, `[0-9]{1,4}[-/ ]?` + monthName,
}, "|") + `)$`)

const (
	month     = `(0?[1-9]|1[0-2])`
	year      = `(19|[2-9][0-9])[0-9]{2}`
	monthName = `(JAN(UARY)?|FEB(RUARY)?|MAR(CH)?|APR(IL)?|MAY|JUNE?|JULY?|AUG(UST)?|SEPT?(EMBER)?|OCT(OBER)?|NOV(EMBER)?|DEC(EMBER)?)`
)
