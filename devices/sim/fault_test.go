package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

// shown is a register as it was told, beside the true one.
type shown struct {
	at         time.Time
	told, true int64 // mWh
	w          float64
}

// compare plays c and gives, for each port, the registers told and true.
func compare(t *testing.T, c Config) map[string][]shown {
	t.Helper()
	e, all := mustNew(t, c), map[string][]shown{}
	for m := range e.All() {
		if !strings.HasSuffix(m.Topic, "/telemetry") {
			continue
		}
		p := &e.piles[slices.IndexFunc(e.piles, func(p pile) bool { return p.topic == m.Topic })]
		for i, said := range parse(t, m).Ports {
			key := fmt.Sprintf("%s/%d", p.id, i+1)
			truth := p.ports[i].energy(m.At.UnixMilli()) / perMWh
			all[key] = append(all[key], shown{m.At, mwh(t, said.Wh), truth, said.W})
		}
	}
	return all
}

func faulty(n int, names ...string) Config {
	c := days(n)
	c.Faults, c.Interval = names, 5*time.Minute
	return c
}

func TestWithoutFaultsRegistersAreTrue(t *testing.T) {
	for port, readings := range compare(t, days(1)) {
		for _, r := range readings {
			if r.told != r.true {
				t.Fatalf("%s at %s: %d told, %d true", port, r.at, r.told, r.true)
			}
		}
	}
}

func TestResetZeroesRegistersAndSeq(t *testing.T) {
	resets := 0
	for _, readings := range compare(t, faulty(3, "reset")) {
		for i, r := range readings[1:] {
			if before := readings[i]; r.told < before.told {
				resets++
				if r.told != 0 {
					t.Errorf("a register fell from %d to %d mWh", before.told, r.told)
				}
			} else if r.told-before.told != r.true-before.true {
				t.Errorf("after a reset it counts %d mWh for %d", r.told-before.told, r.true-before.true)
			}
		}
	}
	seqs, last := 0, map[string]int64{}
	for m := range mustNew(t, faulty(3, "reset")).All() {
		if m.Retained {
			continue
		}
		pile := strings.Split(m.Topic, "/")[3]
		seq := *parse(t, m).Seq
		if seq <= last[pile] {
			seqs++
		} else if seq != last[pile]+1 {
			t.Errorf("%s: seq %d after %d", pile, seq, last[pile])
		}
		last[pile] = seq
	}
	if seqs < 8 || resets < 4*seqs || resets > 8*seqs { // of 8 ports, some are at 0 already
		t.Errorf("%d registers and %d piles were reset", resets, seqs)
	}
}

func TestSpikeLastsOneReading(t *testing.T) {
	spikes, down := 0, 0
	for _, readings := range compare(t, faulty(3, "spike")) {
		for _, r := range readings {
			off := r.told - r.true
			if off == 0 {
				continue
			}
			spikes++
			if off < 0 {
				down++
			}
			if abs(off) < 20_000_000 || r.told < 0 {
				t.Errorf("a spike of %d mWh to %d", off, r.told)
			}
		}
	}
	if spikes < 25 || down < 5 || down > spikes-5 {
		t.Errorf("%d spikes, %d down", spikes, down)
	}
}

func TestJumpBackGoesOnFromThere(t *testing.T) {
	jumps := 0
	for _, readings := range compare(t, faulty(3, "jump_back")) {
		for i, r := range readings[1:] {
			switch was, is := readings[i].told-readings[i].true, r.told-r.true; {
			case is == was:
			case was-is < 200_000 || was-is > 3_000_000:
				t.Errorf("a jump of %d mWh", is-was)
			default:
				jumps++
			}
		}
	}
	if jumps < 10 {
		t.Errorf("%d jumps", jumps)
	}
}

func TestStuckMeterRepeatsItself(t *testing.T) {
	most, stuck := 0, 0
	for _, readings := range compare(t, faulty(3, "stuck")) {
		same := 0
		for i, r := range readings[1:] {
			if r.told != r.true {
				stuck++
			}
			if r.w > 20 && r.w == readings[i].w && r.told == readings[i].told {
				same++
			} else {
				same = 0
			}
			most = max(most, same)
		}
	}
	if most < 8 || most > 24 || stuck < 120 {
		t.Errorf("%d equal readings in a row, %d readings stuck", most, stuck)
	}
}

func TestThousandfoldReturns(t *testing.T) {
	times, run := 0, 0
	for _, readings := range compare(t, faulty(3, "x1000")) {
		for _, r := range readings {
			switch r.told {
			case r.true:
				run = 0
			case r.true * 1000:
				times++
				if run++; run > 3 {
					t.Errorf("%d thousandfold readings in a row", run)
				}
			default:
				t.Errorf("told %d, true %d", r.told, r.true)
			}
		}
	}
	if times < 12 {
		t.Errorf("%d thousandfold readings", times)
	}
}

func TestDuplicatesAreExactCopies(t *testing.T) {
	seen, twice, n := map[string]int{}, 0, 0
	for m := range mustNew(t, faulty(1, "duplicates")).All() {
		if m.Retained {
			continue
		}
		n++
		key := m.Topic + string(m.Payload)
		if seen[key]++; seen[key] == 2 {
			twice++
		}
	}
	want := 0
	for m := range mustNew(t, faulty(1)).All() {
		if !m.Retained {
			want++
		}
	}
	share := float64(twice) / float64(want)
	if len(seen) != want || n != want+twice || math.Abs(share-0.05) > 0.01 {
		t.Errorf("%d messages of %d came, %d of them twice", len(seen), want, twice)
	}
}

func TestLateMessagesAreOldButAllThere(t *testing.T) {
	late, n := 0, 0
	for m := range mustNew(t, faulty(1, "late")).All() {
		if m.Retained {
			continue
		}
		n++
		switch delay := m.At.Sub(*parse(t, m).TS); {
		case delay == 0:
		case delay < time.Minute || delay > 45*time.Minute:
			t.Fatalf("%s late", delay)
		default:
			late++
		}
	}
	if share := float64(late) / float64(n); math.Abs(share-1./30) > 0.008 {
		t.Errorf("%d of %d are late", late, n)
	}
}

func TestClocksCanBeMissingOrWrong(t *testing.T) {
	for m := range mustNew(t, faulty(1, "no_ts")).All() {
		if !m.Retained && parse(t, m).TS != nil {
			t.Fatalf("a time in %s", m.Payload)
		}
	}
	c := faulty(1, "bad_clock")
	for m := range mustNew(t, c).All() {
		if m.Retained {
			continue
		}
		if ts := parse(t, m).TS; ts.Sub(time.Unix(0, 0)) != m.At.Sub(c.From) {
			t.Fatalf("%s at %s", ts, m.At)
		}
	}
}

// What ends while a pile is silent is settled when it is back, three times, and truly.
func TestGapIsSettledLater(t *testing.T) {
	c := faulty(4, "gap")
	offline := map[string]Truth{}
	c.OnTruth = func(x Truth) {
		if x.Offline && x.Order != "" {
			offline[x.Order] = x
		}
	}
	settled, silent, events := map[string]int{}, map[string]bool{}, map[string]bool{}
	for m := range mustNew(t, c).All() {
		pile := strings.Split(m.Topic, "/")[3]
		if m.Retained {
			silent[pile] = string(m.Payload) == "offline"
			continue
		}
		if silent[pile] {
			t.Fatalf("%s speaks while it is offline: %s", pile, m.Payload)
		}
		h := parse(t, m)
		if h.Event == "stop" {
			events[h.Order] = true
		}
		if h.Event != "settle" {
			continue
		}
		settled[h.Order]++
		x, ok := offline[h.Order]
		if !ok || !x.Start.Equal(h.Start) || !x.End.Equal(h.End) || mwh(t, h.EnergyWh) != x.EnergyMWh ||
			x.Reason != h.Reason || x.Card != h.Card || x.Port != h.Port || x.Pile != pile {
			t.Errorf("%s\nsettles %+v", m.Payload, x)
		}
		if !slices.Contains(devices.StopReasons, h.Reason) {
			t.Errorf("reason %q", h.Reason)
		}
	}
	if len(settled) < 5 {
		t.Errorf("%d orders were settled", len(settled))
	}
	for order := range offline {
		if settled[order] == 0 && !events[order] {
			t.Errorf("the end of %s was never told", order)
		}
		if settled[order] != 0 && events[order] || settled[order] > settleTimes {
			t.Errorf("%s was settled %d times and stopped %t", order, settled[order], events[order])
		}
	}
}
