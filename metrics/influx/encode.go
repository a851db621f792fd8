package influx

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// encoder turns entries into line protocol, times in nanoseconds. Tags are in
// the order of their names, as the protocol wants them, and only those that are
// not empty.
type encoder struct {
	lp     lineprotocol.Encoder
	estate string
	states []lineprotocol.Value // by devices.PortState
}

func newEncoder(estate string) *encoder {
	e := &encoder{estate: estate}
	for s := devices.StateNone; s <= devices.StateUnknown; s++ {
		e.states = append(e.states, text(s.String()))
	}
	return e
}

// text makes a field's value of a string; what is no UTF-8 in it is replaced.
func text(s string) lineprotocol.Value {
	v, ok := lineprotocol.StringValue(s)
	if !ok {
		v, _ = lineprotocol.StringValue(strings.ToValidUTF8(s, "\uFFFD"))
	}
	return v
}

// milli makes a float of whole thousandths: the nearest to the decimal, so that
// 152,400 mW are written as 152.4.
func milli(v int64) lineprotocol.Value {
	f, _ := lineprotocol.FloatValue(float64(v) / 1000) // of an integer: finite
	return f
}

func (e *encoder) tag(key, value string) {
	if value != "" {
		e.lp.AddTag(key, value)
	}
}

// start begins a line with the tags that tell where; port 0 is none.
func (e *encoder) start(measurement, building, household, pile string, port uint8) {
	e.lp.StartLine(measurement)
	e.tag("building", building)
	e.tag("estate", e.estate)
	e.tag("household", household)
	e.tag("pile", pile)
	if port > 0 {
		e.tag("port", strconv.Itoa(int(port)))
	}
}

func (e *encoder) end(at devices.Millis) { e.lp.EndLine(at.Time()) }

// reading writes port_power: the power, and what else was measured.
func (e *encoder) reading(r *devices.Reading, building string) {
	e.start("port_power", building, "", r.Pile, r.Port)
	e.lp.AddField("power_w", milli(r.PowerMW))
	if r.Has.Has(devices.HasVoltage) {
		e.lp.AddField("voltage_v", milli(int64(r.VoltageMV)))
	}
	if r.Has.Has(devices.HasCurrent) {
		e.lp.AddField("current_a", milli(int64(r.CurrentMA)))
	}
	if r.Has.Has(devices.HasPowerFactor) {
		e.lp.AddField("power_factor", milli(int64(r.PFMilli)))
	}
	if r.Has.Has(devices.HasEnergy) {
		e.lp.AddField("energy_wh", milli(r.EnergyMWh))
	}
	if r.Has.Has(devices.HasTemperature) {
		e.lp.AddField("temperature_c", milli(int64(r.TempMC)))
	}
	if r.State != devices.StateNone && int(r.State) < len(e.states) {
		e.lp.AddField("state", e.states[r.State])
	}
	e.end(r.Time)
}

// session writes a session that has ended, whole, at its start: a correction
// overwrites it.
func (e *encoder) session(s *session.Session) {
	e.start("session", s.Building, s.Household, s.Pile, s.Port)
	e.lp.AddField("session_id", text(s.ID))
	e.lp.AddField("stop_reason", text(s.Reason))
	e.lp.AddField("energy_wh", milli(s.EnergyMWh))
	e.lp.AddField("duration_s", lineprotocol.IntValue(int64(s.Duration().Seconds())))
	e.lp.AddField("peak_w", milli(s.PeakMW))
	e.lp.AddField("mean_w", milli(s.MeanMW()))
	e.lp.AddField("electricity_fee_fen", lineprotocol.IntValue(s.ElectricityFen))
	e.lp.AddField("service_fee_fen", lineprotocol.IntValue(s.ServiceFen))
	e.lp.AddField("total_fee_fen", lineprotocol.IntValue(s.TotalFen()))
	e.lp.AddField("quality", text(s.Quality.String()))
	e.end(s.Start)
}

// flag writes a flag as it was raised, raised in severity or cleared.
func (e *encoder) flag(f *ledger.Flag, cleared bool) {
	switch {
	case cleared:
		e.flagPoint(f, f.Severity, 0, f.ClearedAt)
	case f.Rose != "":
		e.flagPoint(f, f.Severity, 1, f.SeverityAt)
	default:
		e.flagPoint(f, f.Severity, 1, f.RaisedAt)
	}
}

// flagLeft writes that a flag which rose has left its severity of before: the
// severity is a tag, so that would stand open in a series of its own.
func (e *encoder) flagLeft(f *ledger.Flag) { e.flagPoint(f, f.Rose, 0, f.SeverityAt) }

func (e *encoder) flagPoint(f *ledger.Flag, severity string, raised int64, at devices.Millis) {
	e.start("flag", f.Building, "", f.Pile, f.Port)
	e.tag("rule", f.Rule)
	e.tag("severity", severity)
	e.lp.AddField("flag_id", text(f.ID))
	e.lp.AddField("session_id", text(f.SessionID))
	e.lp.AddField("raised", lineprotocol.IntValue(raised))
	e.lp.AddField("message", text(f.Message))
	e.lp.EndLine(at.Time().Add(within(f.ID)))
}

// within gives a flag its place in the millisecond: an hour's look raises the
// flags of several bikes of a building at one time, they are of one series, and
// the next would overwrite the one before it.
func within(id string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return time.Duration(h.Sum32() % uint32(time.Millisecond))
}

// statusFields are those of a status that pile_status has.
const statusFields = devices.HasOnline | devices.HasTemperature | devices.HasRSSI | devices.HasEnergy

// status writes pile_status, where the pile said anything that belongs there.
func (e *encoder) status(s *devices.Status, building string) {
	if s.Has&statusFields == 0 {
		return
	}
	e.start("pile_status", building, "", s.Pile, 0)
	if s.Has.Has(devices.HasOnline) {
		e.lp.AddField("online", lineprotocol.BoolValue(s.Online))
	}
	if s.Has.Has(devices.HasTemperature) {
		e.lp.AddField("temperature_c", milli(int64(s.TempMC)))
	}
	if s.Has.Has(devices.HasRSSI) {
		e.lp.AddField("rssi", lineprotocol.IntValue(int64(s.RSSI)))
	}
	if s.Has.Has(devices.HasEnergy) {
		e.lp.AddField("main_energy_wh", milli(s.MainMWh))
	}
	e.end(s.Time)
}
