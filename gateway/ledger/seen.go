package ledger

import (
	"context"
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

// seenCache holds the keys of the blocks that were looked into last: repetitions
// come in runs.
type seenCache struct {
	mu     sync.Mutex
	blocks map[Seq]map[Key]struct{}
	order  []Seq // oldest first
}

const seenBlocks = 16

// Seen reports whether the journal holds k.
func (l *Ledger) Seen(ctx context.Context, k Key) (bool, error) {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	for _, keys := range l.seen.blocks {
		if _, ok := keys[k]; ok {
			return true, nil
		}
	}
	seqs, err := l.blocksAt(ctx, k.Time)
	if err != nil {
		return false, err
	}
	for _, seq := range seqs {
		if _, ok := l.seen.blocks[seq]; ok {
			continue // looked into above
		}
		keys, err := l.keysOf(ctx, seq)
		if err != nil {
			return false, err
		}
		l.seen.add(seq, keys)
		if _, ok := keys[k]; ok {
			return true, nil
		}
	}
	return false, nil
}

// blocksAt gives the blocks that span an instant.
func (l *Ledger) blocksAt(ctx context.Context, at devices.Millis) ([]Seq, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT j.seq FROM journal_hour AS h JOIN journal AS j ON j.seq = h.seq
		WHERE h.hour = ?1 AND j.first_time <= ?2 AND j.last_time >= ?2`, int64(at)/hourMillis, at)
	if err != nil {
		return nil, fmt.Errorf("looking for a repetition: %w", err)
	}
	defer rows.Close()
	var seqs []Seq
	for rows.Next() {
		var s Seq
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("looking for a repetition: %w", err)
		}
		seqs = append(seqs, s)
	}
	return seqs, rows.Err()
}

func (l *Ledger) keysOf(ctx context.Context, seq Seq) (map[Key]struct{}, error) {
	b, err := l.readRows(ctx, seq, 1)
	if err != nil {
		return nil, err
	}
	keys := make(map[Key]struct{}, len(b.Entries))
	for i := range b.Entries {
		if k, ok := KeyOf(&b.Entries[i]); ok {
			keys[k] = struct{}{}
		}
	}
	return keys, nil
}

func (c *seenCache) add(seq Seq, keys map[Key]struct{}) {
	if c.blocks == nil {
		c.blocks = map[Seq]map[Key]struct{}{}
	}
	if len(c.order) >= seenBlocks {
		delete(c.blocks, c.order[0])
		c.order = c.order[1:]
	}
	c.blocks[seq] = keys
	c.order = append(c.order, seq)
}
