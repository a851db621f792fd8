package web

import (
	"fmt"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
	"pilewatch/gateway/view"
)

// milli is a quantity in thousandths of its unit; JSON has it in the unit, exactly.
type milli int64

// String is the shortest decimal number.
func (m milli) String() string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	if n%1000 == 0 {
		return fmt.Sprintf("%s%d", sign, n/1000)
	}
	return strings.TrimRight(fmt.Sprintf("%s%d.%03d", sign, n/1000, n%1000), "0")
}

// MarshalJSON gives the number.
func (m milli) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// measured gives a quantity that may not have been; nil, null in JSON, when it was not.
func measured[T ~int16 | ~int32 | ~int64](v T, ok bool) *milli {
	if !ok {
		return nil
	}
	return new(milli(v))
}

// stamp is an instant on the estate's clock.
type stamp = view.Stamp

// at gives an instant; nil, null in JSON, for 0.
func (s *Server) at(m devices.Millis) *stamp { return view.At(m, s.Location) }

// sessionView is a session as the API shows it.
type sessionView struct {
	ID             string     `json:"session_id"`
	State          string     `json:"state"` // open or closed
	Building       string     `json:"building"`
	Household      string     `json:"household"`
	CardLast4      string     `json:"card_last4"`
	Pile           string     `json:"pile"`
	Port           uint8      `json:"port"`
	Start          *stamp     `json:"start"`
	End            *stamp     `json:"end"` // null while it is open
	DurationS      int64      `json:"duration_s"`
	MeterStartMWh  *int64     `json:"meter_start_mwh"` // null without a register
	MeterEndMWh    *int64     `json:"meter_end_mwh"`
	EnergyMWh      int64      `json:"energy_mwh"`
	Bands          []bandView `json:"bands"`
	PeakW          milli      `json:"peak_w"`
	MeanW          milli      `json:"mean_w"`
	Tariff         string     `json:"tariff"`
	ElectricityFen *int64     `json:"electricity_fee_fen"` // null while it is open, and without a tariff
	ServiceFen     *int64     `json:"service_fee_fen"`
	TotalFen       *int64     `json:"total_fee_fen"`
	StopReason     string     `json:"stop_reason"`
	Order          string     `json:"order"`
	Quality        string     `json:"quality"`
}

// bandView is a band's energy, its price in yuan a kWh and the exact product.
type bandView struct {
	Band      string `json:"band"`
	EnergyMWh int64  `json:"energy_mwh"`
	Price     string `json:"price"`
	Amount    string `json:"amount"`
}

func (s *Server) sessionView(x *session.Session) sessionView {
	v := sessionView{
		ID: x.ID, State: "closed", Building: x.Building, Household: x.Household, CardLast4: last4(x.Card),
		Pile: x.Pile, Port: x.Port, Start: s.at(x.Start), End: s.at(x.End), DurationS: int64(x.Duration() / time.Second),
		MeterStartMWh: register(x.MeterStartMWh), MeterEndMWh: register(x.MeterEndMWh), EnergyMWh: x.EnergyMWh,
		Bands: convert(x.Bands, func(b *session.Band) bandView {
			return bandView{b.Name, b.EnergyMWh, b.Price.String(), tariff.Amount(b.EnergyMWh, b.Price)}
		}),
		PeakW: milli(x.PeakMW), MeanW: milli(x.MeanMW()), Tariff: x.Tariff,
		StopReason: x.Reason, Order: x.Order, Quality: x.Quality.String(),
	}
	switch {
	case x.Open:
		v.State, v.End = "open", nil
	case x.Tariff != "":
		v.ElectricityFen, v.ServiceFen, v.TotalFen = new(x.ElectricityFen), new(x.ServiceFen), new(x.TotalFen())
	}
	return v
}

func register(mWh int64) *int64 {
	if mWh < 0 {
		return nil
	}
	return &mWh
}

// last4 is all of a card's number that is ever shown. A number so short that
// this would be the whole is not shown at all.
func last4(card string) string {
	if r := []rune(card); len(r) > 4 {
		return string(r[len(r)-4:])
	}
	return ""
}

func (s *Server) flagView(f *ledger.Flag) view.Flag { return view.FlagOf(f, s.Location) }

// rejectView is a message that could not be read, without what it carried.
type rejectView struct {
	Time    *stamp         `json:"time"`
	Decoder string         `json:"decoder"`
	Topic   string         `json:"topic"`
	Reason  devices.Reason `json:"reason"`
	Detail  string         `json:"detail"`
}

func (s *Server) rejectView(r *ledger.Reject) rejectView {
	return rejectView{s.at(r.Time), r.Decoder, r.Topic, r.Reason, r.Detail}
}
