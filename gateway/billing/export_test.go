package billing

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
	"pilewatch/gateway/view"
)

// dump writes a workbook as text: sheet by sheet, what is stored in each cell.
func dump(t *testing.T, data []byte) []byte {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	for _, name := range f.GetSheetList() {
		fmt.Fprintf(&out, "== %s\n", name)
		rows, err := f.GetRows(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			for j := range row {
				at, _ := excelize.CoordinatesToCellName(j+1, i+1)
				kind, _ := f.GetCellType(name, at)
				formula, _ := f.GetCellFormula(name, at)
				switch {
				case formula != "":
					row[j] = "=" + formula + "→" + row[j]
				case kind == excelize.CellTypeInlineString || kind == excelize.CellTypeSharedString:
					row[j] = fmt.Sprintf("%q", row[j])
				}
			}
			fmt.Fprintln(&out, strings.Join(row, " | "))
		}
	}
	return out.Bytes()
}

// TestExportsAreTheirGoldens holds every export in every format and language.
func TestExportsAreTheirGoldens(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.config.GridBills = []GridBill{{Month: "2026-11", EnergyMWh: 4_000_000, Amount: 1_234_567}} // less than was collected
	e.close("2026-10")
	e.add(e.charge("3-202", "04A1B2C5", "P03", 5, "2026-10-20 10:00:00", time.Hour, 333_333)) // after the close
	for _, what := range Exports {
		for _, format := range Formats {
			for _, english := range []bool{false, true} {
				r := Request{What: what, Format: format, English: english, Span: Span{Month: "2026-11"}}
				got := e.export(r)
				if again := e.export(r); !bytes.Equal(got, again) {
					t.Errorf("%s.%s twice: not the same bytes", what, format)
				}
				if format == "xlsx" {
					got = dump(t, got)
				}
				name := what + "." + format
				if format == "xlsx" {
					name += ".txt"
				}
				if english {
					name = "en-" + name
				}
				golden(t, name, got)
			}
		}
	}
	for _, format := range []string{"csv", "html"} {
		golden(t, "basis."+format, e.export(Request{What: "sessions", Format: format, Basis: true, Span: Span{Month: "2026-11"}}))
	}
}

func TestEveryFormatSaysTheSameSums(t *testing.T) {
	e := newEstate(t)
	e.fill()
	span := Span{Month: "2026-11"}
	var sessions []jsonSession
	if err := json.Unmarshal(e.export(Request{What: "sessions", Format: "json", Span: span}), &sessions); err != nil {
		t.Fatal(err)
	}
	var statements []Statement
	if err := json.Unmarshal(e.export(Request{What: "statements", Format: "json", Span: span}), &statements); err != nil {
		t.Fatal(err)
	}
	var notice []noticeRow
	if err := json.Unmarshal(e.export(Request{What: "notice", Format: "json", Span: span}), &notice); err != nil {
		t.Fatal(err)
	}
	var sum [3]int64
	for _, s := range sessions {
		if s.TotalFen != nil {
			sum[0] += *s.TotalFen
		}
	}
	for _, s := range statements {
		sum[1] += s.TotalFen
	}
	for _, r := range notice {
		sum[2] += r.TotalFen
	}
	if sum[0] == 0 || sum[0] != sum[1] || sum[1] != sum[2] {
		t.Errorf("sessions, statements and notice sum to %v", sum)
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(e.export(Request{What: "sessions", Format: "csv", Span: span}), []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := rows[len(rows)-1][16]; got != yuan(sum[0]) {
		t.Errorf("the last row of the CSV says %s, want %s", got, yuan(sum[0]))
	}
}

func TestSpansAndChoices(t *testing.T) {
	e := newEstate(t)
	e.fill()
	count := func(s Span) (n int) {
		if err := e.book().Lines(t.Context(), s, func(*Line) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		what string
		span Span
		want int
	}{
		{"all", Span{}, 9},
		{"a month: a session belongs to the one in which it ends", Span{Month: "2026-10"}, 2},
		{"the next month", Span{Month: "2026-11"}, 7},
		{"a month without sessions", Span{Month: "2026-09"}, 0},
		{"days, the end excluded", Span{From: e.at("2026-11-06 00:00:00"), To: e.at("2026-11-12 00:00:00")}, 2},
		{"a building, by where the household is", Span{Building: "1"}, 5},
		{"a building, and the unknown cards at its piles", Span{Building: "3"}, 3},
		{"a household", Span{Household: "1-603", Month: "2026-11"}, 3},
	} {
		if got := count(c.span); got != c.want {
			t.Errorf("%s: %d lines, want %d", c.what, got, c.want)
		}
	}
}

// TestFlagsAreChosenAsSessionsAre, by when they were raised, however many there are.
func TestFlagsAreChosenAsSessionsAre(t *testing.T) {
	e := newEstate(t)
	e.fill()
	for i := range 2*flagsAtOnce + 1 {
		e.flag(e.chargeAt("1-603", "04A1B2C3", "P01", uint8(i%200+1), e.at("2026-12-01 00:00:00").Add(time.Duration(i)*time.Minute), time.Hour, 1))
	}
	for _, c := range []struct {
		what string
		span Span
		want int
	}{
		{"a month", Span{Month: "2026-11"}, 2},
		{"many", Span{Month: "2026-12"}, 2*flagsAtOnce + 2}, // an id of each pile alone
		{"a household", Span{Household: "1-603"}, 2*flagsAtOnce + 1},
		{"a building", Span{Building: "3"}, 2},
		{"until one was raised", Span{To: e.at("2026-11-09 23:41:01")}, 1},
		{"from when one was raised, of another household", Span{From: e.at("2026-11-09 23:41:00"), Household: "9-999"}, 0},
	} {
		var got []view.Flag
		if err := json.Unmarshal(e.export(Request{What: "flags", Format: "json", Span: c.span}), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != c.want {
			t.Errorf("%s: %d flags, want %d", c.what, len(got), c.want)
		}
	}
}

func TestAnEmptyMonthIsAWholeFile(t *testing.T) {
	e := newEstate(t)
	for _, what := range Exports {
		for _, format := range Formats {
			if len(e.export(Request{What: what, Format: format, Span: Span{Month: "2026-11"}})) == 0 {
				t.Errorf("%s.%s of nothing is nothing", what, format)
			}
		}
	}
	if got := e.export(Request{What: "sessions", Format: "json", Span: Span{Month: "2026-11"}}); string(got) != "[\n]\n" {
		t.Errorf("no sessions are %q", got)
	}
}

func TestWhatDoesNotExistIsRefused(t *testing.T) {
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{What: "bills", Format: "csv"}, "export bills: expected one of sessions, statements, notice, flags, reconciliation"},
		{Request{What: "sessions", Format: "pdf"}, `format "pdf": expected one of csv, xlsx, json, html`},
		{Request{What: "sessions", Format: "csv", Span: Span{Month: "11"}}, `--month "11": expected a month such as 2026-11`},
		{Request{What: "statements", Format: "csv", Basis: true}, "export statements with --basis: the basis is of sessions; ask for those"},
		{Request{What: "notice", Format: "csv", Span: Span{Household: "1-603"}}, "export notice of a single household: it is of the estate; ask for statements or sessions"},
		{Request{What: "reconciliation", Format: "csv"}, "export reconciliation: give --month; the meters are compared month by month"},
	} {
		if err := c.r.Check(); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.r, err, c.want)
		}
	}
}

// TestNoticeBoardTellsNobody looks for all that the registry knows of people in
// every form of the notice.
func TestNoticeBoardTellsNobody(t *testing.T) {
	e := newEstate(t)
	e.fill()
	secrets := []string{"603", "402", "202", "1001", "1-603", "3-202", "04A1B2C3", "B2C3", "B2C4", "0012", "04A1B2C5", "DEADBEEF99", "EF99", "张三", "13900001111", "P01", "A-P011", "20:15", "2026-11-05"}
	for _, households := range []bool{false, true} {
		e.config.NoticeHouseholds = households
		for _, format := range Formats {
			for _, english := range []bool{false, true} {
				got := e.export(Request{What: "notice", Format: format, English: english, Span: Span{Month: "2026-11"}})
				if format == "xlsx" {
					got = dump(t, got)
				}
				if format == "html" { // the style sheet has numbers of its own
					_, body, _ := bytes.Cut(got, []byte("<body>"))
					got = body
				}
				for _, s := range secrets {
					for i := 0; ; {
						at := bytes.Index(got[i:], []byte(s))
						if at < 0 {
							break
						}
						if i += at; !insideNumber(got, i, len(s)) {
							t.Errorf("households %v: notice.%s tells %q: …%s…", households, format, s, got[max(0, i-20):min(len(got), i+20)])
							break
						}
						i += len(s)
					}
				}
				if has := bytes.Contains(got, []byte("*03")); has != households {
					t.Errorf("households %v: notice.%s has masked ones: %v", households, format, has)
				}
			}
		}
	}
	if mask("202") != "*02" || mask("02") != "*2" || mask("1") != "*" || mask("") != "*" {
		t.Error(mask("202"), mask("02"), mask("1"), mask(""))
	}
}

// insideNumber tells the digits of an amount from a room.
func insideNumber(b []byte, at, n int) bool {
	part := func(c byte) bool { return c >= '0' && c <= '9' || c == '.' }
	return at > 0 && part(b[at-1]) || at+n < len(b) && part(b[at+n])
}

// TestWorkbooksOpenInLibreOffice has LibreOffice open every workbook, compute its
// sums, and say what it read: the same as in CSV, with numbers and times for what
// is one.
func TestWorkbooksOpenInLibreOffice(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.config.GridBills = []GridBill{{Month: "2026-11", EnergyMWh: 4_000_000, Amount: 1_234_567}}
	sheetsOf := map[string][]string{
		"sessions":       {"全部", "1号楼", "3号楼", "10号楼", "计费依据"},
		"statements":     {"全部", "1号楼", "3号楼", "10号楼"},
		"notice":         {"公示"},
		"flags":          {"提醒"},
		"reconciliation": {"对账"},
	}
	dir, files, n := t.TempDir(), []string(nil), 0
	for _, what := range Exports {
		files, n = append(files, filepath.Join(dir, what+".xlsx")), n+len(sheetsOf[what])
		if err := os.WriteFile(files[len(files)-1], e.export(Request{What: what, Format: "xlsx", Span: Span{Month: "2026-11"}}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened := realserver.OpenInOffice(t, files...)
	if len(opened) != n {
		t.Errorf("%d sheets are %v", n, opened)
	}
	for _, what := range Exports {
		rows := map[string][][]string{}
		for _, name := range sheetsOf[what] {
			rows[name] = readCSV(t, opened[what+"-"+name])
		}
		want, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(e.export(Request{What: what, Format: "csv", Span: Span{Month: "2026-11"}}), []byte("\ufeff")))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		sameCells(t, what, rows[sheetsOf[what][0]], want)
		if len(rows) > 1 && len(rows["1号楼"])+len(rows["3号楼"])+len(rows["10号楼"]) != len(want)+2*2 {
			t.Errorf("%s: the sheets of the buildings have other rows than that of all: %v", what, rows)
		}
	}
}

// sameCells wants a sheet, as LibreOffice read it, to say what the CSV file does.
func sameCells(t *testing.T, what string, got, want [][]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range want {
		for j := range want[i] {
			a, b := got[i][j], strings.TrimLeft(want[i][j], "\t'")
			if a != b && (!strings.Contains(b, ".") || a != trim(b)) {
				t.Errorf("%s, row %d, %s: LibreOffice has %q, the CSV %q", what, i+1, want[0][j], a, b)
			}
		}
	}
}

func readCSV(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestUnknownCardsHaveTheirPreviousMonth, a building each, open or closed, so that
// the statements' previous energy is that month's.
func TestUnknownCardsHaveTheirPreviousMonth(t *testing.T) {
	e := newEstate(t)
	e.add(
		e.charge("", "DEADBEEF99", "P03", 4, "2026-10-22 10:00:00", time.Hour, 100_000), e.charge("", "DEADBEEF98", "P01", 4, "2026-10-23 10:00:00", time.Hour, 20_000),
		e.charge("", "DEADBEEF99", "P03", 4, "2026-11-22 10:00:00", time.Hour, 3_000), e.charge("", "DEADBEEF98", "P01", 4, "2026-11-23 10:00:00", time.Hour, 400),
	)
	for _, closed := range []bool{false, true} {
		if closed {
			e.close("2026-10")
			e.close("2026-11")
		}
		list, _, err := e.book().Page(t.Context(), Span{Month: "2026-11"}, "", 10)
		if err != nil || len(list) != 2 || list[0].PreviousMWh != 20_000 || list[1].PreviousMWh != 100_000 {
			t.Errorf("closed %v: %+v, %v", closed, list, err)
		}
	}
}

// TestADiskThatFillsIsAnError: what breaks off says so, in every format.
func TestADiskThatFillsIsAnError(t *testing.T) {
	e := newEstate(t)
	e.fill()
	for _, what := range Exports {
		for _, format := range Formats {
			if _, err := e.book().Export(t.Context(), Request{What: what, Format: format, Span: Span{Month: "2026-11"}}, full{}); err == nil {
				t.Errorf("%s.%s on a full disk: no error", what, format)
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestExplainIsItsGolden(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.close("2026-10")
	e.close("2026-11")
	ids := []string{"P01-1-20261031T120000Z", "P01-2-20261105T114500Z", "P03-12-20261109T151000Z", "P01-3-20261111T223030Z", "P01-4-20261121T000000Z"}
	for _, english := range []bool{false, true} {
		var out bytes.Buffer
		for _, id := range ids {
			if err := e.book().Explain(t.Context(), id, english, &out); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, map[bool]string{false: "explain.txt", true: "en-explain.txt"}[english], out.Bytes())
	}
	if err := e.book().Explain(t.Context(), "nothing", false, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
}

var _ Closer = (*ledger.Ledger)(nil)

// TestBuildingsThatExcelCannotTellApartLoseNoRow: to Excel a and A are one name.
func TestBuildingsThatExcelCannotTellApartLoseNoRow(t *testing.T) {
	e := newEstate(t)
	for i, building := range []string{"a", "A", "a/b", "a?b", "x123456789012345678901234567890y", "x123456789012345678901234567890z"} {
		e.add(e.chargeAt(building+"-101", "04A1B2C3", "P01", uint8(i+1), e.at("2026-11-02 10:00:00"), time.Hour, 1000))
	}
	for _, what := range []string{"sessions", "statements"} {
		got := string(dump(t, e.export(Request{What: what, Format: "xlsx", Span: Span{Month: "2026-11"}})))
		want := 7 // a sheet of all, and one each
		if what == "sessions" {
			want++
		}
		if n := strings.Count(got, "== "); n != want {
			t.Errorf("%s: %d sheets, want %d:\n%s", what, n, want, got)
		}
	}
}

func TestStatementsAreReadInPages(t *testing.T) {
	e := newEstate(t)
	e.fill()
	whole, next, err := e.book().Page(t.Context(), Span{}, "", 100)
	if err != nil || next != "" || len(whole) != 7 {
		t.Fatal(len(whole), next, err)
	}
	var paged []*Statement
	for place := ""; ; {
		items, next, err := e.book().Page(t.Context(), Span{}, place, 2)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, items...)
		if place = next; place == "" {
			break
		}
	}
	if len(paged) != len(whole) {
		t.Fatalf("%d in pages, %d at once", len(paged), len(whole))
	}
	for i := range whole {
		if paged[i].place() != whole[i].place() {
			t.Errorf("%d: %s in pages, %s at once", i, paged[i].place(), whole[i].place())
		}
	}
}
