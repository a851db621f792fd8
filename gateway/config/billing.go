package config

import (
	"fmt"
	"strconv"
	"time"

	"pilewatch/gateway/tariff"
)

func (c *Config) readBilling(n node) {
	n.object(fields{
		"phone": text(&c.Billing.Phone), "notice_households": yes(&c.Billing.NoticeHouseholds),
		"notice_min_households": whole(&c.Billing.NoticeMinHouseholds, 1, 100),
		"grid_bills":            list(func(n node) { c.readGridBill(n) }),
	})
}

// yes reads a choice between true and false.
func yes(dst *bool) func(node) {
	return func(n node) {
		if s, ok := n.scalar("true or false", "!!bool"); ok {
			*dst = s == "true" || s == "True" || s == "TRUE"
		}
	}
}

// whole reads a whole number from low to high.
func whole(dst *int, low, high int) func(node) {
	return func(n node) {
		if s, ok := n.scalar("a whole number", "!!int"); ok {
			v, err := strconv.Atoi(s)
			if err != nil || v < low || v > high {
				n.bad("%s: expected a whole number from %d to %d", s, low, high)
				return
			}
			*dst = v
		}
	}
}

func (c *Config) readGridBill(n node) {
	var g GridBill
	given := n.object(fields{
		"month": checked(&g.Month, func(s string) error {
			if _, err := time.Parse("2006-01", s); err != nil {
				return fmt.Errorf("%q: expected a month such as 2026-11", s)
			}
			return nil
		}),
		"building": text(&g.Building), "kwh": energy(&g.EnergyMWh), "amount": price(&g.Amount),
	})
	if given != nil && (!given["month"] || !given["kwh"]) {
		n.bad("a grid bill without month or kwh: expected both, such as {month: 2026-11, kwh: \"1820.5\", amount: \"1166.94\"}")
		return
	}
	for _, other := range c.Billing.GridBills {
		if other.Month == g.Month && other.Building == g.Building {
			n.bad("two grid bills of %s: expected one for the estate, or one a building", g.Month)
			break
		}
	}
	c.Billing.GridBills = append(c.Billing.GridBills, g)
}

// energy reads kWh as they stand in a bill.
func energy(dst *int64) func(node) {
	const expected = "kWh as a decimal such as \"1820.5\", with up to 6 places"
	return func(n node) {
		s, ok := n.str(expected)
		if !ok {
			return
		}
		kWh, err := tariff.ParsePrice(s) // a number of the same form: a millionth of a kWh is a mWh
		if err != nil {
			n.bad("%q: expected %s", s, expected)
			return
		}
		*dst = int64(kWh)
	}
}
