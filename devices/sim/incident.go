package sim

import (
	"math/rand/v2"
	"time"
)

// plan is a use of a port that is drawn before it is known where it happens. Times
// are from the start of the session.
type plan struct {
	label     Label
	loads     []load
	full      millis // when a battery is full; 0 for what never is
	stay      millis // when the plug is pulled; the length of an outage
	onset     millis // when it becomes unsafe
	alarm     millis // when the pile raises an alarm; it opens the relay soon after
	alarmKind string
	wear      float32
	silent    bool
}

// unsafeUses lists the unsafe uses, the longest first.
func unsafeUses() []func(*rand.Rand) *plan {
	return []func(*rand.Rand) *plan{
		neverEnds, fridge, cargoTricycle, pileSilent, powerStrip, wornContact,
		heater, smoke, weldedRelay, smallHeater, kettle,
	}
}

func minutes(r *rand.Rand, lo, hi float64) time.Duration {
	return time.Duration(spell(r, lo, hi)) * time.Millisecond
}

// plugged plans a single load that stays in for its time and a little longer.
func plugged(label Label, c *Curve, idle millis) *plan {
	return &plan{label: label, loads: []load{{c, 5 * second}}, stay: 5*second + c.end + idle, wear: 1}
}

func kettle(r *rand.Rand) *plan {
	appliance := Kettle
	if chance(r, 0.4) {
		appliance = HairDryer
	}
	return plugged(HotBurst, appliance(r, minutes(r, 3.5, 6)), spell(r, 0.2, 1))
}

func heater(r *rand.Rand) *plan {
	if chance(r, 0.4) {
		return plugged(OverPower, Thermostat(r, minutes(r, 60, 180)), 0)
	}
	return plugged(OverPower, Heater(r, minutes(r, 40, 150)), 0)
}

func smallHeater(r *rand.Rand) *plan {
	return plugged(ResistiveLoad, SmallHeater(r, minutes(r, 40, 90)), 2*minute)
}

func fridge(r *rand.Rand) *plan { return plugged(CyclingLoad, Fridge(r, minutes(r, 240, 600)), 0) }

// weldedRelay feeds somebody without a session.
func weldedRelay(r *rand.Rand) *plan {
	c := NewCharger(packs[r.IntN(3)], r).Curve(Battery{Charge: between(r, 0.4, 0.6), TempC: 20})
	return &plan{label: UnauthorisedDraw, loads: []load{{c, 0}}, stay: spell(r, 40, 120), wear: 1, silent: true}
}

// cargoTricycle charges a pack that no bike has.
func cargoTricycle(r *rand.Rand) *plan {
	c := TricycleCharger(r).Curve(Battery{Charge: between(r, 0.05, 0.12), TempC: 20})
	return &plan{label: ExcessEnergy, loads: []load{{c, 0}}, full: c.end, stay: c.end + spell(r, 5, 40), wear: 1}
}

// powerStrip begins with one bike; a neighbour's joins in mid-charge.
func powerStrip(r *rand.Rand) *plan {
	first := NewCharger(packs[1+r.IntN(2)], r).Curve(Battery{Charge: between(r, 0.2, 0.3), TempC: 20})
	second := NewCharger(packs[1+r.IntN(3)], r).Curve(Battery{Charge: between(r, 0.3, 0.5), TempC: 20})
	join := spell(r, 40, 110)
	full := max(first.end, join+second.end)
	return &plan{
		label: SecondLoad, loads: []load{{first, 0}, {second, join}}, onset: join,
		full: full, stay: full + spell(r, 5, 90), wear: 1,
	}
}

// neverEnds is a charger that goes on at nearly half its power until the pile cuts it off.
func neverEnds(r *rand.Rand) *plan {
	c := NewCharger(packs[1+r.IntN(4)], r)
	charge := between(r, 0.3, 0.5)
	stuck := c.Curve(Battery{Charge: charge, TempC: 20, Runaway: true})
	due := c.Curve(Battery{Charge: charge, TempC: 20}).end
	return &plan{label: OverTime, loads: []load{{stuck, 0}}, onset: due, stay: cutOff + spell(r, 10, 90), wear: 1}
}

// smoke is a normal charge until the pile smells or feels something.
func smoke(r *rand.Rand) *plan {
	p := bikeCharge(r)
	p.label, p.alarm, p.alarmKind = DeviceAlarm, spell(r, 15, 90), "smoke"
	if chance(r, 0.5) {
		p.alarmKind, p.wear = "over_temperature", 20
	}
	p.onset, p.stay = p.alarm, p.alarm+spell(r, 10, 60)
	return p
}

// wornContact is a normal charge over a socket that gets hot.
func wornContact(r *rand.Rand) *plan {
	p := bikeCharge(r)
	p.label, p.wear = PortTemperature, float32(between(r, 20, 23))
	return p
}

func bikeCharge(r *rand.Rand) *plan {
	c := NewCharger(packs[2+r.IntN(2)], r).Curve(Battery{Charge: between(r, 0.3, 0.45), TempC: 20})
	return &plan{loads: []load{{c, 0}}, full: c.end, stay: c.end + spell(r, 5, 60), wear: 1}
}

func pileSilent(r *rand.Rand) *plan { return &plan{label: PileOffline, stay: spell(r, 120, 320)} }

// deck deals the unsafe uses: each comes once before one comes again.
type deck struct {
	rand  *rand.Rand
	left  []int
	every millis // the mean time between two
	live  millis // when people start to look; 0 for never
}

// planUnsafe sets the unsafe uses of the scenario.
func (e *Estate) planUnsafe(c Config) {
	e.unsafe.rand = newRand(e.seed, entityIncident, 0)
	if c.Scenario == "day" {
		for i, draft := range unsafeUses() {
			at := e.from + 30*minute + millis(i)*45*minute
			e.schedule(task{at: at, kind: taskUnsafe, plan: draft(e.unsafe.rand)})
		}
		return
	}
	e.unsafe.every = day * buildings / int64(len(e.piles))
	e.schedule(task{at: e.from + e.unsafe.every/3, kind: taskDeal})
	if !c.Live.IsZero() {
		e.unsafe.live = c.Live.UnixMilli()
		e.stage(e.unsafe.live)
	}
}

// stage sets unsafe uses that are under way, or begin, when people start to look.
func (e *Estate) stage(live millis) {
	r := newRand(e.seed, entityStaged, 0)
	set := func(p *plan, onset millis) {
		if at := live + onset - p.onset; at > e.from {
			e.schedule(task{at: at, kind: taskUnsafe, plan: p})
		}
	}
	late := neverEnds(r)
	set(late, late.onset-8*hour+6*minute) // eight hours are over 6 minutes after live
	set(plugged(OverPower, Heater(r, 2*time.Hour), 0), -2*minute)
	set(powerStrip(r), 3*minute)
	set(kettle(r), 5*minute)
	set(smoke(r), 10*minute)
	set(pileSilent(r), 25*minute)
}

// deal starts the next unsafe use of the deck and sets the time of the one after it.
func (e *Estate) deal(at millis) {
	d := &e.unsafe
	if len(d.left) == 0 {
		d.left = d.rand.Perm(len(unsafeUses()))
	}
	last := len(d.left) - 1
	draft := unsafeUses()[d.left[last]]
	d.left = d.left[:last]
	next := at + millis(float64(d.every)*between(d.rand, 0.5, 1.5))
	if e.hourOf(next) < 6 { // people sleep
		next += 6 * hour * buildings / int64(max(len(e.piles), buildings))
	}
	if next > d.live-10*hour && next < d.live+40*minute { // the stage is taken
		next = d.live + 40*minute
	}
	e.schedule(task{at: next, kind: taskDeal})
	e.enact(draft(d.rand), at)
}

// enact starts an unsafe use somewhere; when no port or no resident is free, a little later.
func (e *Estate) enact(d *plan, at millis) {
	r := e.unsafe.rand
	first := r.IntN(len(e.piles))
	if d.label == PileOffline {
		e.silence(&e.piles[first], at, d.stay)
		return
	}
	for i := range e.piles {
		p := &e.piles[(first+i)%len(e.piles)]
		port, ok := p.freePort(r)
		if !ok {
			continue
		}
		if who := e.resident(p, r); who != nil || d.silent {
			e.seat(p, port, d.visit(who, at), at)
			return
		}
	}
	e.schedule(task{at: at + 3*minute, kind: taskUnsafe, plan: d})
}

// resident gives somebody of p's building whose card is not in use.
func (e *Estate) resident(p *pile, r *rand.Rand) *bike {
	i := int(p.index)
	home := e.bikes[i*bikes/buildings : (i+1)*bikes/buildings]
	for i, first := 0, r.IntN(len(home)); i < len(home); i++ {
		if b := &home[(first+i)%len(home)]; !b.busy {
			return b
		}
	}
	return nil
}

// visit makes the plan a visit that is plugged in at the time.
func (d *plan) visit(who *bike, at millis) *visit {
	start := at + 7*second
	v := &visit{
		label: d.label, start: start, onset: start + d.onset, leave: start + d.stay,
		alarmKind: d.alarmKind, wear: d.wear, silent: d.silent,
	}
	for _, l := range d.loads {
		v.loads = append(v.loads, load{l.curve, start + l.at})
	}
	if !d.silent {
		who.busy = true
		v.household, v.card = who, who.card
	}
	full := int64(never)
	if d.full > 0 {
		full = start + d.full
	}
	v.limit(full)
	if d.alarm > 0 {
		v.alarm, v.end, v.reason = start+d.alarm, start+d.alarm+4*second, "fault"
		if d.alarmKind == "over_temperature" {
			v.reason = d.alarmKind
		}
	}
	return v
}
