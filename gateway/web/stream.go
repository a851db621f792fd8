package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/view"
)

// sessionEvent is what happened to a session: opened, updated, closed, reopened, settled.
type sessionEvent struct {
	Change  string      `json:"change"`
	Session sessionView `json:"session"`
}

// flagEvent is what happened to a flag: raised, or cleared.
type flagEvent struct {
	Change string    `json:"change"`
	Flag   view.Flag `json:"flag"`
}

// liveEvent is what those piles and ports say now of which something came.
type liveEvent struct {
	Piles []pileView `json:"piles"`
	Ports []portView `json:"ports"`
}

// resetEvent tells a client that what was before it is not coming: it asks for
// the lists, and goes on from there.
type resetEvent struct {
	Estate string `json:"estate"`
}

// stream is one client of live events.
type stream struct {
	*Server
	w    http.ResponseWriter
	rc   *http.ResponseController
	from ledger.Seq // the next entry; an event's id is the entry before
	out  bytes.Buffer

	piles map[string]bool // of which something came since the last live event
	ports map[portKey]bool
	next  time.Time // when a live event may go out
	quiet time.Time // when a comment is due
}

func newStream(s *Server, w http.ResponseWriter) *stream {
	return &stream{Server: s, w: w, rc: http.NewResponseController(w), piles: map[string]bool{}, ports: map[portKey]bool{}}
}

// run goes on until ctx or the journal ends, which is no error, or the client
// does not take what it is sent.
func (st *stream) run(ctx context.Context, last string) error {
	// The request's own deadline would end the stream; where none can be set, there is none.
	if err := st.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	fmt.Fprintf(&st.out, "retry: %d\n", comeBack)
	st.begin(last)
	for {
		if err := st.flush(time.Now()); err != nil {
			return err
		}
		b, err := st.wait(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, ledger.ErrClosed):
			return nil
		case err != nil:
			st.Log.Error("live events leave out what could not be read", "error", err)
			st.reset()
		case st.Ledger.Head()-st.from > maxBehind:
			st.reset()
		default:
			st.take(ctx, b)
		}
		st.live(time.Now())
	}
}

// begin goes on where a client was, or tells it to start anew.
func (st *stream) begin(last string) {
	seq, err := strconv.ParseInt(last, 10, 64)
	st.from = ledger.Seq(seq) + 1
	if head := st.Ledger.Head(); err != nil || st.from < 1 || st.from > head || head-st.from > maxBehind {
		st.reset()
	}
}

func (st *stream) reset() {
	st.from = st.Ledger.Head()
	st.event("reset", resetEvent{st.Estate})
}

// wait gives the next entries; none when something else is due before.
func (st *stream) wait(ctx context.Context) (ledger.Block, error) {
	due := st.quiet
	if len(st.ports)+len(st.piles) > 0 && st.next.Before(due) {
		due = st.next
	}
	until, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	b, err := st.Ledger.Next(until, st.from, readAtOnce)
	if err != nil && until.Err() != nil {
		return ledger.Block{First: st.from}, nil
	}
	return b, err
}

// take makes events of entries, and notes the ports that they are about.
func (st *stream) take(ctx context.Context, b ledger.Block) {
	for i := range b.Entries {
		e := &b.Entries[i]
		st.from = b.First + ledger.Seq(i) + 1
		switch e.Kind {
		case ledger.KindReading:
			st.ports[portKey{e.Reading.Pile, e.Reading.Port}] = true
		case ledger.KindEvent:
			st.ports[portKey{e.Event.Pile, e.Event.Port}] = true
		case ledger.KindStatus:
			st.piles[e.Status.Pile] = true
		case ledger.KindSession:
			st.session(ctx, e)
		case ledger.KindFlag:
			change := "raised"
			if e.Cleared {
				change = "cleared"
			}
			st.event("flag", flagEvent{change, st.flagView(e.Flag)})
		}
	}
}

func (st *stream) session(ctx context.Context, e *ledger.Entry) {
	x := *e.Session
	if e.Change == session.Settled { // the entry holds no more than what was settled
		whole, err := st.Ledger.Session(ctx, x.ID)
		if err != nil {
			st.Log.Error("a settled session is left out of live events", "session", x.ID, "error", err)
			return
		}
		x = whole
	}
	st.event("session", sessionEvent{e.Change.String(), st.sessionView(&x)})
}

// live tells what piles and ports say now, where something came and it is time.
func (st *stream) live(now time.Time) {
	if len(st.ports)+len(st.piles) == 0 || now.Before(st.next) {
		return
	}
	v := liveEvent{[]pileView{}, []portView{}}
	st.Live.View(func(state *session.State) {
		for _, name := range slices.Sorted(maps.Keys(st.piles)) {
			v.Piles = append(v.Piles, st.pileViews(state, ledger.Filter{Pile: name})...)
		}
		for _, k := range slices.SortedFunc(maps.Keys(st.ports), portKey.compare) {
			if q := state.Port(k.pile, k.port); q != nil {
				v.Ports = append(v.Ports, st.portView(state.Piles[k.pile], q))
			}
		}
	})
	st.event("live", v)
	clear(st.piles)
	clear(st.ports)
	st.next = now.Add(liveEvery * time.Duration(1+len(v.Ports)/liveCrowd))
}

// event puts an event into what is to be sent.
func (st *stream) event(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		st.Log.Error("an event could not be written as JSON", "event", name, "error", err)
		return
	}
	fmt.Fprintf(&st.out, "id: %d\nevent: %s\ndata: %s\n\n", st.from-1, name, data)
}

// flush sends what there is, or a comment when it was quiet for long. It fails
// when the client does not take it in time.
func (st *stream) flush(now time.Time) error {
	if st.out.Len() == 0 {
		if now.Before(st.quiet) {
			return nil
		}
		st.out.WriteString(": still here\n\n")
	}
	if err := st.rc.SetWriteDeadline(now.Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := st.w.Write(st.out.Bytes())
	st.out.Reset()
	st.quiet = now.Add(keepAlive)
	return errors.Join(err, st.rc.Flush())
}
