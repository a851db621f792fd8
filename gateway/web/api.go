package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/view"
)

func (s *Server) listPiles(r *http.Request) (any, error) {
	f, err := s.filter(r)
	if err != nil {
		return nil, err
	}
	items := []pileView{}
	s.Live.View(func(st *session.State) { items = append(items, s.pileViews(st, f)...) })
	if s.TooCoarse != nil {
		coarse := s.TooCoarse()
		for i := range items {
			items[i].TooCoarse = coarse[items[i].Pile]
		}
	}
	return cut(items, f.Limit, func(v *pileView) string { return v.Pile }), nil
}

func (s *Server) listPorts(r *http.Request) (any, error) {
	f, err := s.filter(r)
	if err != nil {
		return nil, err
	}
	after, ok := parsePortKey(f.After)
	if f.After != "" && !ok {
		return nil, badParameter("after", "%q is no place in this list: give the next of the answer before", f.After)
	}
	items := []portView{}
	s.Live.View(func(st *session.State) { items = append(items, s.portViews(st, f, after)...) })
	return cut(items, f.Limit, func(v *portView) string { return portKey{v.Pile, v.Port}.String() }), nil
}

func (s *Server) listSessions(r *http.Request) (any, error) {
	f, err := s.ledgerFilter(r)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Ledger.Sessions(r.Context(), f)
	if err != nil {
		return nil, err
	}
	s.overlay(items)
	return list[sessionView]{convert(items, s.sessionView), next}, nil
}

func (s *Server) oneSession(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	x, err := s.Ledger.Session(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	one := []session.Session{x}
	s.overlay(one)
	return s.sessionView(&one[0]), nil
}

func (s *Server) listFlags(r *http.Request) (any, error) {
	f, err := s.ledgerFilter(r)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Ledger.Flags(r.Context(), f)
	if err != nil {
		return nil, err
	}
	return list[view.Flag]{convert(items, s.flagView), next}, nil
}

func (s *Server) listRejects(r *http.Request) (any, error) {
	f, err := s.ledgerFilter(r)
	if err != nil {
		return nil, err
	}
	items, next, err := s.rejects(r.Context(), f)
	if err != nil {
		return nil, err
	}
	return list[rejectView]{convert(items, s.rejectView), next}, nil
}

// ledgerFilter is filter for a list whose order is the ledger's.
func (s *Server) ledgerFilter(r *http.Request) (ledger.Filter, error) {
	f, err := s.filter(r)
	if err == nil {
		err = checkPlace(f)
	}
	return f, err
}

// maxReads bounds how often one request reads on to find enough. A list may so
// be shorter than its limit and yet have a next.
const maxReads = 20

// rejects is the ledger's list, of one pile or building where f says so: a
// message that could not be read belongs to the pile that its topic names.
func (s *Server) rejects(ctx context.Context, f ledger.Filter) ([]ledger.Reject, string, error) {
	if f.Pile == "" && f.Building == "" {
		return s.Ledger.Rejects(ctx, f)
	}
	piles := map[string]bool{}
	s.Live.View(func(st *session.State) {
		for _, p := range s.pileViews(st, ledger.Filter{Building: f.Building, Pile: f.Pile}) {
			piles[p.Pile] = true
		}
	})
	if f.Building == "" {
		piles[f.Pile] = true // one that never said anything that could be read
	}
	found, want := []ledger.Reject{}, f.Limit
	for range maxReads {
		f.Limit = want - len(found)
		items, next, err := s.Ledger.Rejects(ctx, f)
		if err != nil {
			return nil, "", err
		}
		for _, x := range items {
			if slices.ContainsFunc(strings.Split(x.Topic, "/"), func(part string) bool { return piles[part] }) {
				found = append(found, x)
			}
		}
		if f.After = next; next == "" || len(found) == want {
			break
		}
	}
	return found, f.After, nil
}
