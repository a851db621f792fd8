package sim

import (
	"strconv"

	"pilewatch/devices"
)

// appendMilli writes thousandths as a decimal without needless zeros.
func appendMilli(b []byte, v int64) []byte {
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	b = strconv.AppendInt(b, v/1000, 10)
	v %= 1000
	if v == 0 {
		return b
	}
	b = append(b, '.', byte('0'+v/100))
	if v%100 != 0 {
		b = append(b, byte('0'+v/10%10))
	}
	if v%10 != 0 {
		b = append(b, byte('0'+v%10))
	}
	return b
}

// tenths rounds thousandths to what a meter shows.
func tenths(x float64) int64 { return int64(x/100+0.5) * 100 }

func appendCard(b []byte, card uint32) []byte {
	const digits = "0123456789ABCDEF"
	b = append(b, `,"card":"`...)
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[card>>shift&15])
	}
	return append(b, '"')
}

// appendOrder writes an order number that no other session ever has.
func appendOrder(b []byte, p *pile, index int, v *visit) []byte {
	b = append(append(b, p.id...), '-')
	b = append(strconv.AppendInt(b, int64(index+1), 10), '-')
	return strconv.AppendInt(b, v.start/second, 10)
}

// appendHead begins a message of p with its time and number.
func (e *Estate) appendHead(b []byte, p *pile, at millis) []byte {
	b = append(b, '{')
	if !e.faults.has(faultNoTS) {
		b = append(b, `"ts":"`...)
		b = e.stamps.append(b, e.deviceTime(at))
		b = append(b, `",`...)
	}
	b = append(b, `"seq":`...)
	p.seq++
	return strconv.AppendInt(b, p.seq, 10)
}

// telemetry writes what p measures at the time, into the buffer in hand.
func (e *Estate) telemetry(p *pile, at millis) []byte {
	e.faults.reboot(e, p, at)
	air, noise := e.weather.at(at), p.noise.Uint64()
	var sum int64
	for i := range p.ports {
		sum += p.ports[i].energy(at) / perMWh
	}
	b := e.appendHead(e.buf[:0], p, at)
	b = appendMilli(append(b, `,"temp_c":`...), 100*int64(10*(air.ambient+3+0.3*unit(noise))))
	b = strconv.AppendInt(append(b, `,"rssi":`...), int64(p.rssi)+int64(noise>>16&3), 10)
	b = appendMilli(append(b, `,"main_wh":`...), e.mainMWh(p, sum, at))
	b = append(b, `,"ports":[`...)
	volts := min(max(air.volts+float64(p.volts)+2*unit(noise>>32), 220), 235)
	for i := range p.ports {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.appendPort(b, p, i, at, volts, air.ambient)
	}
	b = append(b, "]}"...)
	e.buf = b
	return b
}

// measured is what a port's meter shows: mW, mVA and mWh.
type measured struct {
	mw, mva float64
	mwh     int64
}

func (e *Estate) appendPort(b []byte, p *pile, i int, at millis, volts, ambient float64) []byte {
	o := &p.ports[i]
	mw, mva, energy := o.draw(at)
	m := measured{mw, mva, (o.done + energy) / perMWh}
	if mw > 0 { // meters are good to 1 %
		noise := p.noise.Uint64()
		off := 1 + 0.008*(unit(noise)+unit(noise>>16))
		m.mw, m.mva = mw*off, mva*off
	}
	m = e.faults.reading(e.key(p, i), at, e.every, m)
	b = strconv.AppendInt(append(b, `{"port":`...), int64(i+1), 10)
	b = append(append(append(b, `,"state":"`...), o.state.String()...), '"')
	b = appendMilli(append(b, `,"w":`...), tenths(m.mw))
	if m.mw > 0 {
		b = appendMilli(append(b, `,"v":`...), tenths(volts*1000))
		b = appendMilli(append(b, `,"a":`...), int64(m.mva/volts+0.5))
		b = appendMilli(append(b, `,"pf":`...), int64(m.mw/m.mva*100+0.5)*10)
	}
	b = appendMilli(append(b, `,"wh":`...), m.mwh)
	v := o.visit
	if v == nil {
		return append(b, '}')
	}
	b = appendMilli(append(b, `,"temp_c":`...), tenths(1000*max(ambient+1.5+float64(o.warm), 0)))
	if !v.silent {
		b = appendCard(b, v.card)
		if v.stage == running || v.stage == resting {
			b = appendOrder(append(b, `,"order":"`...), p, i, v)
			b = append(b, '"')
		}
	}
	return append(b, '}')
}

// event is something to tell of a port.
type event struct {
	kind   devices.EventKind
	port   int
	visit  *visit
	energy int64 // the register in mWh, -1 for none
}

// tell gives the event's message. A pile that is silent tells nothing, now or later.
func (e *Estate) tell(p *pile, at millis, ev event) (Message, bool) {
	v := ev.visit
	if p.silent != 0 {
		v.offline = true
		return Message{}, false
	}
	b := e.appendHead(e.buf[:0], p, at)
	b = strconv.AppendInt(append(b, `,"port":`...), int64(ev.port+1), 10)
	b = append(append(append(b, `,"event":"`...), ev.kind.String()...), '"')
	switch ev.kind {
	case devices.EventAlarm:
		b = append(append(append(b, `,"alarm":"`...), v.alarmKind...), '"')
	case devices.EventStart, devices.EventStop:
		b = append(appendOrder(append(b, `,"order":"`...), p, ev.port, v), '"')
	}
	if ev.kind != devices.EventAlarm {
		b = appendCard(b, v.card)
	}
	if ev.kind == devices.EventStop {
		b = append(append(append(b, `,"reason":"`...), v.reason...), '"')
	}
	if ev.energy >= 0 {
		wh := e.faults.register(e.key(p, ev.port), at, ev.energy)
		b = appendMilli(append(b, `,"wh":`...), wh)
	}
	e.buf = append(b, '}')
	return e.disturb(e.message(e.topic(p, "event"), at, e.buf))
}

// settlement writes a whole order that p kept while it was silent.
func (e *Estate) settlement(p *pile, t *Truth, at millis) []byte {
	b := e.appendHead(e.buf[:0], p, at)
	b = strconv.AppendInt(append(b, `,"event":"settle","port":`...), int64(t.Port), 10)
	b = append(append(append(b, `,"order":"`...), t.Order...), `","card":"`...)
	b = append(append(b, t.Card...), `","start":"`...)
	b = e.stamps.append(b, e.deviceTime(t.Start.UnixMilli()))
	b = e.stamps.append(append(b, `","end":"`...), e.deviceTime(t.End.UnixMilli()))
	b = appendMilli(append(b, `","energy_wh":`...), t.EnergyMWh)
	e.buf = append(append(append(b, `,"reason":"`...), t.Reason...), `"}`...)
	return e.buf
}

// deviceTime is what the pile's own clock says.
func (e *Estate) deviceTime(at millis) millis {
	if e.faults.has(faultBadClock) {
		return at - e.from
	}
	return at
}

func (e *Estate) topic(p *pile, last string) string {
	return "pilewatch/v1/" + e.id + "/" + p.id + "/" + last
}

func (e *Estate) key(p *pile, index int) int { return int(p.index)*len(p.ports) + index }
