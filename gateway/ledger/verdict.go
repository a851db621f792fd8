package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pilewatch/devices"
)

// Verdict is what a person said of a flag, with the rule and the curve that it
// was about.
type Verdict struct {
	At          devices.Millis  `json:"at"`
	FlagID      string          `json:"flag_id"`
	Status      string          `json:"status"` // acknowledged confirmed false_alarm resolved
	Note        string          `json:"note,omitempty"`
	By          string          `json:"by,omitempty"` // name of the user
	Rule        string          `json:"rule"`
	RuleVersion int             `json:"rule_version"`
	SessionID   string          `json:"session_id,omitempty"`
	Card        string          `json:"-"`
	RaisedAt    devices.Millis  `json:"raised_at"`
	Evidence    json.RawMessage `json:"evidence"`
}

// VerdictStatuses are those that a person may give.
var verdictStatuses = [...]string{StatusAcknowledged, StatusConfirmed, StatusFalseAlarm, StatusResolved}

// VerdictStatuses gives those that a person may give.
func VerdictStatuses() []string { return slices.Clone(verdictStatuses[:]) }

// ErrVerdict is returned for a status that no person may give.
var ErrVerdict = errors.New("no verdict")

// Judge keeps a verdict, and gives the flag its status. What v does not say of
// the flag is filled in. It gives the flag as it is then; ErrNotFound where there
// is none, ErrVerdict for a status that is none.
func (l *Ledger) Judge(ctx context.Context, v *Verdict) (Flag, error) {
	if !slices.Contains(verdictStatuses[:], v.Status) {
		return Flag{}, fmt.Errorf("%w: %q: give one of %v", ErrVerdict, v.Status, verdictStatuses)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return Flag{}, ErrClosed
	}
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return Flag{}, fmt.Errorf("keeping a verdict: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	f, err := scanFlag(tx.QueryRowContext(ctx, "SELECT body FROM flag WHERE id = ?", v.FlagID))
	if err != nil {
		return f, wrapNotFound(err, "flag", v.FlagID)
	}
	v.Rule, v.RuleVersion, v.SessionID, v.RaisedAt, v.Evidence = f.Rule, f.RuleVersion, f.SessionID, f.RaisedAt, f.Evidence
	if v.SessionID != "" {
		if s, err := scanSession(tx.QueryRowContext(ctx, "SELECT "+sessionColumns+" FROM session WHERE id = ?", v.SessionID)); err == nil {
			v.Card = s.Card
		}
	}
	f.Status = v.Status
	body, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE flag SET status = ?, body = ? WHERE id = ?", f.Status, string(body), f.ID); err != nil {
		return f, fmt.Errorf("keeping a verdict: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO verdict (at, flag_id, status, note, by, rule, rule_version, session_id, card, raised_at, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		v.At, v.FlagID, v.Status, v.Note, v.By, v.Rule, v.RuleVersion, v.SessionID, v.Card, v.RaisedAt, string(v.Evidence)); err != nil {
		return f, fmt.Errorf("keeping a verdict: %w", err)
	}
	return f, tx.Commit()
}

// Verdicts gives all of them, the oldest first.
func (l *Ledger) Verdicts(ctx context.Context) ([]Verdict, error) {
	var there int
	if err := l.read.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'verdict'").Scan(&there); err != nil || there == 0 {
		return nil, err // a ledger that only an older program has opened
	}
	return l.verdicts(ctx, "")
}

// VerdictsOf gives those of one flag, the oldest first.
func (l *Ledger) VerdictsOf(ctx context.Context, flagID string) ([]Verdict, error) {
	return l.verdicts(ctx, " WHERE flag_id = ?", flagID)
}

func (l *Ledger) verdicts(ctx context.Context, where string, args ...any) ([]Verdict, error) {
	all, err := list(ctx, l.read, "SELECT at, flag_id, status, note, by, rule, rule_version, session_id, card, raised_at, evidence FROM verdict"+where+" ORDER BY id", args,
		func(row scanner) (v Verdict, err error) {
			var evidence string
			err = row.Scan(&v.At, &v.FlagID, &v.Status, &v.Note, &v.By, &v.Rule, &v.RuleVersion, &v.SessionID, &v.Card, &v.RaisedAt, &evidence)
			v.Evidence = json.RawMessage(evidence)
			return v, err
		})
	if err != nil {
		return nil, fmt.Errorf("reading verdicts: %w", err)
	}
	return all, nil
}

// Latest gives what was said last of each flag, but for acknowledgements, which
// judge nothing, in the order of the flags' first verdicts.
func Latest(all []Verdict) []Verdict {
	var out []Verdict
	at := map[string]int{}
	for _, v := range all {
		if v.Status == StatusAcknowledged {
			continue
		}
		i, ok := at[v.FlagID]
		switch {
		case !ok:
			at[v.FlagID] = len(out)
			out = append(out, v)
		case v.Status != StatusResolved: // done with; what it was stays
			out[i] = v
		}
	}
	return out
}
