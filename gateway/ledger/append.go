package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// Batch is what one commit holds: all of it is kept, or nothing.
type Batch struct {
	Entries     []Entry // one block of the journal; session and flag rows follow from it
	Rejects     []Reject
	Cursors     map[string]Seq
	Checkpoints map[string]Checkpoint
}

// Append commits a batch and gives the number of its first entry. When it
// returns nil, the batch is on disk. After an error nothing of it is kept and
// the same batch may be appended again; Writable tells why until one succeeds.
func (l *Ledger) Append(ctx context.Context, b *Batch) (Seq, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return 0, ErrClosed
	}
	first := l.Head()
	err := l.commit(ctx, first, b)
	if err != nil {
		err = explain(fmt.Errorf("writing the ledger %s: %w", l.path, err))
	}
	if l.note(ctx, err, len(b.Entries)+len(b.Rejects) > 0); err != nil {
		return 0, err
	}
	if len(b.Entries) > 0 {
		l.head.Store(int64(first) + int64(len(b.Entries)))
		l.tail.push(Block{First: first, Entries: b.Entries})
	}
	return first, nil
}

func (l *Ledger) commit(ctx context.Context, first Seq, b *Batch) error {
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	if err := l.putBlock(ctx, tx, first, b.Entries); err != nil {
		return err
	}
	if err := putRows(ctx, tx, b.Entries); err != nil {
		return err
	}
	for _, r := range b.Rejects {
		if _, err := tx.ExecContext(ctx, "INSERT INTO reject (time, decoder, topic, reason, detail, payload) VALUES (?, ?, ?, ?, ?, ?)",
			r.Time, r.Decoder, r.Topic, string(r.Reason), r.Detail, nonNil(r.Payload)); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(b.Cursors) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO cursor (name, seq) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seq = ?2 WHERE seq <> ?2", name, b.Cursors[name]); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(b.Checkpoints) {
		c := b.Checkpoints[name]
		if c.Seq == 0 {
			c.Seq = first + Seq(len(b.Entries))
		}
		if err := l.putCheckpoint(ctx, tx, name, c); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// putBlock writes the journal's row of a batch.
func (l *Ledger) putBlock(ctx context.Context, tx *sql.Tx, first Seq, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	block, err := l.enc.encode(entries)
	if err != nil {
		return err
	}
	row := blockRow{seq: first, count: len(entries), received: entries[len(entries)-1].Received, block: block}
	var hours []int64
	row.firstTime, row.lastTime, hours = timesOf(entries)
	if _, err := tx.ExecContext(ctx, "INSERT INTO journal (seq, count, received, first_time, last_time, sum, block) VALUES (?, ?, ?, ?, ?, ?, ?)",
		row.seq, row.count, row.received, row.firstTime, row.lastTime, row.sum(), block); err != nil {
		return err
	}
	for _, h := range hours {
		if _, err := tx.ExecContext(ctx, "INSERT INTO journal_hour (hour, seq) VALUES (?, ?)", h, first); err != nil {
			return err
		}
	}
	return nil
}

// blockRow is a row of the journal.
type blockRow struct {
	seq                 Seq
	count               int
	received            devices.Millis
	firstTime, lastTime devices.Millis
	block               []byte
}

// castagnoli is the polynomial that processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the row's checksum.
func (r *blockRow) sum() uint32 {
	b := make([]byte, 0, 40)
	for _, v := range []int64{int64(r.seq), int64(r.count), int64(r.received), int64(r.firstTime), int64(r.lastTime)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, r.block)
}

const hourMillis = 3_600_000

// timesOf gives the span of the device times in entries, and their hours.
func timesOf(entries []Entry) (first, last devices.Millis, hours []int64) {
	previous := int64(-1)
	for i := range entries {
		k, ok := KeyOf(&entries[i])
		if !ok {
			continue
		}
		if first == 0 || k.Time < first {
			first = k.Time
		}
		last = max(last, k.Time)
		if h := int64(k.Time) / hourMillis; h != previous {
			hours = append(hours, h)
			previous = h
		}
	}
	slices.Sort(hours)
	return first, last, slices.Compact(hours)
}

// putRows writes the session and flag rows that follow from entries.
func putRows(ctx context.Context, tx *sql.Tx, entries []Entry) error {
	sessions := sessionRows{tx: tx}
	for i := range entries {
		e := &entries[i]
		var err error
		switch {
		case e.Kind == KindSession && e.Change == session.Settled:
			err = sessions.settle(ctx, e.Session)
		case e.Kind == KindSession:
			err = sessions.put(ctx, e.Session)
		case e.Kind == KindFlag:
			err = putFlag(ctx, tx, e.Flag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const sessionColumns = "id, pile, port, open, building, household, card, order_no, start, end, energy_mwh, peak_mw, " +
	"meter_start_mwh, meter_end_mwh, tariff, bands, electricity_fee_fen, service_fee_fen, stop_reason, quality, settled_mwh"

// sessionRows writes session rows in one transaction.
type sessionRows struct {
	tx     *sql.Tx
	insert *sql.Stmt // made when first needed; it ends with the transaction
}

func (w *sessionRows) put(ctx context.Context, s *session.Session) error {
	bands, err := json.Marshal(s.Bands)
	if err == nil && w.insert == nil {
		w.insert, err = w.tx.PrepareContext(ctx, "INSERT OR REPLACE INTO session ("+sessionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	}
	if err != nil {
		return err
	}
	_, err = w.insert.ExecContext(ctx,
		s.ID, s.Pile, s.Port, s.Open, s.Building, s.Household, s.Card, s.Order, s.Start, s.End, s.EnergyMWh, s.PeakMW,
		s.MeterStartMWh, s.MeterEndMWh, s.Tariff, string(bands), s.ElectricityFen, s.ServiceFen, s.Reason, s.Quality.String(), s.SettledMWh)
	return err
}

// settle adds a settlement to a row. Where somebody took the row away, the
// settlement stands in the journal alone, and verify tells of the row: a commit
// that could never succeed would hold up all others.
func (w *sessionRows) settle(ctx context.Context, from *session.Session) error {
	s, err := scanSession(w.tx.QueryRowContext(ctx, "SELECT "+sessionColumns+" FROM session WHERE id = ?", from.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the settled session %s: %w", from.ID, err)
	}
	s.Settle(from)
	return w.put(ctx, &s)
}

// putFlag writes a flag's row. What a person has said of it stays: the rules know
// nothing of that.
func putFlag(ctx context.Context, tx *sql.Tx, f *Flag) error {
	row := *f
	err := tx.QueryRowContext(ctx, "SELECT status FROM flag WHERE id = ?", f.ID).Scan(&row.Status)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	body, err := json.Marshal(row)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO flag (id, rule, severity, building, pile, household, raised_at, cleared_at, status, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		row.ID, row.Rule, row.Severity, row.Building, row.Pile, row.Household, row.RaisedAt, row.ClearedAt, row.Status, string(body))
	return err
}

// Advance moves a consumer's cursor to the next entry that it has not had.
func (l *Ledger) Advance(ctx context.Context, name string, to Seq) error {
	_, err := l.Append(ctx, &Batch{Cursors: map[string]Seq{name: to}})
	return err
}

// SaveSinkRejects keeps lines that a sink refused for good, all or none.
func (l *Ledger) SaveSinkRejects(ctx context.Context, sink, reason string, lines []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.putSinkRejects(ctx, sink, reason, lines); err != nil {
		return fmt.Errorf("keeping what %s refused: %w", sink, err)
	}
	return nil
}

func (l *Ledger) putSinkRejects(ctx context.Context, sink, reason string, lines []string) error {
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	for _, line := range lines {
		if _, err := tx.ExecContext(ctx, "INSERT INTO sink_reject (sink, line, reason) VALUES (?, ?, ?)", sink, line, reason); err != nil {
			return err
		}
	}
	return tx.Commit()
}
