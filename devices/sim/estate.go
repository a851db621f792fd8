package sim

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Config says what to simulate. Only From must be set.
type Config struct {
	Estate   string         // in the topics; "fuxing" when empty
	Scenario string         // one of Scenarios; the first when empty
	Faults   []string       // of Faults
	Seed     uint64         // another seed, other people
	Piles    int            // 8 when 0; the estate has a building and its residents for each
	Ports    int            // of each pile, up to 255; 8 when 0
	Interval time.Duration  // between a pile's telemetry messages; 60 s when 0
	From     time.Time      // the first instant
	To       time.Time      // the end, excluded; zero for no end (scenario "day": a day after From)
	Live     time.Time      // when people start to look: some unsafe uses are under way then; zero for none
	Location *time.Location // of habits, seasons and time stamps; UTC+8 when nil
	// OnTruth hears each use of a port when it ends, from within Next; nil is fine.
	OnTruth func(Truth)
}

// Scenarios lists the scenarios by name: the estate with its residents, every
// port charging all the time, and a day of the estate with every unsafe use.
func Scenarios() []string { return []string{"estate", "steady", "day"} }

// maxPorts bounds the size of one estate: a million ports take about 260 MB.
const maxPorts = 4_000_000

// Estate is a simulated estate. It is used by one goroutine at a time.
type Estate struct {
	id                   string
	seed                 uint64
	location             *time.Location
	onTruth              func(Truth)
	from, to, now, every millis
	piles                []pile
	bikes                []bike
	steady               []*Curve // what the ports charge in the scenario "steady"; else nil
	tasks                queue[task]
	ordered              uint64 // tasks scheduled so far
	round                int64  // of telemetry: each pile once
	turn                 int    // the pile whose telemetry is next
	weather              weather
	stamps               stamps
	unsafe               deck
	faults               faults
	buf                  []byte // the payload in hand
}

// New builds an estate. The error names the value that cannot be used and what can.
func New(c Config) (*Estate, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e := &Estate{
		id: c.Estate, seed: c.Seed, location: c.Location, onTruth: c.OnTruth,
		from: c.From.UnixMilli(), to: never, every: c.Interval.Milliseconds(),
		buf: make([]byte, 0, 256+170*c.Ports),
	}
	if !c.To.IsZero() {
		e.to = c.To.UnixMilli()
	}
	e.now = e.from
	e.weather = weather{seed: c.Seed, location: c.Location}
	e.stamps = stamps{location: c.Location}
	e.faults = newFaults(c.Faults, c.Seed, c.Piles*c.Ports)
	e.build(c.Piles, c.Ports)
	e.planGaps()
	if c.Scenario == "steady" {
		e.fillPorts()
		return e, nil
	}
	e.moveIn()
	e.planUnsafe(c)
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Estate == "" {
		c.Estate = "fuxing"
	}
	if c.Scenario == "" {
		c.Scenario = Scenarios()[0]
	}
	if c.Piles == 0 {
		c.Piles = buildings
	}
	if c.Ports == 0 {
		c.Ports = 8
	}
	if c.Interval == 0 {
		c.Interval = time.Minute
	}
	if c.Location == nil {
		c.Location = time.FixedZone("CST", 8*60*60)
	}
	if c.To.IsZero() && c.Scenario == "day" {
		c.To = c.From.Add(24 * time.Hour)
	}
	return c
}

func (c Config) check() error {
	switch {
	case strings.ContainsAny(c.Estate, "/+#\x00"):
		return fmt.Errorf("estate %q: it is one level of a topic, so leave out / + and #", c.Estate)
	case !slices.Contains(Scenarios(), c.Scenario):
		return fmt.Errorf("scenario %q: choose one of %s", c.Scenario, strings.Join(Scenarios(), ", "))
	case c.Ports < 1 || c.Ports > 255:
		return fmt.Errorf("ports %d: a pile has 1 to 255", c.Ports)
	case c.Piles < 1 || c.Piles > maxPorts/c.Ports:
		return fmt.Errorf("piles %d: 1 to %d piles of %d ports can be simulated", c.Piles, maxPorts/c.Ports, c.Ports)
	case c.Interval < time.Second || c.Interval > time.Hour || c.Interval%time.Millisecond != 0:
		return fmt.Errorf("interval %s: whole milliseconds from 1s to 1h", c.Interval)
	case c.From.Unix() < 0:
		return fmt.Errorf("from %s: give the first instant, after 1970", c.From.Format(time.RFC3339))
	case !c.To.IsZero() && !c.To.After(c.From):
		return fmt.Errorf("to %s: it must be after from %s", c.To.Format(time.RFC3339), c.From.Format(time.RFC3339))
	}
	for _, f := range c.Faults {
		if !slices.Contains(Faults(), f) {
			return fmt.Errorf("fault %q: choose of %s", f, strings.Join(Faults(), ", "))
		}
	}
	return nil
}

// Message is one MQTT message of a pile.
type Message struct {
	Topic    string
	Payload  []byte // valid until the next message is asked for
	At       time.Time
	Retained bool
	QoS      byte
}

// Next gives the next message; At never falls. ok is false at the end of the span,
// and with it for ever.
func (e *Estate) Next() (m Message, ok bool) {
	for {
		pile := &e.piles[e.turn]
		at, source := e.from+e.round*e.every+pile.offset, e.report
		if held, ok := e.faults.due(); ok && held <= at {
			at, source = held, e.release
		}
		if len(e.tasks) > 0 && e.tasks[0].at <= at {
			at, source = e.tasks[0].at, e.work
		}
		if at >= e.to {
			return Message{}, false
		}
		e.now = max(e.now, at)
		if m, ok := source(at); ok {
			return m, true
		}
	}
}

// All gives the messages from where the estate is. Breaking off and asking again goes on.
func (e *Estate) All() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for m, ok := e.Next(); ok && yield(m); m, ok = e.Next() {
		}
	}
}

// report gives the telemetry of the pile whose turn it is.
func (e *Estate) report(at millis) (Message, bool) {
	p := &e.piles[e.turn]
	if e.turn++; e.turn == len(e.piles) {
		e.turn = 0
		e.round++
	}
	e.warm(p, at)
	if p.silent != 0 {
		return Message{}, false
	}
	return e.disturb(e.message(p.topic, at, e.telemetry(p, at)))
}

// work does the next task. Some of it is told at once.
func (e *Estate) work(at millis) (m Message, ok bool) {
	t := e.tasks.pop()
	switch t.kind {
	case taskArrive:
		e.arrive(t.index, at)
		return
	case taskUnsafe:
		e.enact(t.plan, at)
		return
	case taskDeal:
		e.deal(at)
		return
	}
	p := &e.piles[t.index]
	switch t.kind {
	case taskPort:
		m, ok = e.advance(p, int(t.port), at)
	case taskWill, taskOnline:
		m, ok = e.connection(p, t.kind, at)
	case taskSettle:
		m, ok = e.settle(p, t, at)
	case taskRefill:
		e.seat(p, int(t.port), e.nextGuest(p, int(t.port), at), at)
	case taskGap:
		e.gap(p, at)
	}
	return m, ok
}

// schedule puts t in the queue. A pile says two things of a port never in the
// same millisecond, or the second would look like a repetition of the first.
func (e *Estate) schedule(t task) {
	if t.kind == taskPort && (t.at-e.from-e.piles[t.index].offset)%e.every == 0 {
		t.at++
	}
	e.ordered++
	t.order = e.ordered
	e.tasks.push(t)
}

func (e *Estate) message(topic string, at millis, payload []byte) Message {
	return Message{Topic: topic, Payload: payload, At: e.instant(at), QoS: 1}
}

func (e *Estate) instant(at millis) time.Time { return time.UnixMilli(at).In(e.location) }
