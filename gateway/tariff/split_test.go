package tariff

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
)

func TestStepIsDividedOverItsBands(t *testing.T) {
	for name, c := range map[string]struct {
		zone, from, to string
		mWh            int64
		want           []int64 // 峰 06:00-22:00, 谷
	}{
		"by day":                  {"Asia/Shanghai", "2026-07-01T12:00:00+08:00", "2026-07-01T12:01:00+08:00", 2500, []int64{2500, 0}},
		"by night":                {"Asia/Shanghai", "2026-07-01T23:59:30+08:00", "2026-07-02T00:00:30+08:00", 2500, []int64{0, 2500}},
		"across 22:00":            {"Asia/Shanghai", "2026-07-01T21:59:40+08:00", "2026-07-01T22:00:10+08:00", 1000, []int64{666, 334}},
		"across 06:00":            {"Asia/Shanghai", "2026-07-01T05:59:50+08:00", "2026-07-01T06:00:20+08:00", 1000, []int64{667, 333}},
		"up to 22:00":             {"Asia/Shanghai", "2026-07-01T21:59:30+08:00", "2026-07-01T22:00:00+08:00", 999, []int64{999, 0}},
		"from 22:00":              {"Asia/Shanghai", "2026-07-01T22:00:00+08:00", "2026-07-01T22:00:30+08:00", 999, []int64{0, 999}},
		"no duration, at 22:00":   {"Asia/Shanghai", "2026-07-01T22:00:00+08:00", "2026-07-01T22:00:00+08:00", 7, []int64{0, 7}},
		"no duration, at 06:00":   {"Asia/Shanghai", "2026-07-01T06:00:00+08:00", "2026-07-01T06:00:00+08:00", 7, []int64{7, 0}},
		"back in time":            {"Asia/Shanghai", "2026-07-01T22:30:00+08:00", "2026-07-01T21:59:59+08:00", 7, []int64{7, 0}},
		"nothing":                 {"Asia/Shanghai", "2026-07-01T21:00:00+08:00", "2026-07-01T23:00:00+08:00", 0, []int64{0, 0}},
		"a night and a day":       {"Asia/Shanghai", "2026-07-01T20:00:00+08:00", "2026-07-02T07:00:00+08:00", 1100, []int64{300, 800}},
		"a whole day, three cuts": {"Asia/Shanghai", "2026-07-01T00:00:00+08:00", "2026-07-02T00:00:00+08:00", 1001, []int64{667, 334}}, // 250 + 667 + 84
		"a night an hour short":   {"Europe/Berlin", "2026-03-28T21:00:00+01:00", "2026-03-29T07:00:00+02:00", 900, []int64{200, 700}},
		"a night an hour long":    {"Europe/Berlin", "2026-10-24T21:00:00+02:00", "2026-10-25T07:00:00+01:00", 1100, []int64{200, 900}},
		"1969":                    {"Asia/Shanghai", "1969-12-31T21:59:00+08:00", "1969-12-31T22:01:00+08:00", 10, []int64{5, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			tf, got := timeOfUse(), []int64{0, 0}
			tf.Split(zone(t, c.zone), at(t, c.from), at(t, c.to), c.mWh, got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The clock goes from 02:00 to 03:00 in the middle of the night band. If that
// were a cut, the band would be rounded twice.
func TestChangedClockIsNoCut(t *testing.T) {
	tf, got := timeOfUse(), []int64{0, 0}
	tf.Split(zone(t, "Europe/Berlin"), at(t, "2026-03-29T01:00:00+01:00"), at(t, "2026-03-29T07:00:00+02:00"), 103, got)
	if want := []int64{21, 82}; !slices.Equal(got, want) { // 谷 is 4 of 5 hours: 82.4; cut at 03:00 it would be 20 + 61
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSplitAddsToWhatIsThere(t *testing.T) {
	got := []int64{100, 200}
	tf := timeOfUse()
	tf.Split(time.UTC, at(t, "2026-07-01T21:00:00Z"), at(t, "2026-07-01T23:00:00Z"), 10, got)
	if want := []int64{105, 205}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFlatPriceTakesAll(t *testing.T) {
	got, tf := []int64{1}, flat()
	tf.Split(time.UTC, at(t, "2026-01-01T00:00:00Z"), at(t, "2026-01-04T00:00:00Z"), math.MaxInt64-1, got)
	if got[0] != math.MaxInt64 {
		t.Error(got)
	}
}

func TestHugeEnergyDoesNotOverflow(t *testing.T) {
	tf := timeOfUse()
	for _, mWh := range []int64{math.MaxInt64, math.MinInt64} {
		got := []int64{0, 0}
		tf.Split(time.UTC, at(t, "2026-07-01T21:00:00Z"), at(t, "2026-07-01T23:00:00Z"), mWh, got)
		if got[0] != mWh/2 || got[1] != mWh-mWh/2 {
			t.Errorf("%d: got %v", mWh, got)
		}
	}
}

var zones = []string{"Asia/Shanghai", "UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"}

// drawTariff gives a valid tariff with one to six bands cut at any minute.
func drawTariff(t *rapid.T) Tariff {
	cuts := rapid.SliceOfNDistinct(rapid.IntRange(0, minutesOfDay-1), 2, 6, rapid.ID[int]).Draw(t, "cuts")
	slices.Sort(cuts)
	tf := Tariff{Name: "t", ValidFrom: "2026-01-01"}
	for i, from := range cuts {
		tf.Bands = append(tf.Bands, Band{Name: string(rune('a' + i)), From: from, To: cuts[(i+1)%len(cuts)], Price: Micro(i)})
	}
	if err := tf.Validate(); err != nil {
		t.Fatal(err)
	}
	return tf
}

func drawMinute(t *rapid.T, label string) devices.Millis {
	base := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC) // São Paulo still changed its clock
	return devices.MillisOf(base.Add(time.Duration(rapid.IntRange(0, 2*366*minutesOfDay).Draw(t, label)) * time.Minute))
}

// bruteForce reads the wall clock minute by minute.
func bruteForce(tf Tariff, loc *time.Location, from, to devices.Millis, mWh int64) []int64 {
	bandAt := func(m devices.Millis) int {
		wall := m.Time().In(loc)
		minute := wall.Hour()*60 + wall.Minute()
		return slices.IndexFunc(tf.Bands, func(b Band) bool {
			if b.From < b.To {
				return b.From <= minute && minute < b.To
			}
			return b.From <= minute || minute < b.To
		})
	}
	into := make([]int64, len(tf.Bands))
	left := mWh
	for at := from; at < to; {
		end := at
		for end < to && bandAt(end) == bandAt(at) {
			end += 60_000
		}
		part := left
		if end < to {
			p := new(big.Int).Mul(big.NewInt(mWh), big.NewInt(int64(end-at)))
			part = p.Div(p, big.NewInt(int64(to-from))).Int64()
		}
		into[bandAt(at)] += part
		left -= part
		at = end
	}
	return into
}

func TestSplitReadsTheClockOnTheWall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tf := drawTariff(t)
		loc, _ := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		from := drawMinute(t, "from")
		to := from + devices.Millis(rapid.IntRange(1, 2*minutesOfDay).Draw(t, "minutes"))*60_000
		mWh := rapid.Int64Range(0, math.MaxInt64).Draw(t, "mWh")
		got := make([]int64, len(tf.Bands))
		tf.Split(loc, from, to, mWh, got)
		if want := bruteForce(tf, loc, from, to, mWh); !slices.Equal(got, want) {
			t.Fatalf("%s to %s in %s: got %v, want %v", from.Time().In(loc), to.Time().In(loc), loc, got, want)
		}
	})
}

func TestPartsSumToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tf := drawTariff(t)
		loc, _ := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		from := drawMinute(t, "from") + devices.Millis(rapid.IntRange(0, 59_999).Draw(t, "ms"))
		to := from + devices.Millis(rapid.IntRange(-1000, 3*dayMillis).Draw(t, "duration"))
		mWh := rapid.Int64().Draw(t, "mWh")
		into := make([]int64, len(tf.Bands))
		tf.Split(loc, from, to, mWh, into)
		sum := int64(0)
		for _, part := range into {
			sum += part
			if mWh >= 0 && (part < 0 || part > mWh) {
				t.Fatalf("part %d of %d", part, mWh)
			}
		}
		if sum != mWh {
			t.Fatalf("%v sums to %d, want %d", into, sum, mWh)
		}
	})
}

// A step that arrives as two, of the same even power, is billed the same but
// for the rounding: less than one mWh for each segment.
func TestStepInTwoIsBilledAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tf := drawTariff(t)
		loc, _ := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		milliwatts := rapid.Int64Range(0, devices.MaxPowerMW).Draw(t, "mW")
		from := drawMinute(t, "from")
		first := rapid.Int64Range(1, 24*60).Draw(t, "first") * 60_000
		second := rapid.Int64Range(1, 24*60).Draw(t, "second") * 60_000
		energy := func(ms int64) int64 { return milliwatts * ms / 3_600_000 }
		one, two := make([]int64, len(tf.Bands)), make([]int64, len(tf.Bands))
		mid, to := from+devices.Millis(first), from+devices.Millis(first+second)
		tf.Split(loc, from, to, energy(first+second), one)
		tf.Split(loc, from, mid, energy(first), two)
		tf.Split(loc, mid, to, energy(first+second)-energy(first), two)
		const slack = 2*(2*6+4) + 2 // segments of two days with six bands and two changes of the clock, twice
		for i := range one {
			if d := one[i] - two[i]; d < -slack || d > slack {
				t.Fatalf("band %d: %d in one step, %d in two", i, one[i], two[i])
			}
		}
	})
}

func TestSplitAllocatesNothing(t *testing.T) {
	tf, loc, into := timeOfUse(), zone(t, "Europe/Berlin"), make([]int64, 2)
	from, to := at(t, "2026-07-01T12:00:00+02:00"), at(t, "2026-07-02T12:00:00+02:00")
	if n := testing.AllocsPerRun(100, func() { tf.Split(loc, from, to, 1000, into) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSplit(b *testing.B) {
	tf, into := timeOfUse(), make([]int64, 2)
	for _, name := range []string{"Asia/Shanghai", "Europe/Berlin"} {
		loc := zone(b, name)
		b.Run("inside/"+name, func(b *testing.B) {
			b.ReportAllocs()
			from := at(b, "2026-07-01T12:00:00+08:00")
			for b.Loop() {
				tf.Split(loc, from, from+30_000, 1000, into)
			}
		})
		b.Run("across/"+name, func(b *testing.B) {
			from := at(b, "2026-07-01T21:59:45Z") - devices.Millis(2*time.Hour/time.Millisecond)
			for b.Loop() {
				tf.Split(loc, from, from+8*3_600_000, 1000, into)
			}
		})
	}
}
