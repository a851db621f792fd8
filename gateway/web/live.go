package web

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// pileView is a pile as it is now: registered, heard of, or both.
type pileView struct {
	Estate       string `json:"estate"`
	Building     string `json:"building"`
	Pile         string `json:"pile"`
	Location     string `json:"location"`
	Registered   bool   `json:"registered"`
	Online       bool   `json:"online"`
	LastSeen     *stamp `json:"last_seen"` // by receipt; null when never
	TemperatureC *milli `json:"temperature_c"`
	RSSI         *int32 `json:"rssi"`
	MainEnergyWh *milli `json:"main_energy_wh"`
	Ports        int    `json:"ports"`
	// TooCoarse are the rules for which it reports too seldom; left out where it does not.
	TooCoarse []string `json:"too_coarse,omitempty"`
}

// portView is a port as it is now.
type portView struct {
	Estate       string `json:"estate"`
	Building     string `json:"building"`
	Pile         string `json:"pile"`
	Port         uint8  `json:"port"`
	State        string `json:"state"` // as the pile stated it; unknown where it never did
	PowerW       *milli `json:"power_w"`
	VoltageV     *milli `json:"voltage_v"`
	CurrentA     *milli `json:"current_a"`
	PowerFactor  *milli `json:"power_factor"`
	TemperatureC *milli `json:"temperature_c"`
	EnergyWh     *milli `json:"energy_wh"`
	LastSeen     *stamp `json:"last_seen"`
	SessionID    string `json:"session_id"` // of the open session
}

// spans reports whether an instant lies in a filter's time. Who was never heard
// of is in no span but the unbounded one.
func spans(f *ledger.Filter, at devices.Millis) bool {
	return (f.From == 0 || at >= f.From) && (f.To == 0 || at != 0 && at < f.To)
}

// pileViews gives the piles that f chooses, by name, and at most one more than
// its limit; all of them without a limit.
func (s *Server) pileViews(st *session.State, f ledger.Filter) []pileView {
	set := st.Settings()
	var views []pileView
	for _, name := range pileNames(st, f) {
		p, info := st.Piles[name], set.Piles[name]
		if p == nil {
			_, registered := set.Piles[name]
			p = &session.PileState{Name: name, Registered: registered, Building: info.Building}
		}
		if f.Building != "" && p.Building != f.Building || !spans(&f, p.LastReceived) || name <= f.After {
			continue
		}
		v := s.pileView(p)
		v.Location, v.Ports = info.Location, max(info.Ports, len(p.Ports))
		if views = append(views, v); f.Limit > 0 && len(views) > f.Limit {
			break
		}
	}
	return views
}

func (s *Server) pileView(p *session.PileState) pileView {
	v := pileView{
		Estate: s.Estate, Building: p.Building, Pile: p.Name, Registered: p.Registered,
		Online: s.online(p), LastSeen: s.at(p.LastReceived),
		TemperatureC: measured(p.Status.TempMC, p.Status.Has.Has(devices.HasTemperature)),
		MainEnergyWh: measured(p.Status.MainMWh, p.Status.Has.Has(devices.HasEnergy)),
	}
	if p.Status.Has.Has(devices.HasRSSI) {
		v.RSSI = new(p.Status.RSSI)
	}
	return v
}

// online takes a pile's last word for what it is as long as the pile is heard.
func (s *Server) online(p *session.PileState) bool {
	silent := devices.MillisOf(s.Now()).Sub(p.LastReceived) > s.Silent
	return !silent && (p.Status.Online || !p.Status.Has.Has(devices.HasOnline))
}

// pileNames gives the piles of the registry and those heard of, in order; only
// f.Pile where it is set.
func pileNames(st *session.State, f ledger.Filter) []string {
	registered := st.Settings().Piles
	if f.Pile != "" {
		if _, ok := registered[f.Pile]; ok || st.Piles[f.Pile] != nil {
			return []string{f.Pile}
		}
		return nil
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(registered)), maps.Keys(st.Piles))
	slices.Sort(names)
	return slices.Compact(names)
}

// portKey is a port of a pile.
type portKey struct {
	pile string
	port uint8
}

func (k portKey) compare(o portKey) int {
	return cmp.Or(strings.Compare(k.pile, o.pile), cmp.Compare(k.port, o.port))
}

// String is the port's place in a list.
func (k portKey) String() string { return k.pile + "/" + strconv.Itoa(int(k.port)) }

// parsePortKey reads what String gives.
func parsePortKey(s string) (k portKey, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return k, false
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 8)
	return portKey{s[:i], uint8(n)}, err == nil
}

// portViews gives the ports heard of that f chooses, after a port, by pile and
// number, and at most one more than its limit.
func (s *Server) portViews(st *session.State, f ledger.Filter, after portKey) []portView {
	var views []portView
	for _, name := range pileNames(st, f) {
		p := st.Piles[name]
		if p == nil || f.Building != "" && p.Building != f.Building || name < after.pile {
			continue
		}
		for i := range p.Ports {
			q := &p.Ports[i]
			if !spans(&f, q.LastReceived) || (portKey{name, q.Number}).compare(after) <= 0 {
				continue
			}
			if views = append(views, s.portView(p, q)); f.Limit > 0 && len(views) > f.Limit {
				return views
			}
		}
	}
	return views
}

func (s *Server) portView(p *session.PileState, q *session.PortState) portView {
	r := &q.Last
	v := portView{
		Estate: s.Estate, Building: p.Building, Pile: p.Name, Port: q.Number, State: stated(q.State).String(),
		PowerW:       measured(r.PowerMW, r.Port != 0),
		VoltageV:     measured(r.VoltageMV, r.Has.Has(devices.HasVoltage)),
		CurrentA:     measured(r.CurrentMA, r.Has.Has(devices.HasCurrent)),
		PowerFactor:  measured(r.PFMilli, r.Has.Has(devices.HasPowerFactor)),
		TemperatureC: measured(r.TempMC, r.Has.Has(devices.HasTemperature)),
		EnergyWh:     measured(r.EnergyMWh, r.Has.Has(devices.HasEnergy)),
		LastSeen:     s.at(q.LastReceived),
	}
	if o := q.Open; o != nil && o.Session.Open {
		v.SessionID = o.ID
	}
	return v
}

func stated(s devices.PortState) devices.PortState {
	if s == devices.StateNone {
		return devices.StateUnknown
	}
	return s
}

// overlay brings open sessions, whose rows are as of their last change, to what
// they are now.
func (s *Server) overlay(items []session.Session) {
	if !slices.ContainsFunc(items, func(x session.Session) bool { return x.Open }) {
		return
	}
	s.Live.View(func(st *session.State) {
		for i := range items {
			x := &items[i]
			if q := st.Port(x.Pile, x.Port); x.Open && q != nil && q.Open != nil && q.Open.ID == x.ID {
				*x = *q.Open.Clone()
			}
		}
	})
}
