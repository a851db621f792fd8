package ledger

import (
	"context"
	"fmt"
	"reflect"

	"pilewatch/gateway/session"
)

// OriginCheckpoint is the name under which the fold's state before the first
// entry that is still kept stands, once retention has taken older ones.
const OriginCheckpoint = "origin"

// SessionCheckpoint is the name under which the fold's newest state is kept.
const SessionCheckpoint = "session"

// Report is what Verify found.
type Report struct {
	Entries     int64    // read
	Sessions    int      // rows compared
	Differences []string // one line each
}

// Verify derives every session again from the journal and compares it, with its
// bill, to its row. The error tells what kept it from doing so; differences are
// in the report. progress is called now and then with the share done.
func (l *Ledger) Verify(ctx context.Context, progress func(done float64)) (Report, error) {
	var rep Report
	derived, whole, err := l.derive(ctx, &rep, progress)
	if err != nil {
		return rep, err
	}
	err = l.EachSession(ctx, Filter{Oldest: true}, func(row *session.Session) error {
		want, ok := derived[row.ID]
		delete(derived, row.ID)
		if !ok {
			if whole { // else it may be older than the entries that are kept
				rep.differ("session %s stands in the ledger, and no reading gives it", row.ID)
			}
			return nil
		}
		rep.Sessions++
		rep.compare(want, row)
		return nil
	})
	if err != nil {
		return rep, err
	}
	for _, id := range sortedKeys(derived) {
		rep.differ("session %s follows from the readings, and is missing", id)
	}
	return rep, nil
}

func (r *Report) differ(format string, a ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, a...))
}

// derive folds the journal again. whole says that it goes back to the beginning.
func (l *Ledger) derive(ctx context.Context, rep *Report, progress func(float64)) (derived map[string]*session.Session, whole bool, err error) {
	state, err := session.NewState(session.DefaultSettings())
	if err != nil {
		return nil, false, err
	}
	from, blob, err := l.LoadCheckpoint(ctx, OriginCheckpoint)
	if err != nil {
		return nil, false, err
	}
	if blob != nil {
		if err := state.UnmarshalBinary(blob); err != nil {
			return nil, false, err
		}
	}
	derived, whole = map[string]*session.Session{}, blob == nil
	for head := l.Head(); from < head; {
		b, err := l.Read(ctx, from, 1<<16)
		if err != nil {
			return nil, false, err
		}
		if len(b.Entries) == 0 {
			break
		}
		if b.First != from {
			return nil, false, fmt.Errorf("the journal jumps from %d to %d: restore a backup", from, b.First)
		}
		if err := b.Fold(state, func(cs []session.Change) { follow(derived, cs) }); err != nil {
			return nil, false, err
		}
		rep.Entries += int64(len(b.Entries))
		from = b.Next()
		progress(float64(from) / float64(head))
	}
	return derived, whole, nil
}

// follow keeps the sessions as the changes leave them.
func follow(derived map[string]*session.Session, changes []session.Change) {
	for _, c := range changes {
		if c.Kind != session.Settled {
			derived[c.Session.ID] = c.Session
		} else if s := derived[c.Session.ID]; s != nil {
			s.Settle(c.Session)
		}
	}
}

// compare notes every field in which a row differs from what was derived.
func (r *Report) compare(want, row *session.Session) {
	if len(want.Bands) == 0 && len(row.Bands) == 0 {
		want.Bands, row.Bands = nil, nil
	}
	if reflect.DeepEqual(want, row) {
		return
	}
	a, b := reflect.ValueOf(*want), reflect.ValueOf(*row)
	for i := range a.NumField() {
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		if !reflect.DeepEqual(x, y) {
			r.differ("session %s: %s is %v, and its readings give %v", row.ID, a.Type().Field(i).Name, y, x)
		}
	}
}
