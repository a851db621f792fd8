package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sort"
	"sync"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Journal is what the batcher asks of the ledger.
type Journal interface {
	Seen(ctx context.Context, k ledger.Key, most int) (seen bool, cost int, err error)
	SessionOfOrder(ctx context.Context, pile string, port uint8, order string) (session.Session, error)
	Session(ctx context.Context, id string) (session.Session, error)
	LoadCheckpoint(ctx context.Context, name string) (ledger.Seq, ledger.Packed, error)
	Read(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error)
}

// Batcher decodes messages and folds them. Add and Take are for one goroutine;
// View is for all.
type Batcher struct {
	routes  []Route
	byTopic map[string]*speaker // topics heard before
	others  speaker             // all topics that no route means
	counted minutes
	bounded bool // others wait for what is looked up
	journal Journal
	log     *slog.Logger

	mu    sync.Mutex // guards state
	state *session.State

	msg      devices.Message
	changes  []session.Change
	cur      *Batch
	previous *Batch // may be in flight: not yet in the journal
	since    int    // entries since the last checkpoint
	saved    int    // bytes of the last checkpoint
	replayed int    // entries after it that the start had to read
	minute   devices.Millis
}

// NewBatcher restores the fold from the journal: its last checkpoint and what
// came after it. Where the settings differ from those in the journal, the first
// batch carries them.
func NewBatcher(ctx context.Context, routes []Route, journal Journal, settings session.Settings, log *slog.Logger) (*Batcher, error) {
	state, replayed, err := Restore(ctx, journal, settings)
	if err != nil {
		return nil, err
	}
	b := &Batcher{routes: routes, byTopic: map[string]*speaker{}, journal: journal, log: log, state: state, cur: newBatch(), since: replayed, replayed: replayed}
	if err := b.configure(settings); err != nil {
		return nil, err
	}
	return b, nil
}

// Restore gives the state of the fold at the journal's head, and how many
// entries after the checkpoint had to be read.
func Restore(ctx context.Context, journal Journal, settings session.Settings) (*session.State, int, error) {
	state, err := session.NewState(settings)
	if err != nil {
		return nil, 0, err
	}
	from, saved, err := journal.LoadCheckpoint(ctx, ledger.SessionCheckpoint)
	if err != nil {
		return nil, 0, err
	}
	if saved.Given() {
		if err := saved.Into(state); err != nil {
			return nil, 0, err
		}
	}
	n := 0
	for {
		block, err := journal.Read(ctx, from, 1<<16)
		if err != nil {
			return nil, 0, err
		}
		if len(block.Entries) == 0 {
			return state, n, nil
		}
		if err := block.Fold(state, func([]session.Change) {}); err != nil {
			return nil, 0, err
		}
		from, n = block.Next(), n+len(block.Entries)
	}
}

// configure puts the settings in force, and into the journal where they are new.
func (b *Batcher) configure(settings session.Settings) error {
	settings = settings.After(b.state.Settings(), b.state.Heard())
	if b.journalEmpty() || !b.state.Settings().Equal(settings) {
		e := b.cur.begin(ledger.KindSettings, 0)
		e.Settings = &settings
		return b.accept(e)
	}
	return nil
}

func (b *Batcher) journalEmpty() bool { return b.since == 0 && len(b.state.Piles) == 0 }

// Replayed is how many entries of the journal came after the last checkpoint, and
// had to be read at the start.
func (b *Batcher) Replayed() int { return b.replayed }

// View lets f read the fold's state. f must not keep references into it.
func (b *Batcher) View(f func(*session.State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.state)
}

// Pending is the batch in the making.
func (b *Batcher) Pending() *Batch { return b.cur }

// Take gives the batch in the making and begins another. The one before must
// have been committed.
func (b *Batcher) Take(checkpoint bool) (*Batch, error) {
	out := b.cur
	out.trim()
	b.since += len(out.Entries)
	if b.since >= ledger.CheckpointAfter(b.saved) || checkpoint && (b.since > 0) {
		if err := b.Checkpoint(out); err != nil {
			return nil, err
		}
	}
	b.previous, b.cur = out, newBatch()
	b.cur.expect(out)
	return out, nil
}

// Checkpoint adds the fold's state to a batch that was just taken.
func (b *Batcher) Checkpoint(out *Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	state, err := ledger.Pack(b.state)
	if err != nil {
		return err
	}
	out.Checkpoints = map[string]ledger.Checkpoint{ledger.SessionCheckpoint: {State: state}}
	b.since, b.saved = 0, state.Size()
	return nil
}

// Add decodes a message and folds what it says. It fails only when the fold's
// settings cannot be used, which is a defect.
func (b *Batcher) Add(ctx context.Context, d Delivery) error {
	c := b.cur
	c.done = append(c.done, d.Done)
	c.bytes += len(d.Payload)
	if c.Tally.Oldest == 0 {
		c.Tally.Oldest = d.Received
	}
	c.Tally.Newest = d.Received

	s := b.speaker(d.Topic)
	if s == nil {
		if !b.asked(d.Topic) {
			b.heard(&b.others, &d)
			b.reject(d, &b.others, devices.Rejectf(devices.UnknownTopic, "no subscription reads this topic: add one to mqtt.subscriptions"))
		}
		return nil
	}
	b.heard(s, &d)
	r := s.route
	c.Tally.Messages[r.Name]++
	b.msg.Reset()
	if len(d.Payload) > devices.MaxPayload {
		b.reject(d, s, devices.Rejectf(devices.TooLarge, "%d bytes: expected at most %d", len(d.Payload), devices.MaxPayload))
		return nil
	}
	if err := r.Decoder.Decode(d.Input, &b.msg); err != nil {
		b.reject(d, s, asReject(err))
		return nil
	}
	for i := range b.msg.Rejects {
		b.reject(d, s, &b.msg.Rejects[i])
	}
	return b.fold(ctx, s, d)
}

func asReject(err error) *devices.Reject {
	var r *devices.Reject
	if errors.As(err, &r) {
		return r
	}
	return devices.Rejectf(devices.Malformed, "%v", err)
}

// speaker finds a topic, or begins to remember it; nil for one that no route means.
func (b *Batcher) speaker(topic string) *speaker {
	if s, ok := b.byTopic[topic]; ok {
		return s
	}
	for i := range b.routes {
		if b.routes[i].Matches(topic) {
			if len(b.byTopic) >= mostTopics {
				clear(b.byTopic) // somebody makes them up
			}
			s := &speaker{route: &b.routes[i]}
			b.byTopic[topic] = s
			return s
		}
	}
	return nil
}

// mostTopics is how many topics are remembered.
const mostTopics = 1 << 20

// asked reports whether a topic that no route means came only because a broker
// could not be asked more narrowly.
func (b *Batcher) asked(topic string) bool {
	return slices.ContainsFunc(b.routes, func(r Route) bool { return r.Asked != nil && r.Asked(topic) })
}

// The parts of a rejected message that are kept.
const (
	keepTopic   = 256
	keepDetail  = 512
	keepPayload = 1024
)

// reject counts a reject and keeps it; of a flood only the first of each minute.
func (b *Batcher) reject(d Delivery, from *speaker, r *devices.Reject) {
	c, decoder := b.cur, ""
	if from.route != nil {
		decoder = from.route.Name
	}
	c.Tally.Rejects[RejectKey{decoder, r.Reason}]++
	if !b.keeps(from, &d) {
		c.Tally.Unkept++
		return
	}
	c.Rejects = append(c.Rejects, ledger.Reject{
		Time: d.Received, Decoder: decoder, Topic: cut(d.Topic, keepTopic), Reason: r.Reason, Detail: cut(r.Detail, keepDetail),
		Payload: append([]byte(nil), d.Payload[:min(len(d.Payload), keepPayload)]...),
	})
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 { // inside a character
		n--
	}
	return s[:n]
}

// fold takes in what the decoder found.
func (b *Batcher) fold(ctx context.Context, from *speaker, d Delivery) error {
	m := &b.msg
	for i := range m.Statuses {
		s := m.Statuses[i]
		from.pile = s.Pile
		e := b.cur.begin(ledger.KindStatus, d.Received)
		e.Status = &s
		if err := b.take(ctx, from, &d, s.DeviceTime || s.Has.Has(devices.HasOnline), e); err != nil {
			return err
		}
	}
	for i := range m.Readings {
		from.pile = m.Readings[i].Pile
		e := b.cur.begin(ledger.KindReading, d.Received)
		e.Reading = m.Readings[i]
		if err := b.take(ctx, from, &d, e.Reading.DeviceTime, e); err != nil {
			return err
		}
	}
	for i := range m.Events {
		ev := m.Events[i]
		from.pile = ev.Pile
		e := b.cur.begin(ledger.KindEvent, d.Received)
		e.Event = &ev
		if err := b.take(ctx, from, &d, ev.DeviceTime, e); err != nil {
			return err
		}
	}
	return nil
}

// take accepts an entry that was begun, unless it is a repetition.
func (b *Batcher) take(ctx context.Context, from *speaker, d *Delivery, dated bool, e *ledger.Entry) error {
	if d.Retained && !dated {
		b.cur.Tally.Drops[DropRetained]++ // of an unknown time
		return nil
	}
	if in, _ := e.Input(); b.state.Behind(in) && b.repeated(ctx, from, d.Topic, e) {
		b.cur.Tally.Drops[DropDuplicate]++
		return nil
	}
	if e.Kind == ledger.KindEvent && e.Event.Kind == devices.EventSettle && !b.settlement(ctx, e) {
		b.cur.Tally.Drops[DropDuplicate]++
		return nil
	}
	return b.accept(e)
}

// accept folds an entry that was begun, and puts it and what follows from it into
// the batch.
func (b *Batcher) accept(e *ledger.Entry) error {
	in, _ := e.Input()
	b.mu.Lock()
	changes, outcome, err := session.Step(b.state, in, b.changes[:0])
	b.mu.Unlock()
	b.changes = changes
	if err != nil {
		return err
	}
	c := b.cur
	switch outcome {
	case session.Duplicate:
		c.Tally.Drops[DropDuplicate]++
		return nil
	case session.Stale:
		c.Tally.Drops[DropLate]++
	}
	if e.Kind == ledger.KindReading {
		c.Tally.Readings++
	}
	c.Entries = c.Entries[:len(c.Entries)+1]
	b.conclude(e.Received, changes)
	return nil
}

func (b *Batcher) conclude(received devices.Millis, changes []session.Change) {
	c := b.cur
	for _, ch := range changes {
		c.Entries = append(c.Entries, ledger.Entry{Kind: ledger.KindSession, Received: received, Change: ch.Kind, Session: ch.Session})
		if ch.Kind == session.Closed {
			c.Tally.Closed = append(c.Tally.Closed, *ch.Session)
		}
	}
}

// Tick lets the clock on the wall close sessions that were not heard of, once a
// minute at most. It leaves a trace in the journal only when it closed one.
func (b *Batcher) Tick(now devices.Millis) error {
	minute := now - now%60_000
	if minute <= b.minute {
		return nil
	}
	b.minute = minute
	b.mu.Lock()
	changes, _, err := session.Step(b.state, session.Input{Received: minute}, b.changes[:0])
	b.mu.Unlock()
	b.changes = changes
	if err != nil || len(changes) == 0 {
		return err
	}
	b.cur.Entries = append(b.cur.Entries, ledger.Entry{Kind: ledger.KindTick, Received: minute})
	b.conclude(minute, changes)
	return nil
}

// repeated reports whether an entry is in the journal, or on its way there.
func (b *Batcher) repeated(ctx context.Context, from *speaker, topic string, e *ledger.Entry) bool {
	k, ok := ledger.KeyOf(e)
	if !ok {
		return false
	}
	if b.cur.has(k) || b.previous != nil && b.previous.has(k) {
		return true
	}
	most := math.MaxInt
	if b.bounded && !k.Receipt && e.Kind != ledger.KindEvent { // else it could change a session
		most = min(lookedTopic-from.looked, lookedAll-b.counted.looked)
	}
	seen, cost, err := b.journal.Seen(ctx, k, most)
	from.looked += cost
	b.counted.looked += cost
	if errors.Is(err, ledger.ErrCostly) {
		b.flood(from, topic, FloodOld)
	} else if err != nil {
		b.complain("could not look up a late message in the ledger; it is taken as new", err)
	}
	return seen
}

// complain says what is wrong with the ledger, once a minute: every message may
// meet it.
func (b *Batcher) complain(what string, err error) {
	if !b.counted.complained {
		b.counted.complained = true
		b.log.Warn(what, "error", err)
	}
}

// settlement adds to a settlement what only the ledger, or a batch on its way
// there, knows of its order; false when it was settled before.
func (b *Batcher) settlement(ctx context.Context, e *ledger.Entry) bool {
	ev := e.Event
	if b.state.HoldsOrder(ev.Pile, ev.Port, ev.Order) {
		return true
	}
	s, err := b.sessionOfOrder(ctx, orderKey{ev.Pile, ev.Port, ev.Order})
	switch {
	case err == nil && s.SettledMWh >= 0:
		return false
	case err == nil:
		e.Prior = &session.Prior{ID: s.ID, Start: s.Start, EnergyMWh: s.EnergyMWh}
	case errors.Is(err, ledger.ErrNotFound):
		if n := b.takenIDs(ctx, session.ID(ev.Pile, ev.Port, ev.Start)); n > 0 {
			e.Prior = &session.Prior{Taken: n}
		}
	default:
		b.complain("could not look up a settled order in the ledger; it is taken as new", err)
	}
	return true
}

// sessionOfOrder finds the newest session of an order.
func (b *Batcher) sessionOfOrder(ctx context.Context, k orderKey) (session.Session, error) {
	for _, batch := range []*Batch{b.cur, b.previous} {
		if s, ok := batch.session(k); ok {
			return s, nil
		}
	}
	return b.journal.SessionOfOrder(ctx, k.pile, k.port, k.order)
}

// takenIDs counts the sessions that have an id, with or without a number behind it.
// Numbers are given in order and for ever, so that a few look-ups find the last.
func (b *Batcher) takenIDs(ctx context.Context, id string) int {
	free := func(n int) bool {
		next := session.Numbered(id, n+1)
		if b.cur.hasID(next) || b.previous.hasID(next) {
			return false
		}
		_, err := b.journal.Session(ctx, next)
		return err != nil
	}
	most := 0
	for !free(most) {
		most = 2*most + 1
	}
	return sort.Search(most, free)
}
