package metrics

import (
	"strconv"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// snapshot is what a scrape needs of the live state, so that the state is
// locked for no longer than it takes to copy it.
type snapshot struct {
	piles        []pile
	ports        int // of piles that have not left
	open         int // sessions
	unregistered int // piles that have not left
}

type pile struct {
	name, building string
	seen           devices.Millis
	tempMC         int32
	hasTemp        bool
	up             bool
	gone           bool
	ports          []port
}

type port struct {
	number   uint8
	state    devices.PortState
	powerMW  int64
	totalMWh int64
	tempMC   int32
	hasPower bool
	hasTemp  bool
}

func (f *Fleet) look(now time.Time) snapshot {
	var s snapshot
	f.o.Live.View(func(st *session.State) {
		s.piles = make([]pile, 0, len(st.Piles))
		for _, p := range st.Piles {
			s.add(p, now.Sub(p.LastReceived.Time()), f.o)
		}
	})
	return s
}

// add copies a pile that was last heard so long ago.
func (s *snapshot) add(p *session.PileState, ago time.Duration, o Options) {
	said := p.Status.Has
	c := pile{
		name: label(p.Name), building: label(p.Building), seen: p.LastReceived,
		tempMC: p.Status.TempMC, hasTemp: said.Has(devices.HasTemperature),
		up:    ago <= o.Silent && (p.Status.Online || !said.Has(devices.HasOnline)),
		gone:  ago > o.Gone,
		ports: make([]port, 0, len(p.Ports)),
	}
	for i := range p.Ports {
		q := &p.Ports[i]
		if q.Open != nil && !q.Open.Lost {
			s.open++
		}
		c.ports = append(c.ports, port{
			number: q.Number, state: q.State, powerMW: q.Last.PowerMW, totalMWh: q.TotalMWh, tempMC: q.Last.TempMC,
			hasPower: q.Last.Port != 0, hasTemp: q.Last.Has.Has(devices.HasTemperature),
		})
	}
	if !c.gone {
		s.ports += len(c.ports)
		if !p.Registered {
			s.unregistered++
		}
	}
	s.piles = append(s.piles, c)
}

func (f *Fleet) piles(o out, s snapshot) {
	for i := range s.piles {
		p := &s.piles[i]
		if p.gone {
			continue
		}
		o.gauge(f.d.pileUp, bit(p.up), f.o.Estate, p.building, p.name)
		o.gauge(f.d.pileSeen, float64(p.seen)/1000, f.o.Estate, p.building, p.name)
		if p.hasTemp {
			o.gauge(f.d.pileTemp, float64(p.tempMC)/1000, f.o.Estate, p.building, p.name)
		}
	}
}

// states are the values of the label state. A port that said none is unknown.
var states = [...]devices.PortState{
	devices.StateIdle, devices.StatePlugged, devices.StateCharging, devices.StateFull, devices.StateFault, devices.StateUnknown,
}

func stated(s devices.PortState) devices.PortState {
	if s == devices.StateNone {
		return devices.StateUnknown
	}
	return s
}

func (f *Fleet) ports(o out, s snapshot) {
	for i := range s.piles {
		p := &s.piles[i]
		if p.gone {
			continue
		}
		for j := range p.ports {
			f.port(o, p, &p.ports[j])
		}
	}
}

func (f *Fleet) port(o out, p *pile, q *port) {
	number := strconv.Itoa(int(q.number))
	if q.hasPower {
		o.gauge(f.d.portPower, float64(q.powerMW)/1000, f.o.Estate, p.building, p.name, number)
	}
	o.counter(f.d.portEnergy, joules(q.totalMWh), f.o.Estate, p.building, p.name, number)
	if q.hasTemp {
		o.gauge(f.d.portTemp, float64(q.tempMC)/1000, f.o.Estate, p.building, p.name, number)
	}
	for _, st := range states {
		o.gauge(f.d.portState, bit(st == stated(q.state)), f.o.Estate, p.building, p.name, number, st.String())
	}
}

// building is the sum of its ports.
type building struct {
	powerMW, totalMWh int64
	hottestMC         int32
	hasTemp           bool
	states            [len(states) + 1]int
}

// buildings gives the sums that stand for the ports where there are too many. A
// pile that has left keeps its energy in the sum, for a counter must not fall.
func (f *Fleet) buildings(o out, s snapshot) {
	sums := map[string]*building{}
	for i := range s.piles {
		p := &s.piles[i]
		b := sums[p.building]
		if b == nil {
			b = &building{}
			sums[p.building] = b
		}
		for j := range p.ports {
			b.totalMWh += p.ports[j].totalMWh
			if !p.gone {
				b.add(&p.ports[j])
			}
		}
	}
	for name, b := range sums {
		o.gauge(f.d.buildingPower, float64(b.powerMW)/1000, f.o.Estate, name)
		o.counter(f.d.buildingEnergy, joules(b.totalMWh), f.o.Estate, name)
		if b.hasTemp {
			o.gauge(f.d.buildingTemp, float64(b.hottestMC)/1000, f.o.Estate, name)
		}
		for _, st := range states {
			o.gauge(f.d.buildingPorts, float64(b.states[st]), f.o.Estate, name, st.String())
		}
	}
}

func (b *building) add(q *port) {
	b.powerMW += q.powerMW
	b.states[stated(q.state)]++
	if q.hasTemp && (!b.hasTemp || q.tempMC > b.hottestMC) {
		b.hasTemp, b.hottestMC = true, q.tempMC
	}
}
