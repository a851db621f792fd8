package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is a way to a server that can fail.
type network struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// newNetwork leads to an address, until the test ends.
func newNetwork(t testing.TB, to string) *network {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &network{t, toxiproxy.NewProxy(server, t.Name(), freeAddr(t), to)}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

func (n *network) addr() string { return n.proxy.Listen }

// drop loses all that is sent from now on. Connections stay open, those that
// come too, and nobody is told.
func (n *network) drop() { n.lose("upstream", "downstream") }

// deafen loses what is sent to the server alone: acknowledgements, for one.
func (n *network) deafen() { n.lose("upstream") }

func (n *network) lose(streams ...string) {
	n.t.Helper()
	for _, stream := range streams {
		if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(`{"type":"timeout","stream":"` + stream + `","attributes":{"timeout":0}}`)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// heal carries what is sent from now on; a connection that lost something ends.
func (n *network) heal() { n.proxy.Toxics.ResetToxics(n.t.Context()) }

// fork is an address whose new connections go where it points, and whose old
// ones stay where they are.
type fork struct {
	addr string
	to   atomic.Pointer[string]
}

func newFork(t testing.TB, to string) *fork {
	t.Helper()
	f := &fork{addr: freeAddr(t)}
	f.to.Store(&to)
	ln, err := net.Listen("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	var conns connections
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", *f.to.Load())
			if err != nil {
				in.Close()
				continue
			}
			conns.add(in, out)
			wg.Go(func() { _, _ = io.Copy(in, out); in.Close() })
			wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.close()
		wg.Wait()
	})
	return f
}

type connections struct {
	mu  sync.Mutex
	all []net.Conn
}

func (c *connections) add(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conns...)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		conn.Close()
	}
}
