package sim

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
)

func TestSteadyKeepsEveryPortBusy(t *testing.T) {
	c := Config{Seed: 1, Scenario: "steady", Piles: 5, Ports: 12, From: start(), To: start().Add(24 * time.Hour)}
	busy, all := 0, 0
	for m := range mustNew(t, c).All() {
		if strings.HasSuffix(m.Topic, "/telemetry") {
			for _, p := range parse(t, m).Ports {
				all++
				if p.State == devices.StateCharging && p.W > 0 {
					busy++
				}
			}
		}
	}
	if all != 5*12*24*60 || float64(busy) < 0.995*float64(all) {
		t.Errorf("%d of %d readings charge", busy, all)
	}
}

func TestAMillionPortsFit(t *testing.T) {
	piles := 83_333
	if testing.Short() {
		piles = 8_333
	}
	before := heap()
	e := mustNew(t, Config{Seed: 1, Scenario: "steady", Piles: piles, Ports: 12, From: start()})
	if used := heap() - before; used > 300*uint64(piles*12) {
		t.Errorf("%d ports take %d MB", piles*12, used>>20)
	}
	for range piles {
		e.Next()
	}
	if p := e.Piles()[piles-1]; p.Ports != 12 {
		t.Errorf("%+v", p)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
