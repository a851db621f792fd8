package tariff

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// Micro is a price in millionths of a yuan (for a kWh, or for an hour).
type Micro int64

// MaxPrice is the highest price that is read: a million yuan.
const MaxPrice Micro = 1_000_000_000_000

const places = 6 // decimal places of a Micro

// ParsePrice reads a decimal number of yuan such as "0.641": digits, and after
// a point one to six more. A sign, an exponent, a space and a price over
// MaxPrice are refused, with an error that says what was expected.
func ParsePrice(s string) (Micro, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if !digits(whole) || point && (!digits(fraction) || len(fraction) > places) {
		return 0, fmt.Errorf("price %q: expected yuan as a decimal such as \"0.641\", with up to %d places", s, places)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return 0, fmt.Errorf("price %q: expected yuan as a decimal such as \"0.641\": %w", s, err)
	}
	if d.GreaterThan(decimal.New(int64(MaxPrice), -places)) {
		return 0, fmt.Errorf("price %q: expected at most %s yuan", s, MaxPrice)
	}
	return Micro(d.Shift(places).IntPart()), nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String gives the shortest decimal number of yuan: "0.641".
func (m Micro) String() string { return decimal.New(int64(m), -places).String() }

// MarshalText gives what String gives, so that a stored price reads as it was written.
func (m Micro) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParsePrice reads.
func (m *Micro) UnmarshalText(b []byte) (err error) {
	*m, err = ParsePrice(string(b))
	return err
}

// Amount gives the exact yuan of an energy at a price a kWh, unrounded, as a
// decimal without trailing zeros (up to 12 places); "0" for zero.
func Amount(energyMWh int64, price Micro) string {
	const mWhAndMicro = -6 - places // a kWh is 10^6 mWh
	return decimal.New(energyMWh, mWhAndMicro).Mul(decimal.New(int64(price), 0)).String()
}
