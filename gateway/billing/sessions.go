// Package billing turns the ledger's sessions into what the accountant reads.
//
// A file is written whole or not at all, and the same period gives the same
// bytes. Money is whole fen, energy whole mWh; there is no floating point.
package billing

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// Ledger is what exports ask of the ledger.
type Ledger interface {
	EachSession(ctx context.Context, f ledger.Filter, do func(*session.Session) error) error
	Flags(ctx context.Context, f ledger.Filter) ([]ledger.Flag, string, error)
}

// Export says what to export, and how it is to be read.
type Export struct {
	From, To  devices.Millis // of a session's end; To is excluded
	Building  string         // of the pile; "" for all
	Household string         // "" for all
	English   bool           // headings and words; else Chinese
	Location  *time.Location // of days and months
	Tariffs   []tariff.Tariff
}

// Summary is what a person at the terminal wants to know of an export.
type Summary struct {
	Sessions        int
	WithoutTariff   int // exported with empty fees
	EnergyMWh       int64
	ElectricityFen  int64
	ServiceFen      int64
	EstimatedOrLate int
}

func (s *Summary) add(x *session.Session) {
	s.Sessions++
	s.EnergyMWh += x.EnergyMWh
	s.ElectricityFen += x.ElectricityFen
	s.ServiceFen += x.ServiceFen
	if x.Tariff == "" {
		s.WithoutTariff++
	}
	if x.Quality != 0 {
		s.EstimatedOrLate++
	}
}

// SessionFormats are the formats of the sessions export.
var SessionFormats = []string{"csv", "json"}

// Sessions writes the sessions that ended in a span, oldest first, without
// holding them in memory. A session without a tariff has empty fees, and is
// counted in the summary.
func (x Export) Sessions(ctx context.Context, l Ledger, format string, w io.Writer) (Summary, error) {
	buf := bufio.NewWriter(w)
	var sum Summary
	var out sessionWriter
	switch format {
	case "csv":
		out = newSessionCSV(x, buf)
	case "json":
		flags, err := x.flags(ctx, l)
		if err != nil {
			return sum, err
		}
		out = &sessionJSON{x: x, w: buf, flags: flags}
	default:
		return sum, fmt.Errorf("format %q: expected %s", format, strings.Join(SessionFormats, " or "))
	}
	if err := out.begin(); err != nil {
		return sum, err
	}
	f := ledger.Filter{From: x.From, To: x.To, ByEnd: true, Oldest: true, Building: x.Building, Household: x.Household}
	if err := l.EachSession(ctx, f, func(s *session.Session) error {
		sum.add(s)
		return out.row(s)
	}); err != nil {
		return sum, err
	}
	if err := out.end(sum); err != nil {
		return sum, err
	}
	return sum, buf.Flush()
}

type sessionWriter interface {
	begin() error
	row(*session.Session) error
	end(Summary) error
}

// flags gives the ids of the flags of each session. A session is flagged while
// it runs, so the flags of a day before the span may belong to it, too.
func (x Export) flags(ctx context.Context, l Ledger) (map[string][]string, error) {
	const longest = 30 * 24 * time.Hour
	f := ledger.Filter{To: x.To, Oldest: true}
	if x.From != 0 {
		f.From = max(1, x.From.Add(-longest))
	}
	flags, _, err := l.Flags(ctx, f)
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, fl := range flags {
		if fl.SessionID != "" {
			of[fl.SessionID] = append(of[fl.SessionID], fl.ID)
		}
	}
	return of, nil
}

// period is the billing month (账期) of a session: that in which it ends.
func (x Export) period(s *session.Session) string {
	return s.End.Time().In(x.Location).Format("2006-01")
}

// home splits a household (户号, building-room); a session of an unknown card
// has the pile's building and no room.
func home(s *session.Session) (building, room string) {
	building, room, ok := strings.Cut(s.Household, "-")
	if !ok {
		return s.Building, ""
	}
	return building, room
}

// last4 is what may be shown of a card; of one with no more than that, nothing.
func last4(card string) string {
	r := []rune(card)
	if len(r) <= 4 {
		return ""
	}
	return string(r[len(r)-4:])
}

// sessionCSV is the 明细 of domain.md: UTF-8 with BOM, CRLF, a header and a 合计 row.
type sessionCSV struct {
	x       Export
	w       *bufio.Writer
	csv     *csv.Writer
	tariffs map[string]*tariff.Tariff
}

func newSessionCSV(x Export, w *bufio.Writer) *sessionCSV {
	c := &sessionCSV{x: x, w: w, csv: csv.NewWriter(w), tariffs: map[string]*tariff.Tariff{}}
	c.csv.UseCRLF = true
	for i := range x.Tariffs {
		c.tariffs[x.Tariffs[i].Name] = &x.Tariffs[i]
	}
	return c
}

var sessionHeadings = []string{"账期", "楼号", "门牌", "户号", "卡号(后4位)", "桩号", "端口", "开始", "结束", "时长(分)", "电量(kWh)", "峰值功率(W)",
	"计费方式", "电价版本", "电费(元)", "服务费(元)", "合计(元)", "停止原因", "订单号", "数据质量"}

var sessionHeadingsEN = []string{"Period", "Building", "Room", "Household", "Card (last 4)", "Pile", "Port", "Start", "End", "Duration (min)", "Energy (kWh)", "Peak power (W)",
	"Pricing", "Tariff", "Electricity fee (yuan)", "Service fee (yuan)", "Total (yuan)", "Stop reason", "Order", "Data quality"}

func (c *sessionCSV) begin() error {
	if _, err := c.w.WriteString("\ufeff"); err != nil {
		return err
	}
	if c.x.English {
		return c.csv.Write(sessionHeadingsEN)
	}
	return c.csv.Write(sessionHeadings)
}

func (c *sessionCSV) row(s *session.Session) error {
	building, room := home(s)
	local := func(m devices.Millis) string { return m.Time().In(c.x.Location).Format("2006-01-02 15:04:05") }
	cells := []string{
		c.x.period(s), building, room, s.Household, last4(s.Card), s.Pile, strconv.Itoa(int(s.Port)), local(s.Start), local(s.End),
		strconv.FormatInt((int64(s.Duration()/time.Second)+30)/60, 10), kWh(s.EnergyMWh), watts(s.PeakMW), c.pricing(s), s.Tariff, "", "", "",
		c.reason(s.Reason), s.Order, c.quality(s.Quality),
	}
	if s.Tariff != "" {
		cells[14], cells[15], cells[16] = yuan(s.ElectricityFen), yuan(s.ServiceFen), yuan(s.TotalFen())
	}
	for _, i := range []int{1, 2, 3, 4, 5, 12, 13, 17, 18} {
		cells[i] = neutral(cells[i])
	}
	return c.csv.Write(cells)
}

func (c *sessionCSV) end(sum Summary) error {
	cells := make([]string, len(sessionHeadings))
	cells[0], cells[6] = "合计", strconv.Itoa(sum.Sessions)+"次"
	if c.x.English {
		cells[0], cells[6] = "Total", strconv.Itoa(sum.Sessions)+" sessions"
	}
	cells[10], cells[14], cells[15], cells[16] = kWh(sum.EnergyMWh), yuan(sum.ElectricityFen), yuan(sum.ServiceFen), yuan(sum.ElectricityFen+sum.ServiceFen)
	if err := c.csv.Write(cells); err != nil {
		return err
	}
	c.csv.Flush()
	return c.csv.Error()
}

// pricing says how a session was priced.
func (c *sessionCSV) pricing(s *session.Session) string {
	t := c.tariffs[s.Tariff]
	byPower := t != nil && len(t.Tiers) > 0
	byTime := len(s.Bands) > 1
	switch {
	case s.Tariff == "":
		return ""
	case c.x.English:
		return pick(byTime, "time of use", "flat") + ", service " + pick(byPower, "by power and hour", "per kWh")
	}
	return pick(byTime, "分时电价", "单一电价") + "，服务费" + pick(byPower, "按功率时长", "按电量")
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

var reasonWords = map[string]string{
	"full": "充满", "unplugged": "拔出", "time_limit": "到时", "energy_limit": "到量", "overload": "过载", "over_temperature": "过温", "low_power": "功率过低",
	"remote": "远程停止", "power_failure": "断电", "fault": "故障", "lost": "失联", "replaced": "换单", "unknown": "未知",
}

func (c *sessionCSV) reason(r string) string {
	if w, ok := reasonWords[r]; ok && !c.x.English {
		return w
	}
	return r
}

var qualityWords = strings.NewReplacer("measured", "实测", "estimated", "估算", "late", "补传", "disputed", "有争议")

func (c *sessionCSV) quality(q session.Quality) string {
	if c.x.English {
		return q.String()
	}
	return qualityWords.Replace(q.String())
}

// neutral keeps a spreadsheet from taking text for a formula.
func neutral(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// yuan writes fen as yuan with two places.
func yuan(fen int64) string { return fixed(fen, 100, 2) }

// kWh writes mWh as kWh, exact: six places, of which three at least.
func kWh(mWh int64) string {
	s := fixed(mWh, 1_000_000, 6)
	for strings.HasSuffix(s, "0") && len(s)-strings.IndexByte(s, '.') > 4 {
		s = s[:len(s)-1]
	}
	return s
}

// watts writes mW as W with one place, rounded half up.
func watts(mW int64) string { return fixed((mW+50)/100, 10, 1) }

// fixed writes v / unit with its places.
func fixed(v, unit int64, places int) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	return fmt.Sprintf("%s%d.%0*d", sign, v/unit, places, v%unit)
}

// sessionJSON writes an array of objects with the names of the public interface.
type sessionJSON struct {
	x     Export
	w     *bufio.Writer
	flags map[string][]string
	n     int
}

type jsonBand struct {
	Band      string `json:"band"`
	EnergyMWh int64  `json:"energy_mwh"`
	Price     string `json:"price"`  // yuan a kWh
	Amount    string `json:"amount"` // yuan, exact
}

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
}

func (j *sessionJSON) begin() error {
	_, err := j.w.WriteString("[")
	return err
}

func (j *sessionJSON) row(s *session.Session) error {
	building, _ := home(s)
	local := func(m devices.Millis) string {
		return m.Time().In(j.x.Location).Format("2006-01-02T15:04:05.000Z07:00")
	}
	o := jsonSession{
		SessionID: s.ID, Period: j.x.period(s), Building: building, Household: s.Household, CardLast4: last4(s.Card), Pile: s.Pile, Port: s.Port,
		Start: local(s.Start), End: local(s.End), DurationS: int64(s.Duration() / time.Second), MeterStartMWh: register(s.MeterStartMWh), MeterEndMWh: register(s.MeterEndMWh),
		EnergyMWh: s.EnergyMWh, Bands: []jsonBand{}, PeakW: json.Number(trim(fixed(s.PeakMW, 1000, 3))), Tariff: s.Tariff,
		StopReason: s.Reason, Order: s.Order, Quality: s.Quality.String(), Flags: append([]string{}, j.flags[s.ID]...),
	}
	for _, b := range s.Bands {
		o.Bands = append(o.Bands, jsonBand{b.Name, b.EnergyMWh, b.Price.String(), tariff.Amount(b.EnergyMWh, b.Price)})
	}
	if total := s.TotalFen(); s.Tariff != "" {
		o.ElectricityFen, o.ServiceFen, o.TotalFen = &s.ElectricityFen, &s.ServiceFen, &total
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	sep := ",\n"
	if j.n == 0 {
		sep = "\n"
	}
	j.n++
	_, err = j.w.WriteString(sep + string(b))
	return err
}

func (j *sessionJSON) end(Summary) error {
	_, err := j.w.WriteString("\n]\n")
	return err
}

// register is a register's value; nil where the port has none.
func register(mWh int64) *int64 {
	if mWh < 0 {
		return nil
	}
	return &mWh
}

// trim takes the zeros off the end of a decimal.
func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }
