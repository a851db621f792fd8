package metrics

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pilewatch/devices"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/session"
)

// noon is the time of the scrapes.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is all that a Fleet looks at.
type world struct {
	mu       sync.RWMutex
	state    *session.State
	flags    []flagCount
	size     int64
	sizeErr  error
	writable error
	broker   error
}

type flagCount struct {
	rule, severity string
	open, raised   int
}

func (w *world) View(f func(*session.State)) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	f(w.state)
}

func (w *world) Flags(each func(rule, severity string, open, raised int)) {
	for _, f := range w.flags {
		each(f.rule, f.severity, f.open, f.raised)
	}
}

func (w *world) Size() (int64, error) { return w.size, w.sizeErr }
func (w *world) Writable() error      { return w.writable }
func (w *world) Connected() error     { return w.broker }

type sink feed.Stats

func (s sink) Stats() feed.Stats { return feed.Stats(s) }

func newWorld(t testing.TB) *world {
	t.Helper()
	set := session.DefaultSettings()
	set.Piles = map[string]session.Pile{"p1": {Building: "3"}, "p2": {Building: "3"}, "p3": {Building: "5"}}
	st, err := session.NewState(set)
	if err != nil {
		t.Fatal(err)
	}
	return &world{state: st, size: 123_456}
}

// at is an instant so long before noon.
func at(ago time.Duration) devices.Millis { return devices.MillisOf(noon.Add(-ago)) }

func (w *world) step(t testing.TB, in session.Input) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, _, err := session.Step(w.state, in, nil); err != nil {
		t.Fatal(err)
	}
}

// reading is heard so long ago.
func (w *world) reading(t testing.TB, ago time.Duration, r devices.Reading) {
	t.Helper()
	r.Time, r.DeviceTime = at(ago), true
	w.step(t, session.Input{Received: at(ago), Reading: &r})
}

func (w *world) status(t testing.TB, ago time.Duration, s devices.Status) {
	t.Helper()
	s.Time, s.DeviceTime = at(ago), true
	w.step(t, session.Input{Received: at(ago), Status: &s})
}

// charging lets a port charge at so many watts for an hour that ends so long
// ago: its register advances by as many watt-hours.
func (w *world) charging(t testing.TB, pile string, port uint8, watts int64, ago time.Duration) {
	t.Helper()
	for m := range int64(61) {
		w.reading(t, ago+time.Hour-time.Duration(m)*time.Minute, devices.Reading{
			Pile: pile, Port: port, PowerMW: watts * 1000, EnergyMWh: 5_000_000 + watts*1000*m/60,
			TempMC: 34_500, Has: devices.HasEnergy | devices.HasTemperature, State: devices.StateCharging,
		})
	}
}

func (w *world) options() Options {
	return Options{
		Estate: "fuxing", Version: "1.2.3", Commit: "abc", Live: w, Flags: w, Ledger: w, Broker: w,
		Rules: []string{"over_power", "pile_offline"}, Now: func() time.Time { return noon },
	}
}

func (w *world) registry(t testing.TB, change ...func(*Options)) *prometheus.Registry {
	t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(NewFleet(o)); err != nil {
		t.Fatal(err)
	}
	return reg
}

func known() Known {
	return Known{
		Decoders: []string{"native", "tasmota"}, Drops: []string{"duplicate", "late", "retained", "overflow"},
		Channels: []string{"office"}, Floods: []string{"messages", "rejects", "old"}, Estate: "fuxing",
	}
}

var errAway = errors.New("away")

// estate has so many ports, ten a pile, ten piles a building, and all of them charge.
func estate(t testing.TB, ports int) *world {
	t.Helper()
	w := newWorld(t)
	set := w.state.Settings()
	set.Piles = map[string]session.Pile{}
	for i := range (ports + 9) / 10 {
		set.Piles[fmt.Sprintf("pile-%04d", i)] = session.Pile{Building: fmt.Sprint(i/10 + 1)}
	}
	w.step(t, session.Input{Settings: &set})
	for i := range ports {
		for m := range 2 {
			w.reading(t, time.Duration(2-m)*time.Minute, devices.Reading{
				Pile: fmt.Sprintf("pile-%04d", i/10), Port: uint8(i%10 + 1), PowerMW: 100_000, EnergyMWh: int64(m) * 1000,
				TempMC: 30_000 + int32(i), Has: devices.HasEnergy | devices.HasTemperature, State: devices.StateCharging,
			})
		}
	}
	return w
}
