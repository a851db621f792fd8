package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"pilewatch/devices"
)

// pile is one charging pile.
type pile struct {
	id     string
	topic  string // of its telemetry
	ports  []port
	noise  rand.PCG // of its meters
	kept   []Truth  // sessions that ended while it was silent
	silent millis   // since when; 0 while it is connected
	offset millis   // of its telemetry in the interval
	seq    int64
	first  int64 // mWh of all ports' registers at the beginning
	volts  float32
	index  int32
	rssi   int16
}

// maxPortW is the most that a port is rated for, in W.
const maxPortW = 1000

// PileInfo is a row of the registry of piles.
type PileInfo struct {
	Pile     string
	Building string
	Location string
	Ports    int
	MaxPortW int // W
}

// CardInfo is a row of the registry of cards.
type CardInfo struct {
	Card      string // 8 hexadecimal digits
	Building  string
	Room      string
	Household string
	Bikes     int
	Pack      string
	Courier   bool
}

// Piles gives the registry of piles.
func (e *Estate) Piles() []PileInfo {
	sides := [...]string{"北侧", "东侧车棚", "南侧", "西侧车棚"}
	all := make([]PileInfo, len(e.piles))
	for i, p := range e.piles {
		building := strconv.Itoa(i + 1)
		all[i] = PileInfo{p.id, building, building + "号楼" + sides[i%len(sides)], len(p.ports), maxPortW}
	}
	return all
}

// Cards gives the registry of cards, one for each bike; the scenario "steady" has none.
func (e *Estate) Cards() []CardInfo {
	all := make([]CardInfo, len(e.bikes))
	for i := range e.bikes {
		b := &e.bikes[i]
		all[i] = CardInfo{
			Card: cardText(b.card), Building: strconv.Itoa(int(b.home) + 1), Room: strconv.Itoa(int(b.room)),
			Household: b.household(), Bikes: 1, Pack: b.charger.Pack.Name, Courier: b.habit == courier,
		}
	}
	return all
}

// Households gives how many households live in the estate, most of them without an e-bike.
func (e *Estate) Households() int {
	if e.steady != nil {
		return 0
	}
	return len(e.piles) * households / buildings
}

func cardText(card uint32) string { return fmt.Sprintf("%08X", card) }

// build sets up the piles, with registers that have seen some years.
func (e *Estate) build(piles, ports int) {
	e.piles = make([]pile, piles)
	all := make([]port, piles*ports)
	digits := max(2, len(strconv.Itoa(piles)))
	for i := range e.piles {
		id := fmt.Sprintf("P%0*d", digits, i+1)
		p := &e.piles[i]
		*p = pile{
			id: id, topic: "pilewatch/v1/" + e.id + "/" + id + "/telemetry", index: int32(i),
			ports: all[i*ports : (i+1)*ports : (i+1)*ports], noise: *newPCG(e.seed, entityPile, i),
			offset: e.every * int64(i) / int64(piles),
		}
		p.volts = float32(2 * unit(p.noise.Uint64()))
		p.rssi = -60 - int16(p.noise.Uint64()%25)
		for j := range p.ports {
			first := int64(p.noise.Uint64()%2_000_000_000) + 200_000_000 // 200 to 2,200 kWh
			p.ports[j] = port{done: first * perMWh, state: devices.StateIdle}
			p.first += first
		}
		e.schedule(task{at: e.from + max(p.offset-50, 0), kind: taskOnline, index: int32(i)})
	}
}

// standby is what a pile's own electronics draw, in mW.
const standby = 3500

// mainMWh gives the main meter, from the sum of the ports' registers: 1.25 % of what
// went to the ports is lost on the way, and the pile has needs of its own.
func (e *Estate) mainMWh(p *pile, sum int64, at millis) int64 {
	return p.first/50 + sum + (sum-p.first)/80 + standby*(at-e.from)/perMWh
}

// warm moves the contacts' temperatures on by an interval. Contacts heat with
// current and its square, and take some ten minutes to follow.
func (e *Estate) warm(p *pile, at millis) {
	const inertia = 10 * minute
	step := float32(1 - math.Exp(-float64(e.every)/inertia))
	for i := range p.ports {
		o := &p.ports[i]
		if o.visit == nil && o.warm < 0.05 {
			continue
		}
		var target float32
		if _, mva, _ := o.draw(at); mva > 0 {
			amps := float32(mva / 228_000)
			target = (1.5*amps + 0.4*amps*amps) * o.visit.wear
		}
		o.warm += (target - o.warm) * step
	}
}
