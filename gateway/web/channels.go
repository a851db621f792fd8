package web

import (
	"net/http"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/view"
)

// Channel is how a channel of alerts is doing.
type Channel struct {
	Name, Type  string
	Waiting     int            // what is not sent yet
	Sent        devices.Millis // when the last message was taken; 0 for none since the start
	Failing     devices.Millis // since when nothing is taken; 0 while all is well
	Error       string         // why, without secrets; "" while all is well
	Refused     int            // messages that were refused for good since the start
	LastRefusal string         // why the last of them was
}

// channelView is a channel in the detail of /readyz.
type channelView struct {
	Channel string `json:"channel"`
	Type    string `json:"type"`
	State   string `json:"state"` // ok or failing
	Waiting int    `json:"waiting"`
	Sent    *stamp `json:"last_sent"` // null for none since the start
	Since   *stamp `json:"failing_since,omitempty"`
	Error   string `json:"error,omitempty"`
	Refused int    `json:"refused"`
	Refusal string `json:"last_refusal,omitempty"`
}

func (s *Server) channelView(c *Channel) channelView {
	v := channelView{
		Channel: c.Name, Type: c.Type, State: "ok", Waiting: c.Waiting, Sent: s.at(c.Sent), Since: s.at(c.Failing), Error: c.Error,
		Refused: c.Refused, Refusal: c.LastRefusal,
	}
	if c.Failing != 0 {
		v.State = "failing"
	}
	return v
}

// channels gives how the channels are doing; none where there are no alerts.
func (s *Server) channels() []Channel {
	if s.Channels == nil {
		return nil
	}
	return s.Channels()
}

// oneFlagView is a flag with what people said of it, and who was told.
type oneFlagView struct {
	view.Flag
	Verdicts   []verdictView  `json:"verdicts"`
	Deliveries []deliveryView `json:"deliveries"`
}

// verdictView is what somebody said of a flag.
type verdictView struct {
	At     *stamp `json:"at"`
	Status string `json:"status"`
	By     string `json:"by"` // "" where there are no users
	Note   string `json:"note"`
}

// deliveryView is what a channel was told of a flag, or is to be told.
type deliveryView struct {
	Channel    string `json:"channel"`
	Step       string `json:"step"` // raised/warning, cleared, repeated/1
	State      string `json:"state"`
	DeliveryID string `json:"delivery_id"` // "" before the first attempt
	Attempts   int    `json:"attempts"`
	At         *stamp `json:"at"`
	DoneAt     *stamp `json:"done_at"` // null while it waits
	Error      string `json:"error"`
}

// readFlag gives a flag with its audit trail.
func (s *Server) readFlag(r *http.Request) (f ledger.Flag, said []ledger.Verdict, told []ledger.Delivery, err error) {
	id := r.PathValue("id")
	if f, err = s.Ledger.Flag(r.Context(), id); err != nil {
		return f, nil, nil, err
	}
	if said, err = s.Ledger.VerdictsOf(r.Context(), id); err != nil {
		return f, nil, nil, err
	}
	told, err = s.Ledger.DeliveriesOf(r.Context(), id)
	return f, said, told, err
}

func (s *Server) oneFlag(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	f, said, told, err := s.readFlag(r)
	if err != nil {
		return nil, err
	}
	return oneFlagView{
		Flag: s.flagView(&f),
		Verdicts: convert(said, func(v *ledger.Verdict) verdictView {
			return verdictView{s.at(v.At), v.Status, v.By, v.Note}
		}),
		Deliveries: convert(told, func(d *ledger.Delivery) deliveryView {
			return deliveryView{d.Channel, d.Step, d.State, d.Message, d.Attempts, s.at(d.At), s.at(d.DoneAt), d.Error}
		}),
	}, nil
}
