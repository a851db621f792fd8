package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"pilewatch/gateway/ledger"
)

// here makes a request one of this machine's.
func here(r *http.Request) *http.Request {
	r.Host = "127.0.0.1"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
}

func serverOf(w *world, edit ...func(*Config)) *Server {
	c := w.config()
	for _, f := range edit {
		f(&c)
	}
	return NewServer(c)
}

// say posts a verdict as a user, "" for nobody.
func say(s *Server, id, user, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/flags/"+id+"/verdict", strings.NewReader(body))
	r = here(r)
	if user != "" {
		r.SetBasicAuth(user, "correct horse")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestAVerdictIsKeptWithTheRuleAndTheCurve(t *testing.T) {
	w := newWorld(t)
	w.append(&ledger.Batch{Entries: []ledger.Entry{{Kind: ledger.KindFlag, Flag: &ledger.Flag{
		ID: "f-1", Rule: "second_load", Severity: ledger.Warning, Status: ledger.StatusOpen, RuleVersion: 2, RaisedAt: evening,
		Evidence: []byte(`{"curve":[[1,2.5]],"session_peak_w":210}`),
	}}}})
	var told []ledger.Verdict
	s := serverOf(w, func(c *Config) { c.Judged = func(v ledger.Verdict) { told = append(told, v) } })
	if got := say(s, "f-1", "", `{"status":"false_alarm","note":" 快递员，两块电池 "}`); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"status":"false_alarm"`) {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	all, err := w.ledger.Verdicts(t.Context())
	if err != nil || len(all) != 1 || len(told) != 1 {
		t.Fatalf("%v %v, told %v", all, err, told)
	}
	v := all[0]
	if v.Rule != "second_load" || v.RuleVersion != 2 || v.Note != "快递员，两块电池" || !strings.Contains(string(v.Evidence), "2.5") || v.At == 0 || v.RaisedAt != evening {
		t.Errorf("kept %+v", v)
	}
	if f, err := w.ledger.Flag(t.Context(), "f-1"); err != nil || f.Status != ledger.StatusFalseAlarm {
		t.Errorf("the flag is %v, %v", f.Status, err)
	}
}

func TestABadVerdictIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	s := serverOf(w)
	for body, want := range map[string]int{
		`{"status":"confirmed"}`:           http.StatusNotFound,
		`{"status":"open"}`:                http.StatusBadRequest,
		`{"status":"confirmed","extra":1}`: http.StatusBadRequest,
		`{"status":"confirmed"}{}`:         http.StatusBadRequest,
		`[]`:                               http.StatusBadRequest,
		``:                                 http.StatusBadRequest,
		`{"status":"confirmed","note":"` + strings.Repeat("长", maxNote+1) + `"}`: http.StatusBadRequest,
	} {
		if got := say(s, "none", "", body); got.Code != want || !strings.Contains(got.Header().Get("Content-Type"), "problem+json") {
			t.Errorf("%s: %d %s", body[:min(40, len(body))], got.Code, got.Body)
		}
	}
	r := here(httptest.NewRequest(http.MethodGet, "/api/v1/flags/f/verdict", nil))
	got := httptest.NewRecorder()
	s.ServeHTTP(got, r)
	if got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", got.Code, got.Header())
	}
}

// threeUsers are boss, aunt and guest, a user of each role.
func threeUsers(t *testing.T) *Users {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.yaml")
	for _, u := range []User{{"boss", Manager}, {"aunt", Committee}, {"guest", Viewer}} {
		if err := addUser(path, u.Name, u.Role, "correct horse", bcrypt.MinCost); err != nil {
			t.Fatal(err)
		}
	}
	users, err := OpenUsers(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func TestWhoMaySayWhat(t *testing.T) {
	w := newWorld(t)
	w.append(&ledger.Batch{Entries: []ledger.Entry{{Kind: ledger.KindFlag, Flag: &ledger.Flag{ID: "f-1", Rule: "over_time", Status: ledger.StatusOpen, Evidence: []byte("{}")}}}})
	users := threeUsers(t)
	s := serverOf(w, func(c *Config) { c.Users = users })
	for _, c := range []struct {
		user, status string
		want         int
	}{
		{"guest", "acknowledged", http.StatusForbidden}, {"aunt", "acknowledged", http.StatusOK}, {"aunt", "false_alarm", http.StatusForbidden},
		{"boss", "confirmed", http.StatusOK}, {"", "confirmed", http.StatusUnauthorized},
	} {
		if got := say(s, "f-1", c.user, `{"status":"`+c.status+`"}`); got.Code != c.want {
			t.Errorf("%s says %s: %d %s", c.user, c.status, got.Code, got.Body)
		}
	}
	all, _ := w.ledger.Verdicts(t.Context())
	if len(all) != 2 || all[1].By != "boss" {
		t.Errorf("kept %+v", all)
	}
}

func TestAPileSaysForWhichRulesItReportsTooSeldom(t *testing.T) {
	w := newWorld(t)
	s := serverOf(w, func(c *Config) {
		c.TooCoarse = func() map[string][]string { return map[string][]string{"P03": {"hot_burst", "second_load"}} }
	})
	for pile, want := range map[string]bool{"P03": true, "P10": false} {
		got := httptest.NewRecorder()
		s.ServeHTTP(got, here(httptest.NewRequest(http.MethodGet, "/api/v1/piles?pile="+pile, nil)))
		if said := strings.Contains(got.Body.String(), `"too_coarse":["hot_burst","second_load"]`); got.Code != http.StatusOK || said != want {
			t.Errorf("%s: %d %s", pile, got.Code, got.Body)
		}
	}
}
