package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// fakeJournal is a journal in memory; nothing of it leaves the bubble.
type fakeJournal struct {
	Ledger
	mu    sync.Mutex
	all   []ledger.Entry
	grown chan struct{}
}

func (j *fakeJournal) append(e ...ledger.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, e...)
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *fakeJournal) Head() ledger.Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	return ledger.Seq(len(j.all)) + 1
}

func (j *fakeJournal) Next(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error) {
	for {
		j.mu.Lock()
		rest, grown := j.all[from-1:], j.grown
		j.mu.Unlock()
		if len(rest) > 0 {
			return ledger.Block{First: from, Entries: rest[:min(limit, len(rest))]}, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ledger.Block{}, context.Cause(ctx)
		}
	}
}

// still is a live state in which nothing happens.
type still struct{ *session.State }

func (s still) View(f func(*session.State)) { f(s.State) }

// pipes is a server on net.Pipe, which works in a bubble, as a loopback address.
type pipes struct {
	client *http.Client
	conns  chan net.Conn
	once   sync.Once
	done   chan struct{}
	end    func() error // stops serving and gives what Serve did
}

type pipeConn struct{ net.Conn }

func (pipeConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (pipeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeConn{}.LocalAddr() }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- pipeConn{there}
	return here, nil
}

func newPipes(t *testing.T, s *Server) *pipes {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	tr := &http.Transport{DialContext: p.dial}
	p.client = &http.Client{Transport: tr}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, p) }()
	p.end = sync.OnceValue(func() error {
		cancel()
		err := <-served
		tr.CloseIdleConnections()
		return err
	})
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func bubble(t *testing.T) (*fakeJournal, *Server) {
	st, err := session.NewState(session.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	for port := uint8(1); port <= 2; port++ {
		in := reading("P01", port, 0, 100_000, 0, devices.StateCharging, "")
		if _, _, err := session.Step(st, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	j := &fakeJournal{grown: make(chan struct{})}
	return j, NewServer(Config{Estate: "fuxing", Location: time.UTC, Ledger: j, Live: still{st}, Log: slog.New(slog.DiscardHandler)})
}

func sample(port uint8) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindReading, Reading: devices.Reading{Pile: "P01", Port: port}}
}
