package session

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"pilewatch/devices"
)

// olderBegins leaves something of everything that a checkpoint holds.
func olderBegins(b *bench) {
	b.status("0s", devices.HasOnline|devices.HasTemperature)
	b.event(devices.EventAlarm, "0s", func(e *devices.Event) { e.Port, e.Alarm = 0, "smoke" })
	// Port 1: three sessions in a second, one of them open and low.
	b.read("0s", 100, state(charging), orderWh("A", 0), card("04A1"))
	b.read("0.4s", 100, state(charging), orderWh("B", 0), card("04A1"))
	b.read("0.8s", 100, state(charging), orderWh("C", 0), card("04A1"))
	b.read("2h30m", 100, state(charging), orderWh("C", 200))
	b.read("2h31m", 2, state(charging), orderWh("C", 201))
	// Port 2: a reading that may open a session, a card for it, counters.
	for i := range int64(30) {
		b.read("2h", 0, received("2h"), onPort(2), func(r *devices.Reading) { r.Seq = i; r.Has |= devices.HasSeq })
	}
	b.event(devices.EventCard, "2h30m", func(e *devices.Event) { e.Port, e.Card = 2, "04A2" })
	b.read("2h31m", 60, onPort(2), wh(1))
	// Port 3: a settlement before the end, lost by the clock; port 4: events only.
	b.read("0s", 60, state(charging), onPort(3), orderWh("D", 0))
	b.event(devices.EventSettle, "2m", func(e *devices.Event) {
		e.Port, e.Order, e.Reason, e.Start, e.End, e.SettledMWh = 3, "D", "full", at("0s"), at("1m"), 1000
	})
	b.event(devices.EventStart, "2h", func(e *devices.Event) { e.Port, e.Order, e.Card = 4, "E", "04A3" })
	b.event(devices.EventAlarm, "2h", func(e *devices.Event) { e.Port, e.Alarm = 4, "short" })
	b.tick("6h1s")
}

// olderGoesOn asks for all of it.
func olderGoesOn(b *bench) {
	b.status("0s", devices.HasOnline)
	b.event(devices.EventAlarm, "0s", func(e *devices.Event) { e.Port, e.Alarm = 0, "smoke" })
	b.read("2h32m", 2, state(charging), orderWh("C", 202))
	b.read("2h41m", 2, state(charging), orderWh("C", 203))
	b.read("2h32m", 60, onPort(2), wh(2))
	b.read("2h9m", 0, received("2h9m"), onPort(2), func(r *devices.Reading) { r.Seq = 7; r.Has |= devices.HasSeq })
	b.read("2h11m", 0, received("2h11m"), onPort(2), func(r *devices.Reading) { r.Seq = 7; r.Has |= devices.HasSeq })
	b.read("3m", 0, state(idle), onPort(3), orderWh("D", 2))
	b.event(devices.EventStart, "2h", func(e *devices.Event) { e.Port, e.Order = 4, "E" })
	b.event(devices.EventAlarm, "2h", func(e *devices.Event) { e.Port, e.Alarm = 4, "water" })
	for _, order := range []string{"A", "B", "F", "G"} { // F and G began in the second of the others
		b.event(devices.EventSettle, "3h", func(e *devices.Event) {
			e.Order, e.Start, e.End, e.SettledMWh, e.Reason = order, at("0.9s"), at("1h"), 500_000, "full"
		})
	}
	b.event(devices.EventStop, "3h", func(e *devices.Event) { e.Port, e.Reason = 4, "remote" })
	b.read("3h", 0, state(idle), onPort(2), wh(3))
}

func (b *bench) status(when string, has devices.Fields) {
	b.step(Input{Received: at(when), Status: &devices.Status{Pile: "P01", Time: at(when), DeviceTime: true, Has: has, Online: true, TempMC: 20_000}})
}

func newOlderBench(t *testing.T) *bench {
	return newBench(t, func(s *Settings) {
		*s = propertySettings()
		s.Piles = map[string]Pile{"P01": {Building: "3号楼", Ports: 4}}
		s.Cards = map[string]Card{"04A1": {Household: "1-603"}}
	})
}

// TestACheckpointOfAnOlderProgramGoesOn reads what the program wrote of
// olderBegins when it left out nothing, and goes on as if it had lived on.
func TestACheckpointOfAnOlderProgramGoesOn(t *testing.T) {
	lived, restored := newOlderBench(t), newOlderBench(t)
	olderBegins(lived)
	saved, err := os.ReadFile("testdata/older.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restored.state.ReadFrom(bytes.NewReader(saved)); err != nil {
		t.Fatal(err)
	}
	if a, b := written(t, lived.state), written(t, restored.state); !bytes.Equal(a, b) {
		t.Errorf("states differ:\n%s\n%s", a, b)
	}
	lived.log = nil
	olderGoesOn(lived)
	olderGoesOn(restored)
	a, _ := json.Marshal(lived.log)
	b, _ := json.Marshal(restored.log)
	if !bytes.Equal(a, b) || len(lived.log) != 10 {
		t.Errorf("%d changes, want 10, and alike:\n%s\n%s", len(lived.log), a, b)
	}
}
