package web

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"pilewatch/gateway/billing"
)

// Bills opens the book of bills as it is now.
type Bills func(ctx context.Context) (*billing.Book, error)

var monthForm = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])$`)

// listStatements lists what each household owes, by month, building and household.
func (s *Server) listStatements(r *http.Request) (any, error) {
	var span billing.Span
	f, err := s.filter(r, "month", "household")
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	span.Month, span.Household, span.Building, span.From, span.To = q.Get("month"), q.Get("household"), f.Building, f.From, f.To
	switch {
	case f.Pile != "":
		return nil, badParameter("pile", "a statement is a household's: use building or household")
	case span.Month != "" && !monthForm.MatchString(span.Month):
		return nil, badParameter("month", "%q is no month such as 2026-11", span.Month)
	case span.Month != "" && (span.From != 0 || span.To != 0):
		return nil, badParameter("month", "give a month, or from and to")
	case f.After != "" && strings.Count(f.After, "_") < 2:
		return nil, badParameter("after", "%q is no place in this list: give the next of the answer before", f.After)
	}
	book, err := s.Bills(r.Context())
	if err != nil {
		return nil, err
	}
	items, next, err := book.Page(r.Context(), span, f.After, f.Limit)
	if err != nil {
		return nil, err
	}
	return list[*billing.Statement]{items, next}, nil
}
