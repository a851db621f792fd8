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
	keys []portKey
	cols [columns]columnReader
	ctx  blockContext
}

// columnReader reads the values of a column where they stand.
type columnReader struct {
	in   []byte
	left int
	unit int64 // that was divided by
}

func (u *unpacker) unpack() ([]Entry, error) {
	n := u.count()
	u.strs = make([]string, u.count())
	for i := range u.strs {
		u.strs[i] = string(u.bytes(u.count()))
	}
	u.keys = make([]portKey, u.count()/2)
	u.ctx.last, u.ctx.seqs = make([]sample, len(u.keys)), make([]int64, len(u.strs))
	for i := range u.keys {
		pile := u.uvarint()
		u.keys[i] = portKey{u.str(int64(pile)), uint8(u.uvarint())}
		u.ctx.last[i].pile = int32(pile)
	}
	for i := range u.cols {
		u.cols[i] = u.column()
	}
	if n != u.cols[colKind].left || n != u.cols[colReceived].left {
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

// column finds where the next column ends.
func (u *unpacker) column() columnReader {
	c := columnReader{left: u.count()}
	if c.left == 0 {
		return c
	}
	c.unit = int64(u.uvarint())
	end := 0
	for n := c.left; n > 0; end++ {
		if end == len(u.in) {
			u.bad = true
			return columnReader{}
		}
		if u.in[end] < 0x80 { // the last byte of a value
			n--
		}
	}
	c.in = u.bytes(end)
	return c
}

func (u *unpacker) next(i column) int64 {
	c := &u.cols[i]
	if c.left == 0 {
		u.bad = true
		return 0
	}
	c.left--
	if x := c.in[0]; x < 0x80 {
		c.in = c.in[1:]
		return (int64(x>>1) ^ -int64(x&1)) * c.unit
	}
	v, n := binary.Varint(c.in)
	if n <= 0 { // more than 64 bits
		*c, u.bad = columnReader{}, true
		return 0
	}
	c.in = c.in[n:]
	return v * c.unit
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
	if i < 0 || i >= int64(len(u.keys)) {
		u.bad = true
		return 0
	}
	last := &c.last[i]
	r.Pile, r.Port, r.DeviceTime = u.keys[i].pile, u.keys[i].port, device
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
	u.values(r, last)
	last.remember(r)
	return last.rssi
}

// values mirrors encoder.values.
func (u *unpacker) values(r *devices.Reading, last *sample) {
	c := &u.ctx
	r.PowerMW = last.PowerMW + u.next(colPower)
	if r.Has.Has(devices.HasSeq) {
		r.Seq = c.seqs[last.pile] + u.next(colSeq)
		c.seqs[last.pile] = r.Seq
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
		last.rssi += int32(u.next(colRSSI))
	}
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
