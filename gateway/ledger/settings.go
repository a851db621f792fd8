package ledger

import (
	"context"
	"errors"
	"fmt"

	"pilewatch/gateway/session"
)

// SettingsAt gives the settings that were in force before an entry, for a
// consumer that goes on there. They are those of the newest checkpoint where they
// have not changed between; else the journal is read through for them. What a
// damaged block held of them is not known, and passed over.
func (l *Ledger) SettingsAt(ctx context.Context, at Seq) (session.Settings, error) {
	state, err := session.NewState(session.DefaultSettings())
	if err != nil {
		return session.Settings{}, err
	}
	from, saved, err := l.LoadCheckpoint(ctx, SessionCheckpoint)
	if err == nil && saved.Given() {
		err = saved.Into(state)
	}
	if err != nil {
		return session.Settings{}, err
	}
	if from > at {
		changed, err := l.lastSettings(ctx, at, from)
		if err != nil || changed == nil {
			return state.Settings(), err
		}
		if state, from, err = l.origin(ctx); err != nil {
			return session.Settings{}, err
		}
	}
	last, err := l.lastSettings(ctx, from, at)
	if last == nil {
		return state.Settings(), err
	}
	return *last, err
}

// lastSettings gives the newest settings among the entries from one to before
// another; nil where there are none.
func (l *Ledger) lastSettings(ctx context.Context, from, to Seq) (last *session.Settings, err error) {
	for from < to {
		b, err := l.Read(ctx, from, 1<<17)
		var bad *DamagedError
		switch {
		case errors.As(err, &bad):
			from = max(bad.Seq+Seq(bad.Count), from+1)
			continue
		case err != nil:
			return nil, fmt.Errorf("looking for settings: %w", err)
		case len(b.Entries) == 0:
			return last, nil
		}
		for i := range b.Entries {
			if e := &b.Entries[i]; e.Kind == KindSettings && b.First+Seq(i) < to {
				last = e.Settings
			}
		}
		from = b.Next()
	}
	return last, nil
}
