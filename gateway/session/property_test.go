package session

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// inputs draws what two ports of a pile might send, in any order and with any fault.
func inputs(t *rapid.T) []Input {
	now := t0
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Input {
		now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "dt")) * time.Second)
		if rapid.IntRange(0, 60).Draw(t, "hole") == 0 {
			now = now.Add(7 * time.Hour)
		}
		in := Input{Received: now}
		port := uint8(rapid.IntRange(1, 2).Draw(t, "port"))
		when, device := now, rapid.IntRange(0, 4).Draw(t, "clock") > 0
		if device && rapid.IntRange(0, 9).Draw(t, "late") == 0 {
			when = now.Add(-time.Duration(rapid.IntRange(1, 3000).Draw(t, "by")) * time.Second)
		}
		word := rapid.SampledFrom([]string{"", "A", "B"})
		has := rapid.SampledFrom([]devices.Fields{0, devices.HasEnergy, devices.HasOrderEnergy, devices.HasEnergy | devices.HasOrderEnergy | devices.HasSeq})
		switch kind := rapid.IntRange(0, 12).Draw(t, "kind"); {
		case kind < 9:
			in.Reading = &devices.Reading{
				Pile: "P01", Port: port, Time: when, DeviceTime: device, PowerMW: rapid.Int64Range(-1000, 900_000).Draw(t, "power"),
				State: devices.PortState(rapid.IntRange(0, 6).Draw(t, "state")), Card: word.Draw(t, "card"), Order: word.Draw(t, "order"),
				Has: has.Draw(t, "has"), EnergyMWh: rapid.Int64Range(0, 1e9).Draw(t, "wh"), OrderMWh: rapid.Int64Range(0, 1e6).Draw(t, "owh"),
				Seq: int64(rapid.IntRange(0, 50).Draw(t, "seq")),
			}
		case kind < 12:
			in.Event = &devices.Event{
				Pile: "P01", Port: port, Time: when, DeviceTime: device, Kind: devices.EventKind(rapid.IntRange(1, 5).Draw(t, "event")),
				Card: word.Draw(t, "card"), Order: word.Draw(t, "order"), Has: has.Draw(t, "has"), EnergyMWh: rapid.Int64Range(0, 1e9).Draw(t, "wh"),
				Start: when.Add(-time.Hour), End: when, SettledMWh: rapid.Int64Range(0, 1e6).Draw(t, "settled"),
			}
			if in.Event.Kind == devices.EventSettle && in.Event.Order == "" {
				in.Event.Order = "C"
			}
		}
		return in
	}), 1, 120).Draw(t, "inputs")
}

func propertySettings() Settings {
	s := DefaultSettings()
	s.Tariffs = []tariff.Tariff{{Name: "t", ValidFrom: "2026-01-01", PerKWh: 1, Bands: []tariff.Band{
		{Name: "峰", From: 360, To: 1320, Price: 617_000}, {Name: "谷", From: 1320, To: 360, Price: 307_000}}}}
	return s
}

func run(t *rapid.T, in []Input, restoreAt int) ([]Change, *State) {
	s, err := NewState(propertySettings())
	if err != nil {
		t.Fatal(err)
	}
	var out []Change
	for i, x := range in {
		if i == restoreAt {
			saved := written(t, s)
			s = &State{}
			if _, err := s.ReadFrom(bytes.NewReader(saved)); err != nil {
				t.Fatal(err)
			}
		}
		if out, _, err = Step(s, x, out); err != nil {
			t.Fatal(err)
		}
	}
	return out, s
}

func written(t interface{ Fatal(...any) }, s *State) []byte {
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestACheckpointAnywhereChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := inputs(t)
		straight, a := run(t, in, -1)
		restored, b := run(t, in, rapid.IntRange(0, len(in)-1).Draw(t, "restore"))
		x, _ := json.Marshal(straight)
		y, _ := json.Marshal(restored)
		if !bytes.Equal(x, y) {
			t.Fatalf("changes differ:\n%s\n%s", x, y)
		}
		x, y = written(t, a), written(t, b)
		if !bytes.Equal(x, y) {
			t.Fatalf("states differ:\n%s\n%s", x, y)
		}
	})
}

func TestEverySessionIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes, _ := run(t, inputs(t), -1)
		open := map[string]bool{}
		for _, c := range changes {
			s := c.Session
			switch c.Kind {
			case Opened:
				if open[s.ID] {
					t.Fatalf("%s opened twice", s.ID)
				}
				open[s.ID] = true
			case Closed:
				if s.Open || s.Reason == "" || s.End < s.Start || s.EnergyMWh < 0 {
					t.Fatalf("closed session %+v", s)
				}
				var sum int64
				for _, b := range s.Bands {
					sum += b.EnergyMWh
				}
				if sum != s.EnergyMWh {
					t.Fatalf("bands sum to %d of %d mWh", sum, s.EnergyMWh)
				}
			}
		}
	})
}

func TestTheSameInputsTwiceChangeNothingMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := inputs(t)
		s, err := NewState(propertySettings())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range in {
			if x.Reading == nil || !x.Reading.DeviceTime {
				continue
			}
			if _, _, err = Step(s, x, nil); err != nil {
				t.Fatal(err)
			}
			out, o, err := Step(s, x, nil)
			if err != nil || len(out) != 0 || o == Applied {
				t.Fatalf("a reading taken twice: outcome %d, changes %v, %v", o, out, err)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	s, err := NewState(propertySettings())
	if err != nil {
		f.Fatal(err)
	}
	r := devices.Reading{Pile: "P01", Port: 1, Time: t0, DeviceTime: true, PowerMW: 1e5, State: devices.StateCharging}
	if _, _, err := Step(s, Input{Received: t0, Reading: &r}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(written(f, s))
	f.Add([]byte(`{"piles":[{"name":"P01","ports":[null]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		if _, err := s.ReadFrom(bytes.NewReader(b)); err != nil {
			return
		}
		if _, err := s.WriteTo(io.Discard); err != nil {
			t.Fatalf("a state that was read can't be written: %v", err)
		}
	})
}

func BenchmarkStep(b *testing.B) {
	s, err := NewState(propertySettings())
	if err != nil {
		b.Fatal(err)
	}
	r := devices.Reading{Pile: "P01", Time: t0, DeviceTime: true, PowerMW: 150_000, State: devices.StateCharging, Has: devices.HasEnergy}
	var out []Change
	n := 0
	for b.Loop() {
		r.Port = uint8(n%12 + 1)
		if r.Port == 1 {
			r.Time = r.Time.Add(30 * time.Second)
			r.EnergyMWh += 1250
		}
		out, _, _ = Step(s, Input{Received: r.Time, Reading: &r}, out[:0])
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "readings/s")
}
