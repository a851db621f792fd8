package ledger

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// maxRaw bounds what a block may unpack to: a commit is far smaller.
const maxRaw = 1 << 30

// decoder turns blocks into entries. It may be used by many goroutines.
type decoder struct{ zr *zstd.Decoder }

func newDecoder() (*decoder, error) {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRaw))
	return &decoder{zr: zr}, err
}

// decode gives the entries of a block. Every error is errCorrupt, with where.
func (d *decoder) decode(block []byte) ([]Entry, error) {
	if len(block) == 0 || block[0] != blockFormat {
		return nil, fmt.Errorf("%w: unknown format", errCorrupt)
	}
	raw, err := d.zr.DecodeAll(block[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	u := unpacker{in: raw}
	u.ctx.reset()
	return u.unpack()
}

// unpacker reads the columns of one block. The first thing that is wrong sets
// bad, and all reads after it give zero.
type unpacker struct {
	in   []byte
	bad  bool
	strs []string
	defs []portKey
	cols [columns][]int64
	at   [columns]int
	ctx  blockContext
}

func (u *unpacker) unpack() ([]Entry, error) {
	n := u.count()
	u.strs = make([]string, u.count())
	for i := range u.strs {
		u.strs[i] = string(u.bytes(u.count()))
	}
	u.defs = make([]portKey, u.count()/2)
	for i := range u.defs {
		u.defs[i] = portKey{u.str(int64(u.uvarint())), uint8(u.uvarint())}
	}
	u.ctx.last, u.ctx.rssi = make([]devices.Reading, len(u.defs)), make([]int32, len(u.defs))
	for i := range u.cols {
		u.cols[i] = u.column()
	}
	if n != len(u.cols[colKind]) || n != len(u.cols[colReceived]) {
		u.bad = true
	}
	if u.bad {
		return nil, fmt.Errorf("%w: truncated", errCorrupt)
	}
	entries := make([]Entry, n)
	for i := range entries {
		if err := u.entry(&entries[i]); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", errCorrupt, i, err)
		}
		if u.bad {
			return nil, fmt.Errorf("%w: entry %d", errCorrupt, i)
		}
	}
	return entries, nil
}

func (u *unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(u.in)
	if n <= 0 {
		u.bad, u.in = true, nil
		return 0
	}
	u.in = u.in[n:]
	return v
}

// count reads a number of things that each take a byte or more.
func (u *unpacker) count() int {
	v := u.uvarint()
	if v > uint64(len(u.in)) {
		u.bad = true
		return 0
	}
	return int(v)
}

func (u *unpacker) bytes(n int) []byte {
	if n < 0 || n > len(u.in) {
		u.bad = true
		return nil
	}
	b := u.in[:n]
	u.in = u.in[n:]
	return b
}

func (u *unpacker) str(i int64) string {
	if i < 0 || i >= int64(len(u.strs)) {
		u.bad = true
		return ""
	}
	return u.strs[i]
}

func (u *unpacker) column() []int64 {
	vs := make([]int64, u.count())
	if len(vs) == 0 {
		return vs
	}
	d := int64(u.uvarint())
	for i := range vs {
		v, n := binary.Varint(u.in)
		if n <= 0 {
			u.bad = true
			return nil
		}
		u.in = u.in[n:]
		vs[i] = v * d
	}
	return vs
}

func (u *unpacker) next(c column) int64 {
	i := u.at[c]
	if i >= len(u.cols[c]) {
		u.bad = true
		return 0
	}
	u.at[c]++
	return u.cols[c][i]
}

func (u *unpacker) entry(e *Entry) error {
	u.ctx.received += u.next(colReceived)
	e.Received = devices.Millis(u.ctx.received)
	k := u.next(colKind)
	e.Kind = Kind(k &^ kindDevice)
	switch e.Kind {
	case KindReading:
		u.reading(&e.Reading, k&kindDevice != 0)
	case KindStatus:
		var r devices.Reading
		rssi := u.reading(&r, k&kindDevice != 0)
		e.Status = statusOf(&r, rssi)
	case KindTick:
	case KindEvent, KindSettings, KindSession, KindFlag:
		var rare rareEntry
		if err := json.Unmarshal(u.bytes(int(u.next(colJSON))), &rare); err != nil {
			return err
		}
		rare.into(e)
	default:
		return fmt.Errorf("unknown kind %d", e.Kind)
	}
	return nil
}

// reading mirrors encoder.reading.
func (u *unpacker) reading(r *devices.Reading, device bool) (rssi int32) {
	c := &u.ctx
	i := c.port + u.next(colPort)
	c.port = i + 1
	if i < 0 || i >= int64(len(u.defs)) {
		u.bad = true
		return 0
	}
	last := &c.last[i]
	r.Pile, r.Port, r.DeviceTime = u.defs[i].pile, u.defs[i].port, device
	c.time += u.next(colTime)
	r.Time = devices.Millis(c.time)
	mask := u.next(colMask)
	r.Has, r.State, r.Card, r.Order = last.Has, last.State, last.Card, last.Order
	if mask&maskShape != 0 {
		v := u.next(colShape)
		r.Has, r.State = devices.Fields(v>>4), devices.PortState(v&15)
	}
	if mask&maskCard != 0 {
		r.Card = u.str(u.next(colCard))
	}
	if mask&maskOrder != 0 {
		r.Order = u.str(u.next(colOrder))
	}
	rssi = u.values(r, last, int(i))
	remember(last, r)
	return rssi
}

// values mirrors encoder.values.
func (u *unpacker) values(r, last *devices.Reading, i int) int32 {
	c := &u.ctx
	r.PowerMW = last.PowerMW + u.next(colPower)
	if r.Has.Has(devices.HasSeq) {
		r.Seq = c.seqs[r.Pile] + u.next(colSeq)
		c.seqs[r.Pile] = r.Seq
	}
	if r.Has.Has(devices.HasEnergy) {
		r.EnergyMWh = foretold(last, r.Time, r.PowerMW, last.EnergyMWh) + u.next(colEnergy)
	}
	if r.Has.Has(devices.HasOrderEnergy) {
		r.OrderMWh = foretold(last, r.Time, r.PowerMW, last.OrderMWh) + u.next(colOrderEnergy)
	}
	if r.Has.Has(devices.HasVoltage) {
		c.voltageMV += u.next(colVoltage)
		r.VoltageMV = int32(c.voltageMV)
	}
	if r.Has.Has(devices.HasPowerFactor) {
		r.PFMilli = last.PFMilli + int16(u.next(colFactor))
	}
	if r.Has.Has(devices.HasCurrent) {
		r.CurrentMA = int32(foretoldCurrent(r) + u.next(colCurrent))
	}
	if r.Has.Has(devices.HasTemperature) {
		r.TempMC = last.TempMC + int32(u.next(colTemp))
	}
	if r.Has.Has(devices.HasRSSI) {
		c.rssi[i] += int32(u.next(colRSSI))
	}
	return c.rssi[i]
}

// sampleOf writes a pile's status as the sample of its port 0.
func sampleOf(s *devices.Status) (devices.Reading, int32) {
	r := devices.Reading{
		Pile: s.Pile, Time: s.Time, Seq: s.Seq, EnergyMWh: s.MainMWh, TempMC: s.TempMC, Has: s.Has, DeviceTime: s.DeviceTime,
	}
	if s.Online {
		r.State = devices.StateCharging // any but none: the word is one bit
	}
	return r, s.RSSI
}

func statusOf(r *devices.Reading, rssi int32) *devices.Status {
	s := &devices.Status{
		Pile: r.Pile, Time: r.Time, Seq: r.Seq, MainMWh: r.EnergyMWh, TempMC: r.TempMC, Has: r.Has,
		Online: r.State != devices.StateNone, DeviceTime: r.DeviceTime,
	}
	if r.Has.Has(devices.HasRSSI) {
		s.RSSI = rssi
	}
	return s
}

// rareEntry is an entry that has no columns.
type rareEntry struct {
	Change   session.ChangeKind `json:"change,omitempty"`
	Cleared  bool               `json:"cleared,omitempty"`
	Event    *devices.Event     `json:"event,omitempty"`
	Prior    *session.Prior     `json:"prior,omitempty"`
	Settings *session.Settings  `json:"settings,omitempty"`
	Session  *session.Session   `json:"session,omitempty"`
	Flag     *Flag              `json:"flag,omitempty"`
}

func rareOf(e *Entry) rareEntry {
	return rareEntry{e.Change, e.Cleared, e.Event, e.Prior, e.Settings, e.Session, e.Flag}
}

func (r rareEntry) into(e *Entry) {
	e.Change, e.Cleared, e.Event, e.Prior = r.Change, r.Cleared, r.Event, r.Prior
	e.Settings, e.Session, e.Flag = r.Settings, r.Session, r.Flag
}
