package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"pilewatch/devices"
)

// The states of a Delivery.
const (
	DeliveryWaiting = "waiting"
	DeliverySent    = "sent"
	DeliveryRefused = "refused" // by the channel, for good
	DeliveryDropped = "dropped" // nobody needs it any more
)

// StepCleared is the step of a flag that says that it was cleared.
const StepCleared = "cleared"

// Delivery is one step of a flag, or a digest, that a channel of alerts is to be
// told. Channel, FlagID and Step tell it apart from all others.
type Delivery struct {
	Channel  string
	FlagID   string         // "" for a digest
	Step     string         // raised/warning, cleared, repeated/1, digest/daily/2026-11-26
	At       devices.Millis // when it came about, by the gateway's clock
	State    string
	Message  string // delivery id of the message that it goes with; "" while it has none
	Attempts int
	TriedAt  devices.Millis // last attempt; 0 for none
	DoneAt   devices.Millis // when it ceased to wait; 0 while it waits
	Error    string         // of the last attempt; "" where there was none
}

// Notice is a delivery with its flag as it stands now; the zero Flag for a digest.
type Notice struct {
	Delivery
	Flag Flag
}

const deliveryColumns = "channel, flag_id, step, at, state, message, attempts, tried_at, done_at, error"

func (d *Delivery) values() []any {
	return []any{d.Channel, d.FlagID, d.Step, d.At, d.State, d.Message, d.Attempts, d.TriedAt, d.DoneAt, d.Error}
}

func (d *Delivery) places() []any {
	return []any{&d.Channel, &d.FlagID, &d.Step, &d.At, &d.State, &d.Message, &d.Attempts, &d.TriedAt, &d.DoneAt, &d.Error}
}

// announce inserts a delivery that is not there yet. Nobody is told of the end of
// what they were not told of, nor will be.
const announce = "INSERT OR IGNORE INTO delivery (" + deliveryColumns + ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE ?3 <> '" + StepCleared + "'" +
	" OR EXISTS (SELECT 1 FROM delivery WHERE channel = ?1 AND flag_id = ?2 AND state <> '" + DeliveryDropped + "')"

// Announce adds deliveries, all or none. One that is there already stays as it
// is; a clearing of which the channel knows no beginning is left out.
func (l *Ledger) Announce(ctx context.Context, ds ...Delivery) error {
	return l.putDeliveries(ctx, announce, ds, nil)
}

// SaveDeliveries writes deliveries over what is there of them, all or none.
func (l *Ledger) SaveDeliveries(ctx context.Context, ds ...Delivery) error {
	return l.putDeliveries(ctx, "INSERT OR REPLACE INTO delivery ("+deliveryColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ds, nil)
}

// BeginChannel gives a channel that is new a cursor at an entry and its first
// deliveries, all or none; one that has a cursor is left as it is.
func (l *Ledger) BeginChannel(ctx context.Context, cursor string, at Seq, ds ...Delivery) error {
	return l.putDeliveries(ctx, announce, ds, func(tx *sql.Tx) (goOn bool, err error) {
		r, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO cursor (name, seq) VALUES (?, ?)", cursor, at)
		if err != nil {
			return false, err
		}
		n, err := r.RowsAffected()
		return n > 0, err
	})
}

// putDeliveries runs a statement for each delivery in one transaction, where
// first lets it.
func (l *Ledger) putDeliveries(ctx context.Context, statement string, ds []Delivery, first func(*sql.Tx) (bool, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	if err := l.inTx(ctx, func(tx *sql.Tx) error {
		if first != nil {
			if goOn, err := first(tx); err != nil || !goOn {
				return err
			}
		}
		for i := range ds {
			if _, err := tx.ExecContext(ctx, statement, ds[i].values()...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return explain(fmt.Errorf("keeping deliveries of alerts: %w", err))
	}
	return nil
}

func (l *Ledger) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Notices gives what a channel is still to be told, what it was told since an
// instant, and all that it was told of critical flags that stand; in the order in
// which it came about.
func (l *Ledger) Notices(ctx context.Context, channel string, since devices.Millis) ([]Notice, error) {
	ns, err := list(ctx, l.read, "SELECT "+deliveryColumns+", coalesce((SELECT body FROM flag WHERE id = flag_id), '{}') FROM delivery"+
		" WHERE channel = ?1 AND (done_at = 0 OR done_at >= ?2 OR flag_id IN (SELECT id FROM flag WHERE cleared_at = 0 AND severity = ?3)) ORDER BY at, flag_id, step",
		[]any{channel, since, Critical}, func(row scanner) (n Notice, err error) {
			var body string
			if err := row.Scan(append(n.places(), &body)...); err != nil {
				return n, err
			}
			return n, json.Unmarshal([]byte(body), &n.Flag)
		})
	if err != nil {
		return nil, fmt.Errorf("reading what channel %s is to be told: %w", channel, err)
	}
	return ns, nil
}

// DeliveriesOf gives what the channels were told of a flag, the oldest first.
func (l *Ledger) DeliveriesOf(ctx context.Context, flagID string) ([]Delivery, error) {
	ds, err := list(ctx, l.read, "SELECT "+deliveryColumns+" FROM delivery WHERE flag_id = ? ORDER BY at, channel, step", []any{flagID},
		func(row scanner) (d Delivery, err error) { return d, row.Scan(d.places()...) })
	if err != nil {
		return nil, fmt.Errorf("reading the deliveries of flag %s: %w", flagID, err)
	}
	return ds, nil
}
