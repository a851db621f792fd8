package safety

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// city is a number of piles of twelve ports that report every 30 s, of which some
// charge; next gives the entries of their journal.
type city struct {
	piles, charging int
	state           *session.State
	names, cards    []string
	powers          [][]int64 // mW, of charges that go on and on
	registers       []int64   // mWh
	sent            int
	entry           ledger.Entry
	follow          []ledger.Entry
}

const cityPorts = 12

func newCity(tb testing.TB, piles, charging int) *city {
	state, err := session.NewState(session.DefaultSettings())
	if err != nil {
		tb.Fatal(err)
	}
	c := &city{piles: piles, charging: charging, state: state, registers: make([]int64, piles*cityPorts)}
	for i := range piles {
		c.names = append(c.names, fmt.Sprintf("P%05d", i))
	}
	for i := range piles * cityPorts {
		c.cards = append(c.cards, fmt.Sprintf("04%06X", i))
	}
	for i := range 64 {
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		f := charger(90+200*rng.Float64(), time.Duration(100+rng.IntN(200))*time.Minute)
		var all []int64
		for n := range 12 * 120 {
			w := f(time.Duration(n)*30*time.Second) * (1 + 0.004*rng.NormFloat64())
			all = append(all, int64(w*10)*100)
		}
		c.powers = append(c.powers, all)
	}
	return c
}

func (c *city) next() *ledger.Entry {
	if len(c.follow) > 0 {
		x := &c.follow[0]
		c.follow = c.follow[1:]
		return x
	}
	at, round := c.sent%len(c.registers), c.sent/len(c.registers)
	c.sent++
	pile, port := at/cityPorts, at%cityPorts
	when := t0.Add(time.Duration(round*30+pile%30) * time.Second)
	r := devices.Reading{Pile: c.names[pile], Port: uint8(port + 1), Time: when, DeviceTime: true, State: devices.StateIdle, Has: devices.HasEnergy}
	if port < c.charging {
		all := c.powers[(pile*7+port)%len(c.powers)]
		r.State, r.Card, r.PowerMW = devices.StateCharging, c.cards[at], all[(round+pile*13+port*31)%len(all)]
		c.registers[at] += r.PowerMW / 120
	}
	r.EnergyMWh = c.registers[at]
	c.entry = ledger.Entry{Kind: ledger.KindReading, Received: when, Reading: r}
	in, _ := c.entry.Input()
	changes, _, err := session.Step(c.state, in, nil)
	if err != nil {
		panic(err)
	}
	for _, x := range changes {
		c.follow = append(c.follow, ledger.Entry{Kind: ledger.KindSession, Received: when, Change: x.Kind, Session: x.Session})
	}
	return &c.entry
}

// lived gives an engine that a city has lived in for so many rounds.
func (c *city) lived(rounds int) *Engine {
	e := New(Defaults())
	for range rounds * len(c.registers) {
		e.Apply(c.next(), nil)
	}
	return e
}

func BenchmarkApplyCity(b *testing.B) {
	c := newCity(b, 2000, 3)
	e := c.lived(150)
	block := make([]ledger.Entry, 24_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(block) == 0 {
			b.StopTimer()
			for k := range block {
				block[k] = *c.next()
			}
			b.StartTimer()
		}
		e.Apply(&block[i%len(block)], nil)
	}
}

// BenchmarkState writes and reads the state of 20,000 ports, a quarter of which
// charge, and says what they hold.
func BenchmarkState(b *testing.B) {
	c := newCity(b, 20_000/cityPorts, 3)
	e := c.lived(150)
	ports := float64(len(c.registers))
	var state bytes.Buffer
	if _, err := e.WriteTo(&state); err != nil {
		b.Fatal(err)
	}
	each := func(b *testing.B, unit string, n float64) { b.ReportMetric(n/ports, unit) }
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ledger.Pack(e); err != nil {
				b.Fatal(err)
			}
		}
		each(b, "ns/port", float64(b.Elapsed().Nanoseconds())/float64(b.N))
		each(b, "JSON-B/port", float64(state.Len()))
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e = New(Defaults())
			if _, err := e.ReadFrom(bytes.NewReader(state.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
		each(b, "ns/port", float64(b.Elapsed().Nanoseconds())/float64(b.N))
	})
	for _, charging := range []int{0, cityPorts} {
		b.Run(fmt.Sprintf("%d of %d charge", charging, cityPorts), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				e := newCity(b, 500, charging).lived(150)
				b.ReportMetric(float64(heap()-before)/(500*cityPorts), "heap-B/port")
				runtime.KeepAlive(e)
			}
		})
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
