package sim

// willDelay is how long the broker waits before it publishes a pile's last will.
const willDelay = 90 * second

// Piles repeat a settlement until somebody acknowledges it; nobody does.
const (
	settleTimes = 3
	settleEvery = 30 * minute
)

// silence cuts p off for a time. Charging goes on, and its orders are told later.
func (e *Estate) silence(p *pile, at, length millis) {
	if p.silent != 0 {
		return
	}
	p.silent = at
	for i := range p.ports {
		if v := p.ports[i].visit; v != nil {
			v.offline = true
		}
	}
	e.schedule(task{at: at + willDelay, kind: taskWill, index: p.index})
	e.schedule(task{at: at + length, kind: taskOnline, index: p.index})
}

// connection gives the retained status when a pile is lost, and when it is (again) there.
func (e *Estate) connection(p *pile, kind kind, at millis) (Message, bool) {
	m := e.message(e.topic(p, "status"), at, append(e.buf[:0], "offline"...))
	m.Retained = true
	if kind == taskWill {
		return m, true
	}
	if p.silent != 0 {
		since := e.instant(p.silent)
		e.record(Truth{Pile: p.id, Label: PileOffline, Start: since, Onset: since, End: e.instant(at)})
	}
	for i := range p.kept {
		told := p.kept[i]
		for n := range millis(settleTimes) {
			when := at + millis(i+1)*second + n*settleEvery
			e.schedule(task{at: when, kind: taskSettle, index: p.index, kept: &told})
		}
	}
	p.silent, p.kept = 0, nil
	m.Payload = append(e.buf[:0], "online"...)
	return m, true
}

// settle tells a kept order, or waits when the pile is silent again.
func (e *Estate) settle(p *pile, t task, at millis) (Message, bool) {
	if p.silent != 0 {
		t.at = at + settleEvery
		e.schedule(t)
		return Message{}, false
	}
	return e.disturb(e.message(e.topic(p, "event"), at, e.settlement(p, t.kept, at)))
}

func (e *Estate) planGaps() {
	if !e.faults.has(faultGap) {
		return
	}
	for i := range e.piles {
		e.schedule(task{at: e.from + spell(e.faults.rand, 120, 900), kind: taskGap, index: int32(i)})
	}
}

// gap makes p silent for 20 minutes to 3 hours, about once a day.
func (e *Estate) gap(p *pile, at millis) {
	e.silence(p, at, spell(e.faults.rand, 20, 180))
	e.schedule(task{at: at + spell(e.faults.rand, 900, 1900), kind: taskGap, index: p.index})
}
