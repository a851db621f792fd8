package sim

import (
	"math/rand/v2"
	"slices"
)

// The faults, as bits in the order of Faults.
const (
	faultDuplicates = 1 << iota
	faultLate
	faultReset
	faultSpike
	faultJumpBack
	faultNoTS
	faultBadClock
	faultGap
	faultStuck
	faultX1000
)

// Faults lists the faults of piles and networks by name:
//   - duplicates: one message in 20 arrives again, at once or up to half an hour later
//   - late: one message in 30 is held back for 1 to 45 minutes
//   - reset: now and then a pile reboots, with its registers and its seq at 0
//   - spike: single values of a register that are off by many kWh
//   - jump_back: a register goes on from an older value
//   - no_ts: no message carries a time
//   - bad_clock: the clocks start at 1970-01-01
//   - gap: piles lose their network for a while and settle what ended meanwhile
//   - stuck: a meter repeats its last values for half an hour to two
//   - x1000: a register is shown a thousandfold for a few readings
func Faults() []string {
	return []string{"duplicates", "late", "reset", "spike", "jump_back",
		"no_ts", "bad_clock", "gap", "stuck", "x1000"}
}

// faults disturbs what is reported, never what is true.
type faults struct {
	rand   *rand.Rand
	meters []meter     // one a port; nil unless a meter can fail
	held   queue[held] // messages that the network brings later
	order  uint64
	set    int
}

// meter is what is wrong with one port's meter.
type meter struct {
	lost        int64 // mWh by which it shows too little
	stuckUntil  millis
	scaledUntil millis
	stuck       measured
}

type held struct {
	message Message
	at      millis
	order   uint64
}

func (h held) when() (millis, uint64) { return h.at, h.order }

func newFaults(names []string, seed uint64, ports int) faults {
	f := faults{rand: newRand(seed, entityFault, 0)}
	for i, name := range Faults() {
		if slices.Contains(names, name) {
			f.set |= 1 << i
		}
	}
	if f.has(faultReset | faultSpike | faultJumpBack | faultStuck | faultX1000) {
		f.meters = make([]meter, ports)
	}
	return f
}

// has reports whether one of the wanted faults is switched on.
func (f *faults) has(want int) bool { return f.set&want != 0 }

// strikes decides whether a fault that comes about once in mean begins in this interval.
func (f *faults) strikes(fault int, every, mean millis) bool {
	return f.has(fault) && chance(f.rand, float64(every)/float64(mean))
}

// reboot sets all registers of p, and its message number, to zero now and then.
func (f *faults) reboot(e *Estate, p *pile, at millis) {
	if !f.strikes(faultReset, e.every, 30*hour) {
		return
	}
	p.seq = 0
	for i := range p.ports {
		f.meters[e.key(p, i)].lost = p.ports[i].energy(at) / perMWh
	}
}

// reading gives what a port's meter shows for m. Meters fail while they have work.
func (f *faults) reading(key int, at, every millis, m measured) measured {
	if f.meters == nil {
		return m
	}
	t := &f.meters[key]
	busy := m.mw > 20_000 && at >= t.stuckUntil && at >= t.scaledUntil
	if busy && f.strikes(faultJumpBack, every, 15*hour) {
		t.lost += int64(between(f.rand, 200_000, 3_000_000))
	}
	if busy && f.strikes(faultX1000, every, 15*hour) {
		t.scaledUntil = at + 3*every
	}
	m.mwh = t.show(at, m.mwh)
	if busy && f.strikes(faultSpike, every, 6*hour) {
		off := int64(between(f.rand, 20_000_000, 500_000_000))
		if chance(f.rand, 0.5) && off < m.mwh {
			off = -off
		}
		m.mwh += off
	}
	if busy && f.strikes(faultStuck, every, 10*hour) {
		t.stuckUntil, t.stuck = at+spell(f.rand, 30, 120), m
	}
	if at < t.stuckUntil {
		return t.stuck
	}
	return m
}

// register gives what a port's register shows when it should show mwh.
func (f *faults) register(key int, at millis, mwh int64) int64 {
	if f.meters == nil {
		return mwh
	}
	return f.meters[key].show(at, mwh)
}

func (t *meter) show(at millis, mwh int64) int64 {
	shown := max(mwh-t.lost, 0)
	switch {
	case at < t.stuckUntil:
		return t.stuck.mwh
	case at < t.scaledUntil:
		return shown * 1000
	}
	return shown
}

// disturb repeats a message later, or brings it later.
func (e *Estate) disturb(m Message) (Message, bool) {
	f := &e.faults
	if f.has(faultDuplicates) && chance(f.rand, 1./20) {
		wait := spell(f.rand, 0.01, 0.8)
		if chance(f.rand, 0.2) {
			wait = spell(f.rand, 1, 30)
		}
		f.hold(m, e.now+wait)
	}
	if f.has(faultLate) && chance(f.rand, 1./30) {
		f.hold(m, e.now+spell(f.rand, 1, 45))
		return Message{}, false
	}
	return m, true
}

func (f *faults) hold(m Message, until millis) {
	m.Payload = slices.Clone(m.Payload)
	f.order++
	f.held.push(held{m, until, f.order})
}

// due gives the time of the first message that is held back.
func (f *faults) due() (at millis, ok bool) {
	if len(f.held) == 0 {
		return 0, false
	}
	return f.held[0].at, true
}

func (e *Estate) release(at millis) (Message, bool) {
	m := e.faults.held.pop().message
	m.At = e.instant(at)
	return m, true
}
