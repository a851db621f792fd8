package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

func TestListsAreAsAgreed(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	for name, path := range map[string]string{
		"piles": "/piles", "ports": "/ports", "sessions": "/sessions", "flags": "/flags", "rejects": "/rejects",
		"session_open": "/sessions/P01-2-20261123T113030Z", "session_closed": "/sessions/P01-1-20261123T091530Z",
		"flag": "/flags/f-1", "sessions_page": "/sessions?limit=1", "ports_page": "/ports?limit=2", "piles_empty": "/piles?building=none",
	} {
		a := ask(t, "GET", base+"/api/v1"+path)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", path, a.status, a.header.Get("Content-Type"), a.body)
			continue
		}
		golden(t, name, a.body)
	}
}

// ids walks a list to its end and gives what identifies its items; between does
// what happens between two pages.
func ids(t *testing.T, address, key string, between func()) (all []string) {
	t.Helper()
	after := ""
	for pages := 0; ; pages++ {
		a := ask(t, "GET", address+"&after="+url.QueryEscape(after))
		var page struct {
			Items []map[string]any
			Next  string
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != http.StatusOK || pages > 1000 {
			t.Fatalf("page %d: %d %s (%v)", pages, a.status, a.body, err)
		}
		for _, item := range page.Items {
			id := fmt.Sprint(item[key])
			if key == "port" {
				id = fmt.Sprint(item["pile"], "/", item["port"])
			}
			all = append(all, id)
		}
		if after = page.Next; after == "" {
			return all
		}
		between()
	}
}

func TestPagingGivesEverythingOnceWhileMoreArrives(t *testing.T) {
	for _, limit := range []int{1, 4, 1000} {
		w := newWorld(t)
		n := 0
		arrive := func() { // two of a kind start at one instant, so that ids decide
			at := evening.Add(time.Duration(n/2) * time.Second)
			var b ledger.Batch
			for range 2 {
				n++
				pile := fmt.Sprintf("P%03d", n)
				x := &session.Session{ID: session.ID(pile, 1, at), Pile: pile, Port: 1, Building: "1", Start: at, End: at, MeterStartMWh: -1, MeterEndMWh: -1}
				f := &ledger.Flag{ID: "f" + pile, Rule: "over_power", Severity: ledger.Info, Pile: pile, RaisedAt: at, Status: ledger.StatusOpen, Evidence: json.RawMessage("{}")}
				b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindSession, Change: session.Closed, Session: x}, ledger.Entry{Kind: ledger.KindFlag, Flag: f})
			}
			w.append(&b)
		}
		for range 10 {
			arrive()
		}
		base := serve(t, w.config())
		for path, key := range map[string]string{"sessions": "session_id", "flags": "id"} {
			first := ids(t, base+"/api/v1/"+path+"?limit=1000", key, arrive)
			got := ids(t, fmt.Sprintf("%s/api/v1/%s?limit=%d", base, path, limit), key, arrive)
			if !slices.Equal(got, first) {
				t.Errorf("%s by %d: got %d, want the %d that there were", path, limit, len(got), len(first))
			}
			if seen := slices.Compact(slices.Sorted(slices.Values(got))); len(seen) != len(got) {
				t.Errorf("%s by %d: some came twice", path, limit)
			}
		}
	}
}

func TestLiveListsPageToo(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	piles := ids(t, base+"/api/v1/piles?limit=1", "pile", func() {})
	if want := []string{"<b>'x", "P01", "P03", "P10"}; !slices.Equal(piles, want) {
		t.Errorf("piles %q", piles)
	}
	ports := ids(t, base+"/api/v1/ports?limit=1", "port", func() {})
	if want := []string{"<b>'x/7", "P01/1", "P01/2", "P03/2"}; !slices.Equal(ports, want) {
		t.Errorf("ports %q", ports)
	}
}

func TestListsAreChosenByTimePlaceAndPile(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	for query, want := range map[string]string{
		"sessions?building=1&limit=10":                       "P01-2-20261123T113030Z P01-1-20261123T091530Z",
		"sessions?pile=" + url.QueryEscape("<b>'x"):          "<b>'x-7-20261123T121230Z",
		"sessions?from=2026-11-24":                           "",
		"sessions?from=2026-11-23&to=2026-11-24&pile=P01":    "P01-2-20261123T113030Z P01-1-20261123T091530Z",
		"sessions?from=2026-11-23T19:30:30%2B08:00&pile=P01": "P01-2-20261123T113030Z",
		"sessions?from=2026-11-23T19:30:30+08:00&pile=P01":   "P01-2-20261123T113030Z", // the plus as people type it
		"sessions?to=2026-11-23T11:30:30Z":                   "P01-1-20261123T091530Z", // the end is excluded
		"sessions?to=1970-01-01T00:00:00Z":                   "",
		"flags?building=3":                                   "f-2",
		"flags?pile=P01":                                     "f-1 f-0",
		"flags?from=2026-11-22&to=2026-11-23":                "f-0",
		"rejects?pile=P01":                                   "pilewatch/v1/fuxing/P01/telemetry",
		"rejects?building=1&limit=1":                         "pilewatch/v1/fuxing/P01/telemetry",
		"rejects?building=3":                                 "",
		"rejects?pile=x":                                     "x/<y>", // a pile that never said anything of use
		"rejects?from=2026-11-23T20:00:00%2B08:00":           "x/<y>",
		"piles?building=1":                                   "P01",
		"piles?pile=P03":                                     "P03",
		"piles?pile=P03&building=1":                          "",
		"piles?pile=nobody":                                  "",
		"piles?to=2026-11-23T20:00:00%2B08:00":               "P03", // P10 was never heard of
		"ports?from=2026-11-23T20:00:00%2B08:00&to=2026-11-23T20:11:00%2B08:00": "P01",
		"ports?pile=P03":   "P03",
		"ports?building=1": "P01 P01",
	} {
		key := map[byte]string{'s': "session_id", 'f': "id", 'r': "topic", 'p': "pile"}[query[0]]
		address := base + "/api/v1/" + query
		if got := strings.Join(ids(t, address, key, func() {}), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// A row is as of the session's last change; what is shown is as of now.
func TestOpenSessionsShowWhatTheyAreNow(t *testing.T) {
	w := newWorld(t)
	w.live()
	row, err := w.ledger.Session(t.Context(), "P01-2-20261123T113030Z")
	if err != nil || row.EnergyMWh != 0 {
		t.Fatalf("the row already holds %d mWh: %v", row.EnergyMWh, err)
	}
	base := serve(t, w.config())
	var got struct {
		Energy    int64   `json:"energy_mwh"`
		Duration  int64   `json:"duration_s"`
		Mean      float64 `json:"mean_w"`
		End, Fees any
	}
	a := ask(t, "GET", base+"/api/v1/sessions/"+row.ID)
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	// 215.25 - 70 Wh in 40 min
	if got.Energy != 145_250 || got.Duration != 2400 || got.Mean != 217.875 || got.End != nil {
		t.Errorf("%+v", got)
	}
}

func TestEveryErrorIsAProblemThatSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	for _, c := range []struct {
		method, path, parameter, detail string
		status                          int
	}{
		{"GET", "/api/v1/sessions?limit=0", "limit", "from 1 to 1000", 400},
		{"GET", "/api/v1/ports?limit=1001", "limit", "from 1 to 1000", 400},
		{"GET", "/api/v1/piles?limit=x", "limit", "from 1 to 1000", 400},
		{"GET", "/api/v1/flags?from=yesterday", "from", "neither a date", 400},
		{"GET", "/api/v1/flags?to=2026-13-01", "to", "neither a date", 400},
		{"GET", "/api/v1/sessions?from=2026-11-02&to=2026-11-02", "to", "give the next day", 400},
		{"GET", "/api/v1/sessions?after=there", "after", "give the next", 400},
		{"GET", "/api/v1/ports?after=P01", "after", "give the next", 400},
		{"GET", "/api/v1/ports?after=P01/300", "after", "give the next", 400},
		{"GET", "/api/v1/rejects?colour=red", "colour", "use from, to, building, pile, limit, after", 400},
		{"GET", "/api/v1/rejects?pile=a&pile=b", "pile", "give it once", 400},
		{"GET", "/api/v1/rejects?pile=%zz", "", "percent-encode", 400},
		{"GET", "/api/v1/sessions/x?limit=1", "limit", "leave it out", 400},
		{"GET", "/api/v1/flags/x?a=1", "a", "leave it out", 400},
		{"GET", "/api/v1/events?a=1", "a", "leave it out", 400},
		{"GET", "/api/v1/sessions/none", "", "look for its id in the list", 404},
		{"GET", "/api/v1/flags/none", "", "look for its id in the list", 404},
		{"GET", "/api/v1/bikes", "", "/api/v1/ with piles, ports", 404},
		{"GET", "/api", "", "/api/v1/ with piles, ports", 404},
		{"GET", "/metrics", "", "/api/v1/ with piles, ports", 404}, // none was given
		{"GET", "/export/sessions.csv", "", "/api/v1/ with piles, ports", 404},
		{"POST", "/api/v1/flags/f-1/verdict", "", "the body is no verdict", 400},
		{"POST", "/api/v1/piles", "", "use GET", 405},
		{"DELETE", "/api/v1/sessions/x", "", "use GET", 405},
		{"PUT", "/", "", "use GET", 405},
		{"POST", "/healthz", "", "use GET", 405},
		{"OPTIONS", "/readyz", "", "use GET", 405},
	} {
		a := ask(t, c.method, base+c.path)
		var p problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Errorf("%s %s: %v in %s", c.method, c.path, err, a.body)
			continue
		}
		if a.status != c.status || p.Status != c.status || p.Type != "about:blank" || p.Title != http.StatusText(c.status) ||
			a.header.Get("Content-Type") != "application/problem+json" || p.Parameter != c.parameter || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s: %d %+v", c.method, c.path, a.status, p)
		}
		if allow := a.header.Get("Allow"); (a.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
	}
	golden(t, "problem", ask(t, "GET", base+"/api/v1/piles?limit=x").body)
}

func TestFaultOfTheLedgerIsNotTheClients(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Ledger = broken{w.ledger}
	a := ask(t, "GET", serve(t, c)+"/api/v1/sessions")
	if a.status != 500 || strings.Contains(a.body, "secret") || !strings.Contains(a.body, "gateway's log") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestNoAnswerHoldsACardNumber(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	if row, err := w.ledger.Session(t.Context(), "P01-1-20261123T091530Z"); err != nil || row.Card != cards[0] {
		t.Fatalf("the ledger itself has no card: %+v, %v", row, err) // then this test would show nothing
	}
	for _, path := range []string{
		"/", "/?lang=en", "/api/v1/piles", "/api/v1/ports", "/api/v1/sessions", "/api/v1/flags", "/api/v1/rejects",
		"/api/v1/sessions/P01-1-20261123T091530Z", "/api/v1/sessions/P01-2-20261123T113030Z", "/api/v1/flags/f-1", "/readyz",
	} {
		if a := ask(t, "GET", base+path); a.status != 200 || hasCard(a.body) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	all := follow(t, base, "Last-Event-ID", "0")
	for range 6 { // every change of a session, and more
		if e := all(); hasCard(e.data) {
			t.Errorf("event %s", e.data)
		}
	}
}

func TestShortCardsAreNotShownAtAll(t *testing.T) {
	for card, want := range map[string]string{"04A1B2C3": "B2C3", "12345": "2345", "1234": "", "": "", "卡一二三四": "一二三四"} {
		if got := last4(card); got != want {
			t.Errorf("last4(%q) = %q, want %q", card, got, want)
		}
	}
}

func TestThousandthsAreWrittenExactly(t *testing.T) {
	for m, want := range map[milli]string{0: "0", 1: "0.001", 152_400: "152.4", -71_000: "-71", -5: "-0.005", 1_284_531_250: "1284531.25", -1 << 63: "-9223372036854775.808"} {
		if got := m.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(m), got, want)
		}
	}
}

func TestProbesTellHowItIs(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	down := error(nil)
	c.Checks = map[string]func() error{"ledger": func() error { return nil }, "mqtt": func() error { return down }}
	base := serve(t, c)
	if a := ask(t, "GET", base+"/healthz"); a.status != 200 || a.body != "ok\n" {
		t.Errorf("%d %q", a.status, a.body)
	}
	a := ask(t, "GET", base+"/readyz")
	if a.status != 200 {
		t.Error(a.status)
	}
	golden(t, "ready", a.body)
	down = errors.New("not connected to tcp://127.0.0.1:1883: start the broker")
	if a = ask(t, "GET", base+"/readyz"); a.status != 503 {
		t.Error(a.status)
	}
	golden(t, "unready", a.body)
	if a := ask(t, "GET", base+"/healthz"); a.status != 200 {
		t.Error("the process works all the same")
	}
}

func TestHandlersOfOthersAreReached(t *testing.T) {
	c := newWorld(t).config()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("file") == "bikes.csv" {
			Problem(w, http.StatusBadRequest, "there is no export of bikes: use sessions")
			return
		}
		io.WriteString(w, r.URL.Path+r.PathValue("file")) //nolint:errcheck // the test would see
	})
	c.Metrics, c.Export = echo, echo
	base := serve(t, c)
	for path, want := range map[string]string{"/metrics": "/metrics", "/export/sessions.csv?month=2026-11": "/export/sessions.csvsessions.csv"} {
		if a := ask(t, "GET", base+path); a.body != want {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	a := ask(t, "GET", base+"/export/bikes.csv")
	want := `{"type":"about:blank","title":"Bad Request","status":400,"detail":"there is no export of bikes: use sessions"}` + "\n"
	if a.status != 400 || a.header.Get("Content-Type") != "application/problem+json" || a.body != want {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestPileIsOnlineUntilItSaysOtherwiseOrIsSilent(t *testing.T) {
	c := newWorld(t).config()
	usual := NewServer(c)
	c.Silent = time.Hour
	patient := NewServer(c)
	for _, c := range []struct {
		s      *Server
		has    devices.Fields
		word   bool
		silent time.Duration
		want   bool
	}{
		{usual, 0, false, 10 * time.Minute, true},
		{usual, 0, false, 10*time.Minute + time.Millisecond, false},
		{usual, devices.HasOnline, true, 10 * time.Minute, true},
		{usual, devices.HasOnline, true, 11 * time.Minute, false}, // its last word was lost
		{usual, devices.HasOnline, false, 0, false},
		{patient, 0, false, time.Hour, true},
		{patient, 0, false, 61 * time.Minute, false},
	} {
		p := &session.PileState{LastReceived: evening.Add(-c.silent), Status: devices.Status{Has: c.has, Online: c.word}}
		if got := c.s.online(p); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, q := range []string{"", "from=2026-11-01&to=2026-12-01", "limit=5&after=1_x", "from=2026-11-01T00:00:00+08:00", "a=b", "%zz", "limit=-1", "to=9999999-01-01"} {
		f.Add(q)
	}
	s := &Server{Config: Config{Location: time.FixedZone("CST", 8*3600)}}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := s.ledgerFilter(&http.Request{URL: &url.URL{RawQuery: query}})
		if err != nil {
			p, ok := errors.AsType[*problem](err)
			if !ok || p.Status != http.StatusBadRequest || p.Detail == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if got.Limit < 1 || got.Limit > maxLimit || got.To < 0 || got.From < 0 || got.To != 0 && got.From != 0 && got.To <= got.From {
			t.Fatalf("%+v", got)
		}
	})
}
