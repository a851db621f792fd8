package billing

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"pilewatch/gateway/session"
)

// noticeRow is what the notice board (公示) says of a building, or of a household
// behind a mask. It has no field for anything that would tell who it is.
type noticeRow struct {
	Period         string `json:"period"`
	Building       string `json:"building"`            // 3, or 3+10 where few households charged
	Household      string `json:"household,omitempty"` // masked: 3号楼*02室
	Sessions       int    `json:"sessions"`
	EnergyMWh      int64  `json:"energy_mwh"`
	ElectricityFen int64  `json:"electricity_fee_fen"`
	ServiceFen     int64  `json:"service_fee_fen"`
	AdjustmentsFen int64  `json:"adjustments_fen"`
	TotalFen       int64  `json:"total_fee_fen"`
	households     int
}

func (r *noticeRow) add(st *Statement) {
	r.Sessions += st.Sessions
	r.EnergyMWh += st.EnergyMWh
	r.ElectricityFen += st.ElectricityFen
	r.ServiceFen += st.ServiceFen
	r.AdjustmentsFen += st.AdjustmentsFen
	r.TotalFen += st.TotalFen
}

// together stands between the buildings of a row.
const together = "+"

// mask hides a room but for its last two characters, and of a short one for its last.
func mask(room string) string {
	r := []rune(room)
	return "*" + string(r[len(r)-min(2, max(0, len(r)-1)):])
}

func (x *export) masked(st *Statement) string {
	building := st.Building
	return x.pick(building+"号楼"+mask(st.room)+"室", "Building "+building+", room "+mask(st.room))
}

// noticeRows gives a row a building or, where the committee wants that, a masked
// household. Together the rows are the whole either way.
func (x *export) noticeRows(month string, list []*Statement) []*noticeRow {
	h := x.head(month)
	if !h.NoticeHouseholds {
		return buildingRows(month, h.NoticeMin, list)
	}
	var rows []*noticeRow
	for _, st := range list {
		r := &noticeRow{Period: month, Building: st.Building, Household: x.pick("未登记卡", "unknown card")}
		if st.Household != "" {
			r.Household = x.masked(st)
		}
		r.add(st)
		rows = append(rows, r)
	}
	return rows
}

// buildingRows puts buildings in which too few households charged together with
// the next ones, and the last with those before: a row of one household would tell
// what that has used, and of a sum of two each would know the other's part.
func buildingRows(month string, fewest int, list []*Statement) []*noticeRow {
	households := map[string]int{}
	for _, st := range list {
		households[st.Building] += min(1, len(st.Household)) // none for the unknown cards
	}
	var rows []*noticeRow
	of := map[string]*noticeRow{}
	put := func(r *noticeRow, building string) {
		r.Building += together + building
		r.households += households[building]
		of[building] = r
	}
	buildings := slices.SortedFunc(maps.Keys(households), natural)
	for _, b := range buildings {
		if n := len(rows); n == 0 || rows[n-1].households >= fewest {
			rows = append(rows, &noticeRow{Period: month})
		}
		put(rows[len(rows)-1], b)
	}
	if n := len(rows); n > 1 && rows[n-1].households < fewest {
		for _, b := range buildings {
			if of[b] == rows[n-1] {
				put(rows[n-2], b)
			}
		}
		rows = rows[:n-1]
	}
	for _, r := range rows {
		r.Building = strings.TrimPrefix(r.Building, together)
	}
	for _, st := range list {
		of[st.Building].add(st)
	}
	return rows
}

// buildings names those of a row.
func (x *export) buildings(row string) string {
	var names []string
	for b := range strings.SplitSeq(row, together) {
		names = append(names, x.buildingName(b))
	}
	return strings.Join(names, x.pick("、", ", "))
}

var noticeColumns = []column{
	{"账期", "Period", kindText, false, 9}, {"楼号", "Building", kindText, false, 10}, {"住户", "Household", kindText, false, 16}, {"次数", "Sessions", kindCount, true, 8},
	{"电量(kWh)", "Energy (kWh)", kindMWh, true, 13}, {"电费(元)", "Electricity fee (yuan)", kindFen, true, 11}, {"服务费(元)", "Service fee (yuan)", kindFen, true, 11},
	{"补记(元)", "Adjustments (yuan)", kindFen, true, 11}, {"合计(元)", "Total (yuan)", kindFen, true, 11},
}

func (x *export) notice(ctx context.Context, w io.Writer) error {
	var rows []*noticeRow
	// Of one building the row that it has in the whole: another one beside that
	// would tell of those that are put together with it.
	building := x.Building
	x.Building = ""
	if err := x.eachMonth(ctx, false, func(month string, list []*Statement) error {
		for _, r := range x.noticeRows(month, list) {
			if building == "" || slices.Contains(strings.Split(r.Building, together), building) {
				rows = append(rows, r)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if x.Format == "json" {
		return writeArray(w, rows)
	}
	l := &layout{words: x.words, location: x.Location, columns: noticeColumns, counted: -1}
	const who, energy = 2, 4 // the columns of the households and of the energy
	if x.Format == "html" {
		l.columns = slices.Clone(noticeColumns)
		l.columns[energy].kind = kindWallMWh
	}
	bare := x.Format == "html" && !slices.ContainsFunc(rows, func(r *noticeRow) bool { return r.Household != "" })
	if bare { // on paper it is not there for nobody
		l.columns = slices.Delete(l.columns, who, who+1)
	}
	var values [][]value
	for _, r := range rows {
		values = append(values, []value{
			text(r.Period), text(x.buildings(r.Building)), text(r.Household), number(int64(r.Sessions)), number(r.EnergyMWh),
			number(r.ElectricityFen), number(r.ServiceFen), number(r.AdjustmentsFen), number(r.TotalFen),
		})
		if last := len(values) - 1; bare {
			values[last] = slices.Delete(values[last], who, who+1)
		}
	}
	title := x.pick("电动自行车充电费用公示", "E-bike charging: notice")
	return x.table(w, title, x.pick("公示", "Notice"), l, all(values))
}

// priceList is the prices at which lines were billed, a row a tariff: a notice says
// what is charged for, and how its fees came about. It is made from the lines, so
// that a closed period has it too, as it was.
type priceList []*listed

type listed struct {
	tariff   string
	bands    []session.Band
	services []Service
}

func (p *priceList) add(ln *Line) {
	s := &ln.Session
	if s.Tariff == "" {
		return
	}
	i := slices.IndexFunc(*p, func(t *listed) bool {
		return t.tariff == s.Tariff && slices.EqualFunc(t.bands, s.Bands, func(a, b session.Band) bool { return a.Name == b.Name && a.Price == b.Price })
	})
	if i < 0 {
		i = len(*p)
		*p = append(*p, &listed{tariff: s.Tariff, bands: slices.Clone(s.Bands)})
	}
	if t := (*p)[i]; ln.Service != nil && !slices.Contains(t.services, *ln.Service) {
		t.services = append(t.services, *ln.Service)
	}
}

// text says the prices, in the order of the tariffs' names.
func (p priceList) text(w words) []string {
	slices.SortStableFunc(p, func(a, b *listed) int { return natural(a.tariff, b.tariff) })
	var out []string
	for _, t := range p {
		var bands, services []string
		for _, b := range t.bands {
			bands = append(bands, w.band(b.Name)+" "+b.Price.String())
		}
		slices.SortFunc(t.services, func(a, b Service) int {
			return cmp.Or(cmp.Compare(a.UpToMW, b.UpToMW), cmp.Compare(a.PerHour, b.PerHour))
		})
		for i := range t.services {
			services = append(services, w.service(&Line{Service: &t.services[i]}))
		}
		said := t.tariff + w.pick("：电费每千瓦时 ", ": electricity ") + strings.Join(bands, w.pick("、", ", ")) + w.pick(" 元", " yuan a kWh")
		if len(services) > 0 {
			said += w.pick("；服务费 ", "; service ") + strings.Join(services, w.pick("、", ", "))
		}
		out = append(out, said)
	}
	return out
}
