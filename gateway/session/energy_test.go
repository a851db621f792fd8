package session

import (
	"fmt"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

func TestEnergyBeginsAtTheLastReadingBeforeTheStart(t *testing.T) {
	for _, c := range []struct {
		before string
		want   string
	}{
		{"-15m", "0s..1m0s 7000 mWh unplugged measured"}, // at most max_gap old
		{"-15m1s", "0s..1m0s 2000 mWh unplugged measured"},
	} {
		b := newBench(t)
		b.read(c.before, 0, state(idle), wh(100))
		b.read("0s", 100, state(charging), wh(105))
		b.read("1m", 0, state(idle), wh(107))
		b.want(c.want)
	}
}

func TestARegisterThatLiesIsNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		wh   []float64 // at 0, 1, 2 and 3 minutes of 120 W
		want string
	}{
		"honest":            {[]float64{100, 102, 104, 106}, "6000 mWh unplugged measured"},
		"reset to zero":     {[]float64{100, 102, 0, 2}, "6000 mWh unplugged estimated"},
		"spike up and back": {[]float64{100, 9102, 104, 106}, "6000 mWh unplugged estimated"},
		"spike down":        {[]float64{100, 50, 104, 106}, "6000 mWh unplugged estimated"},
		"just believable":   {[]float64{100, 135, 135, 135}, "35000 mWh unplugged measured"}, // 1,000 W x 1.5 x 1 min + 10 Wh
		"just too much":     {[]float64{100, 135.001, 135.001, 135.001}, "2000 mWh unplugged estimated"},
		"below zero":        {[]float64{-100, -98, -96, -94}, "6000 mWh unplugged estimated"},
		"up from below":     {[]float64{-1, 2, 4, 6}, "6000 mWh unplugged estimated"},
		"x1000":             {[]float64{100, 102000, 104000, 106000}, "6000 mWh unplugged estimated"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for i, w := range c.wh {
				s := charging
				if i == 3 {
					s = idle
				}
				b.read(fmt.Sprintf("%dm", i), 120, state(s), wh(w))
			}
			b.want("0s..3m0s " + c.want)
		})
	}
}

func TestAStepWithoutRegisterLongerThanMaxGapCountsZero(t *testing.T) {
	b := newBench(t)
	b.read("0s", 120, state(charging))
	b.read("15m", 120, state(charging)) // 30 Wh: at most max_gap
	b.read("30m1s", 120, state(charging))
	b.read("31m1s", 120, state(idle))
	b.want("0s..31m1s 32000 mWh unplugged estimated")
}

func TestAHoleIsBridgedByTheRegister(t *testing.T) {
	b := newBench(t)
	b.read("0s", 120, state(charging), wh(0))
	b.read("5h", 120, state(charging), wh(600)) // resumption after a power cut
	b.read("5h1m", 0, state(idle), wh(602))
	b.want("0s..5h1m0s 602000 mWh unplugged measured")
}

func TestTrapezoidRoundsHalfUp(t *testing.T) {
	// 30 ms at 60 W are 0.5 mWh, 90 ms 1.5 mWh, 29 ms 0.48 mWh.
	for ms, want := range map[int]int64{30: 1, 90: 2, 29: 0, 89: 1} {
		if got := trapezoid(60_000, 60_000, time.Duration(ms)*time.Millisecond); got != want {
			t.Errorf("%d ms: %d mWh, want %d", ms, got, want)
		}
	}
	if got := trapezoid(-900, 0, time.Hour); got != 0 {
		t.Errorf("noise under zero gives %d mWh", got)
	}
}

func TestBandsTakeTheTariffOfTheStart(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		s.Tariffs = []tariff.Tariff{{
			Name: "峰谷", ValidFrom: "2026-07-01", PerKWh: 300_000,
			Bands: []tariff.Band{{Name: "峰", From: 6 * 60, To: 22 * 60, Price: 617_000}, {Name: "谷", From: 22 * 60, To: 6 * 60, Price: 307_000}},
		}}
	})
	b.read("1h", 300, state(charging), wh(0)) // 21:00 in Shanghai
	b.read("2h30m", 300, state(charging), wh(450))
	b.read("3h", 0, state(idle), wh(600))
	s := b.log[len(b.log)-1].Session
	// 21:00-22:30: 450 Wh, two thirds before 22:00; then 150 Wh in the valley.
	if len(s.Bands) != 2 || s.Bands[0].EnergyMWh != 300_000 || s.Bands[1].EnergyMWh != 300_000 || s.Tariff != "峰谷" {
		t.Fatalf("bands %+v", s.Bands)
	}
	// 0.3 x 0.617 + 0.3 x 0.307 = 0.2772 yuan; 0.6 x 0.30 = 0.18 yuan.
	if s.ElectricityFen != 28 || s.ServiceFen != 18 {
		t.Errorf("fees %d + %d fen", s.ElectricityFen, s.ServiceFen)
	}
}

func TestAnOrdersRegisterBeginsAtZeroWhateverTheReadingBeforeNamed(t *testing.T) {
	b := newBench(t)
	unnamed := func(x float64) func(*devices.Reading) { return orderWh("", x) }
	b.read("0s", 60, state(charging), orderWh("A", 1))
	b.read("1m", 60, state(charging), unnamed(2))
	b.read("2m", 60, state(charging), orderWh("B", 3))
	b.read("3m", 60, state(charging), orderWh("B", 5))
	b.read("4m", 0, state(idle), orderWh("B", 6))
	b.event(devices.EventStart, "5m", func(e *devices.Event) { e.Order = "C" })
	b.read("6m", 60, state(charging), unnamed(7))
	b.read("7m", 0, state(idle), unnamed(8))
	b.want("0s..1m0s 1000 mWh replaced measured", "2m0s..4m0s 6000 mWh unplugged measured", "5m0s..7m0s 8000 mWh unplugged measured")
}
