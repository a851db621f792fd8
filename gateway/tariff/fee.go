package tariff

import (
	"math"
	"math/bits"
	"time"
)

// What a product is divided by to give fen: mWh x Micro, and seconds x Micro an hour.
const (
	energyUnits = 10_000_000_000 // 10^6 mWh a kWh x 10^6 Micro a yuan / 100 fen a yuan
	timeUnits   = 36_000_000     // 3600 s an hour x 10^6 / 100
)

// Electricity gives the electricity fee in fen of a session that used bandMWh in
// the bands of t: the exact sum, rounded once, half up. Energies are not
// negative; one that is counts as zero.
func (t *Tariff) Electricity(bandMWh []int64) (fen int64) {
	var sum product
	for i, mWh := range bandMWh {
		sum = sum.plus(mWh, t.Bands[i].Price)
	}
	return sum.over(energyUnits)
}

// Service gives the service fee in fen, rounded once, half up: by energy, or by
// whole seconds at the price an hour of the first tier whose limit is not under
// the session's peak power (over all of them: the last).
func (t *Tariff) Service(energyMWh int64, d time.Duration, peakMW int64) (fen int64) {
	if len(t.Tiers) == 0 {
		return product{}.plus(energyMWh, t.PerKWh).over(energyUnits)
	}
	return product{}.plus(int64(d/time.Second), t.Tier(peakMW).PerHour).over(timeUnits)
}

// Tier gives the first tier whose limit is not under a peak power, or the last;
// the tariff must have one.
func (t *Tariff) Tier(peakMW int64) Tier {
	for _, tier := range t.Tiers {
		if tier.UpToMW >= peakMW {
			return tier
		}
	}
	return t.Tiers[len(t.Tiers)-1]
}

// product is a sum of quantities x prices, 128 bits wide.
type product struct{ hi, lo uint64 }

// plus adds quantity x price; what is negative counts as zero. With prices up
// to MaxPrice, 2^24 of the largest quantities fit.
func (p product) plus(quantity int64, price Micro) product {
	hi, lo := bits.Mul64(uint64(max(quantity, 0)), uint64(max(price, 0)))
	lo, carry := bits.Add64(p.lo, lo, 0)
	hi, _ = bits.Add64(p.hi, hi, carry)
	return product{hi, lo}
}

// over divides by units, rounds half up, and stops at the largest int64.
func (p product) over(units uint64) int64 {
	lo, carry := bits.Add64(p.lo, units/2, 0)
	hi := p.hi + carry
	if hi >= units {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, units)
	return int64(min(q, math.MaxInt64))
}
