package field

import "pilewatch/devices"

// Batch counts what one message of several entries adds to a devices.Message, so
// that a message without one good entry becomes a reject as a whole.
type Batch struct {
	m             *devices.Message
	good, rejects int
}

// Begin starts a batch on m, which may hold entries of earlier messages.
func Begin(m *devices.Message) Batch {
	return Batch{m: m, good: goodIn(m), rejects: len(m.Rejects)}
}

// Refuse adds the refusal of one entry.
func (b Batch) Refuse(r *devices.Reject) { b.m.Rejects = append(b.m.Rejects, *r) }

// End gives nil if the batch has a good entry, or none at all. Else it takes the
// refusals out of the message and returns the first as the reject of the whole.
func (b Batch) End() error {
	if goodIn(b.m) > b.good || len(b.m.Rejects) == b.rejects {
		return nil
	}
	first := b.m.Rejects[b.rejects]
	b.m.Rejects = b.m.Rejects[:b.rejects]
	return &first
}

func goodIn(m *devices.Message) int {
	return len(m.Readings) + len(m.Events) + len(m.Statuses)
}
