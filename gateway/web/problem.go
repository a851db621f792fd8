package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"pilewatch/gateway/ledger"
)

// problem is an error as RFC 9457 writes it. Detail says what to do.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Parameter string `json:"parameter,omitempty"` // the one that is wrong
}

// Error gives the detail.
func (p *problem) Error() string { return p.Detail }

func problemf(status int, format string, a ...any) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, a...)}
}

func badParameter(name, format string, a ...any) *problem {
	p := problemf(http.StatusBadRequest, "%s: "+format, append([]any{name}, a...)...)
	p.Parameter = name
	return p
}

// ServeHTTP answers with the problem.
func (p *problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body, _ := json.Marshal(p) // strings and a number always can be
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n')) //nolint:errcheck // the client is gone
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problemf(http.StatusNotFound, "nothing is at %s: the page is at /, the API at /api/v1/ with piles, ports, sessions, flags, statements, rejects and events",
		r.URL.Path).ServeHTTP(w, r)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	problemf(http.StatusMethodNotAllowed, "%s can only be read: use GET", r.URL.Path).ServeHTTP(w, r)
}

func crossOrigin(w http.ResponseWriter, r *http.Request) {
	problemf(http.StatusForbidden, "this request was sent by the page of another site: send it from this one").ServeHTTP(w, r)
}

// answer serves what an endpoint gives as JSON, or why it could not.
func (s *Server) answer(endpoint func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := endpoint(r)
		if err != nil {
			s.problemOf(r, err).ServeHTTP(w, r)
			return
		}
		s.writeJSON(w, r, http.StatusOK, v)
	})
}

// problemOf says what a client is told of an error. What is not its doing goes to
// the log.
func (s *Server) problemOf(r *http.Request, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return problemf(http.StatusNotFound, "%v: look for its id in the list", err)
	}
	if r.Context().Err() == nil {
		s.Log.Error("a request could not be answered", "path", r.URL.Path, "error", err)
	}
	return problemf(http.StatusInternalServerError, "the ledger could not be read: try again, and look into the gateway's log")
}

func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		s.problemOf(r, fmt.Errorf("writing JSON: %w", err)).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body.Bytes()) //nolint:errcheck // the client is gone
}

// Problem answers with problem JSON, for the handlers that a Server is given;
// detail says what to do.
func Problem(w http.ResponseWriter, status int, detail string) {
	problemf(status, "%s", detail).ServeHTTP(w, nil)
}
