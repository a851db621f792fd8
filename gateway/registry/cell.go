package registry

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// fold makes full-width letters, digits and signs plain, and trims spaces of
// every kind and invisible marks.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r == '\u3000', r == '\u00a0':
			return ' '
		case r == '\ufeff', r == '\u200b':
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// squeeze takes out all spaces.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// trimWords takes the last of words off s, as often as there is one: 1号楼 and
// 1#楼 are building 1, 603室 is room 603. It never takes all.
func trimWords(s string, words ...string) string {
	for again := true; again; {
		again = false
		for _, w := range words {
			if short, ok := strings.CutSuffix(s, w); ok && short != "" {
				s, again = short, true
			}
		}
	}
	return s
}

func building(s string) string { return trimWords(squeeze(s), "楼", "号", "栋", "幢", "#") }
func room(s string) string     { return trimWords(squeeze(s), "室", "号", "房") }

// need reports an empty cell. A column that is missing was reported with the headings.
func (r row) need(name, expected string) {
	if cell, ok := r.cells[name]; ok && cell == "" {
		r.bad("no %s: expected %s", name, expected)
	}
}

// whole reads a whole number from low to high; an empty cell is 0.
func (r row) whole(name string, low, high int) int {
	cell := squeeze(r.cells[name])
	if cell == "" {
		return 0
	}
	n, err := strconv.Atoi(cell)
	if err != nil || n < low || n > high {
		r.bad("%s %q: expected a whole number from %d to %d", name, cell, low, high)
		return 0
	}
	return n
}

// maxWatts is where a power is an error of measurement (interfaces.md).
const maxWatts = 100_000

// milliwatts reads watts; an empty cell is 0.
func (r row) milliwatts(name string) int64 {
	cell := strings.TrimRight(squeeze(r.cells[name]), "Ww瓦")
	if cell == "" {
		return 0
	}
	w, err := strconv.ParseFloat(cell, 64)
	if err != nil || !(w > 0 && w <= maxWatts) {
		r.bad("%s %q: expected watts, over 0 and up to %d", name, r.cells[name], maxWatts)
		return 0
	}
	return int64(math.Round(w * 1000))
}

// yes reads a mark; an empty cell is no.
func (r row) yes(name string) bool {
	switch strings.ToLower(r.cells[name]) {
	case "yes", "是":
		return true
	case "", "no", "否":
		return false
	}
	r.bad("%s %q: expected yes or no (是 or 否)", name, r.cells[name])
	return false
}

var dateForm = regexp.MustCompile(`^([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?$`)

// date reads a day as people write it, or as a workbook counts it; an empty cell is "".
func (r row) date(name string) string {
	cell := squeeze(r.cells[name])
	if cell == "" {
		return ""
	}
	if days, err := strconv.Atoi(cell); err == nil && r.workbook && days > 36_526 && days < 73_051 { // 2000 to 2099
		return time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days).Format(time.DateOnly)
	}
	if m := dateForm.FindStringSubmatch(cell); m != nil {
		if t, err := time.Parse("2006-1-2", m[1]+"-"+m[2]+"-"+m[3]); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	r.bad("%s %q: expected a date such as 2026-11-01", name, r.cells[name])
	return ""
}

var packForm = regexp.MustCompile(`(?i)^([0-9]{1,3}(?:\.[0-9]+)?)V[/-]?([0-9]{1,3}(?:\.[0-9]+)?)AH$`)

// pack reads a battery such as 48V20Ah as its nominal energy in mWh; an empty cell is 0.
func (r row) pack(name string) int64 {
	cell := squeeze(r.cells[name])
	if cell == "" {
		return 0
	}
	mWh := PackMWh(cell)
	if mWh == 0 {
		r.bad("%s %q: expected volts and ampere-hours such as 48V20Ah", name, cell)
	}
	return mWh
}

// PackMWh is the nominal energy of a battery such as 48V20Ah, mWh; 0 for text
// that is none.
func PackMWh(pack string) int64 {
	m := packForm.FindStringSubmatch(pack)
	if m == nil {
		return 0
	}
	volts, _ := strconv.ParseFloat(m[1], 64) // the form holds numbers only
	ampereHours, _ := strconv.ParseFloat(m[2], 64)
	return int64(math.Round(volts * ampereHours * 1000))
}
