package tariff

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestElectricityIsRoundedOnceHalfUp(t *testing.T) {
	flat, tou := flat(), timeOfUse()
	for name, c := range map[string]struct {
		tariff Tariff
		mWh    []int64
		want   int64
	}{
		"1.234567 kWh flat, 79.1357447 fen":    {flat, []int64{1_234_567}, 79},
		"1 kWh flat, 64.1 fen":                 {flat, []int64{1_000_000}, 64},
		"nothing":                              {flat, []int64{0}, 0},
		"peak and valley, 18.51+9.21=27.72":    {tou, []int64{300_000, 300_000}, 28}, // each rounded alone would be 19 + 9
		"0.4 + 0.4 fen is 0.8, one fen":        {Tariff{Bands: []Band{{Price: 400_000}, {Price: 400_000}}}, []int64{10_000, 10_000}, 1},
		"half a fen goes up":                   {Tariff{Bands: []Band{FlatBand(500_000)}}, []int64{10_000}, 1},
		"a hair under half a fen does not":     {Tariff{Bands: []Band{FlatBand(499_999)}}, []int64{10_000}, 0},
		"a negative energy is no credit":       {tou, []int64{-1_000_000, 1_000_000}, 31},
		"more than there is stops at the most": {Tariff{Bands: []Band{FlatBand(MaxPrice)}}, []int64{math.MaxInt64}, math.MaxInt64},
	} {
		if got := c.tariff.Electricity(c.mWh); got != c.want {
			t.Errorf("%s: %d fen, want %d", name, got, c.want)
		}
	}
}

func TestServiceByEnergyOrByPowerAndTime(t *testing.T) {
	perKWh, tiers := flat(), timeOfUse()
	for name, c := range map[string]struct {
		tariff Tariff
		mWh    int64
		d      time.Duration
		peakMW int64
		want   int64
	}{
		"1.25 kWh at 0.30 is 37.5 fen":               {perKWh, 1_250_000, time.Hour, 1, 38},
		"the lowest tier, 2 h at 0.25":               {tiers, 9, 2 * time.Hour, 150_000, 50},
		"a tier includes its limit":                  {tiers, 9, 2 * time.Hour, 200_000, 50},
		"a milliwatt over it is the next":            {tiers, 9, 2 * time.Hour, 200_001, 100},
		"the highest tier":                           {tiers, 9, 2 * time.Hour, 800_000, 200},
		"over all tiers is the last":                 {tiers, 9, 2 * time.Hour, 3_000_000, 200},
		"72 s at 0.25 is half a fen, up":             {tiers, 9, 72 * time.Second, 0, 1},
		"71.999 s is 71 whole seconds":               {tiers, 9, 71_999 * time.Millisecond, 0, 0},
		"7 h 23 min 11 s at 0.50 is 369.319.. fen":   {tiers, 9, 7*time.Hour + 23*time.Minute + 11*time.Second, 310_000, 369},
		"no service at all":                          {Tariff{}, 1_000_000, time.Hour, 1, 0},
		"a session without duration costs no time":   {tiers, 9, 0, 1, 0},
		"time does not count where energy is priced": {perKWh, 0, 100 * time.Hour, 1, 0},
	} {
		if got := c.tariff.Service(c.mWh, c.d, c.peakMW); got != c.want {
			t.Errorf("%s: %d fen, want %d", name, got, c.want)
		}
	}
}

// halfUp is the exact quotient rounded half up, on integers without bounds.
func halfUp(sum *big.Int, units int64) *big.Int {
	twice := new(big.Int).Lsh(sum, 1)
	return twice.Add(twice, big.NewInt(units)).Div(twice, big.NewInt(2*units))
}

func TestFeesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "bands")
		var tf Tariff
		var mWh []int64
		sum := new(big.Int)
		for range n {
			price := rapid.Int64Range(0, 1<<34).Draw(t, "price")
			energy := rapid.Int64Range(0, 1<<56).Draw(t, "mWh")
			tf.Bands = append(tf.Bands, Band{Price: Micro(price)})
			mWh = append(mWh, energy)
			sum.Add(sum, new(big.Int).Mul(big.NewInt(price), big.NewInt(energy)))
		}
		if want := halfUp(sum, 10_000_000_000); big.NewInt(tf.Electricity(mWh)).Cmp(want) != 0 {
			t.Fatalf("electricity %d fen, want %v", tf.Electricity(mWh), want)
		}
		seconds, perHour := rapid.Int64Range(0, 1<<32).Draw(t, "s"), rapid.Int64Range(0, int64(MaxPrice)).Draw(t, "per hour")
		tf.Tiers = []Tier{{1, Micro(perHour)}}
		want := halfUp(new(big.Int).Mul(big.NewInt(seconds), big.NewInt(perHour)), 36_000_000)
		if got := tf.Service(0, time.Duration(seconds)*time.Second, 5); big.NewInt(got).Cmp(want) != 0 {
			t.Fatalf("service %d fen, want %v", got, want)
		}
	})
}

// TestASessionCutAtAnyBoundaryCostsItsBands: the fee of a session is that of the
// sums of its bands, exact and rounded once, however its steps lie over the
// boundaries; cut once more wherever a band ends, it costs the same to the fen.
func TestASessionCutAtAnyBoundaryCostsItsBands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tf := drawTariff(t)
		loc, _ := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		whole, cut := make([]int64, len(tf.Bands)), make([]int64, len(tf.Bands))
		at, energy := drawMinute(t, "start"), int64(0)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			to := at.Add(time.Duration(rapid.IntRange(0, dayMillis).Draw(t, "ms")) * time.Millisecond)
			mWh := rapid.Int64Range(0, 3_000_000).Draw(t, "mWh")
			tf.Split(loc, at, to, mWh, whole)
			left := mWh
			for from := at; ; {
				band, end := tf.Segment(loc, from)
				for end < to { // a changed clock is no boundary
					next, until := tf.Segment(loc, end)
					if next != band {
						break
					}
					end = until
				}
				if end >= to {
					tf.Split(loc, from, to, left, cut)
					break
				}
				part := share(mWh, int64(end-from), int64(to-at))
				tf.Split(loc, from, end-1, part, cut) // its end is in the next band
				left, from = left-part, end
			}
			at, energy = to, energy+mWh
		}
		exact, sum := new(big.Int), int64(0)
		for i, mWh := range whole {
			exact.Add(exact, new(big.Int).Mul(big.NewInt(mWh), big.NewInt(int64(tf.Bands[i].Price))))
			sum += mWh
		}
		fee := tf.Electricity(whole)
		if sum != energy || big.NewInt(fee).Cmp(halfUp(exact, 10_000_000_000)) != 0 {
			t.Fatalf("%d fen for %d of %d mWh in bands %v", fee, sum, energy, whole)
		}
		if again := tf.Electricity(cut); again != fee {
			t.Fatalf("%d fen in one, %d cut at each boundary: %v and %v", fee, again, whole, cut)
		}
	})
}
