package tariff

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"pilewatch/devices"
)

// Table is the tariffs of an estate over the years. It does not change, and
// any number of goroutines may read it.
type Table struct {
	loc     *time.Location
	tariffs []Tariff // by first day
	days    []int    // their first days, see dayOf
}

// NewTable builds the table of an estate in the time zone loc. It returns all
// that is wrong, joined: a tariff that is not valid, and two on one day. No
// tariffs at all are a table too.
func NewTable(loc *time.Location, ts []Tariff) (*Table, error) {
	tb := &Table{loc: loc, tariffs: slices.Clone(ts)}
	slices.SortStableFunc(tb.tariffs, func(a, b Tariff) int { return strings.Compare(a.ValidFrom, b.ValidFrom) })
	var errs []error
	for i := range tb.tariffs {
		t := &tb.tariffs[i]
		if err := t.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("tariff %s: %w", t.Name, err))
			continue
		}
		if i > 0 && t.ValidFrom == tb.tariffs[i-1].ValidFrom {
			errs = append(errs, fmt.Errorf("tariffs %s and %s both hold from %s: expected one", tb.tariffs[i-1].Name, t.Name, t.ValidFrom))
		}
		day, _ := time.Parse(dateLayout, t.ValidFrom) // Validate read it
		tb.days = append(tb.days, dayOf(day))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return tb, nil
}

// At gives the tariff of a session that starts at start: the last whose first
// local day is not after it. It returns nil when there is none.
func (tb *Table) At(start devices.Millis) *Tariff {
	day := dayOf(start.Time().In(tb.loc))
	i := sort.Search(len(tb.days), func(i int) bool { return tb.days[i] > day })
	if i == 0 {
		return nil
	}
	return &tb.tariffs[i-1]
}

// dayOf gives a number that grows with the local day. Days are compared rather
// than midnights because where the clock is changed at midnight there is none.
func dayOf(t time.Time) int {
	year, month, day := t.Date()
	return year*10_000 + int(month)*100 + day
}
