package billing

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"pilewatch/devices"
)

// written gives a workbook of one sheet, as the library reads it.
func written(t *testing.T, l *layout, rows ...[]value) *excelize.File {
	t.Helper()
	book, err := newWorkbook()
	if err != nil {
		t.Fatal(err)
	}
	defer book.close() //nolint:errcheck // it is looked at no more
	s, err := book.sheet("s", l)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := s.row(r); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := book.write(&out, ""); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestASheetIsMadeForReading(t *testing.T) {
	e := newEstate(t)
	l := (&export{Book: e.book()}).sessionLayout()
	row := make([]value, len(l.columns))
	row[7], row[15], row[18] = number(int64(e.at("2026-11-05 19:45:59").Add(999*time.Millisecond))), number(-162), text("202611120630000001")
	f := written(t, l, row)
	if p, err := f.GetPanes("s"); err != nil || !p.Freeze || p.YSplit != 1 || p.TopLeftCell != "A2" {
		t.Errorf("the headings do not stay: %+v, %v", p, err)
	}
	if w, err := f.GetColWidth("s", "M"); err != nil || w != 28 {
		t.Errorf("column M is %v wide, %v", w, err)
	}
	for at, want := range map[string]string{"H2": "2026-11-05 19:45:59", "P2": "-1.62", "S2": "202611120630000001", "A3": "合计", "G3": "1次"} {
		if got, err := f.GetCellValue("s", at); err != nil || got != want {
			t.Errorf("%s shows %q, %v; want %q", at, got, err, want)
		}
	}
	if formula, err := f.GetCellFormula("s", "P3"); err != nil || formula != "SUM(P2:P2)" {
		t.Errorf("the sum is %q, %v", formula, err)
	}
}

func TestTextGoesThroughASheetUnchanged(t *testing.T) {
	l := &layout{counted: -1, columns: []column{{"一", "a", kindText, false, 9}, {"二", "b", kindNumber, false, 9}}}
	texts := []string{"<b>&amp;\"'", " spaces  ", "two\nlines\tand a tab", "_x0041_", "a_x000d_b", "_x", "一号楼", "\U0001f6f5", "=2+2", "'1", "]]>", strings.Repeat("长", 1000)}
	var rows [][]value
	for _, s := range texts {
		rows = append(rows, []value{text(s), text(s)})
	}
	odd := map[string]string{"\x00nul\x1f": "\ufffdnul\ufffd", "not\xffutf": "not\ufffdutf", "\ufffe": "\ufffd"}
	for s := range odd {
		rows, texts = append(rows, []value{text(s), text(s)}), append(texts, s)
	}
	f := written(t, l, rows...)
	for i, s := range texts {
		want := s
		if plain, ok := odd[s]; ok {
			want = plain
		}
		for _, column := range []string{"A", "B"} {
			if got, err := f.GetCellValue("s", fmt.Sprint(column, i+2)); err != nil || got != want {
				t.Errorf("%q is read as %q, %v", s, got, err)
			}
		}
	}
}

// TestAWorkbookThatIsCutOffLeavesNothingBehind: a program that is killed, or whose
// reader has gone, removes no file any more.
func TestAWorkbookThatIsCutOffLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	e := newEstate(t)
	e.fill()
	watched := watch(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("while it is written there are %v, %v", left, err)
		}
	})
	if _, err := e.book().Export(t.Context(), Request{What: "sessions", Format: "xlsx", Span: Span{Month: "2026-11"}}, watched); err != nil {
		t.Fatal(err)
	}
}

// watch looks at something whenever a part of an export is written.
type watch func()

func (w watch) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

func TestASheetThatIsFullSaysWhatToDo(t *testing.T) {
	s := &sheet{layout: &layout{columns: []column{{"一", "a", kindCount, true, 9}}}, totals: totals{rows: maxRows}}
	if err := s.row([]value{number(1)}); err == nil || !strings.Contains(err.Error(), "export shorter spans, or as csv") {
		t.Error(err)
	}
}

// TestTimesInASheetAreThoseOnTheWall, on both sides of a changed clock.
func TestTimesInASheetAreThoseOnTheWall(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"2026-03-29T00:59:59Z": "46110.083321759259", // 01:59:59
		"2026-03-29T01:00:00Z": "46110.125000000000", // 03:00:00
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := serial(devices.MillisOf(at), loc); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
