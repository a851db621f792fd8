package tariff

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPricesReadExactly(t *testing.T) {
	for text, want := range map[string]Micro{
		"0": 0, "0.641": 641_000, "0.30": 300_000, "1": 1_000_000, "0.000001": 1, "12.345678": 12_345_678,
		"1000000": 1_000_000_000_000, "007.5": 7_500_000,
	} {
		if got, err := ParsePrice(text); err != nil || got != want {
			t.Errorf("ParsePrice(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestOtherPricesAreRefusedWithWhatWasExpected(t *testing.T) {
	for _, text := range []string{"", ".", ".5", "5.", "-1", "+1", "1e3", "1E-2", " 1", "1 ", "0,641", "1.2345678", "NaN", "Inf",
		"1.2.3", "０.６", "¥1", "0x1", "1_000", "1000000.000001", "99999999999999999999999999"} {
		got, err := ParsePrice(text)
		if err == nil || !strings.Contains(err.Error(), "expected") || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("ParsePrice(%q) = %d, %v; want an error that quotes it and says what was expected", text, got, err)
		}
	}
}

func TestPriceIsWrittenShortest(t *testing.T) {
	for m, want := range map[Micro]string{0: "0", 641_000: "0.641", 300_000: "0.3", 1: "0.000001", 1_500_000: "1.5", 100_000_000: "100"} {
		if got := m.String(); got != want {
			t.Errorf("Micro(%d).String() = %q, want %q", int64(m), got, want)
		}
	}
}

func TestAmountIsExact(t *testing.T) {
	for _, c := range []struct {
		mWh   int64
		price Micro
		want  string
	}{
		{0, 641_000, "0"},
		{1_234_567, 0, "0"},
		{1_000_000, 641_000, "0.641"},
		{1_234_567, 641_000, "0.791357447"}, // 1.234567 x 0.641
		{1, 1, "0.000000000001"},
		{2_000_000, 500_000, "1"},
		{100_000_000, 1_000_000, "100"},
		{math.MaxInt64, 1, "9223372.036854775807"},
	} {
		if got := Amount(c.mWh, c.price); got != c.want {
			t.Errorf("Amount(%d, %d) = %q, want %q", c.mWh, c.price, got, c.want)
		}
	}
}

func TestAmountIsTheProductOverTenToTheTwelve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mWh, price := rapid.Int64().Draw(t, "mWh"), Micro(rapid.Int64Range(0, int64(MaxPrice)).Draw(t, "price"))
		got, ok := new(big.Rat).SetString(Amount(mWh, price))
		product := new(big.Int).Mul(big.NewInt(mWh), big.NewInt(int64(price)))
		want := new(big.Rat).SetFrac(product, big.NewInt(1_000_000_000_000))
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("Amount(%d, %d) = %v, want %v", mWh, price, got, want)
		}
	})
}

func FuzzParsePrice(f *testing.F) {
	for _, s := range []string{"0.641", "0.30", "1e3", "-1", "", "1000000", "0.0000001", "５"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParsePrice(s)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || want.Mul(want, big.NewRat(1_000_000, 1)).Cmp(new(big.Rat).SetInt64(int64(m))) != 0 {
			t.Fatalf("ParsePrice(%q) = %d, want %v", s, m, want)
		}
		if again, err := ParsePrice(m.String()); err != nil || again != m {
			t.Fatalf("ParsePrice(%q) = %d, but its own %q reads as %d, %v", s, m, m.String(), again, err)
		}
	})
}
