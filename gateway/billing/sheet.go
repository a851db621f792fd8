package billing

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"

	"pilewatch/devices"
)

// sheet is one table of a workbook, written row by row in the form of ECMA-376.
type sheet struct {
	*layout
	book    *workbook
	name    string
	part    *part
	next    int // number of the next row
	totals  totals
	letters []string // of the columns
	cells   []byte   // of the row in the making
}

// begin writes what comes before the rows, and the headings.
func (s *sheet) begin(selected bool) error {
	const open = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n" +
		`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView%s workbookViewId="0">` +
		`<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>`
	tab := ""
	if selected {
		tab = ` tabSelected="1"`
	}
	fmt.Fprintf(s.part, open, tab)
	for i, c := range s.columns {
		fmt.Fprintf(s.part, `<col min="%d" max="%d" width="%d" customWidth="1"/>`, i+1, i+1, max(c.width, 8))
		s.letters = append(s.letters, letters(i))
	}
	io.WriteString(s.part, "</cols><sheetData>\n") //nolint:errcheck // an error stays with the part: the row has it
	for i, h := range s.headings() {
		s.text(i, s.book.header, h)
	}
	return s.put()
}

// letters names a column from 0: A, …, Z, AA, ….
func letters(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return letters(i/26-1) + letters(i%26)
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
		case c.kind == kindText: // it is text without a style
			s.text(i, 0, vs[i].text)
		case c.kind == kindNumber:
			s.text(i, style, vs[i].text)
		case c.kind == kindTime:
			s.cell(i, style, "><v>"+serial(devices.Millis(vs[i].n), s.location)+"</v></c>")
		default:
			s.number(i, style, s.plain(c, vs[i]))
		}
	}
	return s.put()
}

// end writes the row of totals: formulas, with their values for who does not compute.
func (s *sheet) end() error {
	last := s.totals.row(s.layout)
	for i := range s.columns {
		c := &s.columns[i]
		style := s.book.styles[c.kind][1]
		switch {
		case s.summed:
		case i == 0:
			s.text(i, style, s.pick("合计", "Total"))
		case i == s.counted:
			s.text(i, s.book.styles[kindText][1], strconv.Itoa(s.totals.rows)+s.unit)
		case c.total && s.totals.rows > 0:
			s.cell(i, style, "><f>SUM("+s.letters[i]+"2:"+s.letters[i]+strconv.Itoa(s.next-1)+")</f><v>"+s.plain(c, last[i])+"</v></c>")
		case c.total:
			s.number(i, style, "0")
		default:
			s.cell(i, style, "/>")
		}
	}
	if err := s.put(); err != nil {
		return err
	}
	_, err := io.WriteString(s.part, "</sheetData></worksheet>\n")
	return errors.Join(err, s.part.end())
}

// cell adds a cell with what follows its style.
func (s *sheet) cell(i, style int, rest string) {
	s.cells = append(s.cells, `<c r="`...)
	s.cells = append(s.cells, s.letters[i]...)
	s.cells = strconv.AppendInt(s.cells, int64(s.next), 10)
	if style != 0 {
		s.cells = append(s.cells, `" s="`...)
		s.cells = strconv.AppendInt(s.cells, int64(style), 10)
	}
	s.cells = append(s.cells, '"')
	s.cells = append(s.cells, rest...)
}

func (s *sheet) text(i, style int, text string) {
	s.cell(i, style, ` t="inlineStr"><is><t xml:space="preserve">`)
	s.cells = append(append(s.cells, escape(text)...), "</t></is></c>"...)
}

// exact is how many digits a spreadsheet keeps of a number.
const exact = 15

// number adds a decimal. One that a spreadsheet would cut short is text.
func (s *sheet) number(i, style int, decimal string) {
	if len(strings.TrimLeft(decimal, "-0."))-strings.Count(decimal, ".") > exact {
		s.text(i, style, decimal)
		return
	}
	s.cell(i, style, "><v>"+decimal+"</v></c>")
}

func (s *sheet) put() error {
	if len(s.cells) == 0 {
		return nil
	}
	s.part.Write(strconv.AppendInt([]byte(`<row r="`), int64(s.next), 10)) //nolint:errcheck // the last write has it
	io.WriteString(s.part, `">`)                                           //nolint:errcheck // as above
	s.part.Write(s.cells)                                                  //nolint:errcheck // as above
	_, err := io.WriteString(s.part, "</row>\n")
	s.cells = s.cells[:0]
	s.next++
	return err
}

// serial is how Excel counts time: days since 1899-12-30 on the clock on the wall,
// in whole seconds as in every other format, for it would round them up.
func serial(m devices.Millis, loc *time.Location) string {
	const day = 24 * 60 * 60
	t := m.Time().In(loc)
	_, offset := t.Zone()
	s := t.Unix() + int64(offset) + 25_569*day
	const places = 1_000_000_000_000 // a microsecond and less
	return fixed(s/day*places+(s%day*places+day/2)/day, places, 12)
}

// marked is what Excel reads as a character's number within text.
var marked = regexp.MustCompile(`_(x[0-9A-Fa-f]{4}_)`)

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")

// escape writes text for XML. What XML cannot hold becomes U+FFFD.
func escape(s string) string {
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '&', c == '<', c == '>', c == '_', c >= 0xef: // U+FFFE and such begin so
			plain = false
		}
	}
	if plain {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return xmlText.Replace(marked.ReplaceAllString(s, "_x005F_$1"))
}

// part is a file within a workbook, compressed into a temporary file as it is
// written, which nobody else sees. After an error nothing more is written, and every write gives it.
type part struct {
	file *os.File
	out  *bufio.Writer
	zip  *flate.Writer
	sum  hash.Hash32
	size uint64
	err  error
}

func newPart() (*part, error) {
	f, err := os.CreateTemp("", "pilewatch-*.sheet")
	if err != nil {
		return nil, fmt.Errorf("the workbook's temporary file: %w; set TMPDIR to a folder with room", err)
	}
	// It loses its name at once: whatever ends the program leaves no bills behind.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(temporary(err), f.Close())
	}
	p := &part{file: f, sum: crc32.NewIEEE()}
	z, err := flate.NewWriter(f, flate.BestSpeed)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.zip, p.out = z, bufio.NewWriterSize(z, 32<<10)
	return p, nil
}

// Write compresses b.
func (p *part) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	p.sum.Write(b) //nolint:errcheck // a checksum takes all
	p.size += uint64(len(b))
	n, err := p.out.Write(b)
	p.err = temporary(err)
	return n, p.err
}

// end completes the part.
func (p *part) end() error {
	if p.err == nil {
		p.err = temporary(errors.Join(p.out.Flush(), p.zip.Close()))
	}
	return p.err
}

// copyTo puts the part into a workbook, as it is.
func (p *part) copyTo(w *zip.Writer, name string) error {
	compressed, err := p.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = p.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return temporary(err)
	}
	out, err := w.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Deflate, CRC32: p.sum.Sum32(), CompressedSize64: uint64(compressed), UncompressedSize64: p.size,
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(out, p.file)
	return err
}

func (p *part) close() error { return p.file.Close() }

func temporary(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("a temporary file of the workbook: %w; set TMPDIR to a folder with room", err)
}
