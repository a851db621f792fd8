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
	lp     lineprotocol.Encoder // one line at a time
	lines  []byte               // all lines so far
	estate string
	heads  map[string]head // of a pile's readings, at most maxHeads
	latest head            // most often the next line's too
}

// head is how each port_power line of a pile begins, up to the number of the port.
type head struct {
	place
	line string
}

// maxHeads bounds what is kept of piles that nobody registered.
const maxHeads = 1 << 17

func newEncoder(estate string) *encoder {
	return &encoder{estate: estate, heads: map[string]head{}}
}

// take moves a line of the library's to the others, or drops it where the library
// could not write it.
func (e *encoder) take() error {
	err := e.lp.Err()
	if err == nil {
		e.lines = append(e.lines, e.lp.Bytes()...)
	}
	e.lp.ClearErr()
	e.lp.Reset()
	return err
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

// head gives how the lines of a pile's readings begin. It comes from the library,
// which knows what to escape and what to refuse; but nine of ten lines are
// readings, and to escape the same names for each was half of their cost.
func (e *encoder) head(pile, building string) (string, bool) {
	at := place{pile, building}
	if e.latest.line != "" && e.latest.place == at {
		return e.latest.line, true
	}
	if h, ok := e.heads[pile]; ok && h.building == building {
		e.latest = h
		return h.line, true
	}
	e.start("port_power", building, "", pile, 1)
	e.lp.AddField("power_w", lineprotocol.IntValue(0))
	e.end(0)
	if e.lp.Err() != nil {
		return "", false
	}
	line := string(e.lp.Bytes())
	line = line[:strings.LastIndex(line, "1 power_w=")]
	e.lp.Reset()
	if len(e.heads) >= maxHeads {
		clear(e.heads)
	}
	at.pile = strings.Clone(pile)
	e.latest = head{at, line}
	e.heads[at.pile] = e.latest
	return line, true
}

// reading writes port_power: the power, and what else was measured.
func (e *encoder) reading(r *devices.Reading, building string) {
	start, ok := e.head(r.Pile, building)
	if !ok {
		return // the library's error says why
	}
	b := append(e.lines, start...)
	b = strconv.AppendUint(b, uint64(r.Port), 10)
	b = appendMilli(append(b, " power_w="...), r.PowerMW)
	if r.Has.Has(devices.HasVoltage) {
		b = appendMilli(append(b, ",voltage_v="...), int64(r.VoltageMV))
	}
	if r.Has.Has(devices.HasCurrent) {
		b = appendMilli(append(b, ",current_a="...), int64(r.CurrentMA))
	}
	if r.Has.Has(devices.HasPowerFactor) {
		b = appendMilli(append(b, ",power_factor="...), int64(r.PFMilli))
	}
	if r.Has.Has(devices.HasEnergy) {
		b = appendMilli(append(b, ",energy_wh="...), r.EnergyMWh)
	}
	if r.Has.Has(devices.HasTemperature) {
		b = appendMilli(append(b, ",temperature_c="...), int64(r.TempMC))
	}
	if r.State != devices.StateNone {
		b = append(append(append(b, `,state="`...), r.State.String()...), '"') // a word of ours: nothing to escape
	}
	e.lines = appendTime(b, r.Time)
}

// appendMilli writes whole thousandths as a decimal: 152,400 mW are 152.4.
func appendMilli(b []byte, v int64) []byte {
	u := uint64(v)
	if v < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/1000, 10)
	if f := u % 1000; f > 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
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
	e.lp.EndLine(at.Time().Add(within(f)))
}

// within gives a flag of no pile its place in the millisecond: an hour's look
// raises the flags of several bikes of a building at one time, they are of one
// series, and the next would overwrite the one before it.
func within(f *ledger.Flag) time.Duration {
	if f.Pile != "" {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.ID)) // never fails
	return time.Duration(h.Sum32() % uint32(time.Millisecond))
}

// statusFields are those of a status that pile_status has.
const statusFields = devices.HasOnline | devices.HasTemperature | devices.HasRSSI | devices.HasEnergy

// status writes pile_status, where the pile said anything that belongs there.
func (e *encoder) status(s *devices.Status, building string) {
	if s.Has&statusFields == 0 {
		return
	}
	start, ok := e.head(s.Pile, building)
	if !ok {
		return // the library's error says why
	}
	b := append(e.lines, "pile_status"...)
	b = append(b, start[len("port_power"):len(start)-len(",port=")]...)
	sep := byte(' ')
	field := func(name string) {
		b = append(append(append(b, sep), name...), '=')
		sep = ','
	}
	if s.Has.Has(devices.HasOnline) {
		field("online")
		b = strconv.AppendBool(b, s.Online)
	}
	if s.Has.Has(devices.HasTemperature) {
		field("temperature_c")
		b = appendMilli(b, int64(s.TempMC))
	}
	if s.Has.Has(devices.HasRSSI) {
		field("rssi")
		b = append(strconv.AppendInt(b, int64(s.RSSI), 10), 'i')
	}
	if s.Has.Has(devices.HasEnergy) {
		field("main_energy_wh")
		b = appendMilli(b, s.MainMWh)
	}
	e.lines = appendTime(b, s.Time)
}

// appendTime ends a line.
func appendTime(b []byte, at devices.Millis) []byte {
	return append(strconv.AppendInt(append(b, ' '), at.Time().UnixNano(), 10), '\n')
}
