package sim

import (
	"math"

	"pilewatch/devices"
)

// load is a curve that is switched on at an instant.
type load struct {
	curve *Curve
	at    millis
}

// stage is how far a visit has come.
type stage uint8

const (
	arrived stage = iota // plugged in
	seated               // the card is read
	running              // the relay is closed
	resting              // full: the relay is open, the session goes on until somebody unplugs
	leaving              // the pile ended the session; the plug is still in
)

const never = math.MaxInt64

// cutOff is how long a pile lets one charge last.
const cutOff = 12 * hour

// visit is one use of a port, from plugging in to unplugging.
type visit struct {
	loads     []load
	household *bike // whose card it is; nil in the steady scenario and for silent draws
	reason    string
	alarmKind string
	label     Label
	start     millis
	onset     millis // when it becomes unsafe
	end       millis // the relay opens
	leave     millis // the plug is pulled
	alarm     millis // 0 for none
	register  int64  // mWh at the start
	card      uint32
	wear      float32 // how much warmer than usual the contact gets; 1 is usual
	stage     stage
	silent    bool // power without a session: no card, no events, the port says idle
	offline   bool // the pile was silent at some time of it
	returns   bool // the bike is back with its second pack at once
}

// port is the state of one socket; there may be a million.
type port struct {
	done  int64 // mW·ms through the register before the present visit
	visit *visit
	warm  float32 // °C over ambient
	state devices.PortState
}

// energy gives the register in mW·ms.
func (o *port) energy(at millis) int64 {
	_, _, e := o.draw(at)
	return o.done + e
}

// draw gives active power in mW, apparent power in mVA and the visit's energy in mW·ms.
func (o *port) draw(at millis) (mw, mva float64, energy int64) {
	if o.visit == nil || o.visit.stage != running {
		return 0, 0, 0
	}
	for _, l := range o.visit.loads {
		w, e := l.curve.at(at - l.at)
		mw, mva, energy = mw+w, mva+w/l.curve.pf, energy+e
	}
	return mw, mva, energy
}

// readCard is the time from plugging in to reading the card; a visit starts later than that.
const readCard = second

// seat begins a visit: the plug is in.
func (e *Estate) seat(p *pile, index int, v *visit, at millis) {
	o := &p.ports[index]
	o.visit = v
	if !v.silent {
		o.state = devices.StatePlugged
	}
	e.schedule(task{at: at + readCard, kind: taskPort, index: p.index, port: int16(index)})
}

// advance takes the port's visit to its next stage, at the time that was planned for it.
func (e *Estate) advance(p *pile, index int, at millis) (Message, bool) {
	v := p.ports[index].visit
	switch {
	case v.stage == arrived:
		v.stage = seated
		e.schedule(task{at: v.start, kind: taskPort, index: p.index, port: int16(index)})
		if v.silent {
			return Message{}, false
		}
		return e.tell(p, at, event{kind: devices.EventCard, port: index, visit: v, energy: -1})
	case v.stage == seated:
		return e.switchOn(p, index, at)
	case v.stage == running && v.alarm != 0:
		v.alarm = 0
		e.schedule(task{at: v.end, kind: taskPort, index: p.index, port: int16(index)})
		return e.tell(p, at, event{kind: devices.EventAlarm, port: index, visit: v, energy: -1})
	case v.stage == running:
		return e.switchOff(p, index, at)
	case v.stage == resting:
		return e.stop(p, index, at)
	default:
		e.free(p, index, at)
		return Message{}, false
	}
}

func (e *Estate) switchOn(p *pile, index int, at millis) (Message, bool) {
	o := &p.ports[index]
	v := o.visit
	v.stage, v.start, v.onset = running, at, max(v.onset, at)
	v.offline = v.offline || p.silent != 0
	v.register = o.done / perMWh
	next := v.end
	if v.alarm != 0 {
		next = v.alarm
	}
	e.schedule(task{at: next, kind: taskPort, index: p.index, port: int16(index)})
	if v.silent {
		return Message{}, false
	}
	o.state = devices.StateCharging
	return e.tell(p, at, event{kind: devices.EventStart, port: index, visit: v, energy: o.done / perMWh})
}

// switchOff opens the relay. A full battery's session goes on until it is unplugged.
func (e *Estate) switchOff(p *pile, index int, at millis) (Message, bool) {
	o := &p.ports[index]
	v := o.visit
	if v.silent || v.reason != "full" {
		return e.stop(p, index, at)
	}
	o.done, v.stage, o.state = o.energy(at), resting, devices.StateFull
	e.schedule(task{at: v.leave, kind: taskPort, index: p.index, port: int16(index)})
	return Message{}, false
}

// stop ends the session; the port is free at once, or when the plug is pulled.
func (e *Estate) stop(p *pile, index int, at millis) (Message, bool) {
	o := &p.ports[index]
	v := o.visit
	t := e.truthOf(p, index, at, true)
	e.record(t)
	if v.stage == running {
		o.done = o.energy(at)
	}
	v.stage = leaving
	if v.silent {
		e.free(p, index, at)
		return Message{}, false
	}
	if p.silent != 0 {
		p.kept = append(p.kept, t)
	}
	said := event{kind: devices.EventStop, port: index, visit: v, energy: o.done / perMWh}
	m, ok := e.tell(p, at, said)
	switch v.reason {
	case "full", "unplugged":
		e.free(p, index, at)
	case "time_limit":
		o.state = devices.StatePlugged
		e.schedule(task{at: v.leave, kind: taskPort, index: p.index, port: int16(index)})
	default:
		o.state = devices.StateFault
		e.schedule(task{at: v.leave, kind: taskPort, index: p.index, port: int16(index)})
	}
	return m, ok
}

// free takes the plug out.
func (e *Estate) free(p *pile, index int, at millis) {
	o := &p.ports[index]
	v := o.visit
	o.visit, o.state = nil, devices.StateIdle
	if v.household != nil {
		e.released(v.household, v, at)
	}
	if e.steady != nil {
		e.refill(p, index, at)
	}
}
