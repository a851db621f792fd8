package ledger

import (
	"encoding/json"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// Seq numbers the entries of the journal, from 1.
type Seq int64

// Kind says what an entry holds.
type Kind uint8

// The kinds of entries. The first five are the inputs of the session fold; the
// others are what was concluded from them.
const (
	KindReading Kind = iota + 1
	KindEvent
	KindStatus
	KindTick // the clock on the wall closed a session as lost
	KindSettings
	KindSession
	KindFlag
)

// Entry is one thing that happened, in the order in which it was accepted. The
// field that belongs to Kind is set, the others are zero.
type Entry struct {
	Kind     Kind
	Change   session.ChangeKind // of KindSession
	Cleared  bool               // of KindFlag: it was cleared; otherwise raised, or raised in severity
	Received devices.Millis     // by the gateway's clock
	Reading  devices.Reading
	Event    *devices.Event
	Prior    *session.Prior // of a settlement
	Status   *devices.Status
	Settings *session.Settings
	Session  *session.Session // as the change left it; only identity and settlement for session.Settled
	Flag     *Flag
}

// Input gives the entry as the fold takes it; ok is false for a conclusion.
func (e *Entry) Input() (in session.Input, ok bool) {
	in.Received = e.Received
	switch e.Kind {
	case KindReading:
		in.Reading = &e.Reading
	case KindEvent:
		in.Event, in.Prior = e.Event, e.Prior
	case KindStatus:
		in.Status = e.Status
	case KindSettings:
		in.Settings = e.Settings
	case KindTick:
	default:
		return in, false
	}
	return in, true
}

// Block is a run of entries of the journal.
type Block struct {
	First   Seq // of Entries[0]
	Entries []Entry
}

// Next is the number after the block's last entry.
func (b Block) Next() Seq { return b.First + Seq(len(b.Entries)) }

// Fold applies the block's inputs to a state in order, and tells do what changed.
// It is how a state is derived from the journal, wherever that is done.
func (b Block) Fold(s *session.State, do func([]session.Change)) error {
	var changes []session.Change
	for i := range b.Entries {
		in, ok := b.Entries[i].Input()
		if !ok {
			continue
		}
		var err error
		if changes, _, err = session.Step(s, in, changes[:0]); err != nil {
			return err
		}
		do(changes)
	}
	return nil
}

// The severities of a flag.
const (
	Info     = "info"
	Warning  = "warning"
	Critical = "critical"
)

// The states that people give a flag.
const (
	StatusOpen         = "open"
	StatusAcknowledged = "acknowledged"
	StatusConfirmed    = "confirmed"
	StatusFalseAlarm   = "false_alarm"
	StatusResolved     = "resolved"
)

// Flag is a suspicion with its evidence. It is raised once and cleared once; in
// between its severity may rise.
type Flag struct {
	ID        string         `json:"id"`
	Rule      string         `json:"rule"`
	Severity  string         `json:"severity"`
	Suspicion string         `json:"suspicion"`
	Building  string         `json:"building"`
	Pile      string         `json:"pile"`
	Port      uint8          `json:"port,omitempty"` // 0: the pile as a whole
	SessionID string         `json:"session_id,omitempty"`
	Household string         `json:"household,omitempty"`
	RaisedAt  devices.Millis `json:"raised_at"`            // time of the reading that raised it
	ClearedAt devices.Millis `json:"cleared_at,omitempty"` // 0 while it stands
	// SeverityAt is when it got its severity, and Rose from which; 0 and "" while
	// it has the one that it was raised with.
	SeverityAt  devices.Millis  `json:"severity_at,omitempty"`
	Rose        string          `json:"rose,omitempty"`
	Status      string          `json:"status"`
	Evidence    json.RawMessage `json:"evidence"`
	Message     string          `json:"message"` // Chinese
	MessageEN   string          `json:"message_en"`
	Advice      string          `json:"advice"` // Chinese
	AdviceEN    string          `json:"advice_en"`
	RuleVersion int             `json:"rule_version"`
}

// Reject is a message, or an entry of one, that could not be read.
type Reject struct {
	Time    devices.Millis // of receipt
	Decoder string
	Topic   string
	Reason  devices.Reason
	Detail  string
	Payload []byte // its beginning
}
