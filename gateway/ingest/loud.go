package ingest

import (
	"strings"

	"pilewatch/devices"
)

// The bounds of what one topic may say in a minute before it is named, of the
// rejects that are kept, and of what may be read of the journal to find out
// whether old readings are repetitions. A pile of 255 ports that sends each port by
// itself every 5 s has 3,060 messages a minute to say.
const (
	loudMessages = 6000
	loudRejects  = 60
	mostLoud     = 20      // topics named in a minute
	keptRejects  = 60      // of a topic in a minute
	keptAll      = 600     // of all topics in a minute
	lookedTopic  = 1 << 19 // entries decoded for a topic in a minute, a second of work at most
	lookedAll    = 4 << 20 // for all topics
)

// What a flood is of.
const (
	FloodMessages = "messages" // more than a topic has to say
	FloodRejects  = "rejects"  // more than a few that can't be read
	FloodOld      = "old"      // readings of old times, more than are looked up
)

// FloodKinds lists them, for labels that are known from the start.
var FloodKinds = []string{FloodMessages, FloodRejects, FloodOld}

// FloodKey is who floods, and with what.
type FloodKey struct {
	Pile string // of the registry; "" for any other
	Kind string
}

// Loud is a topic on which more came within a minute than a pile has to say, more
// that can't be read, or more of old times. It is told once a minute, when that shows.
type Loud struct {
	Topic    string
	Pile     string // of the registry; "" for any other
	Kind     string
	Messages int // so far in the minute
	Rejects  int
}

// speaker is a topic that was heard before, or all that no route means.
type speaker struct {
	route             *Route
	pile              string // that its messages are of; "" before one was read
	minute            devices.Millis
	messages, rejects int
	looked            int    // entries decoded in the minute for it
	named             bool   // in the minute
	blamed            string // pile of the registry, once named
}

// minutes counts what belongs to the minute in hand, of receipt.
type minutes struct {
	at                 devices.Millis
	kept, loud, looked int
	complained         bool
}

func (m *minutes) turn(at devices.Millis) devices.Millis {
	if minute := at - at%60_000; minute != m.at {
		*m = minutes{at: minute}
	}
	return m.at
}

// heard counts a message of a topic.
func (b *Batcher) heard(s *speaker, d *Delivery) {
	if minute := b.counted.turn(d.Received); s.minute != minute {
		*s = speaker{route: s.route, pile: s.pile, minute: minute}
	}
	if s.messages++; s.messages >= loudMessages {
		b.flood(s, d.Topic, FloodMessages)
	}
}

// keeps counts a reject, and reports whether it is to be kept with its text.
func (b *Batcher) keeps(s *speaker, d *Delivery) bool {
	if s.rejects++; s.rejects >= loudRejects {
		b.flood(s, d.Topic, FloodRejects)
	}
	if s.route != nil && s.rejects > keptRejects {
		return false
	}
	b.counted.kept++
	return b.counted.kept <= keptAll
}

// flood counts what is too much, and names who it comes from.
func (b *Batcher) flood(s *speaker, topic, kind string) {
	t := &b.cur.Tally
	if !s.named {
		s.named, s.blamed = true, b.registered(s.pile, topic)
		if b.counted.loud++; b.counted.loud <= mostLoud {
			t.Loud = append(t.Loud, Loud{Topic: cut(topic, keepTopic), Pile: s.blamed, Kind: kind, Messages: s.messages, Rejects: s.rejects})
		}
	}
	if t.Flood == nil {
		t.Flood = map[FloodKey]int{}
	}
	t.Flood[FloodKey{s.blamed, kind}]++
}

// registered gives the pile of the registry that speaks on a topic: the one that
// its messages are of, or, where none could be read, one that the topic names.
func (b *Batcher) registered(pile, topic string) string {
	piles := b.state.Settings().Piles
	if _, ok := piles[pile]; ok {
		return pile
	}
	for level := range strings.SplitSeq(topic, "/") {
		if _, ok := piles[level]; ok && pile == "" {
			return level
		}
	}
	return ""
}
