package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"

	"pilewatch/devices"
)

// A block is a run of entries, column by column: what neighbours share costs
// next to nothing, and each value is written as its difference from what the
// port's last sample in the block foretells. The columns are compressed
// together. Readings and pile statuses have columns; the rest, a few entries a
// session, is JSON.
//
// Layout: format byte, then a zstd frame of: number of entries, string table,
// ports, and each column as length and bytes. All numbers are varints.
const blockFormat = 1

type column int

const (
	colKind     column = iota // Kind, or Kind|kindDevice
	colReceived               // difference from the entry before
	colPort                   // difference of the index into ports
	colTime                   // difference from the reading before
	colMask                   // which of the next three changed since the port's last sample
	colShape                  // Has and State
	colCard
	colOrder
	colSeq
	colPower
	colEnergy
	colOrderEnergy
	colVoltage
	colFactor
	colCurrent
	colTemp
	colRSSI
	colJSON // lengths; the texts follow in bytes
	columns
)

const kindDevice = 0x80 // the time is the device's

const (
	maskShape = 1 << iota
	maskCard
	maskOrder
)

var errCorrupt = errors.New("the block does not decode")

// encoder turns entries into blocks. It is used by one goroutine.
type encoder struct {
	zw    *zstd.Encoder
	cols  [columns][]int64
	ctx   blockContext
	strs  stringTable
	piles map[string]int // where each pile's first port is in keys
	keys  []portKey      // of each port, in order of appearance
	text  []byte
	raw   []byte
	out   []byte
}

// blockContext is what encoder and decoder both know at an entry of a block.
type blockContext struct {
	last      []sample // of each port
	seqs      []int64  // newest number of each pile's messages, by its place in the string table
	received  int64
	time      int64
	port      int64
	voltageMV int64
}

// sample is the newest of a port.
type sample struct {
	devices.Reading
	rssi int32
	pile int32 // its place in the string table
	next int32 // the pile's next port; 0 for none. For the encoder
}

type portKey struct {
	pile string
	port uint8
}

func (c *blockContext) reset() {
	*c = blockContext{last: c.last[:0], seqs: c.seqs[:0]}
}

type stringTable struct {
	index map[string]int64
	list  []string
}

func (t *stringTable) reset() {
	if t.index == nil {
		t.index = map[string]int64{}
	}
	clear(t.index)
	t.index[""] = 0
	t.list = append(t.list[:0], "")
}

func (t *stringTable) add(s string) int64 {
	i, ok := t.index[s]
	if !ok {
		i = int64(len(t.list))
		t.index[s] = i
		t.list = append(t.list, s)
	}
	return i
}

func newEncoder() (*encoder, error) {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	return &encoder{zw: zw, piles: map[string]int{}}, err
}

// encode gives the bytes of a block, until the next is encoded.
func (e *encoder) encode(entries []Entry) ([]byte, error) {
	for i := range e.cols {
		e.cols[i] = e.cols[i][:0]
	}
	e.keys, e.text = e.keys[:0], e.text[:0]
	clear(e.piles)
	e.ctx.reset()
	e.strs.reset()
	for i := range entries {
		if err := e.entry(&entries[i]); err != nil {
			return nil, err
		}
	}
	return e.pack(len(entries)), nil
}

func (e *encoder) put(c column, v int64) { e.cols[c] = append(e.cols[c], v) }

func (e *encoder) entry(en *Entry) error {
	e.put(colReceived, int64(en.Received)-e.ctx.received)
	e.ctx.received = int64(en.Received)
	switch en.Kind {
	case KindReading:
		e.reading(en.Kind, &en.Reading, 0)
		return nil
	case KindStatus:
		r, rssi := sampleOf(en.Status)
		e.reading(en.Kind, &r, rssi)
		return nil
	}
	e.put(colKind, int64(en.Kind))
	if en.Kind == KindTick {
		return nil
	}
	b, err := json.Marshal(rareOf(en))
	if err != nil {
		return fmt.Errorf("encoding a journal entry: %w", err)
	}
	e.put(colJSON, int64(len(b)))
	e.text = append(e.text, b...)
	return nil
}

// reading writes a sample; a pile's status goes as the sample of port 0.
func (e *encoder) reading(kind Kind, r *devices.Reading, rssi int32) {
	k := int64(kind)
	if r.DeviceTime {
		k |= kindDevice
	}
	e.put(colKind, k)
	c, last := &e.ctx, e.port(portKey{r.Pile, r.Port})
	e.put(colTime, int64(r.Time)-c.time)

	var mask int64
	if r.Has != last.Has || r.State != last.State {
		mask |= maskShape
		e.put(colShape, int64(r.Has)<<4|int64(r.State))
	}
	if r.Card != last.Card {
		mask |= maskCard
		e.put(colCard, e.strs.add(r.Card))
	}
	if r.Order != last.Order {
		mask |= maskOrder
		e.put(colOrder, e.strs.add(r.Order))
	}
	e.put(colMask, mask)
	e.values(r, last, rssi)
	c.time = int64(r.Time)
	last.remember(r)
}

// values writes the quantities of a sample.
func (e *encoder) values(r *devices.Reading, last *sample, rssi int32) {
	c := &e.ctx
	e.put(colPower, r.PowerMW-last.PowerMW)
	if r.Has.Has(devices.HasSeq) {
		e.put(colSeq, r.Seq-c.seqs[last.pile])
		c.seqs[last.pile] = r.Seq
	}
	if r.Has.Has(devices.HasEnergy) {
		e.put(colEnergy, r.EnergyMWh-foretold(last, r.Time, r.PowerMW, last.EnergyMWh))
	}
	if r.Has.Has(devices.HasOrderEnergy) {
		e.put(colOrderEnergy, r.OrderMWh-foretold(last, r.Time, r.PowerMW, last.OrderMWh))
	}
	if r.Has.Has(devices.HasVoltage) {
		e.put(colVoltage, int64(r.VoltageMV)-c.voltageMV)
		c.voltageMV = int64(r.VoltageMV)
	}
	if r.Has.Has(devices.HasPowerFactor) {
		e.put(colFactor, int64(r.PFMilli)-int64(last.PFMilli))
	}
	if r.Has.Has(devices.HasCurrent) {
		e.put(colCurrent, int64(r.CurrentMA)-foretoldCurrent(r))
	}
	if r.Has.Has(devices.HasTemperature) {
		e.put(colTemp, int64(r.TempMC)-int64(last.TempMC))
	}
	if r.Has.Has(devices.HasRSSI) {
		e.put(colRSSI, int64(rssi)-int64(last.rssi))
		last.rssi = rssi
	}
}

// port writes which port a sample is of, and gives the one before it. Most often it
// is the next port of the same message, which costs no look-up.
func (e *encoder) port(k portKey) *sample {
	c := &e.ctx
	i := int(c.port)
	if i >= len(e.keys) || e.keys[i] != k {
		i = e.find(k)
	}
	e.put(colPort, int64(i)-c.port)
	c.port = int64(i) + 1 // the next port of the same message is foretold
	return &c.last[i]
}

// find gives the place of a port; it begins with one that the block had not yet.
func (e *encoder) find(k portKey) int {
	i, ok := e.piles[k.pile]
	if !ok {
		e.piles[k.pile] = len(e.keys)
		return e.define(k, int32(e.strs.add(k.pile)))
	}
	for e.keys[i].port != k.port {
		s := &e.ctx.last[i]
		if s.next == 0 {
			s.next = int32(len(e.keys))
			return e.define(k, s.pile)
		}
		i = int(s.next)
	}
	return i
}

func (e *encoder) define(k portKey, pile int32) int {
	c := &e.ctx
	e.keys = append(e.keys, k)
	c.last = append(c.last, sample{pile: pile})
	for len(c.seqs) <= int(pile) {
		c.seqs = append(c.seqs, 0)
	}
	return len(e.keys) - 1
}

// remember keeps of r what later samples of the port are compared with: a
// quantity that was not measured leaves the one before in place.
func (s *sample) remember(r *devices.Reading) {
	energy, order, pf, temp := s.EnergyMWh, s.OrderMWh, s.PFMilli, s.TempMC
	s.Reading = *r
	if !r.Has.Has(devices.HasEnergy) {
		s.EnergyMWh = energy
	}
	if !r.Has.Has(devices.HasOrderEnergy) {
		s.OrderMWh = order
	}
	if !r.Has.Has(devices.HasPowerFactor) {
		s.PFMilli = pf
	}
	if !r.Has.Has(devices.HasTemperature) {
		s.TempMC = temp
	}
}

// foretold is where a register should stand after the trapezoid of two powers.
// It wraps on absurd input, for the encoder and the decoder alike.
func foretold(last *sample, at devices.Millis, powerMW, register int64) int64 {
	if last.Time == 0 {
		return register
	}
	return register + (last.PowerMW+powerMW)*int64(at-last.Time)/7_200_000
}

// foretoldCurrent is P / (V x pf), mA.
func foretoldCurrent(r *devices.Reading) int64 {
	apparent := int64(r.VoltageMV)
	if r.Has.Has(devices.HasPowerFactor) {
		apparent = apparent * int64(r.PFMilli) / 1000
	}
	if apparent <= 0 {
		return 0
	}
	return r.PowerMW * 1000 / apparent
}

// pack joins table, ports and columns, and compresses them.
func (e *encoder) pack(n int) []byte {
	b := binary.AppendUvarint(e.raw[:0], uint64(n))
	b = binary.AppendUvarint(b, uint64(len(e.strs.list)))
	for _, s := range e.strs.list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(2*len(e.keys)))
	for i, k := range e.keys {
		b = binary.AppendUvarint(b, uint64(e.ctx.last[i].pile))
		b = binary.AppendUvarint(b, uint64(k.port))
	}
	for _, vs := range e.cols {
		b = appendColumn(b, vs)
	}
	b = append(b, e.text...)
	e.raw = b
	e.out = e.zw.EncodeAll(b, append(e.out[:0], blockFormat))
	return e.out
}

// appendColumn writes a column: how many, the greatest common divisor, and the
// quotients. Devices report in whole steps (0.1 W, 1 Wh), which the divisor takes out.
func appendColumn(b []byte, vs []int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(vs)))
	if len(vs) == 0 {
		return b
	}
	d := divisor(vs)
	b = binary.AppendUvarint(b, uint64(d))
	for _, v := range vs {
		if d != 1 && v != 0 { // a division costs more than all else here
			v /= d
		}
		b = binary.AppendVarint(b, v)
	}
	return b
}

func divisor(vs []int64) int64 {
	var d int64
	for _, v := range vs {
		if v == math.MinInt64 {
			return 1
		}
		for d, v = v, d; v != 0; {
			d, v = v, d%v
		}
		if d == 1 || d == -1 {
			return 1
		}
	}
	if d < 0 {
		d = -d
	}
	return max(d, 1)
}
