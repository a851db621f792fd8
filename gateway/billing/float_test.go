package billing

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"
)

// TestNoFloatingPointNearMoney looks for it in what computes and writes bills,
// workbooks too. It may say how far an export is.
func TestNoFloatingPointNearMoney(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	prices, err := filepath.Glob("../tariff/*.go")
	if err != nil || len(prices) == 0 {
		t.Fatal(prices, err)
	}
	for _, file := range append(files, prices...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			code, _, _ := strings.Cut(string(line), "//")
			if strings.Contains(strings.ToLower(code), "float") && !strings.Contains(code, "rogress") && !strings.Contains(code, "within") {
				t.Errorf("%s:%d: %s", file, i+1, code)
			}
		}
	}
}

// TestADecimalGoesThroughAWorkbookUnchanged: as a number, or as text where a
// spreadsheet would cut it short.
func TestADecimalGoesThroughAWorkbookUnchanged(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		k := rapid.SampledFrom([]kind{kindCount, kindFen, kindYuan, kindMWh, kindMW, kindPercent}).Draw(r, "kind")
		l := &layout{location: time.UTC, counted: -1, columns: []column{{"数", "n", k, true, 9}}}
		n := rapid.Int64().Draw(r, "n")
		book, err := newWorkbook()
		if err != nil {
			r.Fatal(err)
		}
		defer book.close() //nolint:errcheck // it is looked at no more
		s, err := book.sheet("s", l)
		if err == nil {
			err = s.row([]value{number(n)})
		}
		var out bytes.Buffer
		if err := errors.Join(err, book.write(&out, "")); err != nil {
			r.Fatal(err)
		}
		f, err := excelize.OpenReader(&out, excelize.Options{RawCellValue: true})
		if err != nil {
			r.Fatal(err)
		}
		defer f.Close()
		want := l.plain(&l.columns[0], number(n))
		got, err := f.GetCellValue("s", "A2")
		kind, _ := f.GetCellType("s", "A2")
		long := len(strings.NewReplacer("-", "", ".", "").Replace(want)) > 15
		if err != nil || got != want || long != (kind == excelize.CellTypeInlineString) {
			r.Fatalf("%s is %q, as %v, %v", want, got, kind, err)
		}
	})
}
