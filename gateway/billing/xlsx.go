package billing

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"pilewatch/devices"
)

// workbook is an Excel workbook in the making. Rows go to temporary files once
// they are many, so that memory stays flat. Close it always.
type workbook struct {
	file   *excelize.File
	sheets []*sheet
	styles map[kind][2]int // of a cell, and of a total
	header int
}

// sheet is one table of a workbook.
type sheet struct {
	*layout
	book   *workbook
	name   string
	stream *excelize.StreamWriter
	next   int // number of the next row
	totals totals
	cells  []any
}

// numberForms are how a workbook shows the kinds.
var numberForms = map[kind]string{
	kindText: "@", kindNumber: "@", kindCount: "0", kindFen: "#,##0.00", kindMWh: "#,##0.000###", kindMW: "0.0", kindTime: "yyyy-mm-dd hh:mm:ss",
}

func newWorkbook() (*workbook, error) {
	b := &workbook{file: excelize.NewFile(), styles: map[kind][2]int{}}
	bold := &excelize.Font{Bold: true}
	for k := kindText; k <= kindTime; k++ {
		form := numberForms[k]
		plain, err := b.file.NewStyle(&excelize.Style{CustomNumFmt: &form})
		if err != nil {
			return nil, err
		}
		total, err := b.file.NewStyle(&excelize.Style{CustomNumFmt: &form, Font: bold, Border: []excelize.Border{{Type: "top", Style: 1, Color: "000000"}}})
		if err != nil {
			return nil, err
		}
		b.styles[k] = [2]int{plain, total}
	}
	var err error
	b.header, err = b.file.NewStyle(&excelize.Style{
		Font: bold, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"DDEBF7"}}, Alignment: &excelize.Alignment{WrapText: true, Vertical: "center"},
	})
	return b, err
}

func (b *workbook) close() error { return b.file.Close() }

// sheet adds a sheet with its row of headings, which stays in sight.
func (b *workbook) sheet(name string, l *layout) (*sheet, error) {
	name = b.free(sheetName(name))
	if len(b.sheets) == 0 {
		if err := b.file.SetSheetName("Sheet1", name); err != nil {
			return nil, err
		}
	} else if _, err := b.file.NewSheet(name); err != nil {
		return nil, err
	}
	stream, err := b.file.NewStreamWriter(name)
	if err != nil {
		return nil, err
	}
	s := &sheet{layout: l, book: b, name: name, stream: stream, next: 2, cells: make([]any, len(l.columns))}
	for i, c := range l.columns {
		if err := stream.SetColWidth(i+1, i+1, float64(max(c.width, 8))); err != nil {
			return nil, err
		}
		s.cells[i] = excelize.Cell{StyleID: b.header, Value: l.pick(c.chinese, c.english)}
	}
	if err := stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return nil, err
	}
	b.sheets = append(b.sheets, s)
	return s, stream.SetRow("A1", s.cells)
}

// free gives a name that no sheet has: to Excel a and A are the same.
func (b *workbook) free(name string) string {
	taken := func(n string) bool {
		return slices.ContainsFunc(b.sheets, func(s *sheet) bool { return strings.EqualFold(s.name, n) })
	}
	unique := name
	for n := 2; taken(unique); n++ {
		suffix := " " + strconv.Itoa(n)
		r := []rune(name)
		unique = string(r[:min(len(r), 31-len(suffix))]) + suffix
	}
	return unique
}

// sheetName is what Excel takes for one: 31 characters, without some signs.
func sheetName(s string) string {
	r := []rune(s)
	for i := range r {
		switch r[i] {
		case ':', '\\', '/', '?', '*', '[', ']', '\'':
			r[i] = '_'
		}
	}
	return string(r[:min(len(r), 31)])
}

// maxRows is how many rows a sheet of Excel has, but for headings and totals.
const maxRows = 1<<20 - 2

func (s *sheet) row(vs []value) error {
	if s.totals.rows == maxRows {
		return fmt.Errorf("more than %d rows, and a sheet of Excel holds no more: export shorter spans, or as csv", maxRows)
	}
	s.totals.add(s.layout, vs)
	for i := range s.columns {
		c := &s.columns[i]
		style := s.book.styles[c.kind][0]
		switch {
		case !vs[i].filled:
			s.cells[i] = nil
		case c.kind == kindText: // inline strings are text without a style
			s.cells[i] = vs[i].text
		case c.kind == kindNumber:
			s.cells[i] = excelize.Cell{StyleID: style, Value: vs[i].text}
		case c.kind == kindTime:
			s.cells[i] = excelize.Cell{StyleID: style, Value: devices.Millis(vs[i].n).Time().In(s.location)}
		default:
			s.cells[i] = excelize.Cell{StyleID: style, Value: digits(s.plain(c, vs[i]))}
		}
	}
	return s.put()
}

func (s *sheet) put() error {
	at, err := excelize.CoordinatesToCellName(1, s.next)
	if err != nil {
		return err
	}
	s.next++
	return s.stream.SetRow(at, s.cells)
}

// digits hands a decimal to the library, which takes numbers as text for text: of
// the float that it wants it writes the shortest decimal, and that is this one
// again up to 15 digits. One that is longer stays text.
func digits(decimal string) any {
	f, err := strconv.ParseFloat(decimal, 64)
	if strings.Contains(decimal, ".") {
		decimal = trim(decimal)
	}
	if err != nil || strconv.FormatFloat(f, 'f', -1, 64) != decimal {
		return decimal
	}
	return f
}

// end writes the row of totals: formulas, with their values for who does not compute.
func (s *sheet) end() error {
	if s.summed {
		return nil
	}
	last := s.totals.row(s.layout)
	for i := range s.columns {
		c := &s.columns[i]
		cell := excelize.Cell{StyleID: s.book.styles[c.kind][1]}
		switch {
		case i == 0:
			cell.Value = s.pick("合计", "Total")
		case i == s.counted:
			cell.StyleID, cell.Value = s.book.styles[kindText][1], strconv.Itoa(s.totals.rows)+s.unit
		case c.total && s.totals.rows > 0:
			column, err := excelize.ColumnNumberToName(i + 1)
			if err != nil {
				return err
			}
			cell.Formula = fmt.Sprintf("SUM(%s2:%s%d)", column, column, s.next-1)
			cell.Value = digits(s.plain(c, last[i]))
		case c.total:
			cell.Value = 0
		}
		s.cells[i] = cell
	}
	return s.put()
}

// write ends all sheets and writes the workbook: first, then the others by name, then last.
func (b *workbook) write(w io.Writer, last string) error {
	names := make([]string, 0, len(b.sheets))
	for _, s := range b.sheets[1:] {
		names = append(names, s.name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == last) != (b == last) {
			if a == last {
				return 1
			}
			return -1
		}
		return natural(a, b)
	})
	for i := len(names) - 2; i >= 0; i-- { // from the end: each before its successor
		if err := b.file.MoveSheet(names[i], names[i+1]); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		if err := b.file.MoveSheet(b.sheets[0].name, names[0]); err != nil {
			return err
		}
	}
	// Only now: the library would read sheets that are flushed again.
	for _, s := range b.sheets {
		if err := errors.Join(s.end(), s.stream.Flush()); err != nil {
			return fmt.Errorf("sheet %s: %w", s.name, err)
		}
	}
	return b.repack(w)
}

// repack writes the parts of the workbook by name: the library goes through a map,
// and the same rows are to be the same bytes.
func (b *workbook) repack(w io.Writer) error {
	tmp, err := os.CreateTemp("", "pilewatch-*.xlsx")
	if err != nil {
		return fmt.Errorf("the workbook's temporary file: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	size, err := b.file.WriteTo(tmp)
	if err != nil {
		return err
	}
	in, err := zip.NewReader(tmp, size)
	if err != nil {
		return err
	}
	slices.SortFunc(in.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	out := zip.NewWriter(w)
	for _, part := range in.File {
		if err := out.Copy(part); err != nil {
			return err
		}
	}
	return out.Close()
}
