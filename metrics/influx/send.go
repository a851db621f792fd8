package influx

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// send writes the batch, and empties it. Where InfluxDB refuses a request, half
// as many lines are tried, and again, until a bad line stands alone; after a
// success twice as many. Half as many are tried, too, where it takes longer than
// a request may, and no more than would keep it for half that time. An error
// leaves the batch with what is not done yet, so that a repetition goes on there.
func (c *Consumer) send(ctx context.Context) error {
	b := c.batch
	for b.sent < len(b.ends) {
		i, j := b.sent, min(b.sent+b.size, len(b.ends))
		began := time.Now()
		bad, err := c.post(ctx, b.text(i, j))
		quick := time.Since(began) < c.opts.Timeout/4
		c.answered = c.answered || err == nil
		switch {
		case err != nil:
			if isTimeout(err) {
				b.size = (j - i + 1) / 2
			}
			return err
		case bad == nil:
			if b.sent = j; quick {
				b.size = min(2*b.size, maxLines)
			}
		case bad.tooOld: // all others were taken
			b.sent = j
			c.sayTooOld(bad)
		case j-i == 1 || bad.dropped == j-i:
			if err := c.giveUp(ctx, i, j, bad); err != nil {
				return err
			}
		default:
			b.size = (j - i + 1) / 2
		}
	}
	b.reset()
	return nil
}

// post writes text in one request, and says what InfluxDB refused of it. An
// error means that it has to be tried again. The library takes a record for what
// it is to send, and looks at nothing in it.
func (c *Consumer) post(ctx context.Context, text []byte) (*refusal, error) {
	err := c.write.WriteRecord(ctx, c.packer.pack(text))
	if err == nil {
		return nil, nil
	}
	return c.judge(err)
}

// isTimeout reports whether a request was given up because it took too long.
func isTimeout(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}

// probe is line protocol without a point.
var probe = []byte("# pilewatch\n")

// blame makes sure that a refusal is the line's fault: where InfluxDB says the
// same of a request without a point, it is the request that is wrong.
func (c *Consumer) blame(ctx context.Context, bad *refusal) error {
	if bad.sure {
		return nil
	}
	same, err := c.post(ctx, probe)
	if err == nil && same != nil && same.reason == bad.reason {
		return &setupError{c.failure(http.StatusBadRequest, bad.reason), hintAddress}
	}
	return err
}

// giveUp keeps the lines from i to j, all of which were refused.
func (c *Consumer) giveUp(ctx context.Context, i, j int, bad *refusal) error {
	if err := c.blame(ctx, bad); err != nil {
		return err
	}
	lines := make([]string, 0, j-i)
	for k := i; k < j; k++ {
		lines = append(lines, strings.TrimSuffix(string(c.batch.text(k, k+1)), "\n"))
	}
	if err := c.keep(ctx, bad.reason, lines...); err != nil {
		return err
	}
	c.batch.sent = j
	return nil
}

// keep stores lines that will never be taken, all or none, counts and logs them.
func (c *Consumer) keep(ctx context.Context, reason string, lines ...string) error {
	reason = cut(reason, 1000) // it may name every line
	if err := c.opts.Rejects.SaveSinkRejects(ctx, Name, reason, lines); err != nil {
		return err
	}
	c.refused.Add(uint64(len(lines)))
	for _, line := range lines {
		if silent, ok := c.badLines.say(time.Now()); ok {
			c.log.Error("InfluxDB refused a point for good; it is kept in the ledger and the others go on",
				"line", cut(line, 1000), "reason", cut(reason, 500), "not_logged", silent)
		}
	}
	return nil
}

func (c *Consumer) sayTooOld(bad *refusal) {
	if silent, ok := c.tooOld.say(time.Now()); ok {
		c.log.Warn("InfluxDB drops points that are older than its bucket keeps; lengthen its retention and begin again if the past is wanted",
			"reason", cut(bad.reason, 500), "not_logged", silent)
	}
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// quiet lets a few lines a minute into the log.
type quiet struct {
	most   int // in a minute
	minute time.Time
	said   int
	silent int
}

// say reports whether to speak, and how often it did not since it last did.
func (q *quiet) say(now time.Time) (silent int, ok bool) {
	if now.Sub(q.minute) >= time.Minute {
		q.minute, q.said = now, 0
	}
	if q.said >= q.most {
		q.silent++
		return 0, false
	}
	q.said++
	silent, q.silent = q.silent, 0
	return silent, true
}
