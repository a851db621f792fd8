package sim

import "pilewatch/devices"

// fillPorts puts a charge on every port, each at another point of its course, so
// that the load is even from the first message on. All share a few dozen curves.
func (e *Estate) fillPorts() {
	r := newRand(e.seed, entitySteady, 0)
	for i := range 64 {
		c := NewCharger(packs[i%len(packs)], r)
		e.steady = append(e.steady, c.Curve(Battery{Charge: between(r, 0.1, 0.5), TempC: 20}))
	}
	n := len(e.piles) * len(e.piles[0].ports)
	visits, loads := make([]visit, n), make([]load, n)
	e.tasks = append(make(queue[task], 0, n+len(e.tasks)), e.tasks...)
	for i := range e.piles {
		p := &e.piles[i]
		for j := range p.ports {
			v := &visits[0]
			v.loads, visits, loads = loads[:1:1], visits[1:], loads[1:]
			e.beginHalfway(p, j, v)
		}
	}
}

// beginHalfway sets a visit that began before the span, its register as it is at the beginning.
func (e *Estate) beginHalfway(p *pile, index int, v *visit) {
	o, dice := &p.ports[index], e.dice(p, index, 0)
	curve := e.steady[dice%uint64(len(e.steady))]
	e.fillVisit(v, curve, e.from-millis(float64(curve.end)*(0.5+0.96*unit(dice>>8))), uint32(dice>>32))
	_, soFar := curve.at(e.from - v.start)
	o.done -= soFar
	v.stage, v.register, o.visit, o.state = running, o.done/perMWh, v, devices.StateCharging
	e.schedule(task{at: v.end, kind: taskPort, index: p.index, port: int16(index)})
}

// refill lets the next bike come some seconds after the last one has gone.
func (e *Estate) refill(p *pile, index int, at millis) {
	wait := 2*second + millis(e.dice(p, index, at)>>40%(8*second))
	e.schedule(task{at: at + wait, kind: taskRefill, index: p.index, port: int16(index)})
}

// nextGuest gives the visit that begins at a port of the scenario "steady".
func (e *Estate) nextGuest(p *pile, index int, at millis) *visit {
	dice := e.dice(p, index, at)
	v := &visit{loads: make([]load, 1)}
	e.fillVisit(v, e.steady[dice%uint64(len(e.steady))], at+3*second, uint32(dice>>32))
	return v
}

func (e *Estate) fillVisit(v *visit, curve *Curve, start millis, card uint32) {
	*v = visit{loads: v.loads, label: Normal, card: card, start: start, onset: start, wear: 1}
	v.loads[0] = load{curve, start}
	v.leave = never
	v.limit(start + curve.end)
	v.leave = v.end + second
}

func (e *Estate) dice(p *pile, index int, at millis) uint64 {
	return mix64(mix64(e.seed^uint64(entitySteady)<<56^uint64(e.key(p, index))) ^ uint64(at))
}
