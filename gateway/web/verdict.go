package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// maxNote bounds the note of a verdict, in characters.
const maxNote = 2000

// judge takes a verdict on a flag, and answers with the flag as it is then. A
// manager may say anything, the committee may acknowledge, a viewer may not;
// where there are no users this machine's person may.
func (s *Server) judge(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	v, err := readVerdict(r)
	if err != nil {
		return nil, err
	}
	by, role := s.who(r)
	if v.By = by; !slices.Contains(maySay(role), v.Status) {
		return nil, problemf(http.StatusForbidden, "the role %s may not say %s of a flag: a manager may, and the committee may say acknowledged", role, v.Status)
	}
	v.At, v.FlagID = devices.MillisOf(s.Now()), r.PathValue("id")
	f, err := s.Ledger.Judge(r.Context(), v)
	if errors.Is(err, ledger.ErrVerdict) {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	if s.Judged != nil {
		s.Judged(*v)
	}
	return s.flagView(&f), nil
}

// who gives the user of a request that the guard let in, and their role; where
// there are no users, this machine's person is a manager without a name.
func (s *Server) who(r *http.Request) (name string, role Role) {
	if s.Users == nil || s.Users.Empty() {
		return "", Manager
	}
	name, _, _ = r.BasicAuth()
	return name, s.Users.role(name)
}

// maySay gives what a role may say of a flag.
func maySay(role Role) []string {
	switch role {
	case Manager:
		return ledger.VerdictStatuses()
	case Committee:
		return []string{ledger.StatusAcknowledged}
	}
	return nil
}

// readVerdict reads the body of a request; the error is a problem that says what
// was expected.
func readVerdict(r *http.Request) (*ledger.Verdict, error) {
	var in struct {
		Status string `json:"status"`
		Note   string `json:"note"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	const form = `send {"status":"acknowledged|confirmed|false_alarm|resolved","note":"..."}`
	if err := d.Decode(&in); err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			return nil, problemf(http.StatusRequestEntityTooLarge, "the verdict is over %d bytes: shorten the note", tooLong.Limit)
		}
		return nil, problemf(http.StatusBadRequest, "the body is no verdict (%v): "+form, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, problemf(http.StatusBadRequest, "there is more than one value in the body: "+form)
	}
	if !slices.Contains(ledger.VerdictStatuses(), in.Status) {
		return nil, problemf(http.StatusBadRequest, "status %q is none: "+form, in.Status)
	}
	if in.Note = strings.TrimSpace(in.Note); utf8.RuneCountInString(in.Note) > maxNote {
		return nil, problemf(http.StatusBadRequest, "the note has over %d characters: shorten it", maxNote)
	}
	return &ledger.Verdict{Status: in.Status, Note: in.Note}, nil
}
