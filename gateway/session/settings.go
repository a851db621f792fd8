package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

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
}

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

// Equal reports whether two settings fold alike.
func (s Settings) Equal(o Settings) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
