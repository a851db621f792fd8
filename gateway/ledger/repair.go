package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// Repaired is what Repair did.
type Repaired struct {
	Copy   string // of the ledger before; "" when nothing was damaged
	Holes  []Hole // that were made
	Closed int    // sessions that were opened in a hole, and are closed as lost
}

// Repair lets a gateway go on without what is damaged in its ledger: after a copy,
// damaged blocks are set aside as holes. Session and flag rows stay as they are.
// Where the newest state of the fold is older than a hole, it is derived over it,
// and made to agree with the session rows. A damaged checkpoint is dropped. What it
// cannot do is mend the database file itself: then a backup is needed. It fails
// with ErrInUse while a gateway runs.
func Repair(ctx context.Context, dir string, log *slog.Logger) (r Repaired, err error) {
	l, err := Open(ctx, dir, log)
	if err != nil {
		return r, err
	}
	defer func() { err = explain(errors.Join(err, l.Close())) }()
	_, damaged, err := scrub(ctx, l.read, 0, nil)
	if err != nil {
		return r, err
	}
	states, err := l.damagedCheckpoints(ctx)
	if err != nil || len(damaged)+len(states) == 0 {
		return r, err
	}
	if r.Copy, err = l.copyBeforeRepair(ctx); err != nil {
		return r, err
	}
	if err := l.dropCheckpoints(ctx, states, &r); err != nil {
		return r, err
	}
	// The state first: if it ends in between, the blocks are damaged as before, and
	// nothing needs them.
	if err := l.deriveOver(ctx, damaged, &r); err != nil {
		return r, err
	}
	for _, bad := range damaged {
		if err := l.setAside(ctx, bad, &r); err != nil {
			return r, fmt.Errorf("setting block %d aside: %w", bad.Seq, err)
		}
	}
	return r, nil
}

func (l *Ledger) copyBeforeRepair(ctx context.Context) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.before-repair-%d", l.path, n)
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		if _, err := copyLedger(ctx, l.path, name, false); err != nil {
			return "", fmt.Errorf("copying the ledger to %s before the repair; nothing was changed: %w", name, err)
		}
		return name, nil
	}
}

// damagedCheckpoints names the saved states that are damaged.
func (l *Ledger) damagedCheckpoints(ctx context.Context) (bad []string, err error) {
	names, err := list(ctx, l.read, "SELECT name FROM checkpoint ORDER BY name", nil, func(row scanner) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	for _, name := range names {
		if _, _, err := l.loadCheckpoint(ctx, name); errors.Is(err, errCheckpoint) {
			bad = append(bad, name)
		} else if err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// dropCheckpoints removes damaged states. For the one before the journal's
// beginning an empty one stands in, with the newest settings that are known.
func (l *Ledger) dropCheckpoints(ctx context.Context, names []string, r *Repaired) error {
	for _, name := range names {
		if err := l.exec(ctx, "DELETE FROM checkpoint WHERE name = ?", name); err != nil {
			return err
		}
		if name != OriginCheckpoint {
			continue
		}
		state, err := session.NewState(session.DefaultSettings())
		if err != nil {
			return err
		}
		if _, saved, err := l.LoadCheckpoint(ctx, SessionCheckpoint); err != nil {
			return err
		} else if saved.Given() {
			if err := saved.Into(state); err != nil {
				return err
			}
			if state, err = session.NewState(state.Settings()); err != nil {
				return err
			}
		}
		if err := l.newOrigin(ctx, state, r); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) newOrigin(ctx context.Context, state *session.State, r *Repaired) error {
	packed, err := Pack(state)
	if err != nil {
		return err
	}
	h := Hole{Reason: "the state before it was damaged"}
	if err := l.read.QueryRowContext(ctx, "SELECT seq, first_time FROM journal ORDER BY seq LIMIT 1").Scan(&h.Seq, &h.Last); err != nil {
		return err
	}
	if _, err := l.Append(ctx, &Batch{Checkpoints: map[string]Checkpoint{OriginCheckpoint: {Seq: h.Seq, State: packed}}}); err != nil {
		return err
	}
	r.Holes = append(r.Holes, h)
	return l.exec(ctx, "INSERT OR REPLACE INTO hole (seq, count, first_time, last_time, reason, sum, block) VALUES (?, 0, ?, ?, ?, 0, x'')", h.Seq, h.First, h.Last, h.Reason)
}

// deriveOver brings the fold's state to the journal's head where the newest one
// is older than a damaged block, and saves it.
func (l *Ledger) deriveOver(ctx context.Context, damaged []*DamagedError, r *Repaired) error {
	if len(damaged) == 0 {
		return nil
	}
	from, saved, err := l.LoadCheckpoint(ctx, SessionCheckpoint)
	if err != nil || from > damaged[len(damaged)-1].Seq {
		return err
	}
	state, err := session.NewState(session.DefaultSettings())
	if err == nil && saved.Given() {
		err = saved.Into(state)
	}
	if err != nil {
		return err
	}
	if err := l.foldOver(ctx, state, from); err != nil {
		return err
	}
	b := &Batch{}
	if b.Entries, err = l.reconcile(ctx, state); err != nil {
		return err
	}
	for i := range b.Entries {
		if b.Entries[i].Change == session.Closed {
			r.Closed++
		}
	}
	packed, err := Pack(state)
	if err != nil {
		return err
	}
	b.Checkpoints = map[string]Checkpoint{SessionCheckpoint: {State: packed}}
	_, err = l.Append(ctx, b)
	return err
}

// foldOver folds the journal from an entry on, and passes over damaged blocks.
func (l *Ledger) foldOver(ctx context.Context, state *session.State, from Seq) error {
	for from < l.Head() {
		b, err := l.readRows(ctx, from, 1)
		var bad *DamagedError
		if errors.As(err, &bad) {
			if from, err = l.blockAfter(ctx, bad.Seq); err != nil {
				return err
			}
			continue
		}
		if err != nil || len(b.Entries) == 0 {
			return err
		}
		if err := b.Fold(state, func([]session.Change) {}); err != nil {
			return err
		}
		from = b.Next()
	}
	return nil
}

// reconcile makes the state and the session rows agree on what is open. A session
// that a hole closed is not closed again; one that a hole opened is closed as lost,
// with what its row has, and marked as estimated.
func (l *Ledger) reconcile(ctx context.Context, state *session.State) (entries []Entry, err error) {
	var received devices.Millis
	if err := l.read.QueryRowContext(ctx, "SELECT coalesce(max(received), 0) FROM (SELECT received FROM journal ORDER BY seq DESC LIMIT 2)").Scan(&received); err != nil {
		return nil, err
	}
	put := func(change session.ChangeKind, s *session.Session) {
		entries = append(entries, Entry{Kind: KindSession, Change: change, Received: received, Session: s})
	}
	open := map[string]bool{}
	for _, name := range sortedKeys(state.Piles) {
		ports := state.Piles[name].Ports
		for i := range ports {
			p := &ports[i]
			if p.Open == nil || p.Open.Lost {
				continue
			}
			row, err := l.Session(ctx, p.Open.ID)
			switch {
			case errors.Is(err, ErrNotFound):
				put(session.Opened, p.Open.Clone())
			case err != nil:
				return nil, err
			case !row.Open:
				state.Abandon(name, p.Number)
				continue
			}
			open[p.Open.ID] = true
		}
	}
	yes := true
	err = l.EachSession(ctx, Filter{Open: &yes, Oldest: true}, func(s *session.Session) error {
		if !open[s.ID] {
			s.Open, s.Reason, s.Quality = false, session.ReasonLost, s.Quality|session.Estimated
			put(session.Closed, s)
		}
		return nil
	})
	return entries, err
}

// setAside moves a damaged block out of the journal.
func (l *Ledger) setAside(ctx context.Context, bad *DamagedError, r *Repaired) error {
	h, err := l.plausible(ctx, bad.hole())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO hole (seq, count, first_time, last_time, reason, sum, block) SELECT seq, ?, ?, ?, ?, sum, block FROM journal WHERE seq = ?",
		h.Count, h.First, h.Last, h.Reason, h.Seq); err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM journal_hour WHERE seq = ?", "DELETE FROM journal WHERE seq = ?"} {
		if _, err := tx.ExecContext(ctx, q, h.Seq); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	r.Holes = append(r.Holes, h)
	return nil
}

// plausible corrects the numbers of a damaged row, which may be what is damaged,
// by its neighbours: it ends where the next block or hole begins, and holds nothing
// of long before or after them.
func (l *Ledger) plausible(ctx context.Context, h Hole) (Hole, error) {
	const day = 86_400_000
	next := l.Head()
	low, high := devices.Millis(0), devices.Millis(0)
	if err := l.read.QueryRowContext(ctx, `SELECT
		coalesce((SELECT min(seq) FROM (SELECT seq FROM journal WHERE seq > ?1 UNION ALL SELECT seq FROM hole WHERE seq > ?1)), ?2),
		coalesce((SELECT received FROM journal WHERE seq < ?1 ORDER BY seq DESC LIMIT 1), 0),
		coalesce((SELECT received FROM journal WHERE seq > ?1 ORDER BY seq LIMIT 1), 0)`, h.Seq, next).Scan(&next, &low, &high); err != nil {
		return h, err
	}
	h.Count = max(1, int(next-h.Seq))
	if high == 0 {
		high = max(low, h.Last)
	}
	if h.First > h.Last || h.First < low-day || h.Last > high+day {
		h.First, h.Last = low, high
	}
	return h, nil
}
