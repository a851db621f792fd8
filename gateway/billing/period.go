package billing

import (
	"context"
	"encoding/json"
	"fmt"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/tariff"
)

// head is what a closed period holds beside its lines: totals, and what of the
// configuration and of the time before an export shows.
type head struct {
	Estate           string              `json:"estate"`
	Phone            string              `json:"phone,omitempty"`
	NoticeHouseholds bool                `json:"notice_households,omitempty"`
	NoticeMin        int                 `json:"notice_min_households,omitempty"`
	Totals           Summary             `json:"totals"`
	Previous         map[string]int64    `json:"previous_mwh,omitempty"` // energy of the month before, by payer
	Mains            []ledger.PileEnergy `json:"mains,omitempty"`
}

// Closer closes periods.
type Closer interface {
	Ledger
	ClosePeriod(ctx context.Context, month, previous string, at devices.Millis, lines func(put func(ledger.PeriodLine) error) (body []byte, err error)) (ledger.Period, error)
}

// CloseOptions say how to close.
type CloseOptions struct {
	Now   devices.Millis
	First bool // billing begins with this month, although sessions ended before it
}

// Close freezes a month: its lines, its totals and what its exports show. It
// refuses a month that has not ended, one that is closed, and one whose
// predecessor is open; the error says what to do.
func Close(ctx context.Context, l Closer, c Config, month string, o CloseOptions, progress func(float64)) (ledger.Period, Summary, error) {
	b, err := OpenBook(ctx, l, c)
	if err != nil {
		return ledger.Period{}, Summary{}, err
	}
	from, to, err := b.mayClose(ctx, month, o)
	if err != nil {
		return ledger.Period{}, Summary{}, err
	}
	h := b.open()
	if h.Mains, err = l.Mains(ctx, from, to, progress); err != nil {
		return ledger.Period{}, Summary{}, err
	}
	if h.Previous, err = b.energyBefore(ctx, month); err != nil {
		return ledger.Period{}, Summary{}, err
	}
	previous := ""
	if n := len(b.periods); n > 0 {
		previous = b.periods[n-1].Sum
	}
	p, err := l.ClosePeriod(ctx, month, previous, o.Now, func(put func(ledger.PeriodLine) error) ([]byte, error) {
		if err := b.MonthLines(ctx, month, func(ln *Line) error {
			h.Totals.add(ln)
			stored, err := ln.stored()
			if err != nil {
				return err
			}
			return put(stored)
		}); err != nil {
			return nil, err
		}
		return json.Marshal(h)
	})
	return p, h.Totals, err
}

func (b *Book) mayClose(ctx context.Context, month string, o CloseOptions) (from, to devices.Millis, err error) {
	if from, to, err = b.bounds(month); err != nil {
		return 0, 0, err
	}
	if to > o.Now {
		return 0, 0, fmt.Errorf("%s has not ended: close it on %s or later", month, to.Time().In(b.Location).Format("2006-01-02"))
	}
	last := b.lastClosed()
	switch {
	case b.Closed(month):
		return 0, 0, fmt.Errorf("%s is closed already: what has arrived for it since goes to %s as 补记", month, after(last, 1))
	case last != "" && month != after(last, 1):
		return 0, 0, fmt.Errorf("%s cannot be closed: the months are closed in order, and the next is %s", month, after(last, 1))
	case last == "" && !o.First:
		first, _, err := b.ledger.SessionSpan(ctx)
		if err != nil {
			return 0, 0, err
		}
		if first != 0 && first < from {
			return 0, 0, fmt.Errorf("sessions of %s are not closed: close that month first, or give --first to begin billing with %s and leave out what ended before", b.monthOf(first), month)
		}
	}
	return from, to, nil
}

// energyBefore gives each household's energy in the month before one, and that of
// unknown cards by the building.
func (b *Book) energyBefore(ctx context.Context, month string) (map[string]int64, error) {
	if h := b.heads[month]; h != nil {
		return h.Previous, nil
	}
	before := map[string]int64{}
	err := b.MonthLines(ctx, after(month, -1), func(ln *Line) error {
		if !ln.adjustment() {
			building, _ := ln.home()
			before[payer(building, ln.Session.Household)] += ln.Session.EnergyMWh
		}
		return nil
	})
	return before, err
}

// payer is a household or, of unknown cards, a building in a form that no household has.
func payer(building, household string) string {
	if household == "" {
		return building + "-"
	}
	return household
}

// head gives what is shown around a month's lines.
func (b *Book) head(month string) head {
	if h := b.heads[month]; h != nil {
		return *h
	}
	return b.open()
}

// open gives what is shown around the lines of a month that is not closed.
func (b *Book) open() head {
	return head{Estate: b.Estate, Phone: b.Phone, NoticeHouseholds: b.NoticeHouseholds, NoticeMin: b.NoticeMinHouseholds}
}

// Verify checks every closed period: its checksum, which holds the one before
// it, its totals, and every bill from its session's bands and prices. It gives a
// line for each difference.
func Verify(ctx context.Context, l VerifyLedger) (periods, lines int, differences []string, err error) {
	ps, err := l.Periods(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	previous, month := "", ""
	for _, p := range ps {
		v := verifier{differences: differences, month: p.Month}
		if month != "" && p.Month != after(month, 1) {
			v.differ("follows %s: a period between them is missing", month)
		}
		sum, n, err := l.PeriodSum(ctx, p, previous, v.line)
		if err != nil {
			return 0, 0, nil, err
		}
		if n != p.Lines {
			v.differ("has %d lines, and was closed with %d", n, p.Lines)
		}
		if sum != p.Sum {
			v.differ("its checksum is %s, and its lines give %s: something in it was changed", p.Sum, sum)
		}
		var h head
		if err := json.Unmarshal(p.Body, &h); err != nil {
			v.differ("its totals cannot be read: %v", err)
		} else if h.Totals != v.totals {
			v.differ("its totals are %+v, and its lines give %+v", h.Totals, v.totals)
		}
		lines += n
		previous, month, differences = p.Sum, p.Month, v.differences
	}
	return len(ps), lines, differences, nil
}

// VerifyLedger is what Verify reads.
type VerifyLedger interface {
	Periods(ctx context.Context) ([]ledger.Period, error)
	PeriodSum(ctx context.Context, p ledger.Period, previous string, do func(*ledger.PeriodLine) error) (sum string, lines int, err error)
}

type verifier struct {
	month       string
	totals      Summary
	differences []string
}

func (v *verifier) differ(format string, a ...any) {
	v.differences = append(v.differences, "period "+v.month+": "+fmt.Sprintf(format, a...))
}

func (v *verifier) line(p *ledger.PeriodLine) error {
	ln, err := readLine(p)
	if err != nil {
		v.differ("%v", err)
		return nil
	}
	v.totals.add(ln)
	if again, err := ln.stored(); err != nil || again.SessionID != p.SessionID || again.Household != p.Household ||
		again.EnergyMWh != p.EnergyMWh || again.ElectricityFen != p.ElectricityFen || again.ServiceFen != p.ServiceFen || again.Quality != p.Quality {
		v.differ("the line of session %s says one thing in its columns and another in its body", p.SessionID)
	}
	if ln.Kind == KindCorrection {
		return nil // a difference of two roundings
	}
	if e, s, ok := priced(ln); e != ln.Session.ElectricityFen || ok && s != ln.Session.ServiceFen {
		v.differ("session %s is billed %d + %d fen, and its bands and prices give %d + %d", p.SessionID, ln.Session.ElectricityFen, ln.Session.ServiceFen, e, s)
	}
	return nil
}

// priced computes the two fees of a line anew; ok says that the service's price is known.
func priced(ln *Line) (electricity, service int64, ok bool) {
	s := &ln.Session
	t := tariff.Tariff{}
	var sum int64
	mWh := make([]int64, len(s.Bands))
	for i, band := range s.Bands {
		t.Bands = append(t.Bands, tariff.Band{Price: band.Price})
		mWh[i] = band.EnergyMWh
		sum += band.EnergyMWh
	}
	if s.Tariff != "" && sum != s.EnergyMWh {
		return -1, -1, false // the parts must sum to the whole
	}
	switch {
	case ln.Service == nil:
	case ln.Service.ByPower:
		t.Tiers, ok = []tariff.Tier{{UpToMW: ln.Service.UpToMW, PerHour: ln.Service.PerHour}}, true
	default:
		t.PerKWh, ok = ln.Service.PerKWh, true
	}
	return t.Electricity(mWh), t.Service(s.EnergyMWh, s.Duration(), s.PeakMW), ok
}
