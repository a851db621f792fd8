package tariff

import (
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// minutesOfDay is the length of a day on the clock on the wall.
const minutesOfDay = 24 * 60

// dateLayout is how a tariff's first day is written.
const dateLayout = time.DateOnly

// Flat is the name of the one band of a price that is the same all day.
const Flat = "flat"

// Band is a price of electricity for a part of the local day.
type Band struct {
	Name  string `json:"name"`
	From  int    `json:"from"`  // minute of the day, from 0
	To    int    `json:"to"`    // minute of the day at which it is over, up to 1440; under From it passes midnight
	Price Micro  `json:"price"` // a kWh
}

// Tier is a price of service for sessions up to a peak power.
type Tier struct {
	UpToMW  int64 `json:"up_to_mw"` // peak power, mW, itself included
	PerHour Micro `json:"per_hour"`
}

// Tariff is one version of the price list.
type Tariff struct {
	Name      string `json:"name"`
	ValidFrom string `json:"valid_from"` // first local day, 2006-01-02
	Bands     []Band `json:"bands"`      // together exactly one day; a flat price is one, FlatBand
	PerKWh    Micro  `json:"per_kwh"`    // service by energy; zero with Tiers
	Tiers     []Tier `json:"tiers,omitempty"`
}

// FlatBand is the band of a price that is the same all day.
func FlatBand(price Micro) Band { return Band{Name: Flat, From: 0, To: minutesOfDay, Price: price} }

// Validate gives all that is wrong with t, joined; nil when nothing is. The
// other methods hold what they promise for a valid tariff only.
func (t *Tariff) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if t.Name == "" {
		bad("no name: expected one that bills can show")
	}
	if _, err := time.Parse(dateLayout, t.ValidFrom); err != nil {
		bad("valid_from %q: expected a date such as 2026-01-01", t.ValidFrom)
	}
	return errors.Join(append(errs, t.validateBands(), t.validateService())...)
}

func (t *Tariff) validateBands() error {
	var errs []error
	var cover [minutesOfDay]int
	priceOf := map[string]Micro{}
	for _, b := range t.Bands {
		if err := b.validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		if p, ok := priceOf[b.Name]; ok && p != b.Price {
			errs = append(errs, fmt.Errorf("band %s has two prices, %s and %s: expected one", b.Name, p, b.Price))
		}
		priceOf[b.Name] = b.Price
		for i := range b.minutes() {
			cover[(b.From+i)%minutesOfDay]++
		}
	}
	if len(errs) > 0 { // a band that is wrong in itself would show as gaps, too
		return errors.Join(errs...)
	}
	for from := 0; from < minutesOfDay; {
		to := from
		for to < minutesOfDay && cover[to] == cover[from] {
			to++
		}
		if cover[from] != 1 {
			errs = append(errs, fmt.Errorf("%d prices from %s to %s: expected one at every time of the day", cover[from], Clock(from), Clock(to)))
		}
		from = to
	}
	return errors.Join(errs...)
}

func (b Band) validate() error {
	switch {
	case b.Name == "":
		return fmt.Errorf("a band from %s to %s has no name", Clock(b.From), Clock(b.To))
	case b.From < 0 || b.From >= minutesOfDay || b.To < 0 || b.To > minutesOfDay:
		return fmt.Errorf("band %s from minute %d to %d: expected minutes of a day, 0 to %d", b.Name, b.From, b.To, minutesOfDay)
	case b.From == b.To:
		return fmt.Errorf("band %s from %s to %s: expected two different times", b.Name, Clock(b.From), Clock(b.To))
	}
	return b.Price.validate("band " + b.Name)
}

func (m Micro) validate(of string) error {
	if m < 0 || m > MaxPrice {
		return fmt.Errorf("%s costs %s yuan: expected 0 to %s", of, m, MaxPrice)
	}
	return nil
}

func (t *Tariff) validateService() error {
	errs := []error{t.PerKWh.validate("service")}
	if t.PerKWh != 0 && len(t.Tiers) > 0 {
		errs = append(errs, errors.New("service by energy and by power tiers: expected one of them"))
	}
	under := int64(0)
	for _, tier := range t.Tiers {
		if tier.UpToMW <= under {
			errs = append(errs, fmt.Errorf("power tier up to %s W after %s W: expected tiers in ascending order", watts(tier.UpToMW), watts(under)))
		}
		under = tier.UpToMW
		errs = append(errs, tier.PerHour.validate(fmt.Sprintf("the tier up to %s W", watts(tier.UpToMW))))
	}
	return errors.Join(errs...)
}

func watts(mW int64) string { return decimal.New(mW, -3).String() }

// Clock writes a minute of the day as people do: 1320 is "22:00", 1440 "24:00".
func Clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// minutes is how long b lasts, 1 to 1440.
func (b Band) minutes() int {
	if b.To > b.From {
		return b.To - b.From
	}
	return b.To - b.From + minutesOfDay
}
