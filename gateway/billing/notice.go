package billing

import (
	"context"
	"io"
)

// noticeRow is what the notice board (公示) says of a building, or of a household
// behind a mask. It has no field for anything that would tell who it is.
type noticeRow struct {
	Period         string `json:"period"`
	Building       string `json:"building"`
	Household      string `json:"household,omitempty"` // masked: 3号楼*02室
	Sessions       int    `json:"sessions"`
	EnergyMWh      int64  `json:"energy_mwh"`
	ElectricityFen int64  `json:"electricity_fee_fen"`
	ServiceFen     int64  `json:"service_fee_fen"`
	AdjustmentsFen int64  `json:"adjustments_fen"`
	TotalFen       int64  `json:"total_fee_fen"`
}

func (r *noticeRow) add(st *Statement) {
	r.Sessions += st.Sessions
	r.EnergyMWh += st.EnergyMWh
	r.ElectricityFen += st.ElectricityFen
	r.ServiceFen += st.ServiceFen
	r.AdjustmentsFen += st.AdjustmentsFen
	r.TotalFen += st.TotalFen
}

// mask hides a room but for its last two characters, and of a short one for its last.
func mask(room string) string {
	r := []rune(room)
	return "*" + string(r[len(r)-min(2, max(0, len(r)-1)):])
}

func (x *export) masked(st *Statement) string {
	building := st.Building
	return x.pick(building+"号楼"+mask(st.room)+"室", "Building "+building+", room "+mask(st.room))
}

// noticeRows gives a row a building or, where the committee wants that, a
// household. Together the rows are the whole either way.
func (x *export) noticeRows(month string, list []*Statement) []*noticeRow {
	var rows []*noticeRow
	households := x.head(month).NoticeHouseholds
	for _, st := range list {
		r := &noticeRow{Period: month, Building: st.Building}
		switch {
		case households && st.Household != "":
			r.Household = x.masked(st)
		case households:
			r.Household = x.pick("未登记卡", "unknown card")
		}
		if n := len(rows); !households && n > 0 && rows[n-1].Building == st.Building {
			r = rows[n-1]
		} else {
			rows = append(rows, r)
		}
		r.add(st)
	}
	return rows
}

var noticeColumns = []column{
	{"账期", "Period", kindText, false, 9}, {"楼号", "Building", kindText, false, 10}, {"住户", "Household", kindText, false, 16}, {"次数", "Sessions", kindCount, true, 8},
	{"电量(kWh)", "Energy (kWh)", kindMWh, true, 13}, {"电费(元)", "Electricity fee (yuan)", kindFen, true, 11}, {"服务费(元)", "Service fee (yuan)", kindFen, true, 11},
	{"补记(元)", "Adjustments (yuan)", kindFen, true, 11}, {"合计(元)", "Total (yuan)", kindFen, true, 11},
}

func (x *export) notice(ctx context.Context, w io.Writer) error {
	var rows []*noticeRow
	if err := x.eachMonth(ctx, false, func(month string, list []*Statement) error {
		rows = append(rows, x.noticeRows(month, list)...)
		return nil
	}); err != nil {
		return err
	}
	if x.Format == "json" {
		return writeArray(w, rows)
	}
	l := &layout{words: x.words, location: x.Location, columns: noticeColumns, counted: -1}
	var values [][]value
	for _, r := range rows {
		values = append(values, []value{
			text(r.Period), text(x.buildingName(r.Building)), text(r.Household), number(int64(r.Sessions)), number(r.EnergyMWh),
			number(r.ElectricityFen), number(r.ServiceFen), number(r.AdjustmentsFen), number(r.TotalFen),
		})
	}
	title := x.pick("电动自行车充电费用公示", "E-bike charging: notice")
	return x.table(w, title, x.pick("公示", "Notice"), l, values)
}
