package ingest

import (
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// The reasons for which a reading is dropped, or changes no session.
const (
	DropDuplicate = "duplicate" // the same again
	DropLate      = "late"      // older than the newest: stored, but it changes no session
	DropRetained  = "retained"  // kept by the broker, and without a time of the device
	DropOverflow  = "overflow"  // a message of QoS 0 for which there was no room
)

// DropReasons lists them, for labels that are known from the start.
var DropReasons = []string{DropDuplicate, DropLate, DropRetained, DropOverflow}

// Tally counts what became of a batch's messages.
type Tally struct {
	Messages map[string]int    // by decoder
	Rejects  map[RejectKey]int // by decoder and reason
	Drops    map[string]int    // by reason
	Unkept   int               // rejects that were counted and not kept, for there were too many
	Flood    map[FloodKey]int  // what was over what a topic may say in a minute; nil for none
	Loud     []Loud            // topics to be named for it
	Readings int               // that the batch holds
	Closed   []session.Session // sessions that ended
	Newest   devices.Millis    // receipt of the last message
	Oldest   devices.Millis    // receipt of the first message
	Commit   time.Duration     // how long the commit took
}

// RejectKey is a decoder and a reason.
type RejectKey struct {
	Decoder string
	Reason  devices.Reason
}

// Batch is a ledger batch in the making, with who waits for it.
type Batch struct {
	ledger.Batch
	Tally    Tally
	done     []func(error)
	bytes    int
	keys     map[ledger.Key]struct{}      // of its entries, made when first needed
	keyed    int                          // how many entries are in keys
	orders   map[orderKey]session.Session // of its session entries, made when first needed
	ids      map[string]struct{}
	sessions int // how many entries are in orders and ids
}

// orderKey is an order of a port.
type orderKey struct {
	pile  string
	port  uint8
	order string
}

// Messages is how many messages the batch holds.
func (b *Batch) Messages() int { return len(b.done) }

// Empty reports whether there is nothing to commit or acknowledge.
func (b *Batch) Empty() bool {
	return len(b.done) == 0 && len(b.Entries) == 0 && len(b.Rejects) == 0
}

// Finish tells everybody who waits what became of their messages.
func (b *Batch) Finish(err error) {
	for _, done := range b.done {
		if done != nil {
			done(err)
		}
	}
}

func newBatch() *Batch {
	return &Batch{Tally: Tally{Messages: map[string]int{}, Rejects: map[RejectKey]int{}, Drops: map[string]int{}}}
}

// begin gives an entry behind those of the batch, to be filled. It is one of them
// once the batch is made longer by one; until then the next begin takes its place.
func (b *Batch) begin(kind ledger.Kind, received devices.Millis) *ledger.Entry {
	n := len(b.Entries)
	b.Entries = append(b.Entries, ledger.Entry{})
	e := &b.Entries[n]
	b.Entries = b.Entries[:n]
	e.Kind, e.Received = kind, received
	return e
}

// trim gives back room that the entries do not fill, for the ledger keeps the newest.
func (b *Batch) trim() {
	if n := len(b.Entries); cap(b.Entries) > n+n/4 {
		b.Entries = slices.Clone(b.Entries)
	}
}

// expect makes room for about as much as the batch before held.
func (b *Batch) expect(before *Batch) {
	n := len(before.Entries)
	b.Entries = make([]ledger.Entry, 0, n+n/16+1)
	b.done = make([]func(error), 0, len(before.done))
}

// has reports whether the batch holds an entry with that key.
func (b *Batch) has(k ledger.Key) bool {
	if b.keys == nil {
		b.keys = map[ledger.Key]struct{}{}
	}
	for ; b.keyed < len(b.Entries); b.keyed++ {
		if k, ok := ledger.KeyOf(&b.Entries[b.keyed]); ok {
			b.keys[k] = struct{}{}
		}
	}
	_, ok := b.keys[k]
	return ok
}

// index looks through the session entries that came since it last did.
func (b *Batch) index() {
	if b.orders == nil {
		b.orders, b.ids = map[orderKey]session.Session{}, map[string]struct{}{}
	}
	for ; b.sessions < len(b.Entries); b.sessions++ {
		e := &b.Entries[b.sessions]
		if e.Kind != ledger.KindSession {
			continue
		}
		s := *e.Session
		b.ids[s.ID] = struct{}{}
		if s.Order != "" { // a settlement, too, carries identity and order
			b.orders[orderKey{s.Pile, s.Port, s.Order}] = s
		}
	}
}

// session gives what the batch holds of an order; of a settled one, that it is.
func (b *Batch) session(k orderKey) (session.Session, bool) {
	if b == nil {
		return session.Session{}, false
	}
	b.index()
	s, ok := b.orders[k]
	return s, ok
}

func (b *Batch) hasID(id string) bool {
	if b == nil {
		return false
	}
	b.index()
	_, ok := b.ids[id]
	return ok
}
