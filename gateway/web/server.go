package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Live gives the fold's state.
type Live interface {
	// View calls f under a read lock; f keeps no references.
	View(f func(*session.State))
}

// Ledger is what happened.
type Ledger interface {
	Sessions
	Flags
	Journal
	Rejects(ctx context.Context, f ledger.Filter) (items []ledger.Reject, next string, err error)
}

// Sessions finds charging sessions, the newest first.
type Sessions interface {
	Sessions(ctx context.Context, f ledger.Filter) (items []session.Session, next string, err error)
	Session(ctx context.Context, id string) (session.Session, error) // or ledger.ErrNotFound
}

// Flags finds flags, the newest first.
type Flags interface {
	Flags(ctx context.Context, f ledger.Filter) (items []ledger.Flag, next string, err error)
	Flag(ctx context.Context, id string) (ledger.Flag, error) // or ledger.ErrNotFound
	// Judge keeps what a person says of a flag: ErrNotFound, or ErrVerdict for a status that is none.
	Judge(ctx context.Context, v *ledger.Verdict) (ledger.Flag, error)
	VerdictsOf(ctx context.Context, flagID string) ([]ledger.Verdict, error)    // the oldest first
	DeliveriesOf(ctx context.Context, flagID string) ([]ledger.Delivery, error) // what the channels of alerts were told
}

// Journal is what live events are made from.
type Journal interface {
	Head() ledger.Seq
	Next(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error) // waits for one
}

// Config is what a Server stands on.
type Config struct {
	Estate   string         // its id, as in topics and labels
	Name     string         // as people call it
	Language string         // of the page unless its address says otherwise: en, else Chinese
	Location *time.Location // of days and of every time that is shown
	Ledger   Ledger
	Live     Live
	Users    *Users                  // who may log in; nil, or none in it: only loopback is served
	Silent   time.Duration           // a pile not heard for so long is offline; 0: 10 min
	Checks   map[string]func() error // of /readyz, by name; quick, and safe to call at any time
	Metrics  http.Handler            // /metrics; nil for none
	Export   http.Handler            // /export/{file}; nil for none
	Bills    Bills                   // /api/v1/statements; nil for none
	Judged   func(ledger.Verdict)    // told of a verdict that was kept; nil for nobody
	Channels func() []Channel        // of alerts; nil for none
	Now      func() time.Time        // nil for time.Now
	// TooCoarse gives, by pile, the rules that see less than they promise at the
	// interval at which it reports; nil for none.
	TooCoarse func() map[string][]string
	Log       *slog.Logger
}

// Server is the handler of everything that is served.
type Server struct {
	Config
	handler http.Handler
	pages   map[language]*pageTemplate
	streams chan struct{}   // one token for each client of live events
	closing context.Context // over when live events are to end
	endNow  context.CancelFunc
}

const defaultSilent = 10 * time.Minute // as in the metric pile_up

// NewServer gives the handler. It is ready at once and starts nothing by itself.
func NewServer(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Silent <= 0 {
		c.Silent = defaultSilent
	}
	s := &Server{Config: c, streams: make(chan struct{}, maxStreams), pages: parsePages()}
	s.closing, s.endNow = context.WithCancel(context.Background())
	s.handler = s.routes()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// The bounds of one connection. Exports of a whole year are written within
// writeTimeout; live events set their own deadlines.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 5 * time.Minute
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 3 * time.Second
	maxHeader     = 32 << 10
	maxBody       = 64 << 10
)

// Serve serves ln until ctx ends, then lets the requests under way finish, for
// at most three seconds, and closes ln. It returns nil after that, or why ln failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	s.endNow()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if h.Shutdown(drain) != nil {
		h.Close() //nolint:errcheck // who has not finished by now is cut off, and Serve says the rest
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	}
	return nil
}

// routes builds the tree of handlers: bounds and headers around all, the login
// around all but the probes.
func (s *Server) routes() http.Handler {
	inner := http.NewServeMux()
	get(inner, "/{$}", http.HandlerFunc(s.page))
	get(inner, "/flags/{id}", http.HandlerFunc(s.flagPage))
	get(inner, "/api/v1/piles", s.answer(s.listPiles))
	get(inner, "/api/v1/ports", s.answer(s.listPorts))
	get(inner, "/api/v1/sessions", s.answer(s.listSessions))
	get(inner, "/api/v1/sessions/{id}", s.answer(s.oneSession))
	get(inner, "/api/v1/flags", s.answer(s.listFlags))
	get(inner, "/api/v1/flags/{id}", s.answer(s.oneFlag))
	post(inner, "/api/v1/flags/{id}/verdict", s.answer(s.judge))
	get(inner, "/api/v1/rejects", s.answer(s.listRejects))
	get(inner, "/api/v1/events", http.HandlerFunc(s.events))
	if s.Bills != nil {
		get(inner, "/api/v1/statements", s.answer(s.listStatements))
	}
	for name, a := range assets() {
		get(inner, "/static/"+name, a)
	}
	if s.Metrics != nil {
		get(inner, "/metrics", s.Metrics)
	}
	if s.Export != nil {
		get(inner, "/export/{file}", s.Export)
	}
	inner.HandleFunc("/", notFound)

	outer := http.NewServeMux()
	get(outer, "/healthz", http.HandlerFunc(healthz))
	get(outer, "/readyz", http.HandlerFunc(s.readyz))
	outer.Handle("/", s.guard(inner))

	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(crossOrigin))
	return headers(http.MaxBytesHandler(cross.Handler(outer), maxBody))
}

// get serves a path to GET and HEAD, and tells other methods so.
func get(mux *http.ServeMux, path string, h http.Handler) {
	mux.Handle("GET "+path, h)
	mux.HandleFunc(path, methodNotAllowed)
}

// post serves a path to POST, and tells other methods so.
func post(mux *http.ServeMux, path string, h http.Handler) {
	mux.Handle("POST "+path, h)
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "POST")
		problemf(http.StatusMethodNotAllowed, "%s takes a verdict: use POST", r.URL.Path).ServeHTTP(w, r)
	})
}

// policy lets the page load its own style, script and picture, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
