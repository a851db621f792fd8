package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// habit is when a resident charges.
type habit uint8

const (
	commuter habit = iota // every 2 or 3 evenings
	courier               // most nights, and many afternoons between meals
	elderly               // every 4 or 5 days, by day
)

// bike is one e-bike with its household, its card and its charger.
type bike struct {
	rand    *rand.Rand
	charger Charger
	health  float64 // share of the pack's capacity that is left
	use     float64 // share of the pack used a day, or by a courier between two charges
	charged millis  // the last charge
	index   int32   // among the bikes
	home    int32   // index of the pile of its building
	room    int32
	card    uint32
	tries   int8 // how often it found no port
	habit   habit
	spare   bool // a courier's second pack
	busy    bool // its card is in use
}

func (b *bike) household() string { return fmt.Sprintf("%d-%d", b.home+1, b.room) }

// The rooms are 101 to 605; the estate has 214 households and 86 bikes for 8 piles.
const (
	roomsAFloor = 5
	households  = 214
	bikes       = 86
	buildings   = 8
)

// share gives the part of total that falls to building i.
func share(total, i int) int { return (i+1)*total/buildings - i*total/buildings }

func (e *Estate) moveIn() {
	for i := range e.piles {
		homes, n := share(households, i), share(bikes, i)
		order := newRand(e.seed, entityPile, -1-i).Perm(homes)
		for k := range n {
			room := order[k]
			e.bikes = append(e.bikes, e.newBike(len(e.bikes), i, (room/roomsAFloor+1)*100+room%roomsAFloor+1))
		}
	}
	for i := range e.bikes {
		b := &e.bikes[i]
		e.schedule(task{at: b.first(e), kind: taskArrive, index: int32(i)})
	}
}

func (e *Estate) newBike(index, home, room int) bike {
	r := newRand(e.seed, entityBike, index)
	b := bike{
		rand: r, index: int32(index), home: int32(home), room: int32(room), health: between(r, 0.85, 1),
		card: mix32(uint32(index+1) ^ uint32(e.seed)),
	}
	kinds, use := commuterPacks[:], [2]float64{0.27, 0.33}
	switch n := index * 37 % bikes; { // spreads the habits over the buildings
	case n < 18:
		b.habit, b.spare = courier, chance(r, 0.5)
		kinds, use = courierPacks[:], [2]float64{0.70, 0.80}
	case n < 38:
		b.habit = elderly
		kinds, use = elderlyPacks[:], [2]float64{0.13, 0.17}
	}
	b.use = between(r, use[0], use[1])
	b.charger = NewCharger(packs[kinds[r.IntN(len(kinds))]], newRand(e.seed, entityCharger, index))
	return b
}

// Which rows of packs the habits draw from; a row twice is twice as common.
var (
	commuterPacks = [...]int{0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 6, 7, 8, 9, 9}
	courierPacks  = [...]int{4, 8, 9, 9, 9, 9}
	elderlyPacks  = [...]int{0, 1, 1, 2, 5, 6}
)

// first spreads the first charges over the days of the habit.
func (b *bike) first(e *Estate) millis {
	days := [...]float64{commuter: 2.5, courier: 1, elderly: 4.5}[b.habit]
	b.charged = e.from - millis(b.rand.Float64()*days*day)
	return b.next(e, b.charged)
}

// next gives the first charge after at, and after the beginning of the span.
func (b *bike) next(e *Estate, at millis) millis {
	for {
		switch b.habit {
		case elderly:
			at = e.onDay(at, 4+b.rand.IntN(2), between(b.rand, 8, 13.5))
		case courier:
			at = b.nextSlot(e, at)
		default:
			evening := 17.75 + 2.2*(b.rand.Float64()+b.rand.Float64())
			at = e.onDay(at, 2+b.rand.IntN(2), evening)
		}
		if at > e.from {
			return at
		}
	}
}

// nextSlot gives a courier's next charge: after lunch, or at night.
func (b *bike) nextSlot(e *Estate, at millis) millis {
	for d := 0; ; d++ {
		if t := e.onDay(at, d, between(b.rand, 13.75, 15.25)); t > at && chance(b.rand, 0.75) {
			return t
		}
		if t := e.onDay(at, d, between(b.rand, 22.25, 23.9)); t > at && chance(b.rand, 0.9) {
			return t
		}
	}
}

// onDay gives an hour of the day, some days after that of at.
func (e *Estate) onDay(at millis, days int, hours float64) millis {
	t := time.UnixMilli(at).In(e.location)
	midnight := time.Date(t.Year(), t.Month(), t.Day()+days, 0, 0, 0, 0, e.location)
	return midnight.UnixMilli() + millis(hours*float64(hour))
}

// hourOf gives the hour of the day, with its fraction.
func (e *Estate) hourOf(at millis) float64 {
	t := time.UnixMilli(at).In(e.location)
	return float64(t.Hour()) + float64(t.Minute())/60
}

// emptied gives how full the pack is when the bike comes.
func (b *bike) emptied(at millis) float64 {
	used := b.use * between(b.rand, 0.85, 1.15)
	if b.habit != courier {
		used *= float64(at-b.charged) / day
	}
	deepest := 0.85
	if b.charger.Pack.Chemistry == LeadAcid { // it is soon worn out if emptied further
		deepest = 0.66
	}
	return 1 - min(max(used, 0.2), deepest)
}

// leave gives when the plug is pulled, for a charge that is full at full.
func (b *bike) leave(e *Estate, start, full millis) millis {
	r, h := b.rand, e.hourOf(start)
	switch {
	case b.habit == courier && h > 12 && h < 16:
		return max(e.onDay(start, 0, between(r, 16.7, 17.3)), start+spell(r, 45, 60))
	case b.habit == courier && h > 12 && h < 18: // the second pack, until the evening's work is done
		return e.onDay(start, 0, between(r, 21.3, 22.2))
	case b.habit == courier:
		return e.following(start, between(r, 7.5, 9.5))
	case b.habit == elderly && chance(r, 0.25):
		return start + millis(between(r, 0.6, 0.9)*float64(full-start))
	case b.habit == elderly:
		return full + spell(r, 5, 70)
	case h > 16 && h < 20 && chance(r, 0.25):
		return max(e.onDay(start, 0, between(r, 21.2, 22.7)), start+spell(r, 60, 90))
	default:
		return e.following(start, between(r, 6.5, 8.5))
	}
}

// following gives the first such hour of the day that is at least 3 hours after at.
func (e *Estate) following(at millis, hours float64) millis {
	t := e.onDay(at, 0, hours)
	if t < at+3*hour {
		t = e.onDay(at, 1, hours)
	}
	return t
}

// arrive brings a bike to its pile, or to the neighbour's when all ports are taken.
func (e *Estate) arrive(index int32, at millis) {
	b := &e.bikes[index]
	p, port := e.place(int(b.home), b.rand)
	if b.busy || p == nil {
		b.tries++
		later := at + spell(b.rand, 20, 40)
		if b.tries > 4 {
			b.tries, later = 0, b.next(e, at)
		}
		e.schedule(task{at: later, kind: taskArrive, index: index})
		return
	}
	b.tries, b.busy = 0, true
	start := at + readCard + 2*second + spell(b.rand, 0, 0.2)
	curve := b.charger.Curve(Battery{Charge: b.emptied(at), Health: b.health, TempC: e.weather.at(at).ambient})
	full := start + curve.end
	v := &visit{
		loads: []load{{curve, start}}, household: b, card: b.card, label: Normal,
		start: start, onset: start, wear: 1, leave: b.leave(e, start, full),
	}
	v.limit(full)
	v.returns = b.spare && e.hourOf(at) < 16 && v.leave < e.onDay(at, 0, 18) && chance(b.rand, 0.2)
	e.seat(p, port, v, at)
}

// limit finds what ends the charge: the battery, a person, or the pile.
func (v *visit) limit(full millis) {
	v.end, v.reason = full, "full"
	if v.leave <= v.end {
		v.end, v.reason = v.leave, "unplugged"
	}
	if v.start+cutOff < v.end {
		v.end, v.reason = v.start+cutOff, "time_limit"
	}
}

// released plans the bike's next charge when its plug is pulled.
func (e *Estate) released(b *bike, v *visit, at millis) {
	b.busy = false
	if v.label != Normal {
		return // its own next charge is planned already
	}
	b.charged = at
	next := at + 2*minute + spell(b.rand, 0, 4)
	if !v.returns {
		next = b.next(e, at)
	}
	e.schedule(task{at: next, kind: taskArrive, index: b.index})
}

// place finds a free port at pile home, else at a neighbour's; nil where all is taken.
func (e *Estate) place(home int, r *rand.Rand) (*pile, int) {
	for _, i := range [...]int{home, home + 1, home - 1} {
		if i < 0 || i >= len(e.piles) {
			continue
		}
		if port, ok := e.piles[i].freePort(r); ok {
			return &e.piles[i], port
		}
	}
	return nil, 0
}

// freePort picks among the free ports of p.
func (p *pile) freePort(r *rand.Rand) (int, bool) {
	free := 0
	for i := range p.ports {
		if p.ports[i].visit == nil {
			free++
		}
	}
	if free == 0 {
		return 0, false
	}
	n := r.IntN(free)
	for i := range p.ports {
		if p.ports[i].visit == nil {
			if n == 0 {
				return i, true
			}
			n--
		}
	}
	return 0, false
}
