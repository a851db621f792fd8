package billing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Exports are what can be exported of bills, and Formats in which formats.
var (
	Exports = []string{"sessions", "statements", "notice", "flags", "reconciliation"}
	Formats = []string{"csv", "xlsx", "json", "html"}
)

// Request says what to export, and how.
type Request struct {
	What    string
	Format  string
	English bool // headings and words; else Chinese
	Basis   bool // of sessions in csv and html, more columns: session, registers, bands; json and xlsx have them anyway
	Span
}

// Check refuses what there is not; the error says what to ask for instead.
func (r *Request) Check() error {
	if !slices.Contains(Exports, r.What) {
		return fmt.Errorf("export %s: expected one of %s", r.What, strings.Join(Exports, ", "))
	}
	if !slices.Contains(Formats, r.Format) {
		return fmt.Errorf("format %q: expected one of %s", r.Format, strings.Join(Formats, ", "))
	}
	if r.Basis && r.What != "sessions" {
		return fmt.Errorf("export %s with --basis: the basis is of sessions; ask for those", r.What)
	}
	if r.Household != "" && (r.What == "notice" || r.What == "reconciliation") {
		return fmt.Errorf("export %s of a single household: it is of the estate; ask for statements or sessions", r.What)
	}
	if r.Month == "" {
		if r.What == "reconciliation" {
			return errors.New("export reconciliation: give --month; the meters are compared month by month")
		}
		return nil
	}
	if t, err := time.Parse(monthForm, r.Month); err != nil || t.Year() < 1970 {
		return fmt.Errorf("--month %q: expected a month such as 2026-11", r.Month)
	}
	return nil
}

// Export writes one file. It streams: sessions in csv and json hold nothing, a
// workbook keeps its rows in temporary files, statements and notices hold a row a
// household (on paper also the lines of one month). After an error the file is
// no good.
func (b *Book) Export(ctx context.Context, r Request, w io.Writer) (Summary, error) {
	if err := r.Check(); err != nil {
		return Summary{}, err
	}
	x := &export{Book: b, Request: r, words: words{r.English}}
	var err error
	switch r.What {
	case "sessions":
		err = x.sessions(ctx, w)
	case "statements":
		err = x.statements(ctx, w)
	case "notice":
		err = x.notice(ctx, w)
	case "flags":
		err = x.flagged(ctx, w)
	case "reconciliation":
		err = x.reconciliation(ctx, w)
	}
	return x.sum, err
}

// export is one under way.
type export struct {
	*Book
	Request
	words
	sum    Summary
	prices priceList
}

// lines calls do with each line that is asked for, and sums them up.
func (x *export) lines(ctx context.Context, do func(*Line) error) error {
	return x.Lines(ctx, x.Span, func(ln *Line) error {
		x.sum.add(ln)
		return do(ln)
	})
}

// title names the span for people.
func (x *export) title() string {
	if x.Month != "" {
		return x.Month
	}
	var from, to string
	if x.From != 0 {
		from = x.From.Time().In(x.Location).Format(time.DateOnly)
	}
	if x.To != 0 {
		to = x.To.Time().In(x.Location).Add(-time.Millisecond).Format(time.DateOnly)
	}
	if from == "" && to == "" {
		return x.pick("全部", "all")
	}
	return from + " – " + to
}

// table writes a table of one sheet, in any format but json, row by row.
func (x *export) table(w io.Writer, title, sheet string, l *layout, rows func(tableWriter) error) error {
	var t tableWriter
	var err error
	switch x.Format {
	case "csv":
		t, err = newCSV(l, w)
	case "html":
		t, err = x.newHTML(title, l, w)
	default:
		return x.workbook(w, "", func(b *workbook) error {
			s, err := b.sheet(sheet, l)
			if err != nil {
				return err
			}
			return rows(s)
		})
	}
	if err != nil {
		return err
	}
	if err := rows(t); err != nil {
		return err
	}
	return t.end()
}

// workbook writes one of several sheets; the one named last comes last.
func (x *export) workbook(w io.Writer, last string, fill func(*workbook) error) error {
	b, err := newWorkbook()
	if err != nil {
		return err
	}
	defer b.close() //nolint:errcheck // its parts have no name any more
	if err := fill(b); err != nil {
		return err
	}
	return b.write(w, last)
}

// all gives rows that fit in memory.
func all(rows [][]value) func(tableWriter) error {
	return func(t tableWriter) error {
		for _, r := range rows {
			if err := t.row(r); err != nil {
				return err
			}
		}
		return nil
	}
}
