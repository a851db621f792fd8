package web

import (
	"context"
	"net/http"
	"time"
)

// The bounds of live events.
const (
	maxStreams  = 64               // clients at a time
	writeWithin = 10 * time.Second // a client that takes longer is dropped
	keepAlive   = 15 * time.Second // without an event, a comment
	liveEvery   = 2 * time.Second  // live events, at most; more slowly when many ports change
	liveCrowd   = 500              // ports in one that double the time to the next
	readAtOnce  = 2000             // entries
	maxBehind   = 50_000           // entries; a client further behind starts anew
	comeBack    = 3000             // after how long a client that was dropped tries again, ms
)

// events streams what happens, from now on or from behind Last-Event-ID. Each
// client reads the journal for itself, at its own pace, so that nobody waits for it.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		s.problemOf(r, err).ServeHTTP(w, r)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		full := problemf(http.StatusServiceUnavailable, "%d clients follow the events already: close one, or ask for the lists from time to time", maxStreams)
		(&refusal{problem: full, wait: keepAlive}).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front passes each on at once
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	st := newStream(s, w)
	if err := st.run(ctx, r.Header.Get("Last-Event-ID")); err != nil && ctx.Err() == nil {
		s.Log.Info("a client of live events was dropped", "error", err)
	}
}
