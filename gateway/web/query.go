package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// The length of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// filter reads what a request for a list asks for. Limit is always set. The
// error is a problem that names the parameter. Some lists know more parameters.
func (s *Server) filter(r *http.Request, more ...string) (ledger.Filter, error) {
	f := ledger.Filter{Limit: defaultLimit}
	values, err := parameters(r, append([]string{"from", "to", "building", "pile", "limit", "after"}, more...)...)
	if err != nil {
		return f, err
	}
	f.Building, f.Pile, f.After = values["building"], values["pile"], values["after"]
	if f.From, err = instant("from", values["from"], s.Location); err != nil {
		return f, err
	}
	if f.To, err = instant("to", values["to"], s.Location); err != nil {
		return f, err
	}
	if f.From != 0 && f.To != 0 && f.To <= f.From {
		return f, badParameter("to", "it is not after from; the end is excluded, so for one day give the next day")
	}
	if v := values["limit"]; v != "" {
		if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 1 || f.Limit > maxLimit {
			return f, badParameter("limit", "%q is no whole number from 1 to %d", v, maxLimit)
		}
	}
	return f, nil
}

// parameters gives the query by name. One that is not known, or stands there
// twice, is refused.
func parameters(r *http.Request, known ...string) (map[string]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "the query cannot be read (%v): percent-encode its values", err)
	}
	values := map[string]string{}
	for _, name := range known {
		if len(query[name]) > 1 {
			return nil, badParameter(name, "it stands there %d times: give it once", len(query[name]))
		}
		values[name] = query.Get(name)
		delete(query, name)
	}
	for name := range query {
		if len(known) == 0 {
			return nil, badParameter(name, "there is no such parameter here: leave it out")
		}
		return nil, badParameter(name, "there is no such parameter: use %s", strings.Join(known, ", "))
	}
	return values, nil
}

// Parameters reads the query for the handlers that a Server is given. Where it is
// refused, that is answered already, and ok is false.
func Parameters(w http.ResponseWriter, r *http.Request, known ...string) (values map[string]string, ok bool) {
	values, err := parameters(r, known...)
	if p, refused := errors.AsType[*problem](err); refused {
		p.ServeHTTP(w, r)
		return nil, false
	}
	return values, true
}

// instant reads RFC 3339, or a date as its beginning in the estate's zone; 0 for "".
func instant(name, v string, loc *time.Location) (devices.Millis, error) {
	if v == "" {
		return 0, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, v, loc)
	if err != nil {
		// A plus that nobody encoded arrives as a space.
		t, err = time.Parse(time.RFC3339, strings.Replace(v, " ", "+", 1))
	}
	if err != nil || t.Year() < 1 {
		return 0, badParameter(name, "%q is neither a date such as 2026-11-01 nor RFC 3339 such as 2026-11-01T08:00:00+08:00", v)
	}
	return max(1, devices.MillisOf(t)), nil // 0 would be no bound at all
}

// checkPlace refuses what cannot be where a list of the ledger goes on:
// milliseconds, "_", an id.
func checkPlace(f ledger.Filter) error {
	if f.After == "" {
		return nil
	}
	at, _, ok := strings.Cut(f.After, "_")
	if _, err := strconv.ParseInt(at, 10, 64); !ok || err != nil {
		return badParameter("after", "%q is no place in this list: give the next of the answer before", f.After)
	}
	return nil
}

// list is the answer to a request for many.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // absent at the end
}

// cut gives the first limit of items, and as next the place of the last of them
// where there are more.
func cut[T any](items []T, limit int, placeOf func(*T) string) list[T] {
	if len(items) <= limit {
		return list[T]{Items: items}
	}
	return list[T]{Items: items[:limit], Next: placeOf(&items[limit-1])}
}

// convert gives what f makes of each item; never nil, so that JSON has [].
func convert[A, B any](items []A, f func(*A) B) []B {
	out := make([]B, len(items))
	for i := range items {
		out[i] = f(&items[i])
	}
	return out
}
