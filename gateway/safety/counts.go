package safety

import (
	"maps"

	"pilewatch/gateway/ledger"
)

// Key is what flags are counted by.
type Key struct{ Rule, Severity string }

// Severities are those of flags, from the least.
var Severities = []string{ledger.Info, ledger.Warning, ledger.Critical}

// counts are the flags that stand, and those raised since the start.
type counts struct {
	standing map[string]Key // by flag id
	openBy   map[Key]int
	raised   map[Key]int
}

func newCounts() counts {
	c := counts{standing: map[string]Key{}, openBy: map[Key]int{}, raised: map[Key]int{}}
	for _, id := range IDs {
		for _, s := range Severities {
			k := Key{id, s}
			c.openBy[k], c.raised[k] = 0, 0
		}
	}
	return c
}

// start counts what stood when the program started.
func (c *counts) start(open []ledger.Flag) {
	for i := range open {
		c.stand(&open[i])
	}
}

// note counts a flag that was committed.
func (c *counts) note(e *ledger.Entry) {
	if e.Cleared {
		c.fall(e.Flag.ID)
		return
	}
	c.stand(e.Flag)
	c.raised[Key{e.Flag.Rule, e.Flag.Severity}]++
}

func (c *counts) stand(f *ledger.Flag) {
	c.fall(f.ID)
	k := Key{f.Rule, f.Severity}
	c.standing[f.ID] = k
	c.openBy[k]++
}

func (c *counts) fall(id string) {
	if k, ok := c.standing[id]; ok {
		c.openBy[k]--
		delete(c.standing, id)
	}
}

// Counts gives how many flags stand now, and how many were raised (or rose to
// that severity) since the start. Every rule and severity is there, from 0. The
// maps are the caller's.
func (c *Consumer) Counts() (open, raised map[Key]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts.openBy), maps.Clone(c.counts.raised)
}
