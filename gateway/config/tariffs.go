package config

import (
	"errors"
	"fmt"
	"time"

	"pilewatch/gateway/tariff"
)

func (c *Config) readTariffs(n node) {
	first, named := map[string]string{}, map[string]string{}
	list(func(n node) {
		bad := len(n.doc.bad)
		t := readTariff(n)
		if len(n.doc.bad) > bad { // it would be reported twice
			return
		}
		n.below("electricity").check(tariff.Tariff{Name: t.Name, ValidFrom: t.ValidFrom, Bands: t.Bands})
		n.below("service").check(tariff.Tariff{Name: t.Name, ValidFrom: t.ValidFrom, Bands: []tariff.Band{tariff.FlatBand(0)},
			PerKWh: t.PerKWh, Tiers: t.Tiers})
		if key, twice := first[t.ValidFrom]; twice {
			n.below("valid_from").bad("two tariffs from %s (the other is %s): expected one", t.ValidFrom, key)
		}
		if key, twice := named[t.Name]; twice { // a bill names its tariff
			n.below("name").bad("two tariffs of the name %s (the other is %s): expected a name each", t.Name, key)
		}
		first[t.ValidFrom], named[t.Name] = n.key, n.key
		c.Tariffs = append(c.Tariffs, t)
	})(n)
}

// check reports what is wrong with a part of a tariff, the rest of which is good.
func (n node) check(part tariff.Tariff) {
	for _, err := range flatten(part.Validate()) {
		n.bad("%v", err)
	}
}

func readTariff(n node) tariff.Tariff {
	var t tariff.Tariff
	given := n.object(fields{
		"name": text(&t.Name), "valid_from": checked(&t.ValidFrom, checkDate),
		"electricity": list(func(n node) { t.Bands = append(t.Bands, readBand(n)) }),
		"service":     func(n node) { readService(n, &t) },
	})
	if given == nil {
		return t
	}
	if !given["valid_from"] {
		n.bad("no valid_from: expected the first day, such as 2026-01-01")
	}
	if !given["electricity"] {
		n.bad("no electricity: expected its price, such as [{price: \"0.641\"}]")
	}
	if t.Name == "" {
		t.Name = t.ValidFrom
	}
	return t
}

func checkDate(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fmt.Errorf("%q: expected a date such as 2026-01-01", s)
	}
	return nil
}

// readBand reads a price of electricity: with from and to, or for the whole day.
func readBand(n node) tariff.Band {
	b := tariff.FlatBand(0)
	var name string
	given := n.object(fields{
		"from": clock(&b.From), "to": clock(&b.To), "price": price(&b.Price), "band": text(&name),
	})
	if given == nil {
		return b
	}
	if !given["price"] {
		n.bad("no price: expected yuan a kWh such as \"0.641\"")
	}
	if given["from"] != given["to"] {
		n.bad("from or to alone: expected both, or neither for the whole day")
	}
	if given["from"] {
		b.Name = tariff.Clock(b.From) + "-" + tariff.Clock(b.To)
	}
	if name != "" {
		b.Name = name
	}
	return b
}

func readService(n node, t *tariff.Tariff) {
	given := n.object(fields{
		"per_kwh":     price(&t.PerKWh),
		"power_tiers": list(func(n node) { t.Tiers = append(t.Tiers, readTier(n)) }),
	})
	if given["per_kwh"] && given["power_tiers"] {
		n.bad("per_kwh and power_tiers: expected one of them")
	}
}

func readTier(n node) tariff.Tier {
	var t tariff.Tier
	given := n.object(fields{"up_to_w": watts(&t.UpToMW, 0.001), "per_hour": price(&t.PerHour)})
	if given != nil && (!given["up_to_w"] || !given["per_hour"]) {
		n.bad("a tier without up_to_w or per_hour: expected both, such as {up_to_w: 200, per_hour: \"0.25\"}")
	}
	return t
}

// flatten gives the single errors of joined ones.
func flatten(err error) (errs []error) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		errs = append(errs, flatten(e)...)
	}
	return errs
}
