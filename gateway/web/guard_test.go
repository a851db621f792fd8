package web

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// withUsers is a world's configuration with wang, whose password is "right one",
// and a clock that the test moves.
func withUsers(t *testing.T) (c Config, path string, clock *atomic.Int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users.yaml")
	addCheap(t, path, "wang", Manager, "right one")
	users, err := OpenUsers(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	clock = new(atomic.Int64)
	clock.Store(int64(evening))
	c = newWorld(t).config()
	c.Users = users
	c.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	c.Checks = map[string]func() error{"ledger": func() error { return errDisk }}
	return c, path, clock
}

// Everything that there is asks for a login, but the probes; and of those
// /readyz tells why only after one.
func TestEverythingButTheProbesAsksForALogin(t *testing.T) {
	c, _, _ := withUsers(t)
	echo := http.NotFoundHandler()
	c.Metrics, c.Export = echo, echo
	base := serve(t, c)
	for _, path := range []string{"/", "/api/v1/piles", "/api/v1/events", "/api/v1/nothing", "/nothing", "/metrics", "/export/sessions.csv", "/static/page.js"} {
		for _, headers := range [][]string{nil, {"Authorization", basic("wang", "wrong one")}, {"Authorization", basic("nobody", "right one")}, {"Authorization", "Bearer x"}} {
			a := ask(t, "GET", base+path, headers...)
			if a.status != 401 && a.status != 429 || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s with %v: %d %s", path, headers, a.status, a.body)
			}
			if want := `Basic realm="pilewatch", charset="UTF-8"`; a.status == 401 && a.header.Get("WWW-Authenticate") != want {
				t.Errorf("%s: %q", path, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	c, _, _ = withUsers(t)
	base = serve(t, c)
	right := []string{"Authorization", basic("wang", "right one")}
	for path, want := range map[string]int{"/": 200, "/api/v1/piles": 200, "/static/page.css": 200, "/nothing": 404} {
		if a := ask(t, "GET", base+path, right...); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := ask(t, "GET", base+"/healthz"); a.status != 200 {
		t.Error(a.status)
	}
	if a := ask(t, "GET", base+"/readyz"); a.status != 503 || a.body != `{"status":"unavailable"}`+"\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ask(t, "GET", base+"/readyz", right...); a.status != 503 || !strings.Contains(a.body, errDisk.Error()) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestGuessingIsSlowedDownByAddress(t *testing.T) {
	c, _, clock := withUsers(t)
	base := serve(t, c)
	guess := func(password string) answer {
		return ask(t, "GET", base+"/api/v1/piles", "Authorization", basic("wang", password))
	}
	for i := range triesAtOnce {
		if a := guess("guess no. " + strconv.Itoa(i)); a.status != 401 {
			t.Fatalf("guess %d: %d", i, a.status)
		}
	}
	if a := guess("right one"); a.status != 429 || a.header.Get("Retry-After") != "10" || !strings.Contains(a.body, "wait") {
		t.Errorf("%d, again after %s: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	clock.Add(9_500)
	if a := guess("right one"); a.status != 429 || a.header.Get("Retry-After") != "1" {
		t.Errorf("%d, again after %s", a.status, a.header.Get("Retry-After"))
	}
	clock.Add(500)
	if a := guess("right one"); a.status != 200 {
		t.Errorf("%d after the wait", a.status)
	}
	for range 2 * triesAtOnce { // somebody else guesses from behind the same router
		guess("wrong again")
	}
	if a := guess("right one"); a.status != 200 {
		t.Errorf("who is in was put out: %d", a.status)
	}
}

func TestRightLoginsCostNoTries(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr, home := newTries(), netip.MustParseAddr("192.0.2.1")
	for range 5 * triesAtOnce {
		if wait := tr.take(home, now); wait != 0 {
			t.Fatal(wait)
		}
		tr.giveBack(home)
	}
}

func TestAddressesAreToldApart(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := newTries()
	use := func(address string) (n int) {
		for tr.take(netip.MustParseAddr(address), now) == 0 {
			n++
		}
		return n
	}
	for _, c := range []struct {
		address string
		want    int
	}{
		{"192.0.2.1", 10}, {"192.0.2.2", 10}, {"::ffff:192.0.2.1", 0}, // the same, written otherwise
		{"2001:db8:1:2::1", 10}, {"2001:db8:1:2::ffff", 0}, {"2001:db8:1:3::1", 10}, {"fe80::1%eth0", 10},
	} {
		if got := use(c.address); got != c.want {
			t.Errorf("%s has %d tries, want %d", c.address, got, c.want)
		}
	}
}

func TestTableOfAddressesIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := newTries()
	nth := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 3 * maxAddresses {
		tr.take(nth(i), now)
	}
	if len(tr.free) > maxAddresses+1 {
		t.Errorf("%d are kept", len(tr.free))
	}
	if wait := tr.take(nth(5_000_000), now); wait == 0 {
		t.Error("those without a place share their tries, which are used up")
	}
	if wait := tr.take(nth(5_000_000), now.Add(tryEvery*2)); wait != 0 || len(tr.free) > 2 {
		t.Errorf("later there is place again: wait %s, %d kept", wait, len(tr.free))
	}
}

func TestChangedUsersFileIsRead(t *testing.T) {
	c, path, _ := withUsers(t)
	base := serve(t, c)
	status := func(name, password string) int {
		return ask(t, "GET", base+"/api/v1/piles", "Authorization", basic(name, password)).status
	}
	if got := status("wang", "right one"); got != 200 {
		t.Fatal(got)
	}
	addCheap(t, path, "wang", Manager, "newer one")
	if old, fresh := status("wang", "right one"), status("wang", "newer one"); old != 401 || fresh != 200 {
		t.Errorf("the old password gives %d, the new one %d", old, fresh)
	}
	addCheap(t, path, "李阿姨", Committee, "充电桩的新密码吧")
	if got := status("李阿姨", "充电桩的新密码吧"); got != 200 {
		t.Error(got)
	}
	if err := os.WriteFile(path, []byte("users: [broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, b := status("wang", "newer one"), status("wang", "nonsense"); a != 200 || b != 401 {
		t.Errorf("with a broken file: %d %d", a, b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a, b := status("wang", "newer one"), status("", ""); a != 200 || b != 401 {
		t.Errorf("with no file: %d %d", a, b)
	}
	addCheap(t, path, "wang", Manager, "newest one")
	if err := RemoveUser(path, "wang"); err != nil {
		t.Fatal(err)
	}
	if got := status("wang", "newest one"); got != 200 { // loopback, and nobody to log in
		t.Error(got)
	}
}

func TestWithoutUsersOnlyThisMachineIsServed(t *testing.T) {
	s := NewServer(newWorld(t).config())
	for _, c := range []struct {
		local, host string
		want        int
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", 200},
		{"127.0.0.1:8080", "localhost:8080", 200},
		{"[::1]:8080", "[::1]:8080", 200},
		{"[::ffff:127.0.0.1]:8080", "localhost", 200},
		{"127.0.0.1:8080", "", 200},
		{"192.0.2.7:8080", "192.0.2.7:8080", 403},
		{"192.0.2.7:8080", "127.0.0.1:8080", 403},
		{"127.0.0.1:8080", "evil.example:8080", 403}, // a name that somebody points here
		{"127.0.0.1:8080", "localhost.evil.example", 403},
		{"", "127.0.0.1", 403},
	} {
		r := httptest.NewRequest("GET", "/api/v1/piles", nil)
		r.Host = c.host
		if c.local != "" {
			at, err := net.ResolveTCPAddr("tcp", c.local)
			if err != nil {
				t.Fatal(err)
			}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.want || w.Code == 403 && !strings.Contains(w.Body.String(), "pilewatch user add") {
			t.Errorf("to %s as %s: %d %s", c.local, c.host, w.Code, w.Body)
		}
	}
}

func TestOtherSitesCannotMakeABrowserWrite(t *testing.T) {
	base := serve(t, newWorld(t).config())
	a := ask(t, "POST", base+"/api/v1/flags/f-1/verdict", "Sec-Fetch-Site", "cross-site")
	if a.status != 403 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a = ask(t, "POST", base+"/api/v1/flags/f-1/verdict", "Origin", "http://evil.example"); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a = ask(t, "POST", base+"/api/v1/flags/f-1/verdict", "Sec-Fetch-Site", "same-origin"); a.status == 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEveryAnswerHasTheHeadersThatProtectIt(t *testing.T) {
	c, _, _ := withUsers(t)
	for _, base := range []string{serve(t, newWorld(t).config()), serve(t, c)} {
		for _, path := range []string{"/", "/api/v1/piles", "/api/v1/nothing", "/healthz", "/readyz", "/static/page.js"} {
			h := ask(t, "GET", base+path).header
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
				"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if h.Get(name) != want {
					t.Errorf("%s: %s is %q", path, name, h.Get(name))
				}
			}
			if cache := h.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(path, "/static/") {
				t.Errorf("%s may be kept: %q", path, cache)
			}
		}
	}
}

func TestHugeRequestsAreCutOff(t *testing.T) {
	s := NewServer(newWorld(t).config())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	base := "http://" + ln.Addr().String()
	if a := ask(t, "GET", base+"/healthz", "X-Long", strings.Repeat("x", 2*maxHeader)); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(a.status)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("still served")
	}
}

func TestListenerThatFailsIsReported(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewServer(newWorld(t).config()).Serve(t.Context(), ln); err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Error(err)
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	base := serve(t, newWorld(t).config())
	for name, kind := range map[string]string{"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		a := ask(t, "GET", base+"/static/"+name)
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), kind) || a.body == "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
		if again := ask(t, "GET", base+"/static/"+name, "If-None-Match", a.header.Get("ETag")); again.status != 304 {
			t.Errorf("%s again: %d", name, again.status)
		}
	}
}
