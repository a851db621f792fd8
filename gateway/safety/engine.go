package safety

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// FlagChange is a flag that was raised, rose in severity, or was cleared.
type FlagChange struct {
	Flag    *ledger.Flag   // a copy of its own
	Cleared bool           //
	At      devices.Millis // by the gateway's clock: receipt of the entry, or the instant given to Silence
	Card    string         // of the session that the flag is about; never shown
}

// Engine applies the rules. It is for one goroutine at a time.
type Engine struct {
	rules     []*active
	watchers  []watching
	listeners []listening
	followers []following
	hourlies  []following
	meters    []following
	holidays  []Days
	offline   *pileOffline // nil when that rule is off

	registry registry
	loc      *time.Location
	piles    map[string]*pile
	order    []string // their names: see names
	sorted   bool     // they are
	latest   *pile    // found last
	cards    map[string]*cardMemory
	hour     devices.Millis // the newest hour of receipt that was looked at
	outage   outage
	flags    flags // of the estate as a whole
	limits   limits
	received devices.Millis // receipt of the newest entry
	listens  devices.Millis // since when silence is counted
	ticked   devices.Millis // the newest instant given to Silence
	asleep   bool           // the next Silence begins to listen
	due      *place         // a port whose newest reading was not judged yet
	dueAt    place          // what due points to

	emit func(FlagChange)
}

// active is a rule that runs.
type active struct {
	*Rule
	t thresholds
}

type watching struct {
	*active
	watcher
}

type listening struct {
	*active
	listener
}

// following is a rule of one of the rarer kinds.
type following struct {
	*active
	d detector
}

// pile is what is remembered of one pile.
type pile struct {
	Name     string         `json:"name"`
	Heard    devices.Millis `json:"heard,omitempty"`     // receipt of its newest word
	Interval devices.Millis `json:"interval,omitempty"`  // between its words
	Will     devices.Millis `json:"will,omitempty"`      // receipt of its last will, when it has not spoken since
	Out      bool           `json:"out,omitempty"`       // one of the standing outage
	PortsMWh int64          `json:"ports_mwh,omitempty"` // what its ports delivered, as far as readings tell
	Whole    *port          `json:"-"`                   // port 0: the pile as a whole; nil while nothing is said of it
	Ports    []*port        `json:"-"`                   // ascending by number
	Meter    *meter         `json:"meter,omitempty"`     // nil for a pile without one
}

// registry is what the rules use of the settings.
type registry struct {
	Known devices.Millis          `json:"known,omitempty"` // receipt of the first settings
	Zone  string                  `json:"zone,omitempty"`
	Piles map[string]session.Pile `json:"piles,omitempty"`
	Cards map[string]session.Card `json:"cards,omitempty"`
}

// place is where a flag stands. Without a pile it is the estate as a whole.
type place struct {
	pile *pile
	port *port // Number 0: the pile as a whole
}

// New makes an engine that has seen nothing. Rules that r does not speak of run
// with their defaults.
func New(r Rules) *Engine {
	e := &Engine{limits: unlimited, piles: map[string]*pile{}, loc: location(session.DefaultSettings().TimeZone), asleep: true, cards: map[string]*cardMemory{}, holidays: r.Holidays}
	for i := range All {
		rule := &All[i]
		if r.Off[rule.ID] {
			continue
		}
		t := thresholds(maps.Clone(rule.Defaults))
		maps.Copy(t, r.Values[rule.ID])
		a := &active{Rule: rule, t: t}
		e.rules = append(e.rules, a)
		d := rule.build(t)
		if s, ok := d.(modeller); ok {
			s.limit(&e.limits)
		}
		if w, ok := d.(watcher); ok {
			e.watchers = append(e.watchers, watching{a, w})
		}
		if l, ok := d.(listener); ok {
			e.listeners = append(e.listeners, listening{a, l})
		}
		for _, x := range []struct {
			is bool
			to *[]following
		}{{is[follower](d), &e.followers}, {is[hourly](d), &e.hourlies}, {is[meterer](d), &e.meters}} {
			if x.is {
				*x.to = append(*x.to, following{a, d})
			}
		}
		if o, ok := d.(*pileOffline); ok {
			o.active = a
			e.offline = o
		}
	}
	return e
}

func is[T any](d detector) bool { _, ok := d.(T); return ok }

// location gives a time zone; UTC for one that is unknown here.
func location(zone string) *time.Location {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Apply takes the next entry of the journal, and gives what follows from it to
// emit, which may be nil. Flags and ticks of the clock are passed over. The newest reading is
// judged when the next entry that is no session change arrives, because the
// session that it opened or closed stands behind it in the journal: see Settle.
func (e *Engine) Apply(entry *ledger.Entry, emit func(FlagChange)) {
	if entry.Kind == ledger.KindFlag {
		return
	}
	e.emit = emit
	if entry.Kind != ledger.KindSession {
		e.settle()
	}
	e.received = max(e.received, entry.Received)
	if h := e.received - e.received%(60*minute); h > e.hour {
		e.hour = h
		if e.registry.Known == 0 {
			e.registry.Known = e.received
		}
		for _, f := range e.hourlies {
			f.d.(hourly).hour(e, f.active, h)
		}
	}
	switch entry.Kind {
	case ledger.KindReading:
		e.reading(&entry.Reading, entry.Received)
	case ledger.KindEvent:
		e.event(entry.Event, entry.Received)
	case ledger.KindStatus:
		e.status(entry.Status, entry.Received)
	case ledger.KindSettings:
		e.configure(entry.Settings)
	case ledger.KindSession:
		e.session(entry.Change, entry.Session)
	}
	e.emit = nil
}

// Settle judges the newest reading. To be called when nothing follows it for
// now: when its entry was the journal's last.
func (e *Engine) Settle(emit func(FlagChange)) {
	e.emit = emit
	e.settle()
	e.emit = nil
}

func (e *Engine) settle() {
	if e.due == nil {
		return
	}
	at := *e.due
	e.due = nil
	at.port.ask(&e.limits)
	flags := at.port.flags()
	charges, flagged := at.port.Charge.open(), flags.stand()
	for i := range e.watchers {
		w, stands := &e.watchers[i], none
		switch {
		case flagged:
			stands = flags.level(w.ID)
		case w.ofCharge && !charges:
			continue // none: most ports, most of the time
		}
		if l := w.see(at.port, stands); l > unsure && l != stands {
			e.judge(w, at, l, stands)
		}
	}
}

// judge raises or clears what a watcher sees.
func (e *Engine) judge(w *watching, at place, l, stands level) {
	switch {
	case l == none && stands > none:
		e.clear(at, w.ID, "", at.port.Now)
	case l > none && l > stands:
		e.raise(at, w.active, "", l, at.port.Now, w.tell(at.port, l))
	}
}

func (e *Engine) reading(r *devices.Reading, received devices.Millis) {
	p := e.hear(r.Pile, received)
	at := place{p, p.port(r.Port)}
	for i := range e.listeners {
		e.listeners[i].reading(e, e.listeners[i].active, at, r)
	}
	at.port.State = r.State
	if c := at.port.Charge; c != nil && r.State == devices.StateFull {
		c.Full = true
	}
	if at.port.take(r) {
		p.PortsMWh += at.port.stepMWh()
		e.dueAt = at
		e.due = &e.dueAt
	}
}

func (e *Engine) event(ev *devices.Event, received devices.Millis) {
	p := e.hear(ev.Pile, received)
	at := place{p, p.place(ev.Port)}
	for i := range e.listeners {
		e.listeners[i].event(e, e.listeners[i].active, at, ev)
	}
}

func (e *Engine) status(s *devices.Status, received devices.Millis) {
	if s.Has.Has(devices.HasOnline) && !s.Online {
		p := e.pile(s.Pile)
		p.Will = received // the broker says it, not the pile
		return
	}
	p := e.hear(s.Pile, received)
	for _, f := range e.meters {
		f.d.(meterer).status(e, f.active, p, s)
	}
}

func (e *Engine) configure(s *session.Settings) {
	e.registry = registry{Known: e.registry.Known, Zone: s.TimeZone, Piles: s.Piles, Cards: s.Cards}
	e.loc = location(s.TimeZone)
}

// session follows the session of a port.
func (e *Engine) session(change session.ChangeKind, s *session.Session) {
	p := e.pile(s.Pile)
	at := place{p, p.port(s.Port)}
	early, full := at.port.Charge.early(s), at.port.Charge.full(s)
	e.takeSession(change, s, at)
	e.remember(change, s, early, full)
	for _, f := range e.followers {
		f.d.(follower).follow(e, f.active, at, change, s)
	}
}

// takeSession lets the port take over what changed.
func (e *Engine) takeSession(change session.ChangeKind, s *session.Session, at place) {
	c := at.port.Charge
	switch {
	case change == session.Opened, change == session.Reopened && !c.of(s):
		at.port.begin(s)
		at.port.Charge.PackMWh = e.pack(s.Card)
	case !c.of(s): // an order that was settled late, or an older session
		return
	case change == session.Updated:
		c.name(s)
		c.PackMWh = e.pack(s.Card)
	case change == session.Reopened:
		at.port.resume()
	case change == session.Closed:
		var curve [][2]float64
		if c.Model != nil {
			curve = c.Model.Curve.curve()
		}
		at.port.end(s.End)
		at.port.float(s.Reason == session.ReasonLowPower)
		e.clearSession(at, s.End, curve)
		if !reopens(s) {
			at.port.Charge = nil
		}
	}
}

// pack is the nominal energy of the one pack that a card is for, in mWh; 0 where
// that is not known.
func (e *Engine) pack(card string) int64 {
	c := e.registry.Cards[card]
	if c.Courier || c.Bikes > 1 {
		return 0
	}
	return c.PackMWh
}

// pile finds a pile, or begins to remember it.
func (e *Engine) pile(name string) *pile {
	if e.latest != nil && e.latest.Name == name {
		return e.latest
	}
	p := e.piles[name]
	if p == nil {
		p = &pile{Name: name}
		e.add(p)
	}
	e.latest = p
	return p
}

func (e *Engine) add(p *pile) {
	n := len(e.order)
	e.sorted = n == 0 || e.sorted && e.order[n-1] < p.Name
	e.order = append(e.order, p.Name)
	e.piles[p.Name] = p
}

// names gives the piles' names in order. They are sorted when asked for, not as they
// come: somebody may make them up by the hundred thousand.
func (e *Engine) names() []string {
	if !e.sorted {
		slices.Sort(e.order)
		e.sorted = true
	}
	return e.order
}

// place finds a port, or the pile as a whole: port 0.
func (p *pile) place(number uint8) *port {
	if number != 0 {
		return p.port(number)
	}
	if p.Whole == nil {
		p.Whole = &port{}
	}
	return p.Whole
}

// port finds a port, or begins to remember it.
func (p *pile) port(number uint8) *port {
	if i := int(number) - 1; i >= 0 && i < len(p.Ports) && p.Ports[i].Number == number {
		return p.Ports[i]
	}
	i, ok := slices.BinarySearchFunc(p.Ports, number, func(q *port, n uint8) int { return cmp.Compare(q.Number, n) })
	if !ok {
		p.Ports = slices.Insert(p.Ports, i, &port{Number: number})
	}
	return p.Ports[i]
}

// ports is how many there are.
func (e *Engine) ports() (n int) {
	for _, p := range e.piles {
		n += len(p.Ports)
	}
	return n
}

// TooCoarse gives the rules that cannot see all that they promise, by pile,
// because a port of it reports too seldom.
func (e *Engine) TooCoarse() map[string][]string {
	out := map[string][]string{}
	for _, name := range e.names() {
		var slowest devices.Millis
		for _, p := range e.piles[name].Ports {
			slowest = max(slowest, p.Interval)
		}
		for _, a := range e.rules {
			if a.Coarsest > 0 && slowest > devices.Millis(a.Coarsest.Milliseconds()) {
				out[name] = append(out[name], a.ID)
			}
		}
	}
	return out
}
