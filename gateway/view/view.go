// Package view is how flags and times look to other programs: the same in the
// API and in webhooks.
package view

import (
	"encoding/json"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// Stamp is an instant on the estate's clock.
type Stamp struct{ time.Time }

// MarshalJSON gives RFC 3339 with the estate's offset, to the millisecond.
func (t Stamp) MarshalJSON() ([]byte, error) {
	return []byte(t.Format(`"2006-01-02T15:04:05.000Z07:00"`)), nil
}

// At gives an instant; nil, null in JSON, for 0.
func At(m devices.Millis, loc *time.Location) *Stamp {
	if m == 0 {
		return nil
	}
	return &Stamp{m.Time().In(loc)}
}

// Flag is a flag, as the public interface has it.
type Flag struct {
	ID          string          `json:"id"`
	Rule        string          `json:"rule"`
	Severity    string          `json:"severity"`
	Suspicion   string          `json:"suspicion"`
	Building    string          `json:"building"`
	Pile        string          `json:"pile"`
	Port        *uint8          `json:"port"` // null: the pile as a whole
	SessionID   string          `json:"session_id"`
	Household   string          `json:"household"`
	RaisedAt    *Stamp          `json:"raised_at"`
	ClearedAt   *Stamp          `json:"cleared_at"` // null while it stands
	Status      string          `json:"status"`
	Evidence    json.RawMessage `json:"evidence"`
	Message     string          `json:"message"`
	MessageEN   string          `json:"message_en"`
	Advice      string          `json:"advice"`
	AdviceEN    string          `json:"advice_en"`
	RuleVersion int             `json:"rule_version"`
}

// FlagOf shows a flag with its times on the clock of loc.
func FlagOf(f *ledger.Flag, loc *time.Location) Flag {
	v := Flag{
		ID: f.ID, Rule: f.Rule, Severity: f.Severity, Suspicion: f.Suspicion, Building: f.Building, Pile: f.Pile,
		SessionID: f.SessionID, Household: f.Household, RaisedAt: At(f.RaisedAt, loc), ClearedAt: At(f.ClearedAt, loc),
		Status: f.Status, Evidence: f.Evidence, Message: f.Message, MessageEN: f.MessageEN, Advice: f.Advice,
		AdviceEN: f.AdviceEN, RuleVersion: f.RuleVersion,
	}
	if f.Port != 0 {
		v.Port = new(f.Port)
	}
	if len(v.Evidence) == 0 || string(v.Evidence) == "null" {
		v.Evidence = json.RawMessage("{}")
	}
	return v
}
