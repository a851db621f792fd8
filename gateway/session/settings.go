package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// Settings is everything that the fold depends on besides what devices say. It
// is itself an entry of the journal, so that a session of last year is derived
// with last year's settings.
type Settings struct {
	StartMW   int64           `json:"start_mw"`   // two readings at or over this open a session
	IdleMW    int64           `json:"idle_mw"`    // under this for IdleFor closes it
	IdleFor   time.Duration   `json:"idle_for"`   //
	MaxGap    time.Duration   `json:"max_gap"`    // a longer step has no trapezoid
	LostAfter time.Duration   `json:"lost_after"` // a longer hole closes the session
	TimeZone  string          `json:"time_zone"`  // of tariff bands
	Tariffs   []tariff.Tariff `json:"tariffs,omitempty"`
	Piles     map[string]Pile `json:"piles,omitempty"`
	Cards     map[string]Card `json:"cards,omitempty"`
	// FormerCards are who held a card before, the first holder first.
	FormerCards map[string][]Card `json:"former_cards,omitempty"`
}

// Pile is what the registry says of a pile.
type Pile struct {
	Building  string `json:"building"`
	Location  string `json:"location,omitempty"`
	Ports     int    `json:"ports,omitempty"`
	MaxPortMW int64  `json:"max_port_mw,omitempty"` // 0: DefaultMaxPortMW
}

// Card is what the registry says of a card.
type Card struct {
	Building  string `json:"building,omitempty"`
	Room      string `json:"room,omitempty"`
	Household string `json:"household"`
	Bikes     int    `json:"bikes,omitempty"`
	PackMWh   int64  `json:"pack_mwh,omitempty"` // nominal energy of the registered pack
	Courier   bool   `json:"courier,omitempty"`
	// From and To say when it was held, To excluded; 0: always, and for ever.
	From devices.Millis `json:"from,omitempty"`
	To   devices.Millis `json:"to,omitempty"`
}

func (c Card) heldAt(at devices.Millis) bool { return at >= c.From && (c.To == 0 || at < c.To) }

// DefaultMaxPortMW is a port's largest power where the registry says nothing.
const DefaultMaxPortMW = 1_000_000

// DefaultSettings are the documented defaults, without tariffs or registry.
func DefaultSettings() Settings {
	return Settings{
		StartMW: 10_000, IdleMW: 5_000,
		IdleFor: 10 * time.Minute, MaxGap: 15 * time.Minute, LostAfter: 6 * time.Hour,
		TimeZone: "Asia/Shanghai",
	}
}

// rules are settings made ready for use.
type rules struct {
	Settings
	loc     *time.Location
	tariffs *tariff.Table
	latest  stretch // of the newest step
}

func (s Settings) compile() (*rules, error) {
	loc, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w; give one of the IANA list, such as Asia/Shanghai", s.TimeZone, err)
	}
	table, err := tariff.NewTable(loc, s.Tariffs)
	if err != nil {
		return nil, err
	}
	return &rules{Settings: s, loc: loc, tariffs: table}, nil
}

// Check says whether the settings can be used; the error names what to change.
func (s Settings) Check() error {
	_, err := s.compile()
	return err
}

// holder is who held a card at an instant; the zero Card where that is not known.
func (s *Settings) holder(card string, at devices.Millis) Card {
	if c, ok := s.Cards[card]; ok && c.heldAt(at) {
		return c
	}
	for _, c := range s.FormerCards[card] {
		if c.heldAt(at) {
			return c
		}
	}
	return Card{}
}

// After gives s with the holders of cards that the settings before it knew: a
// card that has another household now, or none, was its former one's until at.
// Where the registry itself dates a card's holders, the registry is believed.
func (s Settings) After(before Settings, at devices.Millis) Settings {
	s.Cards, s.FormerCards = maps.Clone(s.Cards), maps.Clone(s.FormerCards)
	if s.FormerCards == nil {
		s.FormerCards = map[string][]Card{}
	}
	cards := maps.Clone(before.Cards)
	for id, former := range before.FormerCards {
		if _, ok := cards[id]; !ok && len(former) > 0 {
			if cards == nil {
				cards = map[string]Card{}
			}
			cards[id] = former[len(former)-1] // nobody has it now
		}
	}
	for id, old := range cards {
		s.succeed(id, old, before.FormerCards[id], at)
	}
	if len(s.FormerCards) == 0 {
		s.FormerCards = nil
	}
	return s
}

// succeed puts the holders of one card that were known before behind the present one.
func (s *Settings) succeed(id string, old Card, former []Card, at devices.Millis) {
	now, held := s.Cards[id]
	if now.From != 0 || len(s.FormerCards[id]) > 0 {
		return // the registry dates it
	}
	former = slices.Clone(former)
	if n := len(former); n > 0 && former[n-1] == old {
		former = former[:n-1]
	}
	if held && now.Household == old.Household {
		now.From = old.From
		s.Cards[id] = now
	} else {
		if old.To == 0 {
			old.To = at
		}
		former = append(former, old)
		if held {
			now.From = at
			s.Cards[id] = now
		}
	}
	if len(former) > 0 {
		s.FormerCards[id] = former
	}
}

// Equal reports whether two settings fold alike.
func (s Settings) Equal(o Settings) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
