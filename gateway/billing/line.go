package billing

import (
	"encoding/json"
	"fmt"
	"strings"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// The kinds of lines.
const (
	KindSession    = "session"    // of the month in which the session ended
	KindLate       = "late"       // 补记: of a month that was closed when the session arrived
	KindCorrection = "correction" // 补记: what a billed session has changed by; it may be negative
)

// Line bills one session, or corrects a bill. It holds all that an export needs.
type Line struct {
	Kind      string `json:"kind"`
	Month     string `json:"month"`        // of the period that bills it
	Of        string `json:"of,omitempty"` // of an adjustment: the month in which the session ended
	CardLast4 string `json:"card_last4,omitempty"`
	// Service says how the service fee came about; nil without a tariff, and
	// where the tariff of that name is not known any more.
	Service *Service `json:"service,omitempty"`
	Flags   []string `json:"flags,omitempty"`
	// Session as it was billed, without its card. In a correction energy, bands
	// and fees are differences.
	Session session.Session `json:"session"`
}

// Service is the price of the service: a kWh, or an hour up to a peak power.
type Service struct {
	PerKWh  tariff.Micro `json:"per_kwh,omitempty"`
	ByPower bool         `json:"by_power,omitempty"`
	PerHour tariff.Micro `json:"per_hour,omitempty"`
	UpToMW  int64        `json:"up_to_mw,omitempty"`
}

// adjustment reports whether a line belongs to an earlier month.
func (ln *Line) adjustment() bool { return ln.Kind != KindSession }

// home is where a line is billed: the household's building and room; for a
// session of an unknown card the pile's building and no room.
func (ln *Line) home() (building, room string) {
	building, room, ok := strings.Cut(ln.Session.Household, "-")
	if !ok {
		return ln.Session.Building, ""
	}
	return building, room
}

// last4 is what may be shown of a card; of one with no more than that, nothing.
func last4(card string) string {
	r := []rune(card)
	if len(r) <= 4 {
		return ""
	}
	return string(r[len(r)-4:])
}

// newLine bills a session.
func (b *Book) newLine(s *session.Session, month, kind string) *Line {
	ln := &Line{Kind: kind, Month: month, CardLast4: last4(s.Card), Service: b.servicePrice(s), Session: *s.Clone()}
	ln.Session.Card = ""
	if kind != KindSession {
		ln.Of = b.monthOf(s.End)
	}
	return ln
}

// servicePrice finds the price by which a session's service fee came about.
func (b *Book) servicePrice(s *session.Session) *Service {
	t := b.tariffs[s.Tariff]
	if t == nil || t.Service(s.EnergyMWh, s.Duration(), s.PeakMW) != s.ServiceFen {
		return nil // changed since under the same name
	}
	if len(t.Tiers) == 0 {
		return &Service{PerKWh: t.PerKWh}
	}
	tier := t.Tier(s.PeakMW)
	return &Service{ByPower: true, PerHour: tier.PerHour, UpToMW: tier.UpToMW}
}

// corrections gives the lines by which what was billed for a session becomes
// what it is now: one with the differences, or, where another household is to
// pay, one that takes all back and one that bills all.
func (b *Book) corrections(billed []ledger.PeriodLine, s *session.Session, month string) ([]*Line, error) {
	now := b.newLine(s, month, KindCorrection)
	back := *now
	back.Session = *s.Clone()
	back.Session.Card = ""
	back.Session.EnergyMWh, back.Session.ElectricityFen, back.Session.ServiceFen, back.Session.Bands = 0, 0, 0, nil
	for i := range billed {
		old, err := readLine(&billed[i])
		if err != nil {
			return nil, err
		}
		x := &back.Session
		if old.Session.Household != x.Household { // what other households had is even already
			x.Household, x.EnergyMWh, x.ElectricityFen, x.ServiceFen, x.Bands = old.Session.Household, 0, 0, 0, nil
		}
		x.EnergyMWh -= old.Session.EnergyMWh
		x.ElectricityFen -= old.Session.ElectricityFen
		x.ServiceFen -= old.Session.ServiceFen
		x.Bands = addBands(x.Bands, old.Session.Bands, -1)
		back.CardLast4 = old.CardLast4
	}
	if back.Session.Household != s.Household {
		return []*Line{&back, now}, nil
	}
	x := &now.Session
	x.EnergyMWh += back.Session.EnergyMWh
	x.ElectricityFen += back.Session.ElectricityFen
	x.ServiceFen += back.Session.ServiceFen
	x.Bands = addBands(back.Session.Bands, x.Bands, 1)
	return []*Line{now}, nil
}

// addBands adds the energy of bands by name and price.
func addBands(to, bands []session.Band, sign int64) []session.Band {
next:
	for _, b := range bands {
		for i := range to {
			if to[i].Name == b.Name && to[i].Price == b.Price {
				to[i].EnergyMWh += sign * b.EnergyMWh
				continue next
			}
		}
		b.EnergyMWh *= sign
		to = append(to, b)
	}
	return to
}

func readLine(p *ledger.PeriodLine) (*Line, error) {
	var ln Line
	if err := json.Unmarshal(p.Body, &ln); err != nil {
		return nil, fmt.Errorf("the billed line of session %s cannot be read: %w; restore a backup", p.SessionID, err)
	}
	return &ln, nil
}

func (ln *Line) stored() (ledger.PeriodLine, error) {
	body, err := json.Marshal(ln)
	s := &ln.Session
	return ledger.PeriodLine{
		SessionID: s.ID, Household: s.Household, EnergyMWh: s.EnergyMWh, ElectricityFen: s.ElectricityFen, ServiceFen: s.ServiceFen, Quality: s.Quality, Body: body,
	}, err
}

// Summary is what a person wants to know of an export or a period.
type Summary struct {
	Lines          int   `json:"lines"`
	Sessions       int   `json:"sessions"`        // lines that are no adjustments
	Adjustments    int   `json:"adjustments"`     // 补记
	AdjustmentsFen int64 `json:"adjustments_fen"` // their sum
	EnergyMWh      int64 `json:"energy_mwh"`      // of all lines, as the fees
	ElectricityFen int64 `json:"electricity_fee_fen"`
	ServiceFen     int64 `json:"service_fee_fen"`
	TotalFen       int64 `json:"total_fee_fen"`
	// What somebody should look at.
	WithoutTariff int `json:"without_tariff"` // empty fees
	UnknownCard   int `json:"unknown_card"`   // no household to bill
	Estimated     int `json:"estimated"`
	Disputed      int `json:"disputed"`
	Lost          int `json:"lost"`
}

func (s *Summary) add(ln *Line) {
	x := &ln.Session
	s.Lines++
	s.EnergyMWh += x.EnergyMWh
	s.ElectricityFen += x.ElectricityFen
	s.ServiceFen += x.ServiceFen
	s.TotalFen += x.TotalFen()
	if ln.adjustment() {
		s.Adjustments++
		s.AdjustmentsFen += x.TotalFen()
	} else {
		s.Sessions++
	}
	for _, c := range []struct {
		is   bool
		into *int
	}{
		{x.Tariff == "", &s.WithoutTariff}, {x.Household == "", &s.UnknownCard}, {x.Quality&session.Estimated != 0, &s.Estimated},
		{x.Quality&session.Disputed != 0, &s.Disputed}, {x.Reason == session.ReasonLost, &s.Lost},
	} {
		if c.is {
			*c.into++
		}
	}
}
