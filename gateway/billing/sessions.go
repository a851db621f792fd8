package billing

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// sessionColumns are the 明细 of the public interface.
var sessionColumns = []column{
	{"账期", "Period", kindText, false, 9}, {"楼号", "Building", kindText, false, 8}, {"门牌", "Room", kindText, false, 8}, {"户号", "Household", kindNumber, false, 10},
	{"卡号(后4位)", "Card (last 4)", kindNumber, false, 12}, {"桩号", "Pile", kindText, false, 10}, {"端口", "Port", kindCount, false, 8},
	{"开始", "Start", kindTime, false, 20}, {"结束", "End", kindTime, false, 20}, {"时长(分)", "Duration (min)", kindCount, false, 9},
	{"电量(kWh)", "Energy (kWh)", kindMWh, true, 12}, {"峰值功率(W)", "Peak power (W)", kindMW, false, 12},
	{"计费方式", "Pricing", kindText, false, 28}, {"电价版本", "Tariff", kindText, false, 14},
	{"电费(元)", "Electricity fee (yuan)", kindFen, true, 11}, {"服务费(元)", "Service fee (yuan)", kindFen, true, 11}, {"合计(元)", "Total (yuan)", kindFen, true, 11},
	{"停止原因", "Stop reason", kindText, false, 10}, {"订单号", "Order", kindNumber, false, 20}, {"数据质量", "Data quality", kindText, false, 10},
}

// Columns that show how a line came about.
var (
	columnSession = column{"充电单", "Session", kindText, false, 28}
	columnFrom    = column{"起始读数(kWh)", "Register at start (kWh)", kindMWh, false, 14}
	columnTo      = column{"结束读数(kWh)", "Register at end (kWh)", kindMWh, false, 14}
	columnBands   = column{"分时电量×电价", "Bands x price", kindText, false, 40}
	columnService = column{"服务费计算", "Service price", kindText, false, 28}
)

// basisColumns are those of a workbook's sheet that shows it.
var basisColumns = []column{
	{"账期", "Period", kindText, false, 9}, columnSession, {"类别", "Kind", kindText, false, 24}, {"户号", "Household", kindNumber, false, 10}, columnFrom, columnTo,
	{"电量(kWh)", "Energy (kWh)", kindMWh, true, 12}, {"电价版本", "Tariff", kindText, false, 14}, columnBands,
	{"电费(元)", "Electricity fee (yuan)", kindFen, true, 11}, columnService, {"服务费(元)", "Service fee (yuan)", kindFen, true, 11},
	{"数据质量", "Data quality", kindText, false, 10},
}

// withBasis are the 明细 with what shows it behind, where that is asked for: who
// reads the file by its columns finds them where they always are.
var withBasis = slices.Concat(sessionColumns, []column{columnSession, columnFrom, columnTo, columnBands, columnService})

func (x *export) sessionLayout() *layout {
	l := &layout{words: x.words, location: x.Location, columns: sessionColumns, counted: 6, unit: x.pick("次", " sessions")}
	if x.Basis && x.Format != "xlsx" { // that has a sheet for it
		l.columns, l.below = withBasis, len(withBasis)-len(sessionColumns)
	}
	return l
}

func (x *export) sessionRow(ln *Line) []value {
	s := &ln.Session
	building, room := ln.home()
	electricity, service, total := fees(ln)
	row := []value{
		text(ln.Month), text(building), text(room), text(s.Household), text(ln.CardLast4), text(s.Pile), number(int64(s.Port)),
		number(int64(s.Start)), number(int64(s.End)), number(minutes(s.Duration())), number(s.EnergyMWh), number(s.PeakMW),
		text(x.pricing(ln)), text(s.Tariff), maybe(electricity), maybe(service), maybe(total),
		text(x.of(reasonWords, s.Reason)), text(s.Order), text(x.quality(s.Quality)),
	}
	if x.Basis && x.Format != "xlsx" {
		row = append(row, text(s.ID), maybe(register(s.MeterStartMWh)), maybe(register(s.MeterEndMWh)), text(x.bandsText(ln)), text(x.service(ln)))
	}
	return row
}

func (x *export) basisRow(ln *Line) []value {
	s := &ln.Session
	electricity, service, _ := fees(ln)
	kind := x.adjusts(ln)
	if kind == "" {
		kind = x.pick("本期", "of this period")
	}
	return []value{
		text(ln.Month), text(s.ID), text(kind), text(s.Household), maybe(register(s.MeterStartMWh)), maybe(register(s.MeterEndMWh)), number(s.EnergyMWh),
		text(s.Tariff), text(x.bandsText(ln)), maybe(electricity), text(x.service(ln)), maybe(service), text(x.quality(s.Quality)),
	}
}

// fees gives a line's fees; nil where no tariff was valid.
func fees(ln *Line) (electricity, service, total *int64) {
	s := &ln.Session
	if s.Tariff == "" {
		return nil, nil, nil
	}
	sum := s.TotalFen()
	return &s.ElectricityFen, &s.ServiceFen, &sum
}

// register is a register's value; nil where the port has none.
func register(mWh int64) *int64 {
	if mWh < 0 {
		return nil
	}
	return &mWh
}

func (x *export) sessions(ctx context.Context, w io.Writer) error {
	switch x.Format {
	case "json":
		out := newArray(w)
		return errors.Join(x.lines(ctx, func(ln *Line) error { return out.put(x.sessionJSON(ln)) }), out.end())
	case "xlsx":
		return x.sessionBook(ctx, w)
	}
	return x.table(w, x.pick("充电明细", "Charging sessions"), "", x.sessionLayout(), func(t tableWriter) error {
		return x.lines(ctx, func(ln *Line) error { return t.row(x.sessionRow(ln)) })
	})
}

// sessionBook has a sheet of all, one a building, and one that shows how each
// line came about.
func (x *export) sessionBook(ctx context.Context, w io.Writer) error {
	basis := x.pick("计费依据", "Basis")
	return x.workbook(w, basis, func(b *workbook) error {
		to, err := x.sheets(b, x.sessionLayout())
		if err != nil {
			return err
		}
		how, err := b.sheet(basis, &layout{words: x.words, location: x.Location, columns: basisColumns, counted: -1})
		if err != nil {
			return err
		}
		return x.lines(ctx, func(ln *Line) error {
			building, _ := ln.home()
			return errors.Join(to(building, x.sessionRow(ln)), how.row(x.basisRow(ln)))
		})
	})
}

// sheets adds a sheet of all to a workbook; what it gives adds a row to that, and
// to the sheet of its building.
func (x *export) sheets(b *workbook, l *layout) (func(building string, row []value) error, error) {
	whole, err := b.sheet(x.pick("全部", "All"), l)
	buildings := map[string]*sheet{}
	return func(building string, row []value) error {
		s := buildings[building]
		if s == nil {
			var err error
			if s, err = b.sheet(x.buildingName(building), l); err != nil {
				return err
			}
			buildings[building] = s
		}
		return errors.Join(whole.row(row), s.row(row))
	}, err
}

type jsonBand struct {
	Band      string `json:"band"`
	EnergyMWh int64  `json:"energy_mwh"`
	Price     string `json:"price"`  // yuan a kWh
	Amount    string `json:"amount"` // yuan, exact
}

// jsonSession has the names of the public interface.
type jsonSession struct {
	SessionID      string      `json:"session_id"`
	Period         string      `json:"period"`
	Building       string      `json:"building"`
	Household      string      `json:"household"`
	CardLast4      string      `json:"card_last4"`
	Pile           string      `json:"pile"`
	Port           uint8       `json:"port"`
	Start          string      `json:"start"`
	End            string      `json:"end"`
	DurationS      int64       `json:"duration_s"`
	MeterStartMWh  *int64      `json:"meter_start_mwh"`
	MeterEndMWh    *int64      `json:"meter_end_mwh"`
	EnergyMWh      int64       `json:"energy_mwh"`
	Bands          []jsonBand  `json:"bands"`
	PeakW          json.Number `json:"peak_w"`
	Tariff         string      `json:"tariff"`
	ElectricityFen *int64      `json:"electricity_fee_fen"`
	ServiceFen     *int64      `json:"service_fee_fen"`
	TotalFen       *int64      `json:"total_fee_fen"`
	StopReason     string      `json:"stop_reason"`
	Order          string      `json:"order"`
	Quality        string      `json:"quality"`
	Flags          []string    `json:"flags"`
	// Of a 补记: what it is, and the month in which the session ended.
	Adjustment string `json:"adjustment,omitempty"`
	Adjusts    string `json:"adjusts,omitempty"`
}

func (x *export) sessionJSON(ln *Line) *jsonSession {
	s := &ln.Session
	building, _ := ln.home()
	local := func(m devices.Millis) string { return m.Time().In(x.Location).Format("2006-01-02T15:04:05.000Z07:00") }
	o := &jsonSession{
		SessionID: s.ID, Period: ln.Month, Building: building, Household: s.Household, CardLast4: ln.CardLast4, Pile: s.Pile, Port: s.Port,
		Start: local(s.Start), End: local(s.End), DurationS: int64(s.Duration() / time.Second), MeterStartMWh: register(s.MeterStartMWh), MeterEndMWh: register(s.MeterEndMWh),
		EnergyMWh: s.EnergyMWh, Bands: []jsonBand{}, PeakW: json.Number(trim(fixed(s.PeakMW, 1000, 3))), Tariff: s.Tariff,
		StopReason: s.Reason, Order: s.Order, Quality: s.Quality.String(), Flags: append([]string{}, ln.Flags...), Adjusts: ln.Of,
	}
	if ln.adjustment() {
		o.Adjustment = ln.Kind
	}
	for _, b := range s.Bands {
		o.Bands = append(o.Bands, jsonBand{b.Name, b.EnergyMWh, b.Price.String(), tariff.Amount(b.EnergyMWh, b.Price)})
	}
	o.ElectricityFen, o.ServiceFen, o.TotalFen = fees(ln)
	return o
}

// array writes a JSON array, an item a line.
type array struct {
	w   *bufio.Writer
	sep string
}

func newArray(w io.Writer) *array { return &array{bufio.NewWriterSize(w, 64<<10), "[\n"} }

func (a *array) put(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := a.w.WriteString(a.sep); err != nil {
		return err
	}
	a.sep = ",\n"
	_, err = a.w.Write(b)
	return err
}

// writeArray writes rows that are all there.
func writeArray[T any](w io.Writer, rows []T) error {
	out := newArray(w)
	for i := range rows {
		if err := out.put(rows[i]); err != nil {
			return err
		}
	}
	return out.end()
}

func (a *array) end() error {
	if a.sep[0] == '[' {
		if _, err := a.w.WriteString("["); err != nil {
			return err
		}
	}
	if _, err := a.w.WriteString("\n]\n"); err != nil {
		return err
	}
	return a.w.Flush()
}
