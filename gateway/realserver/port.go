package realserver

import (
	"math/rand/v2"
	"net"
	"testing"
)

// The ports that are used: under Linux's ephemeral range, so that no outgoing
// connection is given the port of a server that is stopped for a while.
const firstPort, lastPort = 15000, 32000

// Port gives a free TCP port on loopback that no other test gets until this one
// ends: its UDP twin is held as the claim.
func Port(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		claim, err := net.ListenPacket("udp", loopback(port))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			_ = claim.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatalf("no free port on loopback between %d and %d: are many servers left running?", firstPort, lastPort)
	return 0
}
