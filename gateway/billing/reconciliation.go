package billing

import (
	"context"
	"io"
	"slices"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/tariff"
)

// The scopes of a reconciliation's rows.
const (
	scopePile     = "pile"
	scopeBuilding = "building"
	scopeEstate   = "estate"
)

// reconciled compares three meters of one month: what was billed, what the ports
// counted (in a session or not), what the pile's main meter counted; and for a
// building or the estate the grid's bill. A null was not measured, or not typed in.
type reconciled struct {
	Period         string        `json:"period"`
	Scope          string        `json:"scope"` // pile, building, estate
	Building       string        `json:"building"`
	Pile           string        `json:"pile,omitempty"`
	BilledMWh      int64         `json:"billed_mwh"` // sessions of the period, without adjustments
	PortsMWh       *int64        `json:"ports_mwh"`
	MainStartMWh   *int64        `json:"main_start_mwh,omitempty"`
	MainEndMWh     *int64        `json:"main_end_mwh,omitempty"`
	MainMWh        *int64        `json:"main_mwh"`         // null where a pile of the scope has no main meter
	LossMWh        *int64        `json:"loss_mwh"`         // 公摊: main meter - ports
	LossPercent    string        `json:"loss_percent"`     // of the main meter
	UnbilledMWh    *int64        `json:"unbilled_mwh"`     // ports - billed: draws without a session, sessions over the month's ends
	GridMWh        *int64        `json:"grid_mwh"`         // as typed in
	GridLossMWh    *int64        `json:"grid_loss_mwh"`    // grid - main meters, or - ports where there is no main meter
	GridAmount     *tariff.Micro `json:"grid_amount_yuan"` //
	ElectricityFen *int64        `json:"electricity_fee_fen,omitempty"`
	DifferenceYuan *tariff.Micro `json:"difference_yuan,omitempty"` // grid's amount - electricity fees
	Note           string        `json:"note,omitempty"`
	lossTenths     *int64        // of a per cent
}

var reconciliationColumns = []column{
	{"账期", "Period", kindText, false, 9}, {"范围", "Scope", kindText, false, 12}, {"楼号", "Building", kindText, false, 8}, {"桩号", "Pile", kindText, false, 10},
	{"计费电量(kWh)", "Billed (kWh)", kindMWh, false, 13}, {"端口电量(kWh)", "Ports (kWh)", kindMWh, false, 13},
	{"总表起(kWh)", "Main meter start (kWh)", kindMWh, false, 14}, {"总表止(kWh)", "Main meter end (kWh)", kindMWh, false, 14}, {"总表电量(kWh)", "Main meter (kWh)", kindMWh, false, 14},
	{"损耗公摊(kWh)", "Loss (kWh)", kindMWh, false, 13}, {"损耗(%)", "Loss (%)", kindPercent, false, 9}, {"未计费(kWh)", "Not billed (kWh)", kindMWh, false, 13},
	{"电网账单(kWh)", "Grid bill (kWh)", kindMWh, false, 13}, {"账单差(kWh)", "Grid loss (kWh)", kindMWh, false, 13}, {"电网金额(元)", "Grid amount (yuan)", kindYuan, false, 13},
	{"已收电费(元)", "Electricity fees (yuan)", kindFen, false, 13}, {"差额(元)", "Difference (yuan)", kindYuan, false, 13}, {"说明", "Note", kindText, false, 36},
}

func (x *export) reconciliation(ctx context.Context, w io.Writer) error {
	rows, err := x.reconcile(ctx)
	if err != nil {
		return err
	}
	if x.Format == "json" {
		return writeArray(w, rows)
	}
	values := make([][]value, len(rows))
	for i, r := range rows {
		values[i] = x.reconciledRow(r)
	}
	// It has rows of its own for the sums.
	l := &layout{words: x.words, location: x.Location, columns: reconciliationColumns, counted: -1, summed: true}
	return x.table(w, x.pick("电量对账（端口、桩总表、电网账单）", "Reconciliation: ports, main meters, grid bill"), x.pick("对账", "Reconciliation"), l, all(values))
}

func (x *export) reconciledRow(r *reconciled) []value {
	scope := map[string]string{scopePile: x.pick("充电桩", "pile"), scopeBuilding: x.pick("楼小计", "building"), scopeEstate: x.pick("小区合计", "estate")}[r.Scope]
	return []value{
		text(r.Period), text(scope), text(r.Building), text(r.Pile), number(r.BilledMWh), maybe(r.PortsMWh), maybe(r.MainStartMWh), maybe(r.MainEndMWh), maybe(r.MainMWh),
		maybe(r.LossMWh), maybe(r.lossTenths), maybe(r.UnbilledMWh), maybe(r.GridMWh), maybe(r.GridLossMWh), maybe(r.GridAmount),
		maybe(r.ElectricityFen), maybe(r.DifferenceYuan), text(r.Note),
	}
}

// reconcile gives a row a pile, one a building below its piles, and the estate's last.
func (x *export) reconcile(ctx context.Context) ([]*reconciled, error) {
	piles, err := x.meters(ctx)
	if err != nil {
		return nil, err
	}
	rows := map[string]*reconciled{} // by pile
	for _, p := range piles {
		rows[p.Pile] = x.ofPile(&p)
	}
	estate := &reconciled{Period: x.Month, Scope: scopeEstate, ElectricityFen: new(int64)}
	buildings := map[string]*reconciled{}
	fees := map[string]int64{}
	if err := x.Lines(ctx, Span{Month: x.Month}, func(ln *Line) error {
		s := &ln.Session
		if ln.adjustment() || x.Building != "" && s.Building != x.Building {
			return nil
		}
		x.sum.add(ln)
		r := rows[s.Pile]
		if r == nil {
			r = &reconciled{Period: x.Month, Scope: scopePile, Building: s.Building, Pile: s.Pile}
			rows[s.Pile] = r
		}
		r.BilledMWh += s.EnergyMWh
		fees[s.Building] += s.ElectricityFen
		return nil
	}); err != nil {
		return nil, err
	}
	list := make([]*reconciled, 0, len(rows))
	for _, r := range rows {
		if x.Building == "" || r.Building == x.Building {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *reconciled) int {
		if c := natural(a.Building, b.Building); c != 0 {
			return c
		}
		return natural(a.Pile, b.Pile)
	})
	var out []*reconciled
	for i, r := range list {
		b := buildings[r.Building]
		if b == nil {
			fee := fees[r.Building]
			b = &reconciled{Period: x.Month, Scope: scopeBuilding, Building: r.Building, ElectricityFen: &fee}
			buildings[r.Building] = b
			*estate.ElectricityFen += fee
		}
		b.include(r)
		estate.include(r)
		r.compare()
		out = append(out, r)
		if i == len(list)-1 || list[i+1].Building != r.Building {
			x.withGrid(b, r.Building)
			out = append(out, b)
		}
	}
	if x.Building != "" {
		return out, nil
	}
	x.withGrid(estate, "")
	return append(out, estate), nil
}

// meters gives what the meters counted: of a closed month as it was frozen.
func (x *export) meters(ctx context.Context) ([]ledger.PileEnergy, error) {
	if h := x.heads[x.Month]; h != nil {
		return h.Mains, nil
	}
	from, to, err := x.bounds(x.Month)
	if err != nil {
		return nil, err
	}
	return x.ledger.Mains(ctx, from, to, x.Progress)
}

func (x *export) ofPile(p *ledger.PileEnergy) *reconciled {
	r := &reconciled{Period: x.Month, Scope: scopePile, Building: p.Building, Pile: p.Pile, PortsMWh: new(p.PortsMWh)}
	switch {
	case !p.HasMain:
		r.Note = x.pick("本桩无总表读数", "the pile reports no main meter")
	case p.MainFell:
		r.Note = x.pick("总表读数回退（换表或清零），请核对", "the main meter fell back (replaced or reset): check it")
	case p.MainMWh < p.PortsMWh:
		r.Note = x.pick("总表电量小于端口电量，请核对总表", "the main meter counted less than the ports: check it")
	}
	if p.HasMain {
		r.MainStartMWh, r.MainEndMWh, r.MainMWh = new(p.MainStart), new(p.MainEnd), new(p.MainMWh)
	}
	return r
}

// include adds a pile. A sum with something missing in it is none.
func (r *reconciled) include(p *reconciled) {
	first := r.PortsMWh == nil && r.BilledMWh == 0 && r.MainMWh == nil && r.Note == ""
	r.BilledMWh += p.BilledMWh
	r.PortsMWh = plus(r.PortsMWh, p.PortsMWh, first)
	r.MainMWh = plus(r.MainMWh, p.MainMWh, first)
	if p.Note != "" && r.Note == "" {
		r.Note = p.Pile + ": " + p.Note
	}
}

func plus(a, b *int64, first bool) *int64 {
	switch {
	case b == nil || a == nil && !first:
		return nil
	case a == nil:
		return new(*b)
	}
	return new(*a + *b)
}

func minus(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	return new(*a - *b)
}

// compare fills in the differences.
func (r *reconciled) compare() {
	r.LossMWh = minus(r.MainMWh, r.PortsMWh)
	if r.LossMWh != nil && *r.MainMWh > 0 {
		r.lossTenths = new(tenths(*r.LossMWh, *r.MainMWh))
		r.LossPercent = fixed(*r.lossTenths, 10, 1)
	}
	r.UnbilledMWh = minus(r.PortsMWh, &r.BilledMWh)
}

func (x *export) withGrid(r *reconciled, building string) {
	r.compare()
	i := slices.IndexFunc(x.GridBills, func(g GridBill) bool { return g.Month == r.Period && g.Building == building })
	if i < 0 {
		return
	}
	g := &x.GridBills[i]
	r.GridMWh = new(g.EnergyMWh)
	if r.GridLossMWh = minus(r.GridMWh, r.MainMWh); r.GridLossMWh == nil {
		r.GridLossMWh = minus(r.GridMWh, r.PortsMWh)
	}
	if g.Amount > 0 {
		r.GridAmount = new(g.Amount)
		r.DifferenceYuan = new(g.Amount - tariff.Micro(*r.ElectricityFen)*10_000)
	}
}
