package billing

import (
	"bufio"
	"context"
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed templates/page.html
	pageTemplate string
	//go:embed templates/style.css
	style string
)

// page is what is the same on each page of an export that is printed.
type page struct {
	words
	Estate, Title, Span, Phone, Class string
	Draft, Landscape                  bool
	Style                             template.CSS
	Head, Total                       []htmlCell
	Prices                            []string // of a notice
}

// T gives a text in the page's language.
func (p page) T(chinese, english string) string { return p.pick(chinese, english) }

// Lang is the language's tag.
func (p page) Lang() string { return p.pick("zh-CN", "en") }

type htmlCell struct {
	Text  string
	Class string // n for a number, s for a short text; neither is broken
	Share int    // of the table's width, in per cent
}

func (x *export) page(title string) page {
	h := x.head(x.Month)
	return page{
		words: x.words, Estate: h.Estate, Phone: h.Phone, Title: title, Span: x.title(), Style: template.CSS(style), //nolint:gosec // our own
		Prices: x.prices.text(x.words), Draft: x.What != "flags" && x.Month != "" && !x.Closed(x.Month),
	}
}

// htmlTable is a table that is printed.
type htmlTable struct {
	*layout
	page   page
	totals totals
	out    *bufio.Writer
	tmpl   *template.Template
}

// htmlRow is a row of a table, and what stands below it over its whole width.
type htmlRow struct {
	Cells []htmlCell
	Below string
	Span  int
}

func parsePage() (*template.Template, error) { return template.New("page").Parse(pageTemplate) }

// newHTML begins a page with a table; one of many columns lies on its side.
func (x *export) newHTML(title string, l *layout, w io.Writer) (*htmlTable, error) {
	tmpl, err := parsePage()
	if err != nil {
		return nil, err
	}
	t := &htmlTable{layout: l, page: x.page(title), out: bufio.NewWriterSize(w, 64<<10), tmpl: tmpl}
	t.page.Class = "notice"
	if len(l.columns) > 10 {
		t.page.Class, t.page.Landscape = "wide", true
	}
	headings := l.headings()
	t.page.Head = t.cells(headings[:len(headings)-l.below])
	whole := 0
	for i := range t.page.Head {
		whole += l.columns[i].width
	}
	for i := range t.page.Head {
		t.page.Head[i].Share = 100 * l.columns[i].width / whole
	}
	if err := tmpl.ExecuteTemplate(t.out, "begin", t.page); err != nil {
		return nil, err
	}
	return t, tmpl.ExecuteTemplate(t.out, "table", t.page)
}

func (t *htmlTable) cells(texts []string) []htmlCell {
	cells := make([]htmlCell, len(texts))
	for i, s := range texts {
		cells[i].Text = s
		switch c := &t.columns[i]; {
		case c.kind != kindText && c.kind != kindNumber && c.kind != kindTime:
			cells[i].Class = "n"
		case c.width <= 12:
			cells[i].Class = "s"
		}
	}
	return cells
}

func (t *htmlTable) row(vs []value) error {
	t.totals.add(t.layout, vs)
	texts := make([]string, len(t.columns)-t.below)
	row := htmlRow{Span: len(texts)}
	for i := range t.columns {
		c := &t.columns[i]
		switch said := t.plain(c, vs[i]); {
		case i < len(texts):
			texts[i] = said
		case said != "":
			row.Below += t.pick(c.chinese+"："+said+"　", c.english+": "+said+"; ")
		}
	}
	row.Cells, row.Below = t.cells(texts), strings.TrimRight(row.Below, "　; ")
	return t.tmpl.ExecuteTemplate(t.out, "row", row)
}

func (t *htmlTable) end() error {
	if !t.summed {
		t.page.Total = t.cells(t.totals.plain(t.layout)[:len(t.page.Head)])
	}
	if err := t.tmpl.ExecuteTemplate(t.out, "tablefoot", t.page); err != nil {
		return err
	}
	return t.out.Flush()
}

// slip is a household's bill on paper.
type slip struct {
	page
	Who, Period, Previous, Energy, Electricity, Service, Adjustments, Total, Yuan, Tariffs string
	Sessions, WithoutTariff                                                                int
	Unknown, Daily, Large                                                                  bool
	Lines                                                                                  []slipLine
}

type slipLine struct {
	Start, Session, Registers, Energy, Bands, Electricity, Service, ServiceFee, Quality string
}

// slips writes the statements for a printer: A4, one household a page.
func (x *export) slips(ctx context.Context, w io.Writer) error {
	tmpl, err := parsePage()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := tmpl.ExecuteTemplate(out, "begin", x.page(x.pick("充电账单", "Charging bills"))); err != nil {
		return err
	}
	if err := x.eachMonth(ctx, true, func(month string, list []*Statement) error {
		for _, st := range list {
			if err := tmpl.ExecuteTemplate(out, "slip", x.slip(month, st)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := tmpl.ExecuteTemplate(out, "end", nil); err != nil {
		return err
	}
	return out.Flush()
}

func (x *export) slip(month string, st *Statement) *slip {
	h := x.head(month)
	s := &slip{
		page: x.page(""), Who: x.pick(st.Building+"号楼 "+st.room+"室", "Building "+st.Building+", room "+st.room), Period: month,
		Previous: kWh(st.PreviousMWh), Energy: kWh(st.EnergyMWh), Sessions: st.Sessions, Electricity: yuan(st.ElectricityFen), Service: yuan(st.ServiceFen),
		Total: yuan(st.TotalFen), Yuan: x.pick("元", "yuan"), WithoutTariff: st.WithoutTariff, Unknown: st.Household == "",
	}
	s.Estate, s.Phone, s.Draft = h.Estate, h.Phone, !x.Closed(month)
	if s.Unknown {
		s.Who = x.pick("未登记卡（"+x.buildingName(st.Building)+"充电桩）", "Unknown cards, piles of "+x.buildingName(st.Building))
	}
	var tariffs []string
	adjusted := false
	for _, ln := range st.lines {
		adjusted = adjusted || ln.adjustment()
		if t := ln.Session.Tariff; t != "" && !slices.Contains(tariffs, t) {
			tariffs = append(tariffs, t)
		}
	}
	if adjusted {
		s.Adjustments = yuan(st.AdjustmentsFen)
	}
	s.Lines, s.Daily = x.slipLines(st.lines)
	s.Large = s.fitsLarge()
	s.Tariffs = strings.Join(tariffs, x.pick("、", ", "))
	return s
}

// slipRows is how many rows of text have room on a page, and largeRows how many in
// large type, of so many characters of Chinese, where no remark stands above them,
// which takes the room of two; measured in print.
const (
	slipRows  = 30
	largeRows = 24
	largeWide = 44
)

// fitsLarge reports whether the lines have room in large type, where each has a row
// of its figures and one or more below that say how they came about.
func (s *slip) fitsLarge() bool {
	rows := 0
	for _, remark := range []bool{s.Draft, s.Unknown, s.Adjustments != "", s.WithoutTariff > 0} {
		if remark {
			rows += 2
		}
	}
	for i := range s.Lines {
		wide := 0 // halves of a character
		for _, r := range s.How(s.Lines[i]) {
			if wide++; r >= 0x2e80 {
				wide++
			}
		}
		rows += 1 + (wide+2*largeWide-1)/(2*largeWide)
	}
	return rows <= largeRows
}

// How says how a line's figures came about.
func (s *slip) How(l slipLine) string {
	parts := make([]string, 0, 3)
	for _, p := range []struct{ what, how string }{
		{s.T("读数 ", "register "), l.Registers}, {s.T("电费 ", "electricity "), l.Bands}, {s.T("服务费 ", "service "), l.Service},
	} {
		if p.how != "" {
			parts = append(parts, p.what+p.how)
		}
	}
	return strings.Join(parts, s.T("；", "; "))
}

// slipLines gives the lines of a bill or, where they have no room on its page, a
// sum a day: each line by itself is in the export of sessions.
func (x *export) slipLines(lines []*Line) (out []slipLine, daily bool) {
	rows := 0
	for _, ln := range lines {
		out = append(out, x.slipLine(ln))
		if rows++; len(ln.Session.Bands) > 1 || ln.adjustment() {
			rows++
		}
	}
	if rows <= slipRows {
		return out, false
	}
	var days []*Line
	counts := map[string]int{}
	for _, ln := range lines {
		day := x.day(ln)
		if n := len(days); counts[day] == 0 {
			days = append(days, &Line{Kind: ln.Kind, Session: *ln.Session.Clone()})
		} else {
			sum := &days[n-1].Session
			sum.EnergyMWh += ln.Session.EnergyMWh
			sum.ElectricityFen += ln.Session.ElectricityFen
			sum.ServiceFen += ln.Session.ServiceFen
			sum.Quality |= ln.Session.Quality
			sum.Bands = addBands(sum.Bands, ln.Session.Bands, 1)
		}
		counts[day]++
	}
	out = out[:0]
	for _, d := range days {
		l := x.slipLine(d)
		day := x.day(d)
		l.Start, l.Session, l.Registers, l.Service = day, strconv.Itoa(counts[day])+x.pick("次", " x"), "", ""
		out = append(out, l)
	}
	return out, true
}

// day is the row of a line where there is one a day: that in which it ended, and
// one for all adjustments.
func (x *export) day(ln *Line) string {
	if ln.adjustment() {
		return x.pick("补记", "adjusted")
	}
	return ln.Session.End.Time().In(x.Location).Format("01-02")
}

func (x *export) slipLine(ln *Line) slipLine {
	s := &ln.Session
	l := slipLine{
		Start: s.Start.Time().In(x.Location).Format("01-02 15:04"), Session: s.ID, Energy: kWh(s.EnergyMWh),
		Bands: x.bandsText(ln), Service: x.service(ln), Quality: x.quality(s.Quality),
	}
	if ln.Of != "" {
		l.Bands = x.adjusts(ln) + l.Bands
	}
	if s.MeterStartMWh >= 0 && s.MeterEndMWh >= 0 {
		l.Registers = kWh(s.MeterStartMWh) + "–" + kWh(s.MeterEndMWh)
	}
	if s.Tariff != "" {
		l.Electricity, l.ServiceFee = yuan(s.ElectricityFen), yuan(s.ServiceFen)
	} else {
		l.Bands += x.pick("无电价", "no tariff")
	}
	return l
}
