// Package devices is the vocabulary of what charging piles say: readings,
// events and pile status, with their units, and the one interface that turns a
// message of some device into them. It does no I/O and reads no clock.
//
// Quantities are whole thousandths (milliwatts, milliwatt-hours, millivolts,
// milliamperes, thousandths of a degree Celsius), so that energy sums are exact.
// Instants are [Millis].
package devices

// PortState is what a pile says of a port (插口).
type PortState uint8

// The states of the native telemetry. StateNone means that the message carried none.
const (
	StateNone PortState = iota
	StateIdle
	StatePlugged
	StateCharging
	StateFull
	StateFault
	StateUnknown
)

var stateNames = []string{"", "idle", "plugged", "charging", "full", "fault", "unknown"}

// String gives the state's name in the native telemetry; "" for StateNone.
func (s PortState) String() string { return nameOf(stateNames, int(s)) }

// ParseState gives the state of a name; ok is false for a name that is none.
func ParseState(name string) (s PortState, ok bool) {
	i, ok := indexOf(stateNames, name)
	return PortState(i), ok
}

// MarshalText gives the state's name.
func (s PortState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name; an unknown one becomes StateUnknown.
func (s *PortState) UnmarshalText(b []byte) error {
	var ok bool
	if *s, ok = ParseState(string(b)); !ok {
		*s = StateUnknown
	}
	return nil
}

// Fields says which optional quantities were measured.
type Fields uint16

// The optional quantities of a Reading, an Event or a Status.
const (
	HasEnergy      Fields = 1 << iota // the lifetime register
	HasOrderEnergy                    // the register that restarts with each order
	HasVoltage
	HasCurrent
	HasPowerFactor
	HasTemperature
	HasRSSI
	HasSeq
	HasOnline
)

// Has reports whether all of want were measured.
func (f Fields) Has(want Fields) bool { return f&want == want }

// Reading is one sample of one port.
type Reading struct {
	Pile       string
	Card       string // "" when the message carried none
	Order      string // "" when the message carried none
	Time       Millis // see Clock
	Seq        int64  // the pile's message counter, with HasSeq
	PowerMW    int64  // active power, mW; never under -1 W or over 100 kW
	EnergyMWh  int64  // lifetime register, mWh, with HasEnergy
	OrderMWh   int64  // register of the order, mWh, with HasOrderEnergy
	VoltageMV  int32  // with HasVoltage
	CurrentMA  int32  // with HasCurrent
	TempMC     int32  // port temperature, thousandths of a degree Celsius, with HasTemperature
	PFMilli    int16  // power factor in thousandths, with HasPowerFactor
	Has        Fields
	Port       uint8 // 1 to 255
	State      PortState
	DeviceTime bool // Time is the device's; otherwise it is the time of receipt
}

// The bounds outside of which a power is an error of measurement (interfaces.md).
const (
	MinPowerMW = -1_000
	MaxPowerMW = 100_000_000
)

// EventKind is what happened at a port.
type EventKind uint8

// The events of the native telemetry.
const (
	EventNone EventKind = iota
	EventStart
	EventStop
	EventCard
	EventAlarm
	EventSettle
)

var eventNames = []string{"", "start", "stop", "card", "alarm", "settle"}

// String gives the event's name in the native telemetry.
func (k EventKind) String() string { return nameOf(eventNames, int(k)) }

// ParseEvent gives the event of a name; ok is false for a name that is none.
func ParseEvent(name string) (k EventKind, ok bool) {
	i, ok := indexOf(eventNames, name)
	return EventKind(i), ok && i > 0
}

// StopReasons are the reasons for which a session ends, as they stand in every
// schema of the contract.
var StopReasons = []string{"full", "unplugged", "time_limit", "energy_limit", "overload", "over_temperature",
	"low_power", "remote", "power_failure", "fault", "lost", "replaced", "unknown"}

// Alarms are the alarms that a pile raises of itself.
var Alarms = []string{"smoke", "water", "over_temperature", "short", "leakage", "relay_welded", "other"}

// Event is something that happened at a port, or at a whole pile (Port 0, alarms only).
type Event struct {
	Pile       string
	Card       string
	Order      string
	Reason     string // one of StopReasons; "" when none was given
	Alarm      string // one of Alarms, for EventAlarm
	Time       Millis // see Clock
	Seq        int64  // with HasSeq
	EnergyMWh  int64  // lifetime register, with HasEnergy
	OrderMWh   int64  // register of the order, with HasOrderEnergy
	Start, End Millis // the whole order, for EventSettle
	SettledMWh int64  // the whole order's energy, for EventSettle
	Has        Fields
	Port       uint8
	Kind       EventKind
	DeviceTime bool
}

// Status is what a pile says of itself, apart from its ports.
type Status struct {
	Pile       string
	Time       Millis
	Seq        int64 // with HasSeq
	MainMWh    int64 // the pile's main meter, mWh, with HasEnergy
	TempMC     int32 // with HasTemperature
	RSSI       int32 // dBm, with HasRSSI
	Has        Fields
	Online     bool // with HasOnline
	DeviceTime bool
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

func indexOf(names []string, name string) (int, bool) {
	for i, n := range names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}
