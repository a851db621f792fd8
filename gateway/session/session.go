// Package session turns readings and events into charging sessions (充电单).
//
// It is a fold and nothing else: [Step] takes a [State] and what happened next
// and says which sessions opened, closed or were amended. It does no I/O and
// reads no clock, so that live running, recovery after a crash, replay and
// verify are the same code, and a bill can be derived again at any time. The
// rules are those of 'From readings to sessions' in the public interface.
package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// Quality says how a session's energy is known; several may hold at once.
type Quality uint8

// The qualities. None of them set means measured (实测).
const (
	Estimated Quality = 1 << iota // 估算: some step was not what the register said
	Late                          // 补传: made from an order that the pile kept while it was offline
	Disputed                      // 有争议: the pile settled another energy
)

var qualityNames = []string{"estimated", "late", "disputed"}

// String joins the names with "+"; "measured" when none is set.
func (q Quality) String() string {
	var names []string
	for i, n := range qualityNames {
		if q&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if names == nil {
		return "measured"
	}
	return strings.Join(names, "+")
}

// MarshalText gives String.
func (q Quality) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads what String gives; an unknown name is an error.
func (q *Quality) UnmarshalText(b []byte) error {
	*q = 0
	if string(b) == "measured" {
		return nil
	}
	for _, n := range strings.Split(string(b), "+") {
		i := slices.Index(qualityNames, n)
		if i < 0 {
			return fmt.Errorf("quality %q is none of measured, %s", n, strings.Join(qualityNames, ", "))
		}
		*q |= 1 << i
	}
	return nil
}

// The stop reasons that the fold itself gives; the others come from piles.
const (
	ReasonUnplugged = "unplugged"
	ReasonLowPower  = "low_power"
	ReasonLost      = "lost"
	ReasonReplaced  = "replaced"
	ReasonUnknown   = "unknown"
)

// Band is the energy of a session in one price band.
type Band struct {
	Name      string       `json:"band"`
	Price     tariff.Micro `json:"price"` // millionths of a yuan a kWh
	EnergyMWh int64        `json:"energy_mwh"`
}

// Session is one charging session of one port. While it is Open, End and the
// sums are as of the newest reading and the fees are zero.
type Session struct {
	ID        string         `json:"id"`
	Pile      string         `json:"pile"`
	Port      uint8          `json:"port"`
	Open      bool           `json:"open,omitempty"`
	Building  string         `json:"building,omitempty"`  // the pile's
	Household string         `json:"household,omitempty"` // who held the card when it started
	Card      string         `json:"card,omitempty"`
	Order     string         `json:"order,omitempty"`
	Start     devices.Millis `json:"start"`
	End       devices.Millis `json:"end"`
	EnergyMWh int64          `json:"energy_mwh"`
	PeakMW    int64          `json:"peak_mw"`
	// The register at start and end, mWh; -1 where the port has none.
	MeterStartMWh int64 `json:"meter_start_mwh"`
	MeterEndMWh   int64 `json:"meter_end_mwh"`
	// The tariff fixed at the start; "" with no bands where none was valid.
	Tariff         string  `json:"tariff,omitempty"`
	Bands          []Band  `json:"bands,omitempty"`
	ElectricityFen int64   `json:"electricity_fee_fen"`
	ServiceFen     int64   `json:"service_fee_fen"`
	Reason         string  `json:"stop_reason,omitempty"`
	Quality        Quality `json:"quality"`
	// SettledMWh is what the pile itself settled for the order; -1 where it has not.
	SettledMWh int64 `json:"settled_mwh"`
}

// ID is the identity of the session that started on a port at an instant: the
// same after a crash, a replay or a redelivery.
func ID(pile string, port uint8, start devices.Millis) string {
	return fmt.Sprintf("%s-%d-%s", pile, port, start.Time().Format("20060102T150405Z"))
}

// Duration is the time from start to end, in whole seconds.
func (s *Session) Duration() time.Duration { return s.End.Sub(s.Start).Truncate(time.Second) }

// MeanMW is the mean power over the session, mW; 0 for one without duration.
func (s *Session) MeanMW() int64 {
	if ms := int64(s.End - s.Start); ms > 0 {
		return s.EnergyMWh * 3_600_000 / ms
	}
	return 0
}

// TotalFen is the sum of the two rounded fees.
func (s *Session) TotalFen() int64 { return s.ElectricityFen + s.ServiceFen }

// Clone gives an independent copy.
func (s *Session) Clone() *Session {
	c := *s
	c.Bands = slices.Clone(s.Bands)
	return &c
}

// ChangeKind says what happened to a session.
type ChangeKind uint8

// The changes, in the order in which a session may meet them.
const (
	Opened   ChangeKind = iota + 1
	Updated             // still open; its card or order became known
	Closed              // Session is whole
	Reopened            // closed as lost, and then readings within the gap arrived
	Settled             // closed before; reason, quality and settled energy changed
)

var changeNames = []string{"", "opened", "updated", "closed", "reopened", "settled"}

// String gives the change's name.
func (k ChangeKind) String() string {
	if int(k) < len(changeNames) {
		return changeNames[k]
	}
	return "unknown"
}

// Change is one output of the fold. For Settled, Session carries only the
// identity (ID, Pile, Port, Start) and what [Session.Settle] takes over.
type Change struct {
	Kind    ChangeKind
	Session *Session
}

// Settle takes over what a pile's settlement says of a closed session.
func (s *Session) Settle(from *Session) {
	s.SettledMWh = from.SettledMWh
	s.Quality |= from.Quality
	if from.Reason != "" {
		s.Reason = from.Reason
	}
	if s.Order == "" {
		s.Order = from.Order
	}
}

// disputed reports whether a settled energy differs from the measured one by
// more than 2 % + 10 Wh.
func disputed(measuredMWh, settledMWh int64) bool {
	d := measuredMWh - settledMWh
	if d < 0 {
		d = -d
	}
	return d > measuredMWh/50+10_000
}
