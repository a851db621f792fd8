package sim

import (
	"crypto/sha256"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

func hash(t testing.TB, c Config) string {
	h := sha256.New()
	for m := range mustNew(t, c).All() {
		fmt.Fprintf(h, "%s %d %t %d %s\n", m.Topic, m.At.UnixMilli(), m.Retained, m.QoS, m.Payload)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameSeedGivesTheSameBytes(t *testing.T) {
	for _, scenario := range Scenarios() {
		c := days(1)
		c.Scenario, c.Faults = scenario, Faults()
		if a, b := hash(t, c), hash(t, c); a != b {
			t.Errorf("%s: two runs differ", scenario)
		}
		d := c
		d.Seed = 2
		if hash(t, c) == hash(t, d) {
			t.Errorf("%s: another seed gives the same", scenario)
		}
	}
}

func TestBreakingOffAndGoingOnLosesNothing(t *testing.T) {
	c := days(1)
	e, n := mustNew(t, c), 0
	for done := false; !done; {
		done = true
		for range e.All() {
			if n++; n%1000 == 0 {
				done = false
				break
			}
		}
	}
	want := 0
	for range mustNew(t, c).All() {
		want++
	}
	if n != want {
		t.Errorf("%d messages in pieces, %d in one go", n, want)
	}
	if _, ok := e.Next(); ok {
		t.Error("there is a message after the end")
	}
}

func TestEstateHasItsPeople(t *testing.T) {
	e := mustNew(t, days(1))
	if len(e.Piles()) != 8 || len(e.Cards()) != 86 || e.Households() != 214 {
		t.Errorf("%d piles, %d bikes, %d households", len(e.Piles()), len(e.Cards()), e.Households())
	}
	piles, cards := map[string]bool{}, map[string]bool{}
	homes := map[string]bool{}
	packs := map[string]bool{}
	room := regexp.MustCompile(`^[1-6]0[1-5]$`)
	for _, p := range e.Piles() {
		piles[p.Building] = true
		if !strings.HasPrefix(p.Location, p.Building+"号楼") || p.Ports != 8 || p.MaxPortW != 1000 {
			t.Errorf("pile %+v", p)
		}
	}
	for _, c := range e.Cards() {
		cards[c.Card], homes[c.Household], packs[c.Pack] = true, true, true
		if !regexp.MustCompile(`^[0-9A-F]{8}$`).MatchString(c.Card) || !room.MatchString(c.Room) ||
			c.Household != c.Building+"-"+c.Room || !piles[c.Building] || c.Bikes != 1 {
			t.Errorf("card %+v", c)
		}
	}
	if len(cards) != 86 || len(homes) != 86 || len(packs) < 6 {
		t.Errorf("%d cards, %d homes, %d packs are different", len(cards), len(homes), len(packs))
	}
}

func TestOnlyNeighboursPilesHelpOut(t *testing.T) {
	for ports, want := range map[int][2]float64{2: {0.1, 0.6}, 8: {0, 0.05}} {
		c := days(20)
		c.Ports, c.Interval = ports, time.Hour
		_, truth := run(t, c)
		away, all := 0.0, 0.0
		for _, x := range truth {
			var pile, home, room int
			if _, err := fmt.Sscanf(x.Pile+" "+x.Household, "P%d %d-%d", &pile, &home, &room); err != nil || x.Label != Normal {
				continue
			}
			all++
			switch abs(int64(pile - home)) {
			case 0:
			case 1:
				away++
			default:
				t.Errorf("%s charges at %s", x.Household, x.Pile)
			}
		}
		if share := away / all; share < want[0] || share > want[1] {
			t.Errorf("with %d ports a pile, %.0f %% charge at a neighbour's", ports, share*100)
		}
	}
}

func TestMonthsDoNotDrift(t *testing.T) {
	c := days(360)
	c.Interval = time.Hour
	e, truth := run(t, c)
	charges, kwh := make([]float64, 12), make([]float64, 12)
	for _, x := range truth {
		if m := int(x.Start.Sub(c.From).Hours() / 24 / 30); x.Label != PileOffline && m < 12 {
			charges[m]++
			kwh[m] += float64(x.EnergyMWh) / 1e6
		}
	}
	for m := range charges {
		if a, b := charges[m]/30, kwh[m]/30; a < 40 || a > 60 || b < 45 || b > 75 {
			t.Errorf("month %d: %.1f charges and %.1f kWh a day", m, a, b)
		}
	}
	if len(e.tasks) > 2*len(e.bikes) || len(e.faults.held) != 0 {
		t.Errorf("%d tasks wait after a year", len(e.tasks))
	}
}

func TestEnergyIsConserved(t *testing.T) {
	for _, c := range []Config{days(10), {Seed: 3, From: start(), To: start().Add(20 * time.Hour), Scenario: "steady"}} {
		var sum int64
		c.OnTruth = func(x Truth) {
			if x.Port > 0 {
				sum += x.EnergyMWh
				if !x.Start.Before(c.From) && x.EnergyMWh < 0 {
					t.Errorf("%+v", x)
				}
			}
		}
		e := mustNew(t, c)
		first := registers(e)
		for _, x := range e.Open() { // steady: what went in before the beginning
			sum -= x.EnergyMWh
		}
		for range e.All() {
		}
		for _, x := range e.Open() {
			sum += x.EnergyMWh
		}
		if advance := registers(e) - first; advance != sum || sum == 0 {
			t.Errorf("%s: registers advanced by %d mWh, uses add up to %d", c.Scenario, advance, sum)
		}
	}
}

func registers(e *Estate) (sum int64) {
	for i := range e.piles {
		for j := range e.piles[i].ports {
			sum += e.piles[i].ports[j].energy(e.now) / perMWh
		}
	}
	return sum
}

// The bill of a session is its register's advance; the stream must carry it exactly.
func TestStartAndStopCarryTheTrueRegister(t *testing.T) {
	c := days(6)
	type session struct{ start, stop int64 }
	told := map[string]*session{}
	var truth []Truth
	c.OnTruth = func(x Truth) { truth = append(truth, x) }
	for m := range mustNew(t, c).All() {
		if !strings.HasSuffix(m.Topic, "/event") {
			continue
		}
		switch h := parse(t, m); h.Event {
		case "start":
			told[h.Order] = &session{start: mwh(t, *h.Wh)}
		case "stop":
			if s := told[h.Order]; s != nil {
				s.stop = mwh(t, *h.Wh)
			}
		}
	}
	checked := 0
	for _, x := range truth {
		if s := told[x.Order]; s != nil && !x.Offline {
			checked++
			if s.stop-s.start != x.EnergyMWh || s.start != x.RegisterMWh {
				t.Errorf("%s: events say %d mWh from %d, the truth is %d from %d", x.Order, s.stop-s.start, s.start, x.EnergyMWh, x.RegisterMWh)
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d sessions in six days", checked)
	}
}

func TestTelemetrySaysWhatTheSimulatorKnows(t *testing.T) {
	c := days(2)
	c.Interval = 2 * time.Minute
	e := mustNew(t, c)
	charging := 0
	for m := range e.All() {
		if !strings.HasSuffix(m.Topic, "/telemetry") {
			continue
		}
		h := parse(t, m)
		if !h.TS.Equal(m.At) || h.TempC < -10 || h.TempC > 50 || h.RSSI > -50 || h.RSSI < -90 || len(h.Ports) != 8 {
			t.Fatalf("%s", m.Payload)
		}
		p := &e.piles[slices.IndexFunc(e.piles, func(p pile) bool { return p.topic == m.Topic })]
		at, sum := m.At.UnixMilli(), int64(0)
		for i, said := range h.Ports {
			o := &p.ports[i]
			mw, _, _ := o.draw(at)
			sum += o.energy(at) / perMWh
			if said.Port != i+1 || said.State != o.state || mwh(t, said.Wh) != o.energy(at)/perMWh ||
				math.Abs(said.W-mw/1000) > 0.0081*mw/1000+0.05 {
				t.Fatalf("port %d: %.1f W, register %d: %s", i+1, mw/1000, o.energy(at)/perMWh, m.Payload)
			}
			if said.W == 0 {
				continue
			}
			charging++
			if got := said.V * said.A * said.PF; said.V < 220 || said.V > 235 || math.Abs(got-said.W) > 0.02*said.W+1 {
				t.Fatalf("port %d: %v V, %v A and a factor of %v are not %v W", i+1, said.V, said.A, said.PF, said.W)
			}
			if o.visit != nil && !o.visit.silent && (said.Card != cardText(o.visit.card) || said.Order == "") {
				t.Fatalf("port %d: no card or order: %s", i+1, m.Payload)
			}
		}
		if main := mwh(t, h.Main) - sum - p.first/50; main < 0 || main > 100_000+(sum-p.first)/50+standby*48 {
			t.Fatalf("the main meter is %d mWh over the ports", main)
		}
	}
	if charging < 5000 {
		t.Errorf("only %d readings with power", charging)
	}
}

// The power that is shown must add up to the register, or every cross-check fails.
func TestRegisterAgreesWithPower(t *testing.T) {
	c := days(1)
	type sum struct {
		at              time.Time
		w, wh, from, to float64
	}
	sums := map[string]*sum{}
	for m := range mustNew(t, c).All() {
		if !strings.HasSuffix(m.Topic, "/telemetry") {
			continue
		}
		for _, p := range parse(t, m).Ports {
			s := sums[p.Order]
			switch {
			case p.Order == "" || p.State != devices.StateCharging:
			case s == nil:
				sums[p.Order] = &sum{at: m.At, w: p.W, from: p.Wh, to: p.Wh}
			case m.At.Sub(s.at) == time.Minute:
				s.wh += (s.w + p.W) / 2 * m.At.Sub(s.at).Hours()
				s.at, s.w, s.to = m.At, p.W, p.Wh
			}
		}
	}
	for order, s := range sums {
		if advance := s.to - s.from; math.Abs(advance-s.wh) > 0.01*advance+15 {
			t.Errorf("%s: register %.1f Wh, power %.1f Wh", order, advance, s.wh)
		}
	}
	if len(sums) < 30 {
		t.Errorf("only %d sessions in a day", len(sums))
	}
}

func TestResidentsDoNotDependOnIntervalOrFaults(t *testing.T) {
	c := days(8)
	_, want := run(t, c)
	changed := c
	changed.Interval, changed.Faults = 5*time.Minute, Faults()
	_, got := run(t, changed)
	find := func(in []Truth, x Truth) *Truth {
		for i, y := range in {
			if y.Pile == x.Pile && y.Port == x.Port && y.Label == x.Label && y.Start.Sub(x.Start).Abs() < time.Second {
				return &in[i]
			}
		}
		return nil
	}
	for _, x := range want {
		y := find(got, x)
		if x.Label == PileOffline { // the fault "gap" adds to these
			continue
		}
		if y == nil || abs(y.EnergyMWh-x.EnergyMWh) > 5 || y.Reason != x.Reason {
			t.Errorf("%+v\nbecame %+v", x, y)
		}
	}
}

func TestWrongConfigurationIsNamed(t *testing.T) {
	for want, c := range map[string]Config{
		`estate "a/b"`:   {Estate: "a/b"},
		`scenario "x"`:   {Scenario: "x"},
		`fault "x"`:      {Faults: []string{"late", "x"}},
		"piles -1":       {Piles: -1},
		"piles 5000000":  {Piles: 5_000_000},
		"ports 256":      {Ports: 256},
		"interval 10ms":  {Interval: 10 * time.Millisecond},
		"interval 2h0m0": {Interval: 2 * time.Hour},
		"to 2026-10-24":  {To: start()},
		"from 0001":      {},
	} {
		if c.From = start(); strings.HasPrefix(want, "from") {
			c.From = time.Time{}
		}
		if e, err := New(c); err == nil || e != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
