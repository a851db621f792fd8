package web

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// tries counts wrong logins by address: ten at once, then one each ten seconds.
type tries struct {
	mu    sync.Mutex
	free  map[netip.Prefix]time.Time // when all of an address's tries are free again
	swept time.Time                  // when the table was last cleared of those who are
}

const (
	triesAtOnce  = 10
	tryEvery     = 10 * time.Second
	maxAddresses = 4096 // that are told apart; the rest share their tries
)

func newTries() tries { return tries{free: map[netip.Prefix]time.Time{}} }

// take uses up one of an address's tries; wait over 0 says that there is none
// left, and when there will be.
func (t *tries) take(from netip.Addr, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := t.room(neighbours(from), now)
	free := t.free[key]
	if free.Before(now) {
		free = now
	}
	if wait := free.Sub(now) - (triesAtOnce-1)*tryEvery; wait > 0 {
		return wait
	}
	t.free[key] = free.Add(tryEvery)
	return 0
}

// giveBack returns a try that was right.
func (t *tries) giveBack(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := neighbours(from)
	if free, ok := t.free[key]; ok {
		t.free[key] = free.Add(-tryEvery)
	}
}

// room keeps the table bounded: it gives the key itself, or the one that all
// share for whom there is no place.
func (t *tries) room(key netip.Prefix, now time.Time) netip.Prefix {
	if _, ok := t.free[key]; ok || len(t.free) < maxAddresses {
		return key
	}
	if now.Sub(t.swept) >= tryEvery {
		t.swept = now
		maps.DeleteFunc(t.free, func(_ netip.Prefix, free time.Time) bool { return !free.After(now) })
	}
	if len(t.free) < maxAddresses {
		return key
	}
	return netip.Prefix{}
}

// neighbours is an IPv4 address itself, and of IPv6 the network that one client has.
func neighbours(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	p, _ := from.Prefix(bits) // the zero prefix where there is no address
	return p
}
