package billing

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// workbook is an Excel workbook in the making. The library makes all of it but
// the sheets' rows: those go, compressed, into temporary files as they come, so
// that memory stays flat and every number is the decimal that it is. Close it always.
type workbook struct {
	file   *excelize.File
	sheets []*sheet
	styles map[kind][2]int // of a cell, and of a total
	header int
}

// numberForms are how a workbook shows the kinds.
var numberForms = map[kind]string{
	kindText: "@", kindNumber: "@", kindCount: "0", kindFen: "#,##0.00", kindYuan: "#,##0.00####", kindMWh: "#,##0.000###", kindWallMWh: "#,##0.00", kindMW: "0.0", kindPercent: "0.0",
	kindTime: "yyyy-mm-dd hh:mm:ss",
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

func (b *workbook) close() error {
	errs := []error{b.file.Close()}
	for _, s := range b.sheets {
		errs = append(errs, s.part.close())
	}
	return errors.Join(errs...)
}

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
	s := &sheet{layout: l, book: b, name: name, next: 1}
	var err error
	if s.part, err = newPart(); err != nil {
		return nil, err
	}
	b.sheets = append(b.sheets, s)
	return s, s.begin(len(b.sheets) == 1)
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
	for _, s := range b.sheets {
		if err := s.end(); err != nil {
			return fmt.Errorf("sheet %s: %w", s.name, err)
		}
	}
	return b.pack(w)
}

// pack writes the parts of the workbook by name: the library goes through a map,
// and the same rows are to be the same bytes. The sheets, which are empty in the
// library's file, are those that were written here.
func (b *workbook) pack(w io.Writer) error {
	var frame bytes.Buffer
	if _, err := b.file.WriteTo(&frame); err != nil {
		return err
	}
	in, err := zip.NewReader(bytes.NewReader(frame.Bytes()), int64(frame.Len()))
	if err != nil {
		return err
	}
	slices.SortFunc(in.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	out := zip.NewWriter(w)
	for _, p := range in.File {
		if s := b.written(p.Name); s != nil {
			err = s.part.copyTo(out, p.Name)
		} else {
			err = out.Copy(p)
		}
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// written gives the sheet that is kept under a name: the library numbers them as they are added.
func (b *workbook) written(name string) *sheet {
	for i, s := range b.sheets {
		if name == "xl/worksheets/sheet"+strconv.Itoa(i+1)+".xml" {
			return s
		}
	}
	return nil
}
