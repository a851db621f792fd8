package channel

import (
	"context"
	"sync"
	"time"

	"pilewatch/gateway/feed"
)

// pace lets no more than len(last) messages pass in any span of `per`. A channel
// that may be sent twenty a minute gets twenty at once, and the next when the
// first is a minute old.
type pace struct {
	per  time.Duration
	mu   sync.Mutex
	last []time.Time // a ring of when messages passed
	next int         // the oldest of them
}

// slack is for clocks and networks that let messages arrive closer together than
// they were sent.
const slack = time.Second

func newPace(n int, per time.Duration) *pace {
	return &pace{per: per + slack, last: make([]time.Time, n)}
}

// wait returns when a message may pass, or ctx's cause.
func (p *pace) wait(ctx context.Context) error {
	for {
		now := time.Now()
		p.mu.Lock()
		oldest := p.last[p.next]
		rest := oldest.Add(p.per).Sub(now)
		if oldest.IsZero() || rest <= 0 {
			p.last[p.next] = now
			p.next = (p.next + 1) % len(p.last)
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		if !feed.Sleep(ctx, rest) {
			return context.Cause(ctx)
		}
	}
}
