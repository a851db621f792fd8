package ledger

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

var t0 = devices.MillisOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// entry draws any entry that ingest can make.
func entry(t *rapid.T) Entry {
	e := Entry{Received: t0 + devices.Millis(rapid.Int64Range(-1e9, 1e9).Draw(t, "received"))}
	word := rapid.SampledFrom([]string{"", "P01", "P02", "复兴"})
	when := devices.Millis(rapid.Int64Range(1, 2e12).Draw(t, "time"))
	has := devices.Fields(rapid.IntRange(0, 1<<9-1).Draw(t, "has"))
	switch e.Kind = Kind(rapid.IntRange(1, 7).Draw(t, "kind")); e.Kind {
	case KindReading:
		e.Reading = reading(t, word.Draw(t, "pile"), when, has&^(devices.HasRSSI|devices.HasOnline))
	case KindStatus:
		s := devices.Status{Pile: word.Draw(t, "pile"), Time: when, Has: has & (devices.HasEnergy | devices.HasTemperature | devices.HasRSSI | devices.HasSeq | devices.HasOnline)}
		s.DeviceTime = rapid.Bool().Draw(t, "device")
		if s.Has.Has(devices.HasEnergy) {
			s.MainMWh = rapid.Int64().Draw(t, "main")
		}
		if s.Has.Has(devices.HasTemperature) {
			s.TempMC = rapid.Int32().Draw(t, "temp")
		}
		if s.Has.Has(devices.HasRSSI) {
			s.RSSI = rapid.Int32().Draw(t, "rssi")
		}
		if s.Has.Has(devices.HasSeq) {
			s.Seq = rapid.Int64().Draw(t, "seq")
		}
		s.Online = s.Has.Has(devices.HasOnline) && rapid.Bool().Draw(t, "online")
		e.Status = &s
	case KindEvent:
		e.Event = &devices.Event{Pile: word.Draw(t, "pile"), Port: rapid.Byte().Draw(t, "port"), Kind: devices.EventStop, Reason: "full", Time: when, EnergyMWh: 7}
		e.Prior = &session.Prior{ID: "x", Start: 3, EnergyMWh: 4}
	case KindSettings:
		s := session.DefaultSettings()
		e.Settings = &s
	case KindSession:
		e.Change = session.Closed
		e.Session = &session.Session{ID: "P01-1-x", Pile: "P01", Quality: session.Late | session.Disputed, Bands: []session.Band{{Name: "峰", Price: 617_000, EnergyMWh: 3}}}
	case KindFlag:
		e.Cleared = true
		e.Flag = &Flag{ID: "f", Rule: "over_power", Evidence: json.RawMessage(`{"w":700}`)}
	}
	return e
}

func reading(t *rapid.T, pile string, when devices.Millis, has devices.Fields) devices.Reading {
	r := devices.Reading{
		Pile: pile, Port: rapid.Byte().Draw(t, "port"), Time: when, Has: has,
		PowerMW: rapid.Int64Range(devices.MinPowerMW, devices.MaxPowerMW).Draw(t, "power"),
		State:   devices.PortState(rapid.IntRange(0, 6).Draw(t, "state")), DeviceTime: rapid.Bool().Draw(t, "device"),
		Card: rapid.SampledFrom([]string{"", "04A1"}).Draw(t, "card"), Order: rapid.SampledFrom([]string{"", "A"}).Draw(t, "order"),
	}
	if has.Has(devices.HasEnergy) {
		r.EnergyMWh = rapid.Int64().Draw(t, "wh")
	}
	if has.Has(devices.HasOrderEnergy) {
		r.OrderMWh = rapid.Int64().Draw(t, "owh")
	}
	if has.Has(devices.HasVoltage) {
		r.VoltageMV = rapid.Int32().Draw(t, "v")
	}
	if has.Has(devices.HasCurrent) {
		r.CurrentMA = rapid.Int32().Draw(t, "a")
	}
	if has.Has(devices.HasTemperature) {
		r.TempMC = rapid.Int32().Draw(t, "temp")
	}
	if has.Has(devices.HasPowerFactor) {
		r.PFMilli = rapid.Int16().Draw(t, "pf")
	}
	if has.Has(devices.HasSeq) {
		r.Seq = rapid.Int64().Draw(t, "seq")
	}
	return r
}

func codec(t interface{ Fatal(...any) }) (*encoder, *decoder) {
	enc, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return enc, dec
}

func TestABlockGivesBackWhatWasPutIn(t *testing.T) {
	enc, dec := codec(t)
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(entry), 0, 60).Draw(t, "entries")
		block, err := enc.encode(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := dec.decode(block)
		if err != nil {
			t.Fatal(err)
		}
		if len(in) == 0 && len(out) == 0 {
			return
		}
		if !reflect.DeepEqual(in, out) {
			for i := range in {
				if !reflect.DeepEqual(in[i], out[i]) {
					t.Fatalf("entry %d: put in %+v, got %+v", i, in[i], out[i])
				}
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	enc, dec := codec(f)
	block, err := enc.encode(estateEntries(3))
	if err != nil {
		f.Fatal(err)
	}
	raw, err := dec.zr.DecodeAll(block[1:], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		u := unpacker{in: raw}
		u.ctx.reset()
		entries, err := u.unpack() // any bytes give entries or an error, and never a panic
		if err == nil && len(entries) > len(raw) {
			t.Errorf("%d entries from %d bytes", len(entries), len(raw))
		}
	})
}

// estateEntries is n reports of one pile of ten ports, half of them charging.
func estateEntries(n int) []Entry {
	var es []Entry
	for i := range n {
		at := t0.Add(time.Duration(i) * 30 * time.Second)
		for p := range 10 {
			r := devices.Reading{
				Pile: "P01", Port: uint8(p + 1), Time: at, DeviceTime: true, Seq: int64(i), State: devices.StateIdle,
				Has: devices.HasEnergy | devices.HasVoltage | devices.HasSeq, VoltageMV: 221_000 + int32(i%7)*100, EnergyMWh: int64(p) * 1e9,
			}
			if p%2 == 1 {
				r.State, r.PowerMW, r.CurrentMA, r.PFMilli = devices.StateCharging, 150_000+int64(i*p%13)*100, 700+int32(i*p%5), 970
				r.EnergyMWh += int64(i) * 1251
				r.Has |= devices.HasCurrent | devices.HasPowerFactor
				r.Card, r.Order = "04A1B2C3", "A-1007"
			}
			es = append(es, Entry{Kind: KindReading, Received: at + 40, Reading: r})
		}
	}
	return es
}

// floodEntries is a commit under load: 16,000 readings of 500 piles of 12 ports that
// all charge, each of another card.
func floodEntries() []Entry {
	rnd := rand.New(rand.NewPCG(1, 2))
	var es []Entry
	for i := 0; len(es) < 16_000; i++ {
		pile, round := i%500, i/500
		at := t0.Add(time.Duration(round*30_000+pile*60) * time.Millisecond)
		for p := range 12 {
			r := devices.Reading{
				Pile: fmt.Sprintf("P%03d", pile), Card: fmt.Sprintf("%08X", 7919*(pile*12+p)), Port: uint8(p + 1), Time: at, DeviceTime: true, Seq: int64(round),
				Has:   devices.HasEnergy | devices.HasVoltage | devices.HasSeq | devices.HasCurrent | devices.HasPowerFactor,
				State: devices.StateCharging, PowerMW: 100 * int64(1500+rnd.IntN(50)), VoltageMV: 221_000 + 100*int32(round),
				CurrentMA: 700 + int32(rnd.IntN(20)), PFMilli: 950 + 10*int16(rnd.IntN(3)), EnergyMWh: int64(pile*12+p)*1e7 + int64(round)*1251,
			}
			es = append(es, Entry{Kind: KindReading, Received: at + 40, Reading: r})
		}
	}
	return es
}

func BenchmarkEncode(b *testing.B) {
	for name, es := range benched() {
		b.Run(name, func(b *testing.B) {
			enc, _ := codec(b)
			n := 0
			for b.Loop() {
				block, err := enc.encode(es)
				if err != nil {
					b.Fatal(err)
				}
				n += len(block)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*len(es)), "ns/reading")
			b.ReportMetric(float64(n)/float64(b.N*len(es)), "bytes/reading")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, es := range benched() {
		b.Run(name, func(b *testing.B) {
			enc, dec := codec(b)
			block, err := enc.encode(es)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := dec.decode(block); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*len(es)), "ns/reading")
		})
	}
}

func benched() iter.Seq2[string, []Entry] {
	return func(yield func(string, []Entry) bool) {
		_ = yield("estate", estateEntries(1000)) && yield("flood", floodEntries())
	}
}
