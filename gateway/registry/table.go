package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// maxFile is the largest file that is read, in bytes: a card for each household of a large city district.
const maxFile = 16 << 20

// column is one that a registry has.
type column struct {
	name     string   // the English heading
	chinese  []string // the Chinese ones, the usual one first
	required bool
}

// table is a registry as it stands in its file, and what is wrong with it so far.
type table struct {
	file     string
	workbook bool // cells are as Excel stores them
	rows     []row
	problems []problem
}

type row struct {
	*table
	line  int
	cells map[string]string // by the column's name, for each column there is; folded and trimmed
}

type problem struct {
	line int
	text string
}

func (t *table) bad(line int, format string, a ...any) {
	t.problems = append(t.problems, problem{line, fmt.Sprintf(format, a...)})
}

func (r row) bad(format string, a ...any) { r.table.bad(r.line, format, a...) }

// err joins the problems in the order of their rows; nil when there are none.
func (t *table) err() error {
	slices.SortStableFunc(t.problems, func(a, b problem) int { return a.line - b.line })
	var errs []error
	for _, p := range t.problems {
		errs = append(errs, fmt.Errorf("%s:%d: %s", t.file, p.line, p.text))
	}
	return errors.Join(errs...)
}

// open reads a registry from a file, with an error when it is none.
func open(path string, columns []column) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("registry: %w; give its path under `registry`, relative to the configuration", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("registry: %s is over %d MB: expected a list of piles or cards", path, maxFile>>20)
	}
	return parse(path, data, columns)
}

// lines are the rows of a file, each with its number; an error is for a file that cannot be read at all.
type lines interface {
	next() (line int, cells []string, err error)
}

// parse finds the columns by their headings and cuts the rows. Problems of
// single rows go to the table; the error is for a file that cannot be read at all.
func parse(file string, data []byte, columns []column) (*table, error) {
	t := &table{file: file, workbook: isWorkbook(data)}
	var in lines
	var err error
	if t.workbook {
		in, err = openWorkbook(data)
	} else {
		in, err = openCSV(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var at map[string]int
	width, title := 0, 0 // title: the row of a title above the headings
	for {
		line, cells, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			t.bad(syntax.StartLine, "a quotation mark in the wrong place: expected a cell as it is, or whole in \"\"")
			if at == nil {
				return nil, t.err() // no headings: nothing can be said of the rest
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for i := range cells {
			cells[i] = fold(cells[i])
		}
		switch {
		case blank(cells): // the empty rows that Excel leaves behind
		case at == nil && title == 0 && isTitle(cells, columns):
			title = line
		case at == nil:
			at, width = t.headings(line, cells, columns), len(cells)
		default:
			t.cut(line, cells, at, width)
		}
	}
	if at == nil && len(t.problems) == 0 {
		t.bad(title+1, "empty: expected a row of headings such as %s", chineseHeadings(columns))
	}
	return t, nil
}

type csvLines struct{ *csv.Reader }

func openCSV(data []byte) (lines, error) {
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	return csvLines{r}, nil
}

func (c csvLines) next() (int, []string, error) {
	cells, err := c.Read()
	if err != nil {
		return 0, nil, err
	}
	line, _ := c.FieldPos(0)
	return line, cells, nil
}

// headings finds where each column stands.
func (t *table) headings(line int, cells []string, columns []column) map[string]int {
	at := map[string]int{}
	for _, c := range columns {
		for i, cell := range cells {
			if name := heading(cell); name != c.name && !slices.Contains(c.chinese, name) {
				continue
			}
			if first, twice := at[c.name]; twice {
				t.bad(line, "headings %q and %q are the same column: remove one", cells[first], cell)
				continue
			}
			at[c.name] = i
		}
		if _, ok := at[c.name]; !ok && c.required {
			t.bad(line, "no column %s (%s): expected headings such as %s", c.chinese[0], c.name, chineseHeadings(columns))
		}
	}
	return at
}

// isTitle reports whether the only cell of a row is no heading: people write above a
// list what it is.
func isTitle(cells []string, columns []column) bool {
	filled := slices.DeleteFunc(slices.Clone(cells), func(c string) bool { return c == "" })
	return len(filled) == 1 && !slices.ContainsFunc(columns, func(c column) bool {
		return heading(filled[0]) == c.name || slices.Contains(c.chinese, heading(filled[0]))
	})
}

// heading drops what people add to one: letter case, spaces, a unit in brackets.
func heading(cell string) string {
	name, _, _ := strings.Cut(cell, "(")
	return strings.ToLower(squeeze(name))
}

func (t *table) cut(line int, cells []string, at map[string]int, width int) {
	if extra := slices.IndexFunc(cells[min(width, len(cells)):], func(c string) bool { return c != "" }); extra >= 0 {
		t.bad(line, "more cells than headings: put a cell that holds a comma in \"\"")
		return
	}
	r := row{table: t, line: line, cells: map[string]string{}}
	for name, i := range at {
		r.cells[name] = ""
		if i < len(cells) {
			r.cells[name] = cells[i]
		}
	}
	t.rows = append(t.rows, r)
}

func blank(cells []string) bool {
	return !slices.ContainsFunc(cells, func(c string) bool { return c != "" })
}

func chineseHeadings(columns []column) string {
	var names []string
	for _, c := range columns {
		names = append(names, c.chinese[0])
	}
	return strings.Join(names, ",")
}

// decode gives the text as UTF-8 without a byte order mark. What is not UTF-8
// is read as GB 18030, of which GBK is a part.
func decode(data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0")):
		return nil, errors.New("an old or locked Excel workbook: save it as .xlsx without a password, or as CSV (另存为 .xlsx 或 CSV)")
	case bytes.HasPrefix(data, []byte("\xFF\xFE")), bytes.HasPrefix(data, []byte("\xFE\xFF")):
		return nil, errors.New("UTF-16: save it as CSV UTF-8 (另存为 CSV UTF-8)")
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if utf8.Valid(data) {
		return data, nil
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return nil, errors.New("neither UTF-8 nor GBK: save it as CSV UTF-8 (另存为 CSV UTF-8)")
	}
	return text, nil
}
