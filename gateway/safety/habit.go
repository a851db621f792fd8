package safety

import (
	"encoding/json"
	"math"

	"pilewatch/gateway/ledger"
)

// habitChange is by how much the power of a charge may differ for it to be the
// same habit, as profile_mismatch has it.
const habitChange = 0.30

// habit is what people said is harmless: a card that a rule flags for what it
// always does (a courier, two packs), at this power.
type habit struct{ card, rule string }

// habits holds the peak power of each, in W, and the flags that are held back.
type habits struct {
	peak  map[habit]float64
	quiet map[string]bool // ids
}

// Judged tells what people said of flags, oldest first: false_alarm on a flag of
// a session with a card makes it that card's habit, and the same rule is silent
// for the card until its charge draws 30 % more or less than it did; confirmed
// ends that. A critical flag is never held back.
func (c *Consumer) Judged(verdicts ...ledger.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.habits.peak == nil {
		c.habits = habits{map[habit]float64{}, map[string]bool{}}
	}
	for _, v := range verdicts {
		h := habit{v.Card, v.Rule}
		switch v.Status {
		case ledger.StatusFalseAlarm:
			if peak := peakOf(v.Evidence); v.Card != "" && peak > 0 {
				c.habits.peak[h] = peak
			}
		case ledger.StatusConfirmed:
			delete(c.habits.peak, h)
		}
	}
}

// peakOf is the peak power of the session that a flag was raised in; 0 where the
// evidence does not say.
func peakOf(evidence json.RawMessage) float64 {
	var e struct {
		Peak float64 `json:"session_peak_w"`
	}
	if json.Unmarshal(evidence, &e) != nil {
		return 0
	}
	return e.Peak
}

// quieten takes out of pending what is a habit. The engine holds the flag all the
// same, so that what it remembers does not depend on verdicts.
func (c *Consumer) quieten() {
	kept := c.pending[:0]
	for i := range c.pending {
		if !c.habits.hold(&c.pending[i], c.cards[i]) {
			kept = append(kept, c.pending[i])
		}
	}
	c.pending, c.cards = kept, c.cards[:0]
	for range kept {
		c.cards = append(c.cards, "") // looked at: a commit that fails comes again
	}
}

// hold reports whether a flag is to be held back.
func (h *habits) hold(e *ledger.Entry, card string) bool {
	f := e.Flag
	switch {
	case e.Cleared:
		held := h.quiet[f.ID]
		delete(h.quiet, f.ID)
		return held
	case f.Severity == ledger.Critical:
		delete(h.quiet, f.ID)
		return false
	}
	peak, ok := h.peak[habit{card, f.Rule}]
	if !ok || card == "" || math.Abs(peakOf(f.Evidence)-peak) > habitChange*peak {
		return false
	}
	h.quiet[f.ID] = true
	return true
}
