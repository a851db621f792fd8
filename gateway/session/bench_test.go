package session

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"pilewatch/devices"
)

// crowd is many piles of twelve ports that report in turn, as in life.
type crowd struct {
	t     testing.TB
	state *State
	piles []string
	cards []string // of each port
	order []string
	busy  int // ports of a pile that charge
	round int
	out   []Change
}

const crowdPorts = 12

func newCrowd(t testing.TB, ports, busy int) *crowd {
	set := propertySettings()
	set.Piles, set.Cards = map[string]Pile{}, map[string]Card{}
	c := &crowd{t: t, busy: busy}
	for i := range ports / crowdPorts {
		c.piles = append(c.piles, fmt.Sprintf("P%05d", i))
		set.Piles[c.piles[i]] = Pile{Building: fmt.Sprintf("%d号楼", i/20), Ports: crowdPorts}
	}
	for i := range ports {
		c.cards, c.order = append(c.cards, fmt.Sprintf("04%06X", i)), append(c.order, fmt.Sprintf("A-%07d", i))
		set.Cards[c.cards[i]] = Card{Household: fmt.Sprintf("%d-%d", i/20, i)}
	}
	var err error
	if c.state, err = NewState(set); err != nil {
		t.Fatal(err)
	}
	return c
}

// report lets a port say something.
func (c *crowd) report(i int) {
	r := devices.Reading{
		Pile: c.piles[i/crowdPorts], Port: uint8(i%crowdPorts + 1), Time: t0.Add(time.Duration(c.round) * 30 * time.Second), DeviceTime: true,
		State: idle, Has: devices.HasEnergy | devices.HasVoltage | devices.HasTemperature, EnergyMWh: int64(i), VoltageMV: 221_000, TempMC: 30_000,
	}
	if i%crowdPorts < c.busy {
		r.State, r.PowerMW, r.Card, r.Order = charging, 150_000, c.cards[i], c.order[i]
		r.Has |= devices.HasOrderEnergy | devices.HasCurrent | devices.HasPowerFactor
		r.EnergyMWh, r.OrderMWh, r.CurrentMA, r.PFMilli = int64(i+1250*c.round), int64(1250*c.round), 690, 980
	}
	if c.out, _, _ = Step(c.state, Input{Received: r.Time, Reading: &r}, c.out[:0]); i == 0 && c.round > 1 && len(c.out) > 0 {
		c.t.Fatalf("changes %v", c.out)
	}
}

// all lets each port report once.
func (c *crowd) all() {
	for i := range len(c.piles) * crowdPorts {
		c.report(i)
	}
	c.round++
}

// BenchmarkStepOfMany is the fold of what 6,000 ports that charge say.
func BenchmarkStepOfMany(b *testing.B) {
	c := newCrowd(b, 6000, crowdPorts)
	c.all()
	c.all()
	i := 0
	for b.Loop() {
		if c.report(i); i == 6000-1 {
			i, c.round = -1, c.round+1
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "readings/s")
}

// A state of 20,000 ports, of which a quarter charge.
func smallCity(t testing.TB) *crowd {
	c := newCrowd(t, 19_992, 3)
	c.all()
	c.all()
	return c
}

func BenchmarkWriteTo(b *testing.B) {
	c := smallCity(b)
	var n int64
	for b.Loop() {
		n, _ = c.state.WriteTo(io.Discard)
	}
	b.ReportMetric(float64(n)/19_992, "B/port")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/19_992, "ns/port")
}

func BenchmarkReadFrom(b *testing.B) {
	saved := written(b, smallCity(b).state)
	for b.Loop() {
		var s State
		if _, err := s.ReadFrom(bytes.NewReader(saved)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/19_992, "ns/port")
}

// live is the heap in use.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// visit lets a bike come, charge for a minute and go, by events as by readings.
func (c *crowd) visit(i int) {
	at, order := t0.Add(time.Duration(c.round)*30*time.Second), fmt.Sprintf("A-%07d-%d", i, c.round)
	e := devices.Event{Pile: c.piles[i/crowdPorts], Port: uint8(i%crowdPorts + 1), Time: at, DeviceTime: true, Kind: devices.EventStart, Order: order}
	for range 2 {
		c.out, _, _ = Step(c.state, Input{Received: e.Time, Event: &e}, c.out[:0])
		e.Kind, e.Time, e.Reason = devices.EventStop, at.Add(time.Minute), "full"
	}
}

// What a port takes of the heap, with its share of the pile: as it lived, and
// after a restart.
func TestAPortIsSmall(t *testing.T) {
	const ports = 4800
	for _, c := range []struct {
		name   string
		busy   int
		visits int
		most   int64
	}{
		{"idle", 0, 0, 200},
		{"charging", crowdPorts, 0, 700},
		{"idle after ten bikes", 0, 10, 480},
	} {
		w := newCrowd(t, ports, c.busy)
		for range c.visits {
			for i := range ports {
				w.visit(i)
			}
			w.round += 20
		}
		w.all()
		w.all()
		saved := written(t, w.state)
		lived := w.drop(ports)
		if _, err := w.state.ReadFrom(bytes.NewReader(saved)); err != nil {
			t.Fatal(err)
		}
		restored := w.drop(ports)
		t.Logf("%s: %d bytes, restored %d", c.name, lived, restored)
		if lived > c.most || restored > c.most {
			t.Errorf("%s: %d bytes, restored %d; want at most %d", c.name, lived, restored, c.most)
		}
	}
}

// drop forgets all piles, and gives how much of the heap each port had.
func (c *crowd) drop(ports int64) int64 {
	c.out = nil
	with := live()
	c.state.Piles, c.state.latest = map[string]*PileState{}, nil
	without := live()
	runtime.KeepAlive(c)
	return (with - without) / ports
}
