package feed

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	minWait = time.Second
	maxWait = 5 * time.Minute
	maxAsk  = time.Hour // the longest wait that an error may ask for
)

// WaitAfter is how long to wait after the n-th failure in a row, from 0: what the
// error asks for, else 1 to 2 s, 2 to 4 s and so on. The chance in it keeps many
// gateways from knocking together when a server comes back.
func WaitAfter(err error, n int) time.Duration {
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		if d := min(asks.RetryAfter(), maxAsk); d > 0 {
			return d + rand.N(d/10+1)
		}
	}
	d := maxWait / 2
	if n < 8 {
		d = min(minWait<<n, d)
	}
	return d + rand.N(d)
}

// progressed reports whether a part was taken before it failed.
func progressed(err error) bool {
	var e interface{ Progress() bool }
	return errors.As(err, &e) && e.Progress()
}

// Sleep waits; false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const logEvery = time.Minute

// Outage keeps the log short while deliveries fail: the first failure, the recovery
// and, in between, a line a minute at most. It is for one goroutine.
type Outage struct {
	log      *slog.Logger
	since    time.Time // of the first failure in a row; zero while all is well
	failures int
	said     time.Time // when a failure was logged last
	told     bool      // the log knows of this outage
	saidSave time.Time // when a cursor that was not written was logged last
}

// NewOutage gives one that writes to log.
func NewOutage(log *slog.Logger) *Outage { return &Outage{log: log} }

// Failed notes a failure, what comes after it and how much waits.
func (o *Outage) Failed(err error, wait time.Duration, backlog int64) {
	now := time.Now()
	if o.failures++; o.failures == 1 {
		o.since = now
	}
	if now.Sub(o.said) < logEvery {
		return
	}
	o.said, o.told = now, true
	level, attrs := slog.LevelWarn, []any{"error", err, "retry_in", wait.Round(time.Millisecond), "failures", o.failures, "backlog", backlog}
	var person interface{ Hint() string }
	if errors.As(err, &person) {
		level, attrs = slog.LevelError, append(attrs, "hint", person.Hint())
	}
	o.log.Log(context.Background(), level, "not delivered; the journal keeps it and it is tried again", attrs...)
}

// Over notes a success.
func (o *Outage) Over() {
	if o.told {
		o.log.Info("delivered again", "failures", o.failures, "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.failures, o.told = 0, false
}

func (o *Outage) unsaved(err error) {
	if now := time.Now(); now.Sub(o.saidSave) >= logEvery {
		o.saidSave = now
		o.log.Warn("the cursor could not be written; a restart would repeat what was delivered since", "error", err)
	}
}
