package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"os"
	"path/filepath"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// Period is a closed billing period (账期). It never changes.
type Period struct {
	Month    string // 2026-11
	ClosedAt devices.Millis
	Lines    int
	Sum      string // SHA-256 over the sum of the period before, the body and every line
	Body     json.RawMessage
}

// PeriodLine is one line of a closed period. Body is what package billing makes of it.
type PeriodLine struct {
	SessionID      string
	Household      string
	EnergyMWh      int64
	ElectricityFen int64
	ServiceFen     int64
	Quality        session.Quality
	Body           json.RawMessage
}

// ErrClosedPeriod is what ClosePeriod returns for a month that is closed.
var ErrClosedPeriod = errors.New("the period is closed, and never changes")

// OpenBeside opens an existing ledger for closing periods, also while a gateway
// runs on it: a period touches nothing that the gateway holds in memory. Append
// and Advance must not be called.
func OpenBeside(ctx context.Context, dir string, log *slog.Logger) (*Ledger, error) {
	if _, err := os.Stat(filepath.Join(dir, File)); err != nil {
		return nil, fmt.Errorf("no ledger in %s: %w; give the data_dir of a gateway that has run", dir, err)
	}
	l, err := Open(ctx, dir, log) // brings an older ledger up to date
	if !errors.Is(err, ErrInUse) {
		return l, err
	}
	if l, err = OpenRead(ctx, dir, log); err != nil {
		return nil, err
	}
	// The gateway commits within milliseconds, so that a minute is long enough.
	l.write, err = sql.Open("sqlite", dsn(l.path, "rw", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(60000)"))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.write.SetMaxOpenConns(1)
	return l, nil
}

// Periods gives the closed periods, the first month first.
func (l *Ledger) Periods(ctx context.Context) ([]Period, error) {
	ps, err := list(ctx, l.read, "SELECT month, closed_at, lines, sum, body FROM period ORDER BY month", nil, func(row scanner) (p Period, err error) {
		var body string
		err = row.Scan(&p.Month, &p.ClosedAt, &p.Lines, &p.Sum, &body)
		p.Body = json.RawMessage(body)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading periods: %w", err)
	}
	return ps, nil
}

const lineColumns = "session_id, household, energy_mwh, electricity_fee_fen, service_fee_fen, quality, body"

func scanLine(row scanner) (ln PeriodLine, err error) {
	var quality, body string
	if err := row.Scan(&ln.SessionID, &ln.Household, &ln.EnergyMWh, &ln.ElectricityFen, &ln.ServiceFen, &quality, &body); err != nil {
		return ln, err
	}
	ln.Body = json.RawMessage(body)
	return ln, ln.Quality.UnmarshalText([]byte(quality))
}

// EachPeriodLine calls do with every line of a closed period, without holding
// them, and stops at its first error.
func (l *Ledger) EachPeriodLine(ctx context.Context, month string, do func(*PeriodLine) error) error {
	return each(ctx, l.read, "SELECT "+lineColumns+" FROM period_line WHERE month = ? ORDER BY n", []any{month}, scanLine, do)
}

// LinesOf gives the lines that have billed a session, the first one first.
func (l *Ledger) LinesOf(ctx context.Context, sessionID string) ([]PeriodLine, error) {
	return list(ctx, l.read, "SELECT "+lineColumns+" FROM period_line WHERE session_id = ? ORDER BY month, n", []any{sessionID}, scanLine)
}

// EachUnbilled calls do with the closed sessions that ended in a span and that
// no closed period has billed, by their ends.
func (l *Ledger) EachUnbilled(ctx context.Context, from, to devices.Millis, do func(*session.Session) error) error {
	const query = "SELECT " + sessionColumns + ` FROM session WHERE open = 0 AND end >= ? AND end < ?
		AND NOT EXISTS (SELECT 1 FROM period_line p WHERE p.session_id = id) ORDER BY end, id`
	return each(ctx, l.read, query, []any{from, to}, scanSession, do)
}

// EachChanged calls do with the closed sessions that ended in a span and of
// which closed periods have billed something else than their rows say now.
func (l *Ledger) EachChanged(ctx context.Context, from, to devices.Millis, do func(*session.Session) error) error {
	const query = "SELECT " + sessionColumns + ` FROM session s WHERE open = 0 AND end >= ? AND end < ?
		AND EXISTS (SELECT 1 FROM period_line p WHERE p.session_id = s.id)
		AND ((SELECT sum(energy_mwh) || '/' || sum(electricity_fee_fen) || '/' || sum(service_fee_fen) FROM period_line p WHERE p.session_id = s.id)
				<> energy_mwh || '/' || electricity_fee_fen || '/' || service_fee_fen
			OR (SELECT household || ' ' || quality FROM period_line p WHERE p.session_id = s.id ORDER BY month DESC, n DESC LIMIT 1)
				<> household || ' ' || quality)
		ORDER BY end, id`
	return each(ctx, l.read, query, []any{from, to}, scanSession, do)
}

// SessionSpan gives the ends of the first and the last closed session; zeros
// where there is none.
func (l *Ledger) SessionSpan(ctx context.Context) (first, last devices.Millis, err error) {
	var a, b sql.NullInt64
	if err := l.read.QueryRowContext(ctx, "SELECT (SELECT min(end) FROM session WHERE open = 0), (SELECT max(end) FROM session WHERE open = 0)").Scan(&a, &b); err != nil {
		return 0, 0, fmt.Errorf("reading sessions: %w", err)
	}
	return devices.Millis(a.Int64), devices.Millis(b.Int64), nil
}

func each[T any](ctx context.Context, db *sql.DB, query string, args []any, scan func(scanner) (T, error), do func(*T) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		if err := do(&item); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ClosePeriod freezes a period with the lines that lines puts, and then the body
// that it gives, in one transaction: all of it is kept, or nothing. previous is
// the sum of the period before, "" for the first.
func (l *Ledger) ClosePeriod(ctx context.Context, month, previous string, at devices.Millis, lines func(put func(PeriodLine) error) (body []byte, err error)) (Period, error) {
	p := Period{Month: month, ClosedAt: at}
	l.mu.Lock()
	defer l.mu.Unlock()
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	var closed bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM period WHERE month >= ?)", month).Scan(&closed); err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	if closed {
		return p, fmt.Errorf("closing %s: %w", month, ErrClosedPeriod)
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO period_line (month, n, "+lineColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	defer insert.Close()
	sum := newPeriodSum()
	if p.Body, err = lines(func(ln PeriodLine) error {
		p.Lines++
		sum.add(&ln)
		_, err := insert.ExecContext(ctx, month, p.Lines, ln.SessionID, ln.Household, ln.EnergyMWh, ln.ElectricityFen, ln.ServiceFen, ln.Quality.String(), string(ln.Body))
		return err
	}); err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	p.Sum = sum.end(previous, &p)
	if _, err := tx.ExecContext(ctx, "INSERT INTO period (month, closed_at, lines, sum, body) VALUES (?, ?, ?, ?, ?)", p.Month, p.ClosedAt, p.Lines, p.Sum, string(p.Body)); err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	if err := tx.Commit(); err != nil {
		return p, fmt.Errorf("closing %s: %w", month, err)
	}
	return p, nil
}

// PeriodSum computes a period's checksum anew from what is stored, and calls do
// with each line on the way.
func (l *Ledger) PeriodSum(ctx context.Context, p Period, previous string, do func(*PeriodLine) error) (sum string, lines int, err error) {
	s := newPeriodSum()
	err = l.EachPeriodLine(ctx, p.Month, func(ln *PeriodLine) error {
		lines++
		s.add(ln)
		return do(ln)
	})
	return s.end(previous, &p), lines, err
}

// periodSum is the checksum of a period in the making.
type periodSum struct{ hash.Hash }

func newPeriodSum() periodSum { return periodSum{sha256.New()} }

func (s periodSum) add(ln *PeriodLine) {
	fmt.Fprintf(s, "%q %q %d %d %d %s %d\n%s\n", ln.SessionID, ln.Household, ln.EnergyMWh, ln.ElectricityFen, ln.ServiceFen, ln.Quality, len(ln.Body), ln.Body)
}

func (s periodSum) end(previous string, p *Period) string {
	fmt.Fprintf(s, "%s %d %d %q\n%s\n", p.Month, p.ClosedAt, p.Lines, previous, p.Body)
	return hex.EncodeToString(s.Sum(nil))
}
