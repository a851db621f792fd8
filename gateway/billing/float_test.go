package billing

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoFloatingPointNearMoney looks for it in what computes and writes bills. It
// may say how far an export is, and the workbook's writer hands exact decimals to
// a library through it, which LibreOffice and the goldens read back.
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
		if strings.HasSuffix(file, "_test.go") || file == "xlsx.go" {
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

// TestADecimalGoesThroughAWorkbookUnchanged holds what digits promises.
func TestADecimalGoesThroughAWorkbookUnchanged(t *testing.T) {
	for _, s := range []string{"0.00", "0.07", "-1.62", "1234567890123.45", "0.000001", "999999999.999999"} {
		if _, ok := digits(s).(float64); !ok {
			t.Errorf("%s is written as text", s)
		}
	}
	if got := digits("92233720368547758.07"); got != "92233720368547758.07" {
		t.Errorf("what a float cannot hold became %v", got)
	}
}
