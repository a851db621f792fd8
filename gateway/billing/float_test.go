package billing

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
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
	l := &layout{location: time.UTC, counted: -1}
	for _, k := range []kind{kindCount, kindFen, kindYuan, kindMWh, kindMW, kindPercent} {
		l.columns = append(l.columns, column{"数", "n", k, false, 9})
	}
	numbers := []int64{0, 1, -1, 7, -162, math.MaxInt64, math.MinInt64 + 1_000_000, 1e15, 1e15 - 1, -1e15, 1e16 - 1, 123456789012345, 1234567890123456, 999_999_999_999_999_9}
	for random := rand.New(rand.NewPCG(1, 2)); len(numbers) < 1000; { // of all lengths
		numbers = append(numbers, (random.Int64()-random.Int64())>>random.IntN(63))
	}
	book, err := newWorkbook()
	if err != nil {
		t.Fatal(err)
	}
	defer book.close() //nolint:errcheck // it is looked at no more
	s, err := book.sheet("s", l)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if err := s.row(slices.Repeat([]value{number(n)}, len(l.columns))); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := book.write(&out, ""); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&out, excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, n := range numbers {
		for j := range l.columns {
			at, _ := excelize.CoordinatesToCellName(j+1, i+2)
			want := l.plain(&l.columns[j], number(n))
			got, err := f.GetCellValue("s", at)
			kind, _ := f.GetCellType("s", at)
			long := len(strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(want), "0")) > 15
			if err != nil || got != want || long != (kind == excelize.CellTypeInlineString) {
				t.Errorf("%s is %q, as %v, %v", want, got, kind, err)
			}
		}
	}
}
