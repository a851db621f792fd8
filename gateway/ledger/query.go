package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// Filter chooses rows of a list. Zero values choose all.
type Filter struct {
	From, To  devices.Millis // of a session's start, a flag's raising, a reject's receipt; To is excluded
	ByEnd     bool           // From and To are of a session's end, and only closed ones are meant
	Building  string
	Pile      string
	Household string
	Order     string
	Rule      string
	Status    string
	Open      *bool
	Oldest    bool   // oldest first; else newest first
	Limit     int    // 0: no limit
	After     string // the next of the list before
}

// where builds a condition with its arguments.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, arg ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, arg...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// page adds what a list has in common: the span, where to go on, order, limit.
func (w *where) page(f Filter, timeColumn string) (string, error) {
	if f.From != 0 {
		w.add(timeColumn+" >= ?", f.From)
	}
	if f.To != 0 {
		w.add(timeColumn+" < ?", f.To)
	}
	cmp, dir := "<", " DESC"
	if f.Oldest {
		cmp, dir = ">", ""
	}
	if f.After != "" {
		at, id, ok := strings.Cut(f.After, "_")
		ms, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			return "", fmt.Errorf("after %q is no place in a list: give the next of the answer before", f.After)
		}
		w.add("("+timeColumn+", id) "+cmp+" (?, ?)", ms, id)
	}
	sql := w.String() + " ORDER BY " + timeColumn + dir + ", id" + dir
	if f.Limit > 0 {
		sql += " LIMIT " + strconv.Itoa(f.Limit+1) // one more tells whether there is a next
	}
	return sql, nil
}

// next cuts a list to its limit and gives where to go on.
func next[T any](items []T, limit int, place func(*T) (devices.Millis, string)) ([]T, string) {
	if limit <= 0 || len(items) <= limit {
		return items, ""
	}
	items = items[:limit]
	at, id := place(&items[limit-1])
	return items, fmt.Sprintf("%d_%s", at, id)
}

func sessionWhere(f Filter) (*where, string) {
	var w where
	column := "start"
	if f.ByEnd {
		column = "end"
		w.add("open = 0")
	}
	for col, v := range map[string]string{"building": f.Building, "pile": f.Pile, "household": f.Household, "order_no": f.Order} {
		if v != "" {
			w.add(col+" = ?", v)
		}
	}
	if f.Open != nil {
		w.add("open = ?", *f.Open)
	}
	return &w, column
}

// EachSession calls do with every session that the filter chooses, without
// holding them in memory, and stops at its first error.
func (l *Ledger) EachSession(ctx context.Context, f Filter, do func(*session.Session) error) error {
	w, column := sessionWhere(f)
	tail, err := w.page(f, column)
	if err != nil {
		return err
	}
	rows, err := l.read.QueryContext(ctx, "SELECT "+sessionColumns+" FROM session"+tail, w.args...)
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return fmt.Errorf("reading sessions: %w", err)
		}
		if err := do(&s); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Sessions gives one page of sessions, and where the next begins; "" at the end.
func (l *Ledger) Sessions(ctx context.Context, f Filter) ([]session.Session, string, error) {
	items := []session.Session{}
	if err := l.EachSession(ctx, f, func(s *session.Session) error { items = append(items, *s); return nil }); err != nil {
		return nil, "", err
	}
	items, after := next(items, f.Limit, func(s *session.Session) (devices.Millis, string) {
		if f.ByEnd {
			return s.End, s.ID
		}
		return s.Start, s.ID
	})
	return items, after, nil
}

// Session gives one session, or ErrNotFound.
func (l *Ledger) Session(ctx context.Context, id string) (session.Session, error) {
	s, err := scanSession(l.read.QueryRowContext(ctx, "SELECT "+sessionColumns+" FROM session WHERE id = ?", id))
	return s, wrapNotFound(err, "session", id)
}

// SessionOfOrder gives the newest session of an order, or ErrNotFound.
func (l *Ledger) SessionOfOrder(ctx context.Context, pile string, port uint8, order string) (session.Session, error) {
	s, err := scanSession(l.read.QueryRowContext(ctx, "SELECT "+sessionColumns+
		" FROM session WHERE pile = ? AND order_no = ? AND port = ? AND order_no <> '' ORDER BY start DESC LIMIT 1", pile, order, port))
	return s, wrapNotFound(err, "order", order)
}

func wrapNotFound(err error, what, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s %s: %w", what, id, ErrNotFound)
	}
	return fmt.Errorf("reading %s %s: %w", what, id, err)
}

// scanner is a row or rows.
type scanner interface{ Scan(dest ...any) error }

func scanSession(row scanner) (session.Session, error) {
	var s session.Session
	var bands, quality string
	if err := row.Scan(&s.ID, &s.Pile, &s.Port, &s.Open, &s.Building, &s.Household, &s.Card, &s.Order, &s.Start, &s.End, &s.EnergyMWh, &s.PeakMW,
		&s.MeterStartMWh, &s.MeterEndMWh, &s.Tariff, &bands, &s.ElectricityFen, &s.ServiceFen, &s.Reason, &quality, &s.SettledMWh); err != nil {
		return s, err
	}
	err := errors.Join(json.Unmarshal([]byte(bands), &s.Bands), s.Quality.UnmarshalText([]byte(quality)))
	return s, err
}

// Flags gives one page of flags, and where the next begins; "" at the end.
func (l *Ledger) Flags(ctx context.Context, f Filter) ([]Flag, string, error) {
	var w where
	for col, v := range map[string]string{"building": f.Building, "pile": f.Pile, "household": f.Household, "rule": f.Rule, "status": f.Status} {
		if v != "" {
			w.add(col+" = ?", v)
		}
	}
	if f.Open != nil {
		w.add("(cleared_at = 0) = ?", *f.Open)
	}
	tail, err := w.page(f, "raised_at")
	if err != nil {
		return nil, "", err
	}
	items, err := list(ctx, l.read, "SELECT body FROM flag"+tail, w.args, scanFlag)
	if err != nil {
		return nil, "", fmt.Errorf("reading flags: %w", err)
	}
	items, after := next(items, f.Limit, func(f *Flag) (devices.Millis, string) { return f.RaisedAt, f.ID })
	return items, after, nil
}

// Flag gives one flag, or ErrNotFound.
func (l *Ledger) Flag(ctx context.Context, id string) (Flag, error) {
	f, err := scanFlag(l.read.QueryRowContext(ctx, "SELECT body FROM flag WHERE id = ?", id))
	return f, wrapNotFound(err, "flag", id)
}

func scanFlag(row scanner) (f Flag, err error) {
	var body string
	if err := row.Scan(&body); err != nil {
		return f, err
	}
	err = json.Unmarshal([]byte(body), &f)
	return f, err
}

// numbered is a reject with the number of its row.
type numbered struct {
	Reject
	id int64
}

// Rejects gives one page of rejects, and where the next begins; "" at the end.
func (l *Ledger) Rejects(ctx context.Context, f Filter) ([]Reject, string, error) {
	var w where
	tail, err := w.page(f, "time")
	if err != nil {
		return nil, "", err
	}
	items, err := list(ctx, l.read, "SELECT id, time, decoder, topic, reason, detail, payload FROM reject"+tail, w.args, func(row scanner) (r numbered, err error) {
		err = row.Scan(&r.id, &r.Time, &r.Decoder, &r.Topic, &r.Reason, &r.Detail, &r.Payload)
		return r, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading rejects: %w", err)
	}
	items, after := next(items, f.Limit, func(r *numbered) (devices.Millis, string) { return r.Time, strconv.FormatInt(r.id, 10) })
	rejects := make([]Reject, len(items))
	for i, r := range items {
		rejects[i] = r.Reject
	}
	return rejects, after, nil
}

func list[T any](ctx context.Context, db *sql.DB, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}
