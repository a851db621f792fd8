package safety

import (
	"fmt"
	"maps"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// cardConcurrency sees more open sessions of a household than it has registered
// bikes; a courier may have two packs a bike.
//
// Why: one bike, one charge (domain.md, Overuse rules). How it can be wrong: a
// bike that was bought and not registered yet, a guest's bike on the card.
type cardConcurrency struct{ t thresholds }

var cardConcurrencyDefaults = map[string]float64{"packs_courier": 2}

func newCardConcurrency(t thresholds) detector { return &cardConcurrency{t} }

func (r *cardConcurrency) follow(e *Engine, a *active, _ place, _ session.ChangeKind, s *session.Session) {
	household, bikes, courier := e.home(s.Card)
	if household == "" || bikes == 0 {
		return
	}
	if courier {
		bikes *= max(1, int(r.t["packs_courier"]))
	}
	open := 0
	for _, c := range e.cardsOf(household) {
		open += len(c.Open)
	}
	l := none
	if open > bikes {
		l = warning
	}
	e.decide(a, mark(household), l, max(s.Start, s.End), func() story {
		x := e.homeStory(s.Card, "none")
		x.adviceZH, x.adviceEN = severalAdviceZH, severalAdviceEN
		x.zh = fmt.Sprintf("同一户登记 %d 辆车（块电池），同时有 %d 个插口在充电", bikes, open)
		x.en = fmt.Sprintf("%d ports charge at once for a household whose registered bikes or packs are %d", open, bikes)
		x.numbers = numbers{"open": open, "bikes": bikes, "thresholds": r.t}
		return x
	})
}

// householdVolume sees more energy or more charges than a household's bikes use:
// 45 kWh a bike in a month, or 12 charges a bike in 7 days; couriers excepted.
//
// Why: 2-4 charges of 0.7-1.3 kWh a week are typical (domain.md, Charger and
// battery electricity). How it can be wrong: somebody who began to deliver.
type householdVolume struct{ t thresholds }

var householdVolumeDefaults = map[string]float64{"month_kwh": 45, "week_sessions": 12}

func newHouseholdVolume(t thresholds) detector { return &householdVolume{t} }

func (r *householdVolume) follow(e *Engine, a *active, _ place, change session.ChangeKind, s *session.Session) {
	household, bikes, courier := e.home(s.Card)
	if change != session.Closed || household == "" || courier {
		return
	}
	bikes = max(1, bikes)
	month := s.End.Time().In(e.loc).Format("2006-01")
	var mWh int64
	week := 0
	for _, c := range e.cardsOf(household) {
		if c.Month == month {
			mWh += c.MonthMWh
		}
		for _, x := range c.Charges {
			if x.Start > s.End-7*day && x.MWh >= realCharge {
				week++
			}
		}
	}
	l := none
	if mWh > r.t.mWh("month_kwh")*int64(bikes) || week > int(r.t["week_sessions"])*bikes {
		l = info
	}
	e.decide(a, mark(household), l, s.End, func() story {
		x := e.homeStory(s.Card, "none")
		x.zh = fmt.Sprintf("本月用电 %s 度、近 7 天充电 %d 次，多于登记的 %d 辆车通常的用量", kWh(mWh), week, bikes)
		x.en = fmt.Sprintf("%s kWh this month and %d charges in 7 days are more than its registered bikes (%d) usually use", kWh(mWh), week, bikes)
		x.numbers = numbers{"month_wh": watts(mWh), "week_sessions": week, "bikes": bikes, "thresholds": r.t}
		return x
	})
}

// What a visitor asks where one card or household charges more than its bike does.
const (
	severalAdviceZH = "请上门了解：是否添了车或电池、在送外卖，还是把卡借给了邻居；帮助把车登记好，并了解插口是否够用。"
	severalAdviceEN = "Find out whether there is another bike or battery, a delivery job, or a neighbour who borrows the card; help to register the bike, and ask whether there are enough sockets."
)

// realCharge is the energy under which a session is a try, not a charge.
const realCharge = 100_000 // mWh

// backToBack sees serial charging on one card: a battery that was full, and
// another within 10 minutes; three charges in 12 hours; or over 3.2 kWh in them.
//
// Why: one bike holds one charge (domain.md, Overuse rules). Not back to back:
// a charge that was interrupted and went on (the first did not end by itself),
// sessions under 0.1 kWh, couriers and cards of several bikes, who have as much
// more. How it can be wrong: a card that is lent to a neighbour.
type backToBack struct{ t thresholds }

var backToBackDefaults = map[string]float64{"gap_min": 10, "sessions": 3, "sum_kwh": 3.2, "window_h": 12}

func newBackToBack(t thresholds) detector { return &backToBack{t} }

func (r *backToBack) follow(e *Engine, a *active, _ place, change session.ChangeKind, s *session.Session) {
	m := e.cards[s.Card]
	card := e.registry.Cards[s.Card]
	if change != session.Closed || m == nil {
		return
	}
	packs := max(1, card.Bikes)
	if card.Courier {
		packs *= 2
	}
	var sum int64
	n, serial := 0, false
	var before *charged
	for i := range m.Charges {
		x := &m.Charges[i]
		if x.Start < s.End-r.t.hours("window_h") || x.MWh < realCharge {
			continue
		}
		n++
		sum += x.MWh
		if before != nil && before.Ended && x.Start >= before.End && x.Start-before.End < r.t.minutes("gap_min") {
			serial = true
		}
		before = x
	}
	l := none
	if n >= 2 && (serial && packs == 1 || n >= int(r.t["sessions"])*packs || sum > r.t.mWh("sum_kwh")*int64(packs)) {
		l = warning
	}
	e.decide(a, mark(s.Card), l, s.End, func() story {
		x := e.homeStory(s.Card, "none")
		if x.household == "" {
			x.household = s.Household
		}
		x.adviceZH, x.adviceEN = severalAdviceZH, severalAdviceEN
		h := trim(r.t["window_h"])
		x.zh = fmt.Sprintf("同一张卡 %s 小时内接连充了 %d 次，共 %s 度", h, n, kWh(sum))
		x.en = fmt.Sprintf("one card charged %d times within %s hours, %s kWh together", n, h, kWh(sum))
		x.numbers = numbers{"sessions": n, "energy_wh": watts(sum), "charges": listed(m.Charges, s.End-r.t.hours("window_h")), "thresholds": r.t}
		return x
	})
}

// listed gives the charges since an instant as they go into evidence: Unix seconds
// of start and end, and watt-hours.
func listed(all []charged, since devices.Millis) (out [][3]float64) {
	for i := range all {
		if x := &all[i]; x.Start >= since && x.MWh >= realCharge {
			out = append(out, [3]float64{float64(x.Start / 1000), float64(x.End / 1000), watts(x.MWh)})
		}
	}
	return out
}

// silentBike sees a registered bike that stopped coming: four charges or more in
// 60 days, and then none for 14 days or four times its median gap. It is for the
// list of visits: perhaps it is charged at home, or by a flying wire.
//
// Why: pile data cannot show a flying wire, but it shows absence, and absence often
// means that access is hard (domain.md, The estate).
//
// Not silent: while its pile is offline, or in a holiday of the list. How it can
// be wrong: an illness, a journey, a bike that was sold: the visit records it.
type silentBike struct{ t thresholds }

var silentBikeDefaults = map[string]float64{"charges": 4, "within_days": 60, "least_days": 14, "gaps": 4}

func newSilentBike(t thresholds) detector { return &silentBike{t} }

func (r *silentBike) hour(e *Engine, a *active, now devices.Millis) {
	for _, id := range slices.Sorted(maps.Keys(e.cards)) {
		m := e.cards[id]
		if _, ok := e.registry.Cards[id]; !ok {
			continue
		}
		gone := now - m.Seen
		usual, n := r.usual(m)
		l := none
		switch {
		case len(m.Open) > 0 || gone < devices.Millis(r.t["least_days"])*day:
		case e.holiday(now) || e.away(m.Pile):
			continue
		case n >= int(r.t["charges"]) && gone >= devices.Millis(r.t["gaps"])*usual:
			l = info
		}
		e.decide(a, mark(id), l, now, func() story {
			x := e.homeStory(id, "home_charging")
			x.visit = true
			oftenZH, oftenEN := everyDays(usual)
			x.zh = fmt.Sprintf("一辆常来充电的车已 %d 天没有来（此前约%s充一次）", gone/day, oftenZH)
			x.en = fmt.Sprintf("a bike that used to charge about %s has not come for %d days", oftenEN, gone/day)
			x.numbers = numbers{"days": int64(gone / day), "usual_days": float64(usual/hour) / 24, "charges": n, "last_seen": int64(m.Seen / 1000), "thresholds": r.t}
			return x
		})
	}
}

// usual is the median gap between the charges of the last days, and how many there were.
func (r *silentBike) usual(m *cardMemory) (devices.Millis, int) {
	var gaps []devices.Millis
	n := 0
	var last devices.Millis
	for _, x := range m.Charges {
		if x.Start < m.Seen-devices.Millis(r.t["within_days"])*day || x.MWh < realCharge {
			continue
		}
		if n++; n > 1 {
			gaps = append(gaps, x.Start-last)
		}
		last = x.Start
	}
	if len(gaps) == 0 {
		return 0, n
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2], n
}

// away reports whether a pile is flagged as offline, alone or with its group.
func (e *Engine) away(name string) bool {
	p := e.piles[name]
	return p != nil && (p.Out || p.Whole.flags().level("pile_offline") > none)
}

// zombieBike sees a registered card that has not been used for 90 days (僵尸车),
// counted from when the gateway first knew the registry. It is for the list of
// visits.
//
// Why: abandoned bikes take the places of others (domain.md, Overuse rules).
//
// How it can be wrong: a second card of a household that charges with the first.
type zombieBike struct{ t thresholds }

var zombieBikeDefaults = map[string]float64{"days": 90}

func newZombieBike(t thresholds) detector { return &zombieBike{t} }

func (r *zombieBike) hour(e *Engine, a *active, now devices.Millis) {
	if now-e.registry.Known < devices.Millis(r.t["days"])*day && len(e.flags) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.registry.Cards)) {
		seen := e.registry.Known
		if m := e.cards[id]; m != nil {
			seen = max(seen, m.Seen)
		}
		l := none
		if now-seen >= devices.Millis(r.t["days"])*day {
			l = info
		}
		e.decide(a, mark(id), l, now, func() story {
			x := e.homeStory(id, "none")
			x.visit = true
			x.adviceZH, x.adviceEN = "请确认这辆车是否还在用；僵尸车请协助登记处理，腾出车位。", "Find out whether the bike is still used; help to have an abandoned one taken away."
			x.zh = fmt.Sprintf("一辆登记的车已 %d 天没有充过电", (now-seen)/day)
			x.en = fmt.Sprintf("a registered bike has not been charged for %d days", (now-seen)/day)
			x.numbers = numbers{"days": int64((now - seen) / day), "since": int64(seen / 1000), "thresholds": r.t}
			return x
		})
	}
}

// profileMismatch sees a session that does not look like the card's bike: its
// power 20 minutes after the start is more than 30 % off the median of the card's
// charges of 30 days, of which there are five or more. It is the card's own
// history that adds weight to another sign of the session.
//
// Why: a charger draws the same in every charge, and a bike keeps its charger
// (domain.md, Charger and battery electricity).
//
// How it can be wrong: a battery that is nearly full when it is plugged in, a new
// bike, a family's second bike on the card.
type profileMismatch struct {
	t        thresholds
	perMille int64
}

var profileMismatchDefaults = map[string]float64{"percent": 30, "sessions": 5, "days": 30}

func newProfileMismatch(t thresholds) detector { return &profileMismatch{t, int64(t["percent"] * 10)} }

func (r *profileMismatch) follow(e *Engine, _ *active, at place, change session.ChangeKind, s *session.Session) {
	c := at.port.Charge
	if !c.of(s) || change == session.Closed {
		return
	}
	c.Usual = 0
	m := e.cards[s.Card]
	if card, ok := e.registry.Cards[s.Card]; m == nil || ok && (card.Courier || card.Bikes > 1) {
		return
	}
	var levels []int32
	for _, x := range m.Charges {
		if x.Level > 0 && x.Start > s.Start-devices.Millis(r.t["days"])*day {
			levels = append(levels, x.Level)
		}
	}
	if len(levels) >= max(1, int(r.t["sessions"])) {
		slices.Sort(levels)
		c.Usual = levels[len(levels)/2]
	}
}

func (r *profileMismatch) see(p *port, stands level) level {
	c := p.Charge
	if stands > none {
		return unsure
	}
	if c == nil || c.Usual == 0 || c.Model == nil || c.Model.Early == 0 || c.Model.Since > c.Start+10*minute {
		return none
	}
	if off := c.Model.Early - c.Usual; int64(max(off, -off))*1000 > r.perMille*int64(c.Usual) {
		return info
	}
	return none
}

func (r *profileMismatch) tell(p *port, _ level) story {
	c := p.Charge
	s := story{suspicion: "none"}
	s.zh = fmt.Sprintf("这次充电功率 %s W，与该卡近期通常的 %s W 相差较大", whole(int64(c.Model.Early)), whole(int64(c.Usual)))
	s.en = fmt.Sprintf("this charge draws %s W, unlike the %s W that is usual for the card", whole(int64(c.Model.Early)), whole(int64(c.Usual)))
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	s.numbers = numbers{"power_w": watts(int64(c.Model.Early)), "usual_w": watts(int64(c.Usual)), "thresholds": r.t}
	s.curve = c.Model.Curve.curve()
	return s
}
