package safety

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// visit is a charge of a card at a port: its readings, every 5 minutes, at a power.
func (r *rig) visit(card string, port uint8, from, to devices.Millis, watts float64, reason string) {
	order := fmt.Sprintf("%s-%d-%d", card, port, from)
	r.event(devices.EventStart, from, func(e *devices.Event) { e.Port, e.Card, e.Order = port, card, order })
	for t := from + 5*minute; t < to; t += 5 * minute {
		r.read(t, watts, cardOf(card), orderOf(order), func(x *devices.Reading) { x.Port, x.State = port, devices.StateCharging })
	}
	if reason != "" {
		r.event(devices.EventStop, to, func(e *devices.Event) { e.Port, e.Card, e.Order, e.Reason = port, card, order, reason })
	}
}

// pass lets time pass until an instant: another port of the pile says that it is idle.
func (r *rig) pass(to devices.Millis) {
	r.read(to, 0, func(x *devices.Reading) { x.Port, x.State = 9, devices.StateIdle })
	r.e.Settle(r.collect)
}

const bike, tricycle, courier = "04A1B2C3", "TRICYCLE", "COURIER1"

func TestMorePortsThanBikesIsSeenAndClears(t *testing.T) {
	r := newRig(t)
	r.visit(bike, 1, at("0h"), at("1h"), 150, "")
	if got := r.told("card_concurrency"); got != nil {
		t.Fatalf("one port: told %v", got)
	}
	r.visit(bike, 2, at("1h"), at("2h"), 150, "")
	r.event(devices.EventStop, at("2h10m"), func(e *devices.Event) { e.Port, e.Card, e.Reason = 2, bike, "unplugged" })
	r.event(devices.EventStop, at("2h11m"), func(e *devices.Event) { e.Port, e.Card, e.Reason = 1, bike, "unplugged" })
	if got := r.words("card_concurrency"); got != "warning cleared" {
		t.Errorf("told %v", r.told("card_concurrency"))
	}
	two := newRig(t) // a courier's two packs
	two.visit(courier, 1, at("0h"), at("1h"), 150, "")
	two.visit(courier, 2, at("1h"), at("2h"), 150, "")
	if got := two.told("card_concurrency"); got != nil {
		t.Errorf("a courier: told %v", got)
	}
}

func TestSerialChargingOnOneCardIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		card   string
		reason string // how the first ended
		gap    time.Duration
		times  int
		want   string
	}{
		"full, and another at once": {bike, "full", 5 * time.Minute, 2, "warning"},
		"interrupted, and goes on":  {bike, "power_failure", 5 * time.Minute, 2, ""},
		"a courier's second pack":   {courier, "full", 5 * time.Minute, 2, ""},
		"later that day":            {bike, "full", 4 * time.Hour, 2, ""},
		"three in 12 hours":         {bike, "unplugged", time.Hour, 3, "warning"},
	} {
		r := newRig(t)
		from := t0
		for range c.times {
			to := from.Add(2 * time.Hour)
			r.visit(c.card, 1, from, to, 200, c.reason)
			from = to.Add(c.gap)
		}
		if got := r.words("back_to_back"); got != c.want {
			t.Errorf("%s: told %v, want %q", name, r.told("back_to_back"), c.want)
		}
	}
}

// A pile that sends no stop events: it says full, and then idle, which closes the
// session as unplugged.
func TestSerialChargingIsSeenWherePilesOnlyStateFull(t *testing.T) {
	for last, want := range map[devices.PortState]string{devices.StateFull: "warning", devices.StateCharging: ""} {
		r := newRig(t)
		for i := range 2 {
			from := t0.Add(time.Duration(i) * (2*time.Hour + 6*time.Minute))
			state := func(s devices.PortState) func(*devices.Reading) {
				return func(x *devices.Reading) { x.State, x.Card = s, bike }
			}
			for m := devices.Millis(0); m < 115; m += 5 {
				r.read(from+m*minute, 200, state(devices.StateCharging))
			}
			r.read(from+115*minute, 3, state(last))
			r.read(from+120*minute, 0, func(x *devices.Reading) { x.State = devices.StateIdle })
		}
		r.e.Settle(r.collect)
		if got := r.words("back_to_back"); got != want {
			t.Errorf("%v before it was unplugged: told %v, want %q", last, r.told("back_to_back"), want)
		}
	}
}

func TestAHouseholdThatUsesMoreThanItsBikesIsToldOf(t *testing.T) {
	for card, want := range map[string]string{bike: "info", courier: ""} {
		r := newRig(t)
		for i := range 14 { // two a day, for a week
			from := t0.Add(time.Duration(i) * 12 * time.Hour)
			r.visit(card, 1, from, from.Add(2*time.Hour), 150, "unplugged")
		}
		if got := r.words("household_volume"); got != want {
			t.Errorf("%s: told %v", card, r.told("household_volume"))
		}
	}
}

// habitual charges every three days for a month.
func habitual(r *rig, card string) (last devices.Millis) {
	for i := range 10 {
		last = t0.Add(time.Duration(i) * 72 * time.Hour)
		r.visit(card, 1, last, last.Add(3*time.Hour), 150, "full")
	}
	return last
}

func TestABikeThatStoppedComingIsForTheListOfVisits(t *testing.T) {
	r := newRig(t)
	last := habitual(r, bike)
	r.pass(last.Add(13 * 24 * time.Hour))
	if got := r.told("silent_bike"); got != nil {
		t.Fatalf("after 13 days told %v", got)
	}
	r.pass(last.Add(14*24*time.Hour + time.Hour))
	f := r.raised("silent_bike")
	if f.Suspicion != "home_charging" || f.Severity != ledger.Info || f.Household != "3-603" || f.Building != "3" {
		t.Errorf("flag %+v", f)
	}
	r.visit(bike, 1, last.Add(15*24*time.Hour), last.Add(15*24*time.Hour+time.Hour), 150, "full")
	r.pass(last.Add(15*24*time.Hour + 3*time.Hour))
	if got := r.words("silent_bike"); got != "info cleared" {
		t.Errorf("told %v", r.told("silent_bike"))
	}
	away := newRig(t, func(x Rules) {})
	away.e.holidays = []Days{{"2026-12-20", "2027-01-20"}}
	last = habitual(away, bike)
	away.pass(last.Add(20 * 24 * time.Hour))
	if got := away.told("silent_bike"); got != nil {
		t.Errorf("in a holiday told %v", got)
	}
	rare := newRig(t) // comes every four days only: 4 x its gap is more than 14 days
	for i := range 5 {
		last = t0.Add(time.Duration(i) * 5 * 24 * time.Hour)
		rare.visit(bike, 1, last, last.Add(3*time.Hour), 150, "full")
	}
	rare.pass(last.Add(16 * 24 * time.Hour))
	if got := rare.told("silent_bike"); got != nil {
		t.Errorf("a bike that comes seldom: told %v", got)
	}
}

func TestABikeThatNobodyUsesIsForTheListOfVisits(t *testing.T) {
	r := newRig(t)
	r.pass(t0)
	r.visit(bike, 1, at("24h"), at("27h"), 150, "full")
	r.pass(at("24h").Add(88 * 24 * time.Hour))
	n := 0
	for _, c := range r.log {
		if c.Flag.Rule == "zombie_bike" {
			t.Errorf("after 88 days: %s", c.Flag.Message)
		}
	}
	r.pass(at("24h").Add(90*24*time.Hour + 2*time.Hour))
	for _, c := range r.log {
		if c.Flag.Rule == "zombie_bike" && !c.Cleared {
			n++
		}
	}
	if n != len(testSettings().Cards) {
		t.Errorf("%d of %d cards", n, len(testSettings().Cards))
	}
}

func TestAChargeUnlikeTheCardsBikeIsToldOf(t *testing.T) {
	for watts, want := range map[float64]string{150: "", 185: "", 230: "info"} {
		r := newRig(t)
		last := habitual(r, bike)
		n := len(r.told("profile_mismatch"))
		from := last.Add(72 * time.Hour)
		r.visit(bike, 1, from, from.Add(time.Hour), watts, "")
		r.e.Settle(r.collect)
		if got := r.words("profile_mismatch"); got != want || n != 0 {
			t.Errorf("at %v W told %v", watts, r.told("profile_mismatch"))
		}
	}
}

func TestPowerWithoutASessionIsCritical(t *testing.T) {
	idle := func(x *devices.Reading) { x.State = devices.StateIdle }
	r := newRig(t)
	for m := 0; m <= 40; m += 5 {
		w := 40.0
		if m > 25 {
			w = 0
		}
		r.read(t0.Add(time.Duration(m)*time.Minute), w, idle)
	}
	r.e.Settle(r.collect)
	if got := r.told("unauthorised_draw"); len(got) != 2 || got[0] != "critical 10" || got[1] != "cleared 30" {
		t.Errorf("told %v", got)
	}
	quiet := newRig(t)
	for m := range 60 {
		quiet.read(t0.Add(time.Duration(m)*time.Minute), 4, idle)
	}
	quiet.quiet()
}

// A port that states nothing: the charger floats about the 5 W at which its session
// ended. Once it was unplugged, the same power is somebody else's.
func TestAChargerThatFloatsOnIsNotUnauthorised(t *testing.T) {
	r := newRig(t)
	play := func(from, to int, watts ...float64) {
		for m := from; m < to; m++ {
			r.read(t0.Add(time.Duration(m)*time.Minute), watts[m%len(watts)])
		}
		r.e.Settle(r.collect)
	}
	play(0, 60, 150)
	play(60, 75, 4)
	play(75, 400, 6, 7, 5.5, 11)
	r.quiet()
	play(400, 403, 0)
	play(403, 420, 7)
	if got := r.told("unauthorised_draw"); len(got) != 1 || got[0] != "critical 413" {
		t.Errorf("after it was unplugged told %v", got)
	}
}

func TestABikeLeftPluggedInIsToldOfByDayOnly(t *testing.T) {
	play := func(from devices.Millis, hours int) *rig {
		r := newRig(t)
		for m := 0; m <= hours*60; m += 5 {
			r.read(from.Add(time.Duration(m)*time.Minute), 0, func(x *devices.Reading) { x.State = devices.StateFull })
		}
		r.read(from.Add(time.Duration(hours)*time.Hour+time.Minute), 0, func(x *devices.Reading) { x.State = devices.StateIdle })
		return r
	}
	if got := play(t0, 2).told("overstay"); len(got) != 2 || got[0] != "info 60" || got[1] != "cleared 121" {
		t.Errorf("in the evening told %v", got)
	}
	night := at("2h30m") // 22:30
	if got := play(night, 8).told("overstay"); got != nil {
		t.Errorf("by night told %v", got)
	}
	if got := play(night, 11).told("overstay"); len(got) != 2 || got[0] != "info 720" { // 08:00
		t.Errorf("in the morning told %v", got)
	}
}

func TestAHotPortIsSeen(t *testing.T) {
	play := func(temps ...float64) string {
		r := newRig(t)
		for i, c := range temps {
			r.read(t0.Add(time.Duration(i)*time.Minute), 100, func(x *devices.Reading) { x.TempMC, x.Has = int32(c*1000), x.Has|devices.HasTemperature })
		}
		return r.words("port_temperature")
	}
	for _, c := range []struct {
		temps []float64
		want  string
	}{
		{[]float64{30, 64, 30, 64, 30}, ""},
		{[]float64{62, 66, 67, 81, 82, 62, 58, 55}, "warning critical cleared"},
		{[]float64{60, 90, 60, 60}, ""}, // one reading
		{[]float64{30, 32, 35, 40, 44, 47, 48}, "warning"},
		{[]float64{30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50}, ""},
	} {
		if got := play(c.temps...); got != c.want {
			t.Errorf("%v: told %q, want %q", c.temps, got, c.want)
		}
	}
}

// A rise is told in numbers, and a port of 45 °C is not called too hot.
func TestARiseOfTemperatureIsToldInNumbers(t *testing.T) {
	r := newRig(t)
	for i, c := range []int32{30, 32, 35, 40, 44, 47, 48} {
		r.read(t0.Add(time.Duration(i)*time.Minute), 100, func(x *devices.Reading) { x.TempMC, x.Has = c*1000, devices.HasTemperature })
	}
	f := r.raised("port_temperature")
	if want := "the port's temperature rose from 30.0 °C to 48.0 °C within 10 minutes"; !strings.Contains(f.MessageEN, want) || strings.Contains(f.MessageEN, "too hot") {
		t.Errorf("%s, want %q", f.MessageEN, want)
	}
}

// daily plays two days of a pile with a main meter that counts so much more a day.
func daily(r *rig, more int64) {
	var wh int64
	for m := 0; m <= 3*24*60; m += 5 {
		wh += 200 * 5 * 1000 / 60
		when := t0.Add(time.Duration(m) * time.Minute)
		r.read(when, 200, func(x *devices.Reading) { x.EnergyMWh, x.Has = wh, devices.HasEnergy })
		r.step(ledger.Entry{Kind: ledger.KindStatus, Received: when, Status: &devices.Status{Pile: "P01", Time: when, MainMWh: wh + more*int64(m)/1440, Has: devices.HasEnergy}})
	}
}

func TestATapBeforeThePortsIsSeen(t *testing.T) {
	for more, want := range map[int64]string{0: "", 900_000: "", 2_000_000: "warning"} {
		r := newRig(t)
		daily(r, more)
		if got := r.words("meter_imbalance"); got != want {
			t.Errorf("%d mWh a day: told %v", more, r.told("meter_imbalance"))
		}
	}
}

// slowRules gives a flag of each rule that busy does not raise.
func slowRules(t *testing.T) map[string]*ledger.Flag {
	r := newRig(t)
	last := habitual(r, bike)
	r.visit(bike, 1, last.Add(72*time.Hour), last.Add(74*time.Hour), 300, "full")
	r.visit(bike, 1, last.Add(74*time.Hour+5*time.Minute), last.Add(76*time.Hour), 150, "full")
	for i := range 16 {
		from := last.Add(100*time.Hour + time.Duration(i)*10*time.Hour)
		r.visit(bike, 1, from, from.Add(2*time.Hour), 150, "unplugged")
	}
	last = last.Add(160 * time.Hour)
	r.visit(bike, 1, last.Add(200*time.Hour), last.Add(201*time.Hour), 150, "")
	r.visit(bike, 2, last.Add(201*time.Hour), last.Add(202*time.Hour), 150, "full")
	r.event(devices.EventStop, last.Add(202*time.Hour), func(e *devices.Event) { e.Port, e.Card, e.Reason = 1, bike, "full" })
	r.pass(last.Add(60 * 24 * time.Hour))
	r.pass(last.Add(95 * 24 * time.Hour))
	out := map[string]*ledger.Flag{}
	for _, id := range []string{"profile_mismatch", "card_concurrency", "household_volume", "silent_bike", "back_to_back", "zombie_bike"} {
		out[id] = r.raised(id)
	}
	p := newRig(t)
	for m := 0; m <= 90; m += 5 {
		p.read(t0.Add(time.Duration(m)*time.Minute), 0, func(x *devices.Reading) {
			x.State, x.TempMC, x.Has = devices.StateFull, 66_000, devices.HasTemperature
		})
		p.read(t0.Add(time.Duration(m)*time.Minute), 40, func(x *devices.Reading) { x.Port, x.State = 2, devices.StateIdle })
	}
	p.e.Settle(p.collect)
	out["overstay"], out["port_temperature"], out["unauthorised_draw"] = p.raised("overstay"), p.raised("port_temperature"), p.raised("unauthorised_draw")
	d := newRig(t)
	daily(d, 3_000_000)
	out["meter_imbalance"] = d.raised("meter_imbalance")
	return out
}
