package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"

	"pilewatch/devices"
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
	Flags       int      // rows compared
	Holes       []Hole   // damaged blocks that were set aside
	Differences []string // one line each
	// Unverified are sessions and flags that differ and touch a hole: what they
	// follow from is not there any more. One line each.
	Unverified []string
}

// Verify derives every session again from the journal and compares it, with its
// bill, to its row; flags with what the journal says of them; and the checksums of
// blocks and checkpoints. It looks at one instant of the ledger, also while a
// gateway writes. The error tells what kept it from doing so; differences are in
// the report. progress is called now and then with the share done.
func (l *Ledger) Verify(ctx context.Context, progress func(done float64)) (Report, error) {
	snap, err := l.snapshot(ctx)
	if err != nil {
		return Report{}, err
	}
	v := verifier{l: snap, progress: progress, sessions: map[string]*session.Session{}, flags: map[string]*Flag{}}
	for _, step := range []func(context.Context) error{v.checkpoints, v.derive, v.compareSessions, v.compareFlags} {
		if err = step(ctx); err != nil {
			break
		}
	}
	return v.rep, explain(errors.Join(err, snap.Close()))
}

// snapshot opens the ledger again for reading, as it is now: one connection, in
// one transaction.
func (l *Ledger) snapshot(ctx context.Context) (*Ledger, error) {
	s := &Ledger{path: l.path, steps: l.steps, log: l.log}
	err := s.openReader(ctx, 1)
	if err == nil {
		_, err = s.read.ExecContext(ctx, "BEGIN")
	}
	if err == nil {
		err = s.findHead(ctx)
	}
	if err != nil {
		return nil, explain(errors.Join(fmt.Errorf("opening the ledger %s: %w", filepath.Clean(l.path), err), s.Close()))
	}
	return s, nil
}

// verifier derives and compares.
type verifier struct {
	l        *Ledger
	rep      Report
	progress func(float64)
	whole    bool // the journal goes back to the beginning
	sessions map[string]*session.Session
	flags    map[string]*Flag // as last entered
	gaps     []Hole           // and damaged blocks
	slack    devices.Millis   // how long after a gap the fold may differ
}

func (v *verifier) differ(format string, a ...any) {
	v.rep.Differences = append(v.rep.Differences, fmt.Sprintf(format, a...))
}

// checkpoints compares the checksums of the saved states.
func (v *verifier) checkpoints(ctx context.Context) error {
	rows, err := v.l.read.QueryContext(ctx, "SELECT name, sum, body FROM checkpoint ORDER BY name")
	if err != nil {
		return fmt.Errorf("reading checkpoints: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var p Packed
		if err := rows.Scan(&name, &p.sum, &p.body); err != nil {
			return fmt.Errorf("reading checkpoints: %w", err)
		}
		if !p.whole() {
			v.differ("checkpoint %s is damaged", name)
		}
	}
	return rows.Err()
}

// derive folds the journal again.
func (v *verifier) derive(ctx context.Context) error {
	state, from, err := v.l.origin(ctx)
	if err != nil {
		return err
	}
	v.whole = from == 1
	if v.rep.Holes, err = v.l.Holes(ctx); err != nil {
		return err
	}
	v.gaps = append(v.gaps, v.rep.Holes...)
	for head := v.l.Head(); from < head; v.progress(float64(from) / float64(head)) {
		v.slack = max(v.slack, devices.Millis(state.Settings().LostAfter.Milliseconds()))
		b, err := v.read(ctx, from)
		if err != nil {
			return err
		}
		if len(b.Entries) == 0 {
			from = b.First
			continue
		}
		if err := b.Fold(state, v.follow); err != nil {
			return err
		}
		for i := range b.Entries {
			if e := &b.Entries[i]; e.Kind == KindFlag {
				v.flags[e.Flag.ID] = e.Flag
			}
		}
		v.rep.Entries += int64(len(b.Entries))
		from = b.Next()
	}
	return nil
}

// read gives the next entries. Over damaged blocks and what is missing it goes on,
// with a difference; then the block it gives is empty.
func (v *verifier) read(ctx context.Context, from Seq) (Block, error) {
	b, err := v.l.Read(ctx, from, 1<<16)
	var bad *DamagedError
	if errors.As(err, &bad) && bad.Seq > from {
		b, err = v.l.Read(ctx, from, int(bad.Seq-from)) // what stands before it is good
	}
	if errors.As(err, &bad) {
		v.differ("%v", bad)
		v.gaps = append(v.gaps, bad.hole())
		next, err := v.l.blockAfter(ctx, bad.Seq)
		return Block{First: next}, err
	}
	if err != nil {
		return b, err
	}
	to := b.First
	if len(b.Entries) == 0 {
		to = v.l.Head()
	}
	if at := pass(v.rep.Holes, from, to); at < to {
		v.differ("the journal jumps from %d to %d: restore a backup that has what lies between", at, to)
		v.gaps = append(v.gaps, Hole{Seq: at, Count: int(to - at), Last: 1<<62 - 1})
	}
	if len(b.Entries) == 0 {
		b.First = to
	}
	return b, nil
}

// pass goes from one number to another, over holes only, as far as that goes.
func pass(holes []Hole, from, to Seq) Seq {
	for _, h := range holes {
		if h.Seq <= from && from < to {
			from = max(from, h.Seq+Seq(h.Count))
		}
	}
	return min(from, to)
}

// blockAfter is the number of the first block behind another, or the head.
func (l *Ledger) blockAfter(ctx context.Context, seq Seq) (next Seq, err error) {
	err = l.read.QueryRowContext(ctx, "SELECT coalesce(min(seq), ?) FROM journal WHERE seq > ?", l.Head(), seq).Scan(&next)
	return next, err
}

// follow keeps the sessions as the changes leave them.
func (v *verifier) follow(changes []session.Change) {
	for _, c := range changes {
		if c.Kind != session.Settled {
			v.sessions[c.Session.ID] = c.Session
		} else if s := v.sessions[c.Session.ID]; s != nil {
			s.Settle(c.Session)
		}
	}
}

func (v *verifier) compareSessions(ctx context.Context) error {
	rows, err := v.l.read.QueryContext(ctx, "SELECT "+sessionColumns+" FROM session ORDER BY start, id")
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scanSession(rows)
		want, ok := v.sessions[row.ID]
		delete(v.sessions, row.ID)
		switch {
		case err != nil:
			v.differ("session %s cannot be read: %v", row.ID, err)
		case ok:
			v.rep.Sessions++
			v.compareSession(want, &row)
		case v.whole || v.touches(row.Start, row.End): // else it may be older than the entries that are kept
			v.tell(v.hidden(nil, &row), "session %s stands in the ledger, and no reading gives it", row.ID)
		}
	}
	for _, id := range sortedKeys(v.sessions) {
		v.tell(v.hidden(v.sessions[id], nil), "session %s follows from the readings, and is missing", id)
	}
	return rows.Err()
}

// compareSession notes every field in which a row differs from what was derived.
func (v *verifier) compareSession(want, row *session.Session) {
	if len(want.Bands) == 0 && len(row.Bands) == 0 {
		want.Bands, row.Bands = nil, nil
	}
	if reflect.DeepEqual(want, row) {
		return
	}
	hidden := v.hidden(want, row)
	a, b := reflect.ValueOf(*want), reflect.ValueOf(*row)
	for i := range a.NumField() {
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		if !reflect.DeepEqual(x, y) {
			v.tell(hidden, "session %s: %s is %v, and its readings give %v", row.ID, a.Type().Field(i).Name, y, x)
		}
	}
}

// tell notes a difference, or that something cannot be verified.
func (v *verifier) tell(hidden bool, format string, a ...any) {
	line := fmt.Sprintf(format, a...)
	if hidden {
		v.rep.Unverified = append(v.rep.Unverified, line)
	} else {
		v.rep.Differences = append(v.rep.Differences, line)
	}
}

// hidden says that a session, as derived, as its row has it, or both, may follow
// from what is not there any more: it spans a gap, or a settlement of it, which may
// come long after, could have been there.
func (v *verifier) hidden(want, row *session.Session) bool {
	for _, s := range []*session.Session{want, row} {
		if s != nil && v.touches(s.Start, s.End) {
			return true
		}
	}
	settledThere := row != nil && row.SettledMWh >= 0 && (want == nil || want.SettledMWh < 0)
	return settledThere && v.touches(row.End, 1<<62-1)
}

// touches says that a span comes near a gap.
func (v *verifier) touches(start, end devices.Millis) bool {
	for _, g := range v.gaps {
		if start <= g.Last+v.slack && end+v.slack >= g.First {
			return true
		}
	}
	return false
}

// compareFlags compares the flags' rows with what was entered of them last. What a
// person said of one is no conclusion from readings, and stands alone.
func (v *verifier) compareFlags(ctx context.Context) error {
	rows, err := v.l.read.QueryContext(ctx, "SELECT id, rule, severity, building, pile, household, raised_at, cleared_at, status, body FROM flag ORDER BY id")
	if err != nil {
		return fmt.Errorf("reading flags: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f Flag
		var body string
		if err := rows.Scan(&f.ID, &f.Rule, &f.Severity, &f.Building, &f.Pile, &f.Household, &f.RaisedAt, &f.ClearedAt, &f.Status, &body); err != nil {
			v.differ("flag %s cannot be read: %v", f.ID, err)
			continue
		}
		want := v.flags[f.ID]
		delete(v.flags, f.ID)
		switch {
		case want != nil:
			v.rep.Flags++
			v.compareFlag(want, &f, body)
		case v.whole || v.touches(f.RaisedAt, 1<<62-1):
			v.tell(v.touches(f.RaisedAt, max(f.ClearedAt, f.RaisedAt)), "flag %s stands in the ledger, and the journal has it not", f.ID)
		}
	}
	for _, id := range sortedKeys(v.flags) {
		v.tell(false, "flag %s follows from the journal, and is missing", id)
	}
	return rows.Err()
}

func (v *verifier) compareFlag(want, row *Flag, body string) {
	var said Flag
	err := json.Unmarshal([]byte(body), &said)
	same := *want
	same.Status = said.Status
	a, errA := json.Marshal(&same)
	b, errB := json.Marshal(&said)
	columns := Flag{ID: want.ID, Rule: want.Rule, Severity: want.Severity, Building: want.Building, Pile: want.Pile, Household: want.Household,
		RaisedAt: want.RaisedAt, ClearedAt: want.ClearedAt, Status: row.Status}
	if errors.Join(err, errA, errB) == nil && string(a) == string(b) && reflect.DeepEqual(columns, *row) {
		return
	}
	end := want.ClearedAt
	if end == 0 {
		end = 1<<62 - 1 // it may have risen, or been cleared, in a gap
	}
	v.tell(v.touches(want.RaisedAt, end), "flag %s: its row says %+v %s, and the journal %s", want.ID, *row, body, a)
}
