package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

// sample is one reading as it was told.
type sample struct {
	at    time.Time
	w     float64
	temp  float64
	state devices.PortState
}

type story struct {
	samples map[string][]sample // by pile and port, "P01/3"
	events  []heard
	online  map[string][]string // statuses of a pile
	truth   []Truth
}

func tell(t testing.TB, c Config) *story {
	t.Helper()
	s := &story{samples: map[string][]sample{}, online: map[string][]string{}}
	c.OnTruth = func(x Truth) { s.truth = append(s.truth, x) }
	for m := range mustNew(t, c).All() {
		pile := strings.Split(m.Topic, "/")[3]
		switch {
		case m.Retained:
			s.online[pile] = append(s.online[pile], string(m.Payload))
		case strings.HasSuffix(m.Topic, "/event"):
			s.events = append(s.events, parse(t, m))
		default:
			for _, p := range parse(t, m).Ports {
				key := fmt.Sprintf("%s/%d", pile, p.Port)
				s.samples[key] = append(s.samples[key], sample{m.At, p.W, p.TempC, p.State})
			}
		}
	}
	return s
}

// during gives the readings of one use.
func (s *story) during(x Truth) (in []sample) {
	for _, r := range s.samples[fmt.Sprintf("%s/%d", x.Pile, x.Port)] {
		if !r.at.Before(x.Start) && r.at.Before(x.End) {
			in = append(in, r)
		}
	}
	return in
}

func mean(in []sample) (w float64) {
	for _, r := range in {
		w += r.w / float64(len(in))
	}
	return w
}

func median(in []sample) float64 {
	w := make([]float64, len(in))
	for i, r := range in {
		w[i] = r.w
	}
	slices.Sort(w)
	return w[len(w)/2]
}

// longest gives how long ok held without a break.
func longest(in []sample, ok func(sample) bool) (most time.Duration) {
	var since time.Time
	for _, r := range in {
		switch {
		case !ok(r):
			since = time.Time{}
		case since.IsZero():
			since = r.at
		default:
			most = max(most, r.at.Sub(since))
		}
	}
	return most
}

// features holds what makes each unsafe use what it is, at the rules' default thresholds.
var features = map[Label]func(*story, Truth, []sample) bool{
	HotBurst: func(_ *story, _ Truth, in []sample) bool {
		hot := longest(in, func(r sample) bool { return r.w >= 1200 })
		return hot >= time.Minute && hot <= 10*time.Minute
	},
	OverPower: func(_ *story, _ Truth, in []sample) bool { return mean(in[1:6]) > 600 },
	SecondLoad: func(_ *story, x Truth, in []sample) bool {
		i := slices.IndexFunc(in, func(r sample) bool { return !r.at.Before(x.Onset) })
		before := median(in[i-15 : i])
		joined := x.Onset.Sub(x.Start) > 10*time.Minute
		for _, r := range in[i+1 : i+11] {
			joined = joined && r.w > before+80 && r.w > 1.35*before
		}
		return joined
	},
	ExcessEnergy: func(_ *story, x Truth, in []sample) bool { return x.EnergyMWh > 3_200_000 },
	OverTime: func(_ *story, x Truth, in []sample) bool {
		return x.Reason == "time_limit" && longest(in, func(r sample) bool { return r.w > 20 }) > 10*time.Hour
	},
	DeviceAlarm: func(s *story, x Truth, _ []sample) bool {
		return slices.ContainsFunc(s.events, func(h heard) bool {
			return h.Event == "alarm" && h.Port == x.Port && (h.Alarm == "smoke" && x.Reason == "fault" || h.Alarm == x.Reason) &&
				h.TS.Equal(x.Onset)
		})
	},
	PileOffline: func(s *story, x Truth, _ []sample) bool {
		x.Port = 1
		return len(s.during(x)) == 0 && slices.Equal(s.online[x.Pile], []string{"online", "offline", "online"})
	},
	UnauthorisedDraw: func(_ *story, x Truth, in []sample) bool {
		draws := func(r sample) bool { return r.w > 5 && r.state == devices.StateIdle }
		return x.Order == "" && x.Card == "" && longest(in, draws) >= 10*time.Minute
	},
	CyclingLoad: func(_ *story, _ Truth, in []sample) bool {
		on := 0
		for i := 1; i < 121; i++ {
			if in[i-1].w < 10 && in[i].w > 50 {
				on++
			}
		}
		return on >= 2 && in[1].w > 50 // it began on
	},
	ResistiveLoad: func(_ *story, _ Truth, in []sample) bool {
		flat := in[1:21]
		for _, r := range flat {
			if m := mean(flat); r.w < 300 || r.w < 0.98*m || r.w > 1.02*m {
				return false
			}
		}
		last := slices.IndexFunc(in[1:], func(r sample) bool { return r.w == 0 })
		return last > 20 && in[last].w > 300
	},
	PortTemperature: func(_ *story, _ Truth, in []sample) bool {
		return slices.ContainsFunc(in, func(r sample) bool { return r.temp >= 65 })
	},
}

func TestEveryUnsafeUseHasItsFeature(t *testing.T) {
	for seed := range uint64(2) {
		c := Config{Seed: seed, Scenario: "day", From: start().AddDate(0, 6*int(seed), 0)}
		s, seen := tell(t, c), map[Label]int{}
		for _, x := range s.truth {
			if x.Label == Normal {
				continue
			}
			seen[x.Label]++
			if x.Label != PileOffline && x.Offline {
				continue // its readings were not heard
			}
			if ok := features[x.Label]; ok == nil || !ok(s, x, s.during(x)) {
				t.Errorf("seed %d: %+v lacks its feature", seed, x)
			}
		}
		for label := range features {
			if seen[label] != 1 {
				t.Errorf("seed %d: %d of %s in a day", seed, seen[label], label)
			}
		}
	}
}

// What is not meant to be unsafe must not look it, in summer or winter.
func TestNormalChargesStayUnderTheThresholds(t *testing.T) {
	for _, from := range []time.Time{start().AddDate(0, 3, 0), start().AddDate(0, 9, 0)} {
		s := tell(t, Config{Seed: 5, From: from, To: from.AddDate(0, 0, 10), Interval: 10 * time.Minute})
		month := map[string]int64{}
		for _, x := range s.truth {
			if x.Label != Normal {
				continue
			}
			month[x.Household] += x.EnergyMWh
			in := s.during(x)
			drawing := longest(in, func(r sample) bool { return r.w > 20 })
			hot := slices.ContainsFunc(in, func(r sample) bool { return r.w > 600 || r.temp >= 60 })
			if hot || drawing > 8*time.Hour || x.EnergyMWh > 3_200_000 {
				t.Errorf("%+v: over 20 W for %s, hot %t", x, drawing, hot)
			}
		}
		for _, card := range mustNew(t, Config{Seed: 5, From: from}).Cards() {
			if kwh := float64(month[card.Household]) / 1e6 * 30 / 10; kwh > 45 && !card.Courier {
				t.Errorf("%s charges %.0f kWh a month", card.Household, kwh)
			}
		}
	}
}

func TestSomethingUnsafeIsUnderWayWhenPeopleLook(t *testing.T) {
	for seed := range uint64(6) {
		live := start().AddDate(0, 0, 30).Add(time.Duration(seed) * 4 * time.Hour)
		c := Config{Seed: seed, From: live.AddDate(0, 0, -30), Live: live, To: live.Add(26 * time.Hour), Interval: time.Hour}
		past, last, soon := map[Label]bool{}, 0, map[Label]bool{}
		running := false
		_, truth := run(t, c)
		for _, x := range truth {
			switch {
			case x.Label == Normal:
			case x.Onset.After(live.Add(-4*time.Minute)) && x.Onset.Before(live.Add(26*time.Minute)):
				soon[x.Label] = true
				running = running || x.Onset.Before(live)
			case x.Onset.Before(live):
				past[x.Label] = true
				if live.Sub(x.Onset) < 4*24*time.Hour {
					last++
				}
			}
		}
		if len(past) < 9 || last < 2 || len(soon) < 5 || !running {
			t.Errorf("seed %d: %d kinds in the past, %d uses in the last days, soon %v, running %t",
				seed, len(past), last, soon, running)
		}
	}
}

// Couriers, commuters and elderly people each keep their own days.
func TestHabitsShow(t *testing.T) {
	c := days(56)
	c.Interval = time.Hour
	e, truth := run(t, c)
	for i := range e.bikes {
		b, n, night := &e.bikes[i], 0.0, 0.0
		for _, x := range truth {
			if x.Household == b.household() && x.Label == Normal {
				n++
				if h := x.Start.Hour(); h >= 17 || h < 4 {
					night++
				}
			}
		}
		week, late := n/8, night/n
		want := map[habit][4]float64{
			commuter: {1.8, 3.6, 1, 1}, courier: {7, 14, 0.4, 0.8}, elderly: {1.3, 1.9, 0, 0},
		}[b.habit]
		if week < want[0] || week > want[1] || late < want[2] || late > want[3] {
			t.Errorf("%s charges %.1f times a week, %.0f %% of it at night; want %v", b.household(), week, late*100, want)
		}
	}
}

// Some unplug at once, some stay, some take the bike before it is full.
func TestPeopleLeaveTheirBikesAfterFull(t *testing.T) {
	c := days(10)
	c.Interval = 10 * time.Minute
	s := tell(t, c)
	var early, prompt, over int
	for _, x := range s.truth {
		if x.Label != Normal || x.Offline {
			continue
		}
		full := longest(s.during(x), func(r sample) bool { return r.state == devices.StateFull })
		switch {
		case x.Reason == "unplugged" && full == 0:
			early++
		case x.Reason != "full":
			t.Errorf("%+v was full for %s", x, full)
		case full < time.Hour:
			prompt++
		default:
			over++
		}
	}
	if early < 50 || prompt < 30 || over < 50 {
		t.Errorf("%d early, %d prompt, %d overstayed", early, prompt, over)
	}
}
