package sim

import "time"

// Label says what a use of a port was: normal, or an unsafe use by the id of the
// rule that is meant to see it.
type Label string

// The labels. PileOffline is of a whole pile; UnauthorisedDraw has no session.
const (
	Normal           Label = "normal"
	HotBurst         Label = "hot_burst"         // kettle, hair dryer
	OverPower        Label = "over_power"        // heater
	SecondLoad       Label = "second_load"       // a power strip: a second bike joins
	ExcessEnergy     Label = "excess_energy"     // an e-tricycle's pack
	OverTime         Label = "over_time"         // a charger that never ends
	DeviceAlarm      Label = "device_alarm"      // the pile's own smoke or heat alarm
	PileOffline      Label = "pile_offline"      // a pile falls silent for hours
	UnauthorisedDraw Label = "unauthorised_draw" // a welded relay feeds somebody
	CyclingLoad      Label = "cycling_load"      // a fridge
	ResistiveLoad    Label = "resistive_load"    // a small heater
	PortTemperature  Label = "port_temperature"  // a worn contact under a normal charge
)

// Truth is one use of a port as it really was, or one outage of a pile (Port 0). In
// the scenario "steady" the first uses of the ports began before the span.
type Truth struct {
	Pile      string
	Port      int
	Card      string // "" without a session
	Order     string // "" without a session
	Household string // "" where the card is not registered
	Label     Label
	Reason    string    // one of devices.StopReasons; "" without a session or before its end
	Start     time.Time // of the start event, or of the draw, or of the silence
	Onset     time.Time // when the unsafe part began; Start for a normal one
	End       time.Time // of the stop event; zero while it goes on
	// EnergyMWh is the register's advance from Start to End, without any fault.
	// RegisterMWh is the register at Start.
	EnergyMWh, RegisterMWh int64
	// Offline: part of it happened while the pile was silent, so that its start or
	// end may be told by a settle event only.
	Offline bool
}

func (e *Estate) truthOf(p *pile, port int, at millis, ended bool) Truth {
	v := p.ports[port].visit
	t := Truth{
		Pile: p.id, Port: port + 1, Label: v.label, Offline: v.offline,
		Start: e.instant(v.start), Onset: e.instant(v.onset),
		RegisterMWh: v.register, EnergyMWh: p.ports[port].energy(at)/perMWh - v.register,
	}
	if v.household != nil {
		t.Household = v.household.household()
	}
	if !v.silent {
		t.Card, t.Order = cardText(v.card), string(appendOrder(nil, p, port, v))
	}
	if ended {
		t.End = e.instant(at)
		if !v.silent {
			t.Reason = v.reason
		}
	}
	return t
}

func (e *Estate) record(t Truth) {
	if e.onTruth != nil {
		e.onTruth(t)
	}
}

// Open gives what is going on at the time of the last message: the sessions and
// draws that have begun and not ended.
func (e *Estate) Open() []Truth {
	var open []Truth
	for i := range e.piles {
		for j := range e.piles[i].ports {
			if v := e.piles[i].ports[j].visit; v != nil && (v.stage == running || v.stage == resting) {
				open = append(open, e.truthOf(&e.piles[i], j, e.now, false))
			}
		}
	}
	return open
}
