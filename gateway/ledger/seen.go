package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pilewatch/devices"
)

// Key tells one thing that a device said from all others: by its own clock, or,
// without one, by the time of receipt and the message's number.
type Key struct {
	Pile    string
	Alarm   string // of an alarm: two may come at once
	Seq     int64  // of what is timed by receipt
	Time    devices.Millis
	Port    uint8
	What    uint8 // 0 a reading, 1 a status, 2 + the kind of an event
	Receipt bool  // Time is that of receipt
}

// KeyOf gives an entry's key; ok is false for what no device said.
func KeyOf(e *Entry) (k Key, ok bool) {
	var seq int64
	switch e.Kind {
	case KindReading:
		r := &e.Reading
		k, seq = Key{Pile: r.Pile, Port: r.Port, Time: r.Time, Receipt: !r.DeviceTime}, r.Seq
	case KindStatus:
		s := e.Status
		k, seq = Key{Pile: s.Pile, What: 1, Time: s.Time, Receipt: !s.DeviceTime}, s.Seq
	case KindEvent:
		v := e.Event
		k, seq = Key{Pile: v.Pile, Port: v.Port, What: 2 + uint8(v.Kind), Time: v.Time, Alarm: v.Alarm, Receipt: !v.DeviceTime}, v.Seq
	default:
		return k, false
	}
	if k.Receipt {
		k.Seq = seq
	}
	return k, true
}

// ErrCostly is what Seen returns where the answer takes more than it was allowed.
var ErrCostly = errors.New("the look-up takes too long")

// What a look-up costs beside the entries that it decodes, in entries: one takes a
// microsecond or two (BenchmarkSeen).
const (
	queryCost = 200 // to ask the database
	spansCost = 16  // spans that are compared in the time of an entry
)

// Seen reports whether the journal holds k. It decodes about most entries for it
// and then fails with ErrCostly; cost is how many it was. A damaged block that may
// hold k is told as an error where no other block does.
func (l *Ledger) Seen(ctx context.Context, k Key, most int) (seen bool, cost int, err error) {
	c := &l.seen
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.keys[k]; ok {
		return true, 0, nil
	}
	spans, cost, err := l.spansAt(ctx, int64(k.Time)/hourMillis, most)
	if err != nil {
		return false, cost, err
	}
	var damaged error
	for i := range spans {
		s := &spans[i]
		if k.Time < s.first || k.Time > s.last {
			continue
		}
		if _, ok := c.blocks[s.seq]; !ok {
			if cost+s.count > most {
				return false, cost, ErrCostly
			}
			cost += s.count + queryCost
			if err := l.look(ctx, s.seq); err != nil {
				return false, cost, err
			}
		}
		if _, ok := c.keys[k]; ok {
			return true, cost, nil
		}
		damaged = errors.Join(damaged, c.bad[s.seq])
	}
	return false, cost, damaged
}

// span is a block that holds something of an hour.
type span struct {
	seq         Seq
	count       int
	first, last devices.Millis
}

// hourSpans are the blocks of an hour, as they were when head was the journal's.
type hourSpans struct {
	head  Seq
	spans []span
}

// seenCache holds what was looked up last: repetitions come in runs.
type seenCache struct {
	mu     sync.Mutex
	keys   map[Key]Seq // of the blocks that were looked into
	blocks map[Seq][]Key
	bad    map[Seq]error // those of them that are damaged
	order  []Seq         // oldest first
	hours  map[int64]*hourSpans
	held   int // spans of all hours
}

// Bounds of the cache, some tens of megabytes: one block may be over them.
const (
	seenKeys  = 100_000
	seenSpans = 200_000
)

// reset forgets all, for blocks are not what they were.
func (c *seenCache) reset() {
	c.keys, c.blocks, c.bad, c.order, c.hours, c.held = nil, nil, nil, nil, nil, 0
}

// spansAt gives the blocks of an hour, and asks the database only for those that
// came since it last did.
func (l *Ledger) spansAt(ctx context.Context, hour int64, most int) (spans []span, cost int, err error) {
	c, head := &l.seen, l.Head()
	h := c.hours[hour]
	if h != nil && h.head == head {
		return h.spans, len(h.spans) / spansCost, nil
	}
	if most < queryCost {
		return nil, 0, ErrCostly
	}
	if c.hours == nil || c.held > seenSpans {
		c.hours, c.held, h = map[int64]*hourSpans{}, 0, nil
	}
	if h == nil {
		h = &hourSpans{}
	}
	var from Seq
	if n := len(h.spans); n > 0 {
		from = h.spans[n-1].seq + 1
	}
	more, err := list(ctx, l.read, `SELECT j.seq, j.count, j.first_time, j.last_time FROM journal_hour AS h JOIN journal AS j ON j.seq = h.seq
		WHERE h.hour = ? AND h.seq >= ? ORDER BY h.seq`, []any{hour, from}, func(row scanner) (s span, err error) {
		err = row.Scan(&s.seq, &s.count, &s.first, &s.last)
		return s, err
	})
	if err != nil {
		return nil, queryCost, fmt.Errorf("looking for a repetition: %w", err)
	}
	h.spans, h.head = append(h.spans, more...), head
	c.hours[hour] = h
	c.held += len(more) + 1
	return h.spans, queryCost + len(more) + len(h.spans)/spansCost, nil
}

// look takes the keys of a block into the cache. A damaged one has none, and is
// not read again while it is in there.
func (l *Ledger) look(ctx context.Context, seq Seq) error {
	c := &l.seen
	b, err := l.readRows(ctx, seq, 1)
	var bad *DamagedError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	if c.keys == nil {
		c.keys, c.blocks, c.bad = map[Key]Seq{}, map[Seq][]Key{}, map[Seq]error{}
	}
	keys := make([]Key, 0, len(b.Entries))
	for i := range b.Entries {
		if k, ok := KeyOf(&b.Entries[i]); ok {
			keys = append(keys, k)
		}
	}
	for len(c.order) > 0 && len(c.keys)+len(keys) > seenKeys {
		c.forget(c.order[0])
		c.order = c.order[1:]
	}
	for _, k := range keys {
		c.keys[k] = seq
	}
	c.blocks[seq] = keys
	if bad != nil {
		c.bad[seq] = bad
	}
	c.order = append(c.order, seq)
	return nil
}

func (c *seenCache) forget(seq Seq) {
	for _, k := range c.blocks[seq] {
		if c.keys[k] == seq {
			delete(c.keys, k)
		}
	}
	delete(c.blocks, seq)
	delete(c.bad, seq)
}
