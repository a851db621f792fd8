package ingest

import "pilewatch/devices"

// The bounds of what one topic may say in a minute before it is named, and of the
// rejects that are kept. A pile of 255 ports that sends each port by itself every
// 5 s has 3,060 messages a minute to say.
const (
	loudMessages = 6000
	loudRejects  = 60
	mostLoud     = 20  // topics named in a minute
	keptRejects  = 60  // of a topic in a minute
	keptAll      = 600 // of all topics in a minute
)

// Loud is a topic on which more came within a minute than a pile has to say, or
// more that can't be read. It is told once a minute, when that shows.
type Loud struct {
	Topic    string
	Messages int // so far in the minute
	Rejects  int
}

// speaker is a topic that was heard before.
type speaker struct {
	route             *Route
	minute            devices.Millis
	messages, rejects int
}

// minutes counts what belongs to the minute in hand, of receipt.
type minutes struct {
	at         devices.Millis
	kept, loud int
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
		s.minute, s.messages, s.rejects = minute, 0, 0
	}
	if s.messages++; s.messages == loudMessages {
		b.name(s, d.Topic)
	}
	if s.messages >= loudMessages {
		b.cur.Tally.Flood++
	}
}

// keeps counts a reject, and reports whether it is to be kept with its text.
func (b *Batcher) keeps(s *speaker, d *Delivery) bool {
	b.counted.turn(d.Received)
	if s != nil {
		if s.rejects++; s.rejects == loudRejects {
			b.name(s, d.Topic)
		}
		if s.rejects > keptRejects {
			return false
		}
	}
	b.counted.kept++
	return b.counted.kept <= keptAll
}

func (b *Batcher) name(s *speaker, topic string) {
	if b.counted.loud++; b.counted.loud <= mostLoud {
		b.cur.Tally.Loud = append(b.cur.Tally.Loud, Loud{Topic: topic, Messages: s.messages, Rejects: s.rejects})
	}
}
