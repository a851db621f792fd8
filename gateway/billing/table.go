package billing

import (
	"bufio"
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"pilewatch/devices"
)

// kind says what a column's values are, and so how each format writes them.
type kind uint8

const (
	kindText   kind = iota
	kindNumber      // of a card, an order or a household: text that looks like a quantity or a date
	kindCount
	kindFen
	kindYuan // millionths of a yuan, exact
	kindMWh
	kindWallMWh // to two places, as a notice board shows it
	kindMW
	kindPercent // tenths of a per cent
	kindTime    // Unix milliseconds
)

// column is one of a table, with its headings.
type column struct {
	chinese, english string
	kind             kind
	total            bool // the last row has its sum
	width            int  // in a workbook, characters
}

// value is a cell: text, or a whole number in the unit of its column. One that is
// empty has neither.
type value struct {
	text   string
	n      int64
	filled bool
}

func text(s string) value  { return value{text: s, filled: s != ""} }
func number(n int64) value { return value{n: n, filled: true} }
func maybe[T ~int64](n *T) value {
	if n == nil {
		return value{}
	}
	return number(int64(*n))
}

// layout is how a table is to be read.
type layout struct {
	words
	location *time.Location
	columns  []column
	counted  int    // the column of the last row that says how many rows there are; -1 for none
	unit     string // of that
	summed   bool   // the rows hold their sums already: no last row
	below    int    // on paper so many of the last columns have no room, and stand below their row
}

// plain writes a value as a decimal.
func (l *layout) plain(c *column, v value) string {
	if !v.filled {
		return ""
	}
	switch c.kind {
	case kindCount:
		return strconv.FormatInt(v.n, 10)
	case kindFen:
		return yuan(v.n)
	case kindYuan:
		return millionths(v.n, 2)
	case kindPercent:
		return fixed(v.n, 10, 1)
	case kindMWh:
		return kWh(v.n)
	case kindWallMWh:
		return wallKWh(v.n)
	case kindMW:
		return watts(v.n)
	case kindTime:
		return clock(devices.Millis(v.n), l.location)
	}
	return v.text
}

func (l *layout) headings() []string {
	hs := make([]string, len(l.columns))
	for i, c := range l.columns {
		hs[i] = l.pick(c.chinese, c.english)
	}
	return hs
}

// totals adds up the columns that have a total.
type totals struct {
	rows int
	sums []int64
}

func (t *totals) add(l *layout, row []value) {
	if t.sums == nil {
		t.sums = make([]int64, len(l.columns))
	}
	t.rows++
	for i := range row {
		if l.columns[i].total {
			t.sums[i] += row[i].n
		}
	}
}

// row is the last row, but for its first cell.
func (t *totals) row(l *layout) []value {
	row := make([]value, len(l.columns))
	for i, c := range l.columns {
		if c.total && t.sums != nil {
			row[i] = number(t.sums[i])
		} else if c.total {
			row[i] = number(0)
		}
	}
	return row
}

// plain is the last row in text.
func (t *totals) plain(l *layout) []string {
	cells := make([]string, len(l.columns))
	for i, v := range t.row(l) {
		cells[i] = l.plain(&l.columns[i], v)
	}
	cells[0] = l.pick("合计", "Total")
	if l.counted >= 0 {
		cells[l.counted] = strconv.Itoa(t.rows) + l.unit
	}
	return cells
}

// tableWriter writes a table row by row.
type tableWriter interface {
	row(vs []value) error
	end() error // with the last row
}

// csvTable is a table by the rules of Excel and WPS in China: UTF-8 with BOM,
// CRLF, a row of headings and one of totals.
type csvTable struct {
	*layout
	totals totals
	w      *bufio.Writer
	csv    *csv.Writer
	cells  []string
	names  map[string]string // as they are written: cards and households come again and again
}

func newCSV(l *layout, w io.Writer) (*csvTable, error) {
	buf := bufio.NewWriterSize(w, 64<<10)
	t := &csvTable{layout: l, w: buf, csv: csv.NewWriter(buf), cells: make([]string, len(l.columns)), names: map[string]string{}}
	t.csv.UseCRLF = true
	if _, err := buf.WriteString("\ufeff"); err != nil {
		return nil, err
	}
	return t, t.csv.Write(l.headings())
}

func (t *csvTable) row(vs []value) error {
	t.totals.add(t.layout, vs)
	return t.write(vs)
}

func (t *csvTable) write(vs []value) error {
	for i := range t.columns {
		c := &t.columns[i]
		t.cells[i] = t.plain(c, vs[i])
		switch c.kind {
		case kindText:
			t.cells[i] = neutral(t.cells[i])
		case kindNumber:
			t.cells[i] = t.name(t.cells[i])
		}
	}
	return t.csv.Write(t.cells)
}

// name is asText, which takes long, with a memory of some thousand names.
func (t *csvTable) name(s string) string {
	written, ok := t.names[s]
	if !ok {
		if len(t.names) == 4096 {
			clear(t.names)
		}
		written = asText(s)
		t.names[s] = written
	}
	return written
}

func (t *csvTable) end() error {
	if !t.summed {
		if err := t.csv.Write(t.totals.plain(t.layout)); err != nil {
			return err
		}
	}
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return err
	}
	return t.w.Flush()
}
