package session

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"pilewatch/devices"
)

// past is what a port remembers of what was. In the end every port has one, and
// it is seldom asked: so what it holds is packed.
type past struct {
	hit     *candidate
	pending *pending
	closed  closedRefs // the last few sessions, oldest first
	events  eventKeys  // the last few events, oldest first
	seqs    []seqKey   // message counters of the last ten minutes, where there is no device time
}

// candidate is a first reading at or over StartMW that may open a session when
// the next one is too.
type candidate struct {
	Before Sample `json:"before"` // the one before it
	First  named  `json:"first"`
}

// pending is a card that was shown, for the next session.
type pending struct {
	card string
	at   devices.Millis
}

// How much a port remembers: enough for what a broker or a pile repeats soon
// after; the ledger answers for what is older.
const (
	keepClosed = 4
	keepEvents = 8
	keepSeqs   = 512
)

// none is the past of a port that has none.
var none past

// had is the past to read.
func (q *PortState) had() *past {
	if q.past == nil {
		return &none
	}
	return q.past
}

// remembered is the past to write to.
func (q *PortState) remembered() *past {
	if q.past == nil {
		q.past = &past{}
	}
	return q.past
}

// forgetHit forgets a reading that might have opened a session.
func (q *PortState) forgetHit() {
	if q.past != nil {
		q.past.hit = nil
	}
}

// closedRef is a session that is over.
type closedRef struct {
	Start, End devices.Millis
	Order      string
	EnergyMWh  int64
	Nth        int // of those that began in the second, from 1: see Numbered
	Settled    bool
}

// closedRefs are some of them, packed.
type closedRefs string

func (c closedRefs) refs() (refs []closedRef) {
	for u := unpacker(c); len(u) > 0; {
		start := u.int()
		refs = append(refs, closedRef{
			Start: devices.Millis(start), End: devices.Millis(start + u.int()),
			EnergyMWh: u.int(), Nth: int(u.int()), Settled: u.int() != 0, Order: u.text(),
		})
	}
	return refs
}

func packRefs(refs []closedRef) closedRefs {
	var b []byte
	for i := range refs {
		c, settled := &refs[i], int64(0)
		if c.Settled {
			settled = 1
		}
		for _, x := range [...]int64{int64(c.Start), int64(c.End - c.Start), c.EnergyMWh, int64(c.Nth), settled} {
			b = binary.AppendVarint(b, x)
		}
		b = appendText(b, c.Order)
	}
	return closedRefs(b)
}

func (q *PortState) closed() []closedRef { return q.had().closed.refs() }

func (q *PortState) remember(ref closedRef) {
	refs := append(q.closed(), ref)
	q.remembered().closed = packRefs(refs[max(0, len(refs)-keepClosed):])
}

// eventKey is what makes an event the same again.
type eventKey struct {
	Time  devices.Millis    `json:"t"`
	Kind  devices.EventKind `json:"k"`
	Alarm string            `json:"a,omitempty"` // two alarms may come at once
}

// eventKeys are some of them, packed.
type eventKeys string

func (e eventKeys) keys() (keys []eventKey) {
	for u := unpacker(e); len(u) > 0; {
		keys = append(keys, eventKey{devices.Millis(u.int()), devices.EventKind(u.int()), u.text()})
	}
	return keys
}

func packKeys(keys []eventKey) eventKeys {
	var b []byte
	for _, k := range keys {
		b = appendText(binary.AppendVarint(binary.AppendVarint(b, int64(k.Time)), int64(k.Kind)), k.Alarm)
	}
	return eventKeys(b)
}

// add notes an event; false when it is there.
func (e *eventKeys) add(k eventKey) bool {
	keys := e.keys()
	if slices.Contains(keys, k) {
		return false
	}
	keys = append(keys, k)
	*e = packKeys(keys[max(0, len(keys)-keepEvents):])
	return true
}

// unpacker takes from the front of what was packed. Texts are parts of it.
type unpacker string

func (u *unpacker) int() int64 {
	x, n := binary.Varint([]byte((*u)[:min(len(*u), binary.MaxVarintLen64)])) // so few bytes are no allocation
	*u = (*u)[n:]
	return x
}

func (u *unpacker) text() string {
	n := u.int()
	s := string((*u)[:n])
	*u = (*u)[n:]
	return s
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

// seqKey is a message counter that was received.
type seqKey struct {
	Seq      int64             `json:"s"`
	Received devices.Millis    `json:"r"`
	Kind     devices.EventKind `json:"k"` // EventNone for a reading
}

// newSeq notes a message counter; false when it was received within ten minutes.
func newSeq(seqs *[]seqKey, k seqKey) bool {
	keep := slices.IndexFunc(*seqs, func(old seqKey) bool { return k.Received.Sub(old.Received) <= 10*time.Minute })
	if keep < 0 {
		keep = len(*seqs)
	}
	s := slices.Delete(*seqs, 0, max(keep, len(*seqs)-keepSeqs+1))
	known := slices.ContainsFunc(s, func(old seqKey) bool { return old.Seq == k.Seq && old.Kind == k.Kind })
	if !known {
		if n := len(s); n == cap(s) || n < cap(s)/2 { // a quarter more than there are, no twice as many
			s = append(make([]seqKey, 0, n+1+n/4), s...)
		}
		s = append(s, k)
	}
	*seqs = s
	return !known
}

// nth is which session of its second an id names: see Numbered.
func nth(id string) int {
	_, n, _ := strings.Cut(id[strings.LastIndexByte(id, 'Z')+1:], "-")
	i, _ := strconv.Atoi(n)
	return max(1, i)
}
