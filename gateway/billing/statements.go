package billing

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Statement is what a household owes for a month (分户账单). One without a
// household is of the sessions whose card nobody holds, a building each: they are
// in every sum, and somebody has to look at them.
type Statement struct {
	Period         string `json:"period"`
	Building       string `json:"building"`
	Household      string `json:"household"`
	Sessions       int    `json:"sessions"`
	EnergyMWh      int64  `json:"energy_mwh"` // of the period's own sessions, as the two fees
	ElectricityFen int64  `json:"electricity_fee_fen"`
	ServiceFen     int64  `json:"service_fee_fen"`
	AdjustmentsFen int64  `json:"adjustments_fen"` // 补记
	TotalFen       int64  `json:"total_fee_fen"`
	PreviousMWh    int64  `json:"previous_energy_mwh"` // of the month before
	WithoutTariff  int    `json:"sessions_without_tariff,omitempty"`
	lines          []*Line
	room           string
}

type statementKey struct{ building, household string }

// monthStatements gives the statements of one month, by building and household. The lines
// stay with them only where they are wanted.
func (x *export) monthStatements(ctx context.Context, month string, keep bool) ([]*Statement, error) {
	previous, err := x.energyBefore(ctx, month)
	if err != nil {
		return nil, err
	}
	of := map[statementKey]*Statement{}
	if err := x.MonthLines(ctx, month, func(ln *Line) error {
		if !x.in(x.Span, ln) {
			return nil
		}
		x.sum.add(ln)
		x.prices.add(ln)
		building, room := ln.home()
		key := statementKey{building, ln.Session.Household}
		st := of[key]
		if st == nil {
			st = &Statement{Period: month, Building: building, Household: key.household, PreviousMWh: previous[payer(building, key.household)], room: room}
			of[key] = st
		}
		st.add(ln)
		if keep {
			st.lines = append(st.lines, ln)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	list := make([]*Statement, 0, len(of))
	for _, st := range of {
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b *Statement) int {
		if c := natural(a.Building, b.Building); c != 0 {
			return c
		}
		if (a.Household == "") != (b.Household == "") { // who nobody knows comes last
			if a.Household == "" {
				return 1
			}
			return -1
		}
		return natural(a.Household, b.Household)
	})
	return list, nil
}

func (st *Statement) add(ln *Line) {
	s := &ln.Session
	st.TotalFen += s.TotalFen()
	if s.Tariff == "" {
		st.WithoutTariff++
	}
	if ln.adjustment() {
		st.AdjustmentsFen += s.TotalFen()
		return
	}
	st.Sessions++
	st.EnergyMWh += s.EnergyMWh
	st.ElectricityFen += s.ElectricityFen
	st.ServiceFen += s.ServiceFen
}

// eachMonth calls do with the statements of each month of the span.
func (x *export) eachMonth(ctx context.Context, keep bool, do func(month string, list []*Statement) error) error {
	months, err := x.months(ctx, x.Span)
	if err != nil {
		return err
	}
	for i, m := range months {
		x.done = share{i, len(months)}
		list, err := x.monthStatements(ctx, m, keep)
		if err != nil {
			return err
		}
		if err := do(m, list); err != nil {
			return err
		}
	}
	x.Progress(1)
	return nil
}

var statementColumns = []column{
	{"账期", "Period", kindText, false, 9}, {"楼号", "Building", kindText, false, 8}, {"门牌", "Room", kindText, false, 8}, {"户号", "Household", kindNumber, false, 12},
	{"上月电量(kWh)", "Previous month (kWh)", kindMWh, true, 13}, {"本月电量(kWh)", "Energy (kWh)", kindMWh, true, 13}, {"次数", "Sessions", kindCount, true, 8},
	{"电费(元)", "Electricity fee (yuan)", kindFen, true, 11}, {"服务费(元)", "Service fee (yuan)", kindFen, true, 11}, {"补记(元)", "Adjustments (yuan)", kindFen, true, 11},
	{"应付(元)", "Amount due (yuan)", kindFen, true, 11},
}

func (x *export) statementRow(st *Statement) []value {
	household := st.Household
	if household == "" {
		household = x.pick("未登记卡", "unknown card")
	}
	return []value{
		text(st.Period), text(st.Building), text(st.room), text(household), number(st.PreviousMWh), number(st.EnergyMWh), number(int64(st.Sessions)),
		number(st.ElectricityFen), number(st.ServiceFen), number(st.AdjustmentsFen), number(st.TotalFen),
	}
}

func (x *export) statementLayout() *layout {
	return &layout{words: x.words, location: x.Location, columns: statementColumns, counted: 3, unit: x.pick("行", " rows")}
}

func (x *export) statements(ctx context.Context, w io.Writer) error {
	switch x.Format {
	case "json":
		out := newArray(w)
		return errors.Join(x.eachStatement(ctx, func(st *Statement) error { return out.put(st) }), out.end())
	case "html":
		return x.slips(ctx, w)
	case "xlsx":
		return x.statementBook(ctx, w)
	}
	return x.table(w, "", "", x.statementLayout(), func(t tableWriter) error {
		return x.eachStatement(ctx, func(st *Statement) error { return t.row(x.statementRow(st)) })
	})
}

// eachStatement calls do with each statement of the span.
func (x *export) eachStatement(ctx context.Context, do func(*Statement) error) error {
	return x.eachMonth(ctx, false, func(_ string, list []*Statement) error {
		for _, st := range list {
			if err := do(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// statementBook has a sheet of all, and one a building.
func (x *export) statementBook(ctx context.Context, w io.Writer) error {
	return x.workbook(w, "", func(b *workbook) error {
		to, err := x.sheets(b, x.statementLayout())
		if err != nil {
			return err
		}
		return x.eachStatement(ctx, func(st *Statement) error { return to(st.Building, x.statementRow(st)) })
	})
}

// Page gives at most limit statements of a span, after a place in the list, and the place
// of the last of them where there are more: for a list that is read in pages.
func (b *Book) Page(ctx context.Context, s Span, afterPlace string, limit int) (items []*Statement, next string, err error) {
	x := &export{Book: b, Request: Request{Span: s}}
	items = []*Statement{}
	passed := afterPlace == ""
	enough := errors.New("enough")
	err = x.eachStatement(ctx, func(st *Statement) error {
		switch {
		case !passed:
			passed = st.place() == afterPlace
		case len(items) == limit:
			next = items[limit-1].place()
			return enough
		default:
			items = append(items, st)
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return items, next, err
}

func (st *Statement) place() string { return st.Period + "_" + st.Building + "_" + st.Household }
