package safety

import (
	"fmt"
	"strings"

	"pilewatch/devices"
)

// pileOffline sees that a pile says nothing any more: two reports are missing,
// or the broker delivered its last will. Piles that fall silent together, at least
// group_piles and more than half of those that spoke, are one flag of the whole
// estate: a power cut.
//
// Why: a pile without power or network measures nothing, and silence must not
// look like an empty shed (domain.md, Overuse rules).
//
// The interval is learned from when the pile's messages are received: one that
// is silent for missed x the larger of that interval and floor_s is offline. A
// last will counts after will_s, in which the others' may come. What only time
// shows is judged in Silence. A flag's time is the instant at which the silence
// had become too long, whenever it was noticed, so that life and replay agree.
//
// How it can be wrong: a device that reports only what changes, and so says
// nothing for hours while idle: set a regular report. The gateway's own line to
// the broker: Wake says that it listens anew.
type pileOffline struct {
	*active
	missed      float64
	floor, will devices.Millis
	groupPiles  int
}

var pileOfflineDefaults = map[string]float64{"missed": 2, "floor_s": 60, "will_s": 20, "group_piles": 3}

func newPileOffline(t thresholds) detector {
	return &pileOffline{missed: t["missed"], floor: t.seconds("floor_s"), will: t.seconds("will_s"), groupPiles: int(t["group_piles"])}
}

// outage is a power cut of the estate that stands.
type outage struct {
	Piles []string       `json:"piles,omitempty"` // those that fell silent
	Still int            `json:"still,omitempty"` // how many of them are silent
	Ended devices.Millis `json:"ended,omitempty"` // the newest one
}

const (
	// firstInterval is what is taken for a pile that was heard once.
	firstInterval = 5 * 60_000
	// restMax is how long Silence may not have been called before nobody listened.
	restMax = 10 * 60_000
	// together is how far apart two words of a pile are one message in parts.
	together = 5_000
	// intervalMax bounds what a hole teaches.
	intervalMax = 30 * 60_000
	// outageNames is how many piles of a power cut are named in its sentence.
	outageNames = 6
)

// hear notes that a pile spoke.
func (e *Engine) hear(name string, received devices.Millis) *pile {
	p := e.pile(name)
	gap := received - p.Heard
	switch {
	case p.Heard == 0 || gap < -intervalMax: // the first, or the clock was set back
		p.Heard = received
	case gap < together:
	default:
		p.Heard = received
		p.Interval = learned(p.Interval, min(gap, intervalMax))
	}
	p.Will = 0
	if e.offline != nil {
		e.offline.back(e, p, received)
	}
	return p
}

// learned follows an interval: quickly up, slowly down, so that it is rather one
// of the longer ones.
func learned(interval, gap devices.Millis) devices.Millis {
	switch {
	case interval == 0:
		return gap
	case gap > interval:
		return interval + (gap-interval)/8
	}
	return interval - (interval-gap)/64
}

// Wake says that nobody listened until now: at the start, or when the connection to the
// broker comes back. Silence counts from the next call of Silence on.
func (e *Engine) Wake() { e.asleep = true }

// Silence raises what only the passing of time shows. now is the clock that
// stamps receipts; it is to be called every few seconds of it. Where it was not
// called for ten minutes, nobody listened.
func (e *Engine) Silence(now devices.Millis, emit func(FlagChange)) {
	if e.asleep || now-e.ticked > restMax || now < e.ticked {
		e.listens, e.asleep = now, false
	}
	e.ticked = now
	if e.offline == nil {
		return
	}
	e.emit = emit
	e.received = max(e.received, now)
	e.offline.silence(e, now)
	e.emit = nil
}

// silence flags the piles that are silent for too long, together or each alone.
func (r *pileOffline) silence(e *Engine, now devices.Millis) {
	var newly []*pile
	spoke, quiet := 0, 0
	for _, name := range e.names() {
		p := e.piles[name]
		if p.Out || p.Heard == 0 && p.Will == 0 || p.Whole.flags().level(r.ID) > none {
			continue
		}
		spoke++
		if r.late(e, p, now) {
			quiet++
		}
		if at := r.deadline(e, p); now >= at {
			newly = append(newly, p)
		}
	}
	switch {
	case len(newly) == 0:
	case quiet >= r.groupPiles && 2*quiet > spoke:
		r.cut(e, now, newly)
	default:
		for _, p := range newly {
			at := place{p, p.place(0)}
			e.raise(at, r.active, "", warning, max(r.deadline(e, p), e.outage.Ended), r.tell(p))
		}
	}
}

// since is when a pile was last known to be there.
func (e *Engine) since(p *pile) devices.Millis { return max(p.Heard, e.listens) }

// deadline is when the silence of a pile is too long.
func (r *pileOffline) deadline(e *Engine, p *pile) devices.Millis {
	at := e.since(p) + devices.Millis(r.missed*float64(max(p.interval(), r.floor)))
	if p.Will != 0 {
		at = min(at, p.Will+r.will)
	}
	return at
}

// late reports whether one report is missing already, or the last will came.
func (r *pileOffline) late(e *Engine, p *pile, now devices.Millis) bool {
	return p.Will != 0 || now-e.since(p) > p.interval()*5/4+together
}

func (p *pile) interval() devices.Millis {
	if p.Interval == 0 {
		return firstInterval
	}
	return p.Interval
}

// cut raises the one flag of a power cut, for all who are late.
func (r *pileOffline) cut(e *Engine, now devices.Millis, newly []*pile) {
	when := now
	for _, p := range newly {
		when = min(when, r.deadline(e, p))
	}
	e.outage.Piles, e.outage.Still = nil, 0
	for _, name := range e.names() {
		p := e.piles[name]
		if p.Whole.flags().level(r.ID) == none && (p.Heard != 0 || p.Will != 0) && r.late(e, p, now) {
			p.Out = true
			e.outage.Piles = append(e.outage.Piles, name)
			e.outage.Still++
		}
	}
	n := len(e.outage.Piles)
	s := story{suspicion: "hardware"}
	names := strings.Join(e.outage.Piles[:min(n, outageNames)], "、")
	if n > outageNames {
		names += " …"
	}
	s.zh = fmt.Sprintf("%d 台桩（%s）同时失去联系，像是停电或网络中断", n, names)
	s.en = fmt.Sprintf("%d piles (%s) fell silent together, as in a power cut or a broken network", n, strings.ReplaceAll(names, "、", ", "))
	s.adviceZH = "请查看小区供电和网络；恢复供电后留意各插口是否自动恢复充电。"
	s.adviceEN = "Look at the estate's power supply and network; afterwards see whether the ports charge again."
	s.numbers = numbers{"piles": e.outage.Piles}
	e.raise(place{}, r.active, "", warning, when, s)
}

// back clears what was said of a pile that speaks again. A power cut is over
// when more than half of its piles are back; who is silent still has a flag of
// its own from then on.
func (r *pileOffline) back(e *Engine, p *pile, received devices.Millis) {
	if p.Whole != nil {
		e.clear(place{p, p.Whole}, r.ID, "", received)
	}
	if !p.Out {
		return
	}
	p.Out = false
	if e.outage.Still--; 2*e.outage.Still >= len(e.outage.Piles) {
		return
	}
	e.endOutage(received)
	e.clear(place{}, r.ID, "", received)
}

// endOutage lets who was part of a power cut be judged alone again.
func (e *Engine) endOutage(at devices.Millis) {
	for _, name := range e.outage.Piles {
		e.piles[name].Out = false
	}
	e.outage = outage{Ended: at}
}

func (r *pileOffline) tell(p *pile) story {
	s := story{suspicion: "hardware"}
	if p.Will != 0 {
		s.zh, s.en = "充电桩已断线", "the pile went off line"
	} else {
		s.zh = fmt.Sprintf("充电桩失去联系，平时约 %d 秒上报一次", p.interval()/1000)
		s.en = fmt.Sprintf("the pile says nothing any more; it used to report every %d s", p.interval()/1000)
	}
	s.adviceZH = "请查看该桩的电源和网络信号；失联期间的充电由桩自身计量。"
	s.adviceEN = "Look at the pile's power and network; while it is away it meters by itself."
	s.numbers = numbers{"last_heard": int64(p.Heard / 1000), "interval_s": int64(p.interval() / 1000), "last_will": p.Will != 0, "thresholds": r.t}
	return s
}
