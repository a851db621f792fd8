package session

import "pilewatch/devices"

// Abandon forgets what is open on a port, and that it charged: what ended it is
// known from elsewhere. It is for who repairs a journal that has a hole; nobody else
// changes a state but Step.
func (s *State) Abandon(pile string, port uint8) {
	if p := s.Port(pile, port); p != nil {
		p.Open, p.State = nil, devices.StateNone
		p.forgetHit()
	}
}
