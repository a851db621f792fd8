package web

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// guard lets in who may come in.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusal := s.admit(r); refusal != nil {
			refusal.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal is a problem with what a client needs to know to do better.
type refusal struct {
	*problem
	challenge bool          // it may log in
	wait      time.Duration // it may try again after that; 0 for no word
}

// ServeHTTP answers with it.
func (f *refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.challenge {
		w.Header().Set("WWW-Authenticate", `Basic realm="pilewatch", charset="UTF-8"`)
	}
	if f.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.wait.Seconds()))))
	}
	f.problem.ServeHTTP(w, r)
}

// admit gives nil for a request that may see everything.
func (s *Server) admit(r *http.Request) *refusal {
	if s.Users == nil || s.Users.Empty() {
		if onlyHere(r) {
			return nil
		}
		return &refusal{problem: problemf(http.StatusForbidden,
			"there are no users, and so only this machine is served, at http://127.0.0.1 or http://localhost: run `pilewatch user add` and log in")}
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return &refusal{problem: problemf(http.StatusUnauthorized, "log in with the name and password of a user of this page"), challenge: true}
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address, all alike, for what is none
	ok, wait := s.Users.login(r.Context(), peer.Addr(), name, password, s.Now())
	switch {
	case ok:
		return nil
	case wait > 0:
		return &refusal{problem: problemf(http.StatusTooManyRequests, "too many wrong logins from this address: wait and try again"), wait: wait}
	}
	return &refusal{problem: problemf(http.StatusUnauthorized, "the name or the password is wrong: log in again, or ask who runs the gateway"), challenge: true}
}

// onlyHere reports whether a request came to a loopback address, and by such a
// name: a page of another site whose name was made to point here has its own.
func onlyHere(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	_, err = netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil
}
