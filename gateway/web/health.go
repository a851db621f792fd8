package web

import (
	"io"
	"net/http"
)

// healthz tells that the process works.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n") //nolint:errcheck // the client is gone
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string            `json:"status"`           // ok or unavailable
	Checks map[string]string `json:"checks,omitempty"` // ok, or why not; only for who may see it
	Alerts []channelView     `json:"alerts,omitempty"` // detail: a channel that fails makes nothing unready
}

// readyz tells whether the gateway does its work: 200, or 503 and why. Who would
// have to log in for the rest learns the status alone.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	answer, status := readiness{Status: "ok", Checks: map[string]string{}}, http.StatusOK
	for name, check := range s.Checks {
		answer.Checks[name] = "ok"
		if err := check(); err != nil {
			answer.Checks[name] = err.Error()
			answer.Status, status = "unavailable", http.StatusServiceUnavailable
		}
	}
	answer.Alerts = convert(s.channels(), s.channelView)
	if s.admit(r) != nil {
		answer.Checks, answer.Alerts = nil, nil
	}
	s.writeJSON(w, r, status, answer)
}
