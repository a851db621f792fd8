package billing

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pilewatch/gateway/realserver"
)

// ordinary are names that a spreadsheet shows as they are: they are written so.
var ordinary = []string{
	"A-1007", "1007", "0", "20261123001", "P03-5-1790771968", "04A1B2C3", "B2C3", "1-603", "10-1001", "3-202", "12.5", "0.5", "1-603甲", "MAYOR1", "1e", "E5", "13-13", "DECK", "100%a",
}

// odd are those that it would make something else of.
var odd = []string{
	"0012", "007", "00", "0.50", "1.0", "123456789012", "202611120630000001", "04E3", "12e5", "1.5E10", "1E+5", "1-12", "12-1", "1/2", "13-12", "1-45", "3-2001", "2001-3",
	"1-2-3", "2026/11/5", "12:30", "8:05:01", "12:30 PM", "DEC1", "FEB2", "1DEC", "MARCH1", "Sept2", "2-Nov", "1 JAN 2026", "(5)", "5%", "$5", "¥12", "1,234", "1 1/2", "TRUE", ".5", "5.",
}

// formulas begin like one.
var formulas = []string{"=2+2", "+8613900001111", "-5", "@SUM(1)", "=HYPERLINK(\"http://x\")", "\t=1"}

func TestOnlyWhatASpreadsheetWouldSpoilIsMarkedInCSV(t *testing.T) {
	for _, s := range ordinary {
		if got := asText(s); got != s {
			t.Errorf("%q is written as %q", s, got)
		}
	}
	for _, s := range odd {
		if got := asText(s); got != "\t"+s {
			t.Errorf("%q is written as %q", s, got)
		}
	}
	for _, s := range formulas {
		if got := asText(s); got != "'"+s {
			t.Errorf("%q is written as %q", s, got)
		}
	}
}

// TestASpreadsheetShowsNamesAsTheyAre opens a CSV file as people do.
func TestASpreadsheetShowsNamesAsTheyAre(t *testing.T) {
	var out bytes.Buffer
	w, err := newCSV(&layout{counted: -1, columns: []column{{"订单号", "Order", kindNumber, false, 9}}}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range append(append(ordinary, odd...), formulas...) {
		want = append(want, s)
		if err := w.row([]value{text(s)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := readCSV(t, realserver.OpenTextInOffice(t, file))
	if len(rows) != len(want)+2 {
		t.Fatalf("%d rows, want %d", len(rows), len(want)+2)
	}
	for i, s := range want {
		if got := strings.TrimLeft(rows[i+1][0], "\t'"); got != strings.TrimLeft(s, "\t") {
			t.Errorf("%q is shown as %q", s, rows[i+1][0])
		}
	}
}
