package safety

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// cardMemory is what is remembered of a card, of constant size.
type cardMemory struct {
	Seen     devices.Millis `json:"seen"`              // its newest charge
	Pile     string         `json:"pile,omitempty"`    // where that was
	Open     []string       `json:"open,omitempty"`    // sessions, sorted
	Charges  []charged      `json:"charges,omitempty"` // the newest, oldest first
	Month    string         `json:"month,omitempty"`   // of MonthMWh
	MonthMWh int64          `json:"month_mwh,omitempty"`
}

// charged is a charge that is over.
type charged struct {
	ID    string         `json:"id,omitempty"` // where it may go on
	Start devices.Millis `json:"start"`
	End   devices.Millis `json:"end"`
	MWh   int64          `json:"mwh"`
	Level int32          `json:"level,omitempty"` // mW, 20 minutes after its start; 0: not known
	Ended bool           `json:"ended,omitempty"` // by itself: full
}

// keepCharges is how many charges of a card are kept: two months of a busy bike.
const keepCharges = 48

const (
	hour = 60 * minute
	day  = 24 * hour
)

// remember keeps what a session says of its card.
func (e *Engine) remember(change session.ChangeKind, s *session.Session, level int32, full bool) {
	if s.Card == "" || change == session.Settled {
		return
	}
	c := e.cards[s.Card]
	if c == nil {
		c = &cardMemory{}
		e.cards[s.Card] = c
	}
	c.Seen, c.Pile = max(c.Seen, s.Start), s.Pile
	i, there := slices.BinarySearch(c.Open, s.ID)
	switch {
	case change != session.Closed && !there:
		c.Open = slices.Insert(c.Open, i, s.ID)
	case change == session.Closed && there:
		c.Open = slices.Delete(c.Open, i, i+1)
	}
	if change != session.Closed {
		return
	}
	x := charged{Start: s.Start, End: s.End, MWh: s.EnergyMWh, Level: level, Ended: full || s.Reason == "full" || s.Reason == session.ReasonLowPower}
	if reopens(s) {
		x.ID = s.ID
	}
	if month := s.End.Time().In(e.loc).Format("2006-01"); month != c.Month {
		c.Month, c.MonthMWh = month, 0
	}
	if k := slices.IndexFunc(c.Charges, func(o charged) bool { return o.ID == s.ID }); k >= 0 { // it had been closed as lost
		c.MonthMWh -= c.Charges[k].MWh
		c.Charges = slices.Delete(c.Charges, k, k+1)
	}
	c.MonthMWh += x.MWh
	if n := len(c.Charges); n == keepCharges {
		c.Charges = slices.Delete(c.Charges, 0, 1)
	} else if n == cap(c.Charges) {
		c.Charges = append(make([]charged, 0, min(n+n/2+1, keepCharges)), c.Charges...)
	}
	c.Charges = append(c.Charges, x)
}

// reopens reports whether a session that is closed may be opened again: the clock
// may have closed it, which its reason does not say where it was settled.
func reopens(s *session.Session) bool { return s.Reason == session.ReasonLost || s.SettledMWh >= 0 }

// home is the household of a card, the sum of its bikes, and whether a courier is
// among them; "" for a card that is not registered.
func (e *Engine) home(card string) (household string, bikes int, courier bool) {
	household = e.registry.Cards[card].Household
	if household == "" {
		return "", 0, false
	}
	for _, c := range e.registry.Cards {
		if c.Household == household {
			bikes += c.Bikes
			courier = courier || c.Courier
		}
	}
	return household, bikes, courier
}

// cardsOf gives the cards of a household that were seen, sorted.
func (e *Engine) cardsOf(household string) (out []*cardMemory) {
	for _, id := range slices.Sorted(maps.Keys(e.registry.Cards)) {
		if c := e.cards[id]; c != nil && e.registry.Cards[id].Household == household {
			out = append(out, c)
		}
	}
	return out
}

// mark stands for a household or a card in the id of a flag, and names nobody.
func mark(s string) string {
	h := fnv.New32a()
	h.Write([]byte(s)) //nolint:errcheck // it never fails
	return fmt.Sprintf("%08x", h.Sum32())
}

// homeStory begins a story about a card's household.
func (e *Engine) homeStory(card, suspicion string) story {
	c := e.registry.Cards[card]
	s := story{suspicion: suspicion, household: c.Household, building: c.Building}
	s.adviceZH, s.adviceEN = adviceFor(suspicion)
	return s
}

// decide raises, keeps or clears a flag of the estate that is about a household
// or a card.
func (e *Engine) decide(a *active, what string, l level, when devices.Millis, tell func() story) {
	row := e.flags.find(a.ID, what)
	stands := row != nil && row.Flag != nil
	switch {
	case l > none && !stands:
		e.raise(place{}, a, what, l, when, tell())
	case l == none && stands:
		e.clearRow(row, when)
	}
}

// holiday reports whether people are away at an instant.
func (e *Engine) holiday(t devices.Millis) bool {
	d := t.Time().In(e.loc).Format("2006-01-02")
	return slices.ContainsFunc(e.holidays, func(h Days) bool { return h.From <= d && d <= h.To })
}
