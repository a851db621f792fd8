package safety

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// estate is some piles that report, and a clock that ticks.
type estate struct {
	*rig
	every map[string]time.Duration
	mute  map[string]bool
	now   time.Duration
}

func newEstate(t *testing.T, every ...time.Duration) *estate {
	s := &estate{rig: newRig(t), every: map[string]time.Duration{}, mute: map[string]bool{}}
	for i, d := range every {
		s.every[fmt.Sprintf("P%02d", i+1)] = d
	}
	return s
}

// run lets time pass: piles report at their own phases, the clock ticks every 5 s.
func (s *estate) run(d time.Duration) {
	for end := s.now + d; s.now < end; s.now += time.Second {
		for i, pile := range slices.Sorted(func(yield func(string) bool) {
			for p := range s.every {
				if !yield(p) {
					return
				}
			}
		}) {
			phase := time.Duration(i*7) * time.Second
			if !s.mute[pile] && s.now%s.every[pile] == phase%s.every[pile] {
				when := t0.Add(s.now)
				s.apply(ledger.Entry{Kind: ledger.KindReading, Received: when,
					Reading: devices.Reading{Pile: pile, Port: 1, Time: when, DeviceTime: true}})
			}
		}
		if s.now%(5*time.Second) == 0 {
			s.e.Silence(t0.Add(s.now), s.collect)
		}
	}
}

// will delivers the last will of a pile.
func (s *estate) will(pile string) {
	when := t0.Add(s.now)
	s.apply(ledger.Entry{Kind: ledger.KindStatus, Received: when, Status: &devices.Status{Pile: pile, Time: when, Has: devices.HasOnline}})
}

func TestAPileThatFallsSilentIsOffline(t *testing.T) {
	for _, every := range []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute} {
		s := newEstate(t, every, every, every, every)
		s.run(time.Hour)
		s.quiet()
		s.mute["P02"] = true
		s.run(15 * time.Minute)
		f := s.raised("pile_offline")
		if f.Pile != "P02" || f.Port != 0 || f.Severity != "warning" || f.Suspicion != "hardware" {
			t.Errorf("flag %+v", f)
		}
		// Two intervals, of a minute at least, after its last word.
		late := f.RaisedAt.Sub(at("1h"))
		if least := 2*max(every, time.Minute) - every; late < least-time.Second || late > least+every+time.Second {
			t.Errorf("at %v: raised %v after it was muted", every, late)
		}
		if got := s.words("pile_offline"); got != "warning" {
			t.Errorf("told %v", s.told("pile_offline"))
		}
		s.mute["P02"] = false
		s.run(2 * every)
		if got := s.words("pile_offline"); got != "warning cleared" {
			t.Errorf("told %v", s.told("pile_offline"))
		}
	}
}

func TestMissingReportsAreNoSilence(t *testing.T) {
	s := newEstate(t, 30*time.Second)
	s.run(30 * time.Minute)
	s.mute["P01"] = true
	s.run(80 * time.Second)
	s.mute["P01"] = false
	s.run(30 * time.Minute)
	s.quiet()
}

func TestALastWillCountsAtOnceUnlessItSpeaksAgain(t *testing.T) {
	s := newEstate(t, 5*time.Minute, 5*time.Minute, 5*time.Minute)
	s.run(time.Hour)
	s.mute["P01"] = true
	s.will("P01")
	s.run(30 * time.Second)
	if f := s.raised("pile_offline"); f.Pile != "P01" || f.RaisedAt != at("1h0m20s") {
		t.Errorf("raised at %v", f.RaisedAt.Sub(t0))
	}
	s = newEstate(t, 30*time.Second)
	s.run(10*time.Minute - 10*time.Second)
	s.will("P01")
	s.run(10 * time.Minute)
	s.quiet()
}

func TestAPowerCutIsOneFlag(t *testing.T) {
	for _, every := range []time.Duration{30 * time.Second, 5 * time.Minute} {
		s := newEstate(t, every, every, every, every, every)
		s.run(time.Hour)
		for _, p := range []string{"P01", "P02", "P04", "P05"} {
			s.mute[p] = true
		}
		s.run(20 * time.Minute)
		if got := s.words("pile_offline"); got != "warning" {
			t.Fatalf("every %v: told %v", every, s.told("pile_offline"))
		}
		f := s.raised("pile_offline")
		if f.Pile != "" || f.Port != 0 || !strings.HasPrefix(f.ID, "pile_offline-estate-0-") {
			t.Errorf("flag %+v", f)
		}
		for _, p := range []string{"P01", "P02", "P04", "P05"} {
			if !strings.Contains(string(f.Evidence), p) {
				t.Errorf("%s is not in the evidence: %s", p, f.Evidence)
			}
		}
		// Three come back, and one does not.
		s.mute = map[string]bool{"P04": true}
		s.run(20 * time.Minute)
		if got := s.words("pile_offline"); got != "warning cleared warning" {
			t.Errorf("every %v: told %v", every, s.told("pile_offline"))
		}
		var over devices.Millis
		for _, c := range s.log {
			if c.Cleared {
				over = c.Flag.ClearedAt
			}
		}
		if f := s.last("pile_offline"); f.Pile != "P04" || f.ClearedAt != 0 || f.RaisedAt < over {
			t.Errorf("flag %+v, and the power cut was over at %v", f, over)
		}
	}
}

func TestLastWillsThatComeTogetherAreOnePowerCut(t *testing.T) {
	s := newEstate(t, 5*time.Minute, 5*time.Minute, 5*time.Minute, 5*time.Minute)
	s.run(time.Hour)
	for _, p := range []string{"P01", "P02", "P03"} {
		s.mute[p] = true
		s.will(p)
		s.run(4 * time.Second)
	}
	s.run(15 * time.Minute)
	if got := s.words("pile_offline"); got != "warning" || s.raised("pile_offline").Pile != "" {
		t.Errorf("told %v", s.told("pile_offline"))
	}
}

func TestWhoDidNotListenHeardNoSilence(t *testing.T) {
	s := newEstate(t, 30*time.Second, 30*time.Second, 30*time.Second)
	s.run(time.Hour)
	s.now += 3 * time.Hour // the gateway was off
	s.e.Wake()
	for p := range s.every {
		s.mute[p] = true // they connect again one after the other
	}
	s.run(40 * time.Second)
	s.mute = map[string]bool{}
	s.run(10 * time.Minute)
	s.quiet()
}

func TestASlowerPileTeachesItsInterval(t *testing.T) {
	s := newEstate(t, 30*time.Second)
	s.run(time.Hour)
	s.every["P01"] = 10 * time.Minute
	s.run(6 * time.Hour)
	n := len(s.log)
	s.run(6 * time.Hour)
	if len(s.log) > n {
		t.Errorf("it is still taken for offline: %v", s.told("pile_offline"))
	}
}
