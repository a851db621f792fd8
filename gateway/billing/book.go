package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// Ledger is what bills are made from.
type Ledger interface {
	Periods(ctx context.Context) ([]ledger.Period, error)
	EachPeriodLine(ctx context.Context, month string, do func(*ledger.PeriodLine) error) error
	LinesOf(ctx context.Context, sessionID string) ([]ledger.PeriodLine, error)
	EachUnbilled(ctx context.Context, from, to devices.Millis, do func(*session.Session) error) error
	EachChanged(ctx context.Context, from, to devices.Millis, do func(*session.Session) error) error
	SessionSpan(ctx context.Context) (first, last devices.Millis, err error)
	Flags(ctx context.Context, f ledger.Filter) ([]ledger.Flag, string, error)
	Mains(ctx context.Context, from, to devices.Millis, progress func(float64)) ([]ledger.PileEnergy, error)
	Session(ctx context.Context, id string) (session.Session, error)
}

// Config is what an estate configures of its bills.
type Config struct {
	Estate           string // as people call it
	Phone            string // of the office that answers for the bills; may be empty
	Location         *time.Location
	Tariffs          []tariff.Tariff
	NoticeHouseholds bool // the committee wants masked households on the notice board
	// NoticeMinHouseholds is how many households a row of the notice sums up at
	// least; 0 is as good as 1.
	NoticeMinHouseholds int
	GridBills           []GridBill
}

// GridBill is a bill of the grid company, as somebody typed it in.
type GridBill struct {
	Month     string // 2026-11
	Building  string // "" for the whole estate
	EnergyMWh int64
	Amount    tariff.Micro // yuan
}

// Book gives the lines of any month.
type Book struct {
	Config
	ledger  Ledger
	tariffs map[string]*tariff.Tariff
	periods []ledger.Period
	heads   map[string]*head // of the closed months
	// Progress is told the share done, of what takes long.
	Progress func(float64)
	done     share
}

// share is where in a span of months one is.
type share struct{ month, of int }

// progress tells how far one is, by the end of a month's line; for 0 by the month alone.
func (b *Book) progress(from, at, to devices.Millis) {
	within := 0.0
	if at > from && to > from {
		within = min(1, float64(at-from)/float64(to-from))
	}
	if b.done.of > 0 {
		b.Progress((float64(b.done.month) + within) / float64(b.done.of))
	}
}

// OpenBook reads which periods are closed.
func OpenBook(ctx context.Context, l Ledger, c Config) (*Book, error) {
	b := &Book{Config: c, ledger: l, tariffs: map[string]*tariff.Tariff{}, heads: map[string]*head{}, Progress: func(float64) {}}
	for i := range c.Tariffs {
		b.tariffs[c.Tariffs[i].Name] = &c.Tariffs[i]
	}
	var err error
	if b.periods, err = l.Periods(ctx); err != nil {
		return nil, err
	}
	for _, p := range b.periods {
		h := new(head)
		if err := json.Unmarshal(p.Body, h); err != nil {
			return nil, fmt.Errorf("the closed period %s cannot be read: %w; restore a backup", p.Month, err)
		}
		b.heads[p.Month] = h
	}
	return b, nil
}

const monthForm = "2006-01"

func (b *Book) monthOf(m devices.Millis) string {
	return m.Time().In(b.Location).Format(monthForm)
}

// bounds gives when a month begins and ends.
func (b *Book) bounds(month string) (from, to devices.Millis, err error) {
	t, err := time.ParseInLocation(monthForm, month, b.Location)
	if err != nil {
		return 0, 0, fmt.Errorf("month %q: expected one such as 2026-11", month)
	}
	return devices.MillisOf(t), devices.MillisOf(t.AddDate(0, 1, 0)), nil
}

// after gives the month n months after one.
func after(month string, n int) string {
	t, err := time.Parse(monthForm, month)
	if err != nil {
		return month // bounds has said so
	}
	return t.AddDate(0, n, 0).Format(monthForm)
}

// lastClosed is the newest closed month; "" where none is.
func (b *Book) lastClosed() string {
	if len(b.periods) == 0 {
		return ""
	}
	return b.periods[len(b.periods)-1].Month
}

// Closed reports whether a month is closed.
func (b *Book) Closed(month string) bool { return b.heads[month] != nil }

// MonthLines calls do with every line of a month: sessions by their ends, then
// adjustments. It holds none of them, and stops at the first error of do.
func (b *Book) MonthLines(ctx context.Context, month string, do func(*Line) error) error {
	from, to, err := b.bounds(month)
	if err != nil {
		return err
	}
	n := 0
	told := func(ln *Line) error {
		if n++; n%1024 == 0 {
			b.progress(from, ln.Session.End, to)
		}
		return do(ln)
	}
	b.progress(0, 0, 0)
	return b.monthLines(ctx, month, from, to, told)
}

func (b *Book) monthLines(ctx context.Context, month string, from, to devices.Millis, do func(*Line) error) error {
	if b.Closed(month) {
		return b.ledger.EachPeriodLine(ctx, month, func(p *ledger.PeriodLine) error {
			ln, err := readLine(p)
			if err != nil {
				return err
			}
			return do(ln)
		})
	}
	flags, err := b.flags(ctx, from, to)
	if err != nil {
		return err
	}
	bill := func(kind string) func(*session.Session) error {
		return func(s *session.Session) error {
			ln := b.newLine(s, month, kind)
			ln.Flags = flags[s.ID]
			return do(ln)
		}
	}
	if err := b.ledger.EachUnbilled(ctx, from, to, bill(KindSession)); err != nil {
		return err
	}
	if last := b.lastClosed(); last == "" || month != after(last, 1) {
		return nil // adjustments belong to the first month that is open
	}
	begin, _, err := b.bounds(b.periods[0].Month)
	if err != nil {
		return err
	}
	if err := b.ledger.EachUnbilled(ctx, begin, from, bill(KindLate)); err != nil {
		return err
	}
	return b.ledger.EachChanged(ctx, begin, to, func(s *session.Session) error {
		billed, err := b.ledger.LinesOf(ctx, s.ID)
		if err != nil {
			return err
		}
		lines, err := b.corrections(billed, s, month)
		if err != nil {
			return err
		}
		for _, ln := range lines {
			ln.Flags = flags[s.ID]
			if err := do(ln); err != nil {
				return err
			}
		}
		return nil
	})
}

// due gives the lines by which open months bill a closed session as things stand:
// none where all of it is billed, or where it ended before the first period.
func (b *Book) due(s *session.Session, billed []ledger.PeriodLine) ([]*Line, error) {
	month, last := b.monthOf(s.End), b.lastClosed()
	switch {
	case s.Open:
		return nil, nil
	case len(billed) == 0 && month > last:
		return []*Line{b.newLine(s, month, KindSession)}, nil
	case month < b.periods[0].Month:
		return nil, nil
	case len(billed) == 0:
		return []*Line{b.newLine(s, after(last, 1), KindLate)}, nil
	}
	lines, err := b.corrections(billed, s, after(last, 1))
	if err != nil || len(lines) > 1 {
		return lines, err
	}
	x := &lines[0].Session
	if x.EnergyMWh == 0 && x.ElectricityFen == 0 && x.ServiceFen == 0 && billed[len(billed)-1].Quality == s.Quality {
		return nil, nil
	}
	return lines, nil
}

// flags gives the ids of the flags of each session. A session is flagged while
// it runs, so those of some time before may belong to it too.
func (b *Book) flags(ctx context.Context, from, to devices.Millis) (map[string][]string, error) {
	const longest = 30 * 24 * time.Hour
	flags, _, err := b.ledger.Flags(ctx, ledger.Filter{From: max(1, from.Add(-longest)), To: to, Oldest: true})
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, f := range flags {
		if f.SessionID != "" {
			of[f.SessionID] = append(of[f.SessionID], f.ID)
		}
	}
	return of, nil
}

// Span is what of the book is meant. With a Month, all that it bills.
type Span struct {
	Month     string         // or
	From, To  devices.Millis // of a session's end; To is excluded; zeros for all time
	Building  string         // where a household is; of an unknown card, the pile
	Household string
}

// months gives the months that a span touches, in order.
func (b *Book) months(ctx context.Context, s Span) ([]string, error) {
	if s.Month != "" {
		_, _, err := b.bounds(s.Month)
		return []string{s.Month}, err
	}
	first, last, err := b.ledger.SessionSpan(ctx)
	if err != nil || last == 0 {
		return nil, err
	}
	from, to := b.monthOf(max(first, s.From)), b.monthOf(last)
	if closed := b.lastClosed(); closed != "" {
		to = max(to, after(closed, 1)) // where adjustments are
	}
	if s.To != 0 {
		to = min(to, b.monthOf(s.To-1))
	}
	var months []string
	for m := from; m <= to; m = after(m, 1) {
		months = append(months, m)
	}
	return months, nil
}

// Lines calls do with every line of a span. An adjustment belongs to a span that
// holds the beginning of its period.
func (b *Book) Lines(ctx context.Context, s Span, do func(*Line) error) error {
	months, err := b.months(ctx, s)
	if err != nil {
		return err
	}
	for i, m := range months {
		b.done = share{i, len(months)}
		if err := b.MonthLines(ctx, m, func(ln *Line) error {
			if !b.in(s, ln) {
				return nil
			}
			return do(ln)
		}); err != nil {
			return err
		}
	}
	b.Progress(1)
	return nil
}

// in reports whether a line of one of the span's months belongs to the span.
func (b *Book) in(s Span, ln *Line) bool {
	if s.Month == "" {
		at := ln.Session.End
		if ln.adjustment() {
			at, _, _ = b.bounds(ln.Month) // it came from bounds
		}
		if at < s.From || s.To != 0 && at >= s.To {
			return false
		}
	}
	return s.chooses(ln)
}

func (s *Span) chooses(ln *Line) bool {
	building, _ := ln.home()
	return (s.Building == "" || s.Building == building) && (s.Household == "" || s.Household == ln.Session.Household)
}
