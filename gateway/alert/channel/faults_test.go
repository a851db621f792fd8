package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hook is a webhook to an address.
func hook(t *testing.T, url string, o Options) Sender {
	t.Helper()
	return open(t, "{type: webhook, url: '"+url+"', secret: s3cret-0001}", o)
}

func TestStatusSaysWhenToTryAgain(t *testing.T) {
	for _, c := range []struct {
		status     int
		retryAfter string
		want, says string
	}{
		{200, "", "taken", ""},
		{204, "", "taken", ""},
		{500, "", "again", "HTTP 500 Internal Server Error: out of order"},
		{503, "", "again", "HTTP 503"},
		{503, "17", "after 17s", "HTTP 503"},
		{429, "", "after 1m0s", "HTTP 429"},
		{429, "17", "after 17s", "HTTP 429"},
		{429, "0", "after 1s", "HTTP 429"},
		{429, "100000", "after 1h0m0s", "HTTP 429"},
		{429, evening.Add(41 * time.Second).UTC().Format(http.TimeFormat), "after 40s", "HTTP 429"},
		{429, "soon", "after 1m0s", "HTTP 429"},
		{408, "", "again", "HTTP 408"},
		{400, "", "never", "HTTP 400"},
		{413, "", "never", "HTTP 413"},
		{422, "", "never", "HTTP 422"},
		{401, "", "after 5m0s", "check url and secret"},
		{403, "", "after 5m0s", "check url and secret"},
		{404, "", "after 5m0s", "check url and secret"},
		{410, "", "after 5m0s", "check url and secret"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.WriteHeader(c.status)
			if c.status != 204 {
				_, _ = io.WriteString(w, "out\nof order")
			}
		}))
		_, err := hook(t, server.URL, options()).Send(t.Context(), message(Raised, "en"))
		wants(t, err, c.want, c.says)
		server.Close()
	}
}

func TestSignatureCoversTimeAndBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sum, _ := base64.StdEncoding.DecodeString(hmacSHA256("s3cret-0001", r.Header.Get("X-Pilewatch-Timestamp")+"."+string(body)))
		if r.Header.Get("X-Pilewatch-Signature") != "sha256="+hex.EncodeToString(sum) {
			w.WriteHeader(http.StatusForbidden)
		}
		var flag struct {
			ID, Kind   string
			DeliveryID string `json:"delivery_id"`
			Flags      []struct{ ID string }
		}
		if json.Unmarshal(body, &flag) != nil || flag.ID != burst().ID || flag.Kind != Raised || flag.DeliveryID != "d-0042" || len(flag.Flags) != 1 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	if _, err := hook(t, server.URL, options()).Send(t.Context(), message(Raised, "zh-CN")); err != nil {
		t.Error(err)
	}
}

// A redirect might carry secrets to another host, and make a GET of a POST.
func TestNoRedirectIsFollowed(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, status))
		_, err := hook(t, server.URL, options()).Send(t.Context(), message(Raised, "en"))
		wants(t, err, "after 5m0s", "the address has moved")
		server.Close()
	}
	if asked.Load() != 0 {
		t.Errorf("the other host was asked %d times", asked.Load())
	}
}

func TestUnreachableServerIsNamedByItsFault(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = discard
	open := httptest.NewServer(http.NotFoundHandler())
	defer open.Close()
	trusting := options()
	trusting.RootCAs = x509.NewCertPool()
	trusting.RootCAs.AddCert(secure.Certificate())
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangUp.Close()
	for says, c := range map[string]struct {
		url string
		o   Options
	}{
		"authority that this machine does not know": {secure.URL, options()},
		"certificate is for another name":           {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), trusting},
		"does not speak TLS":                        {strings.Replace(open.URL, "http:", "https:", 1), options()},
		"connection refused":                        {"http://127.0.0.1:1", options()},
		"closed the connection":                     {hangUp.URL, options()},
	} {
		_, err := hook(t, c.url, c.o).Send(t.Context(), message(Raised, "en"))
		wants(t, err, "again", says)
	}
	for says, fault := range map[string]error{
		"name is not known": &net.OpError{Op: "dial", Err: &net.DNSError{Name: "h", Err: "no such host", IsNotFound: true}},
		"has expired":       &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
		"no way to":         &net.OpError{Op: "dial", Err: syscall.ENETUNREACH},
		"the proxy":         &net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED},
		"no answer: odd":    errors.New("odd"),
	} {
		o := options()
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, fault })
		_, err := hook(t, "http://h", o).Send(t.Context(), message(Raised, "en"))
		wants(t, err, "again", says)
	}
}

// waiting answers when the caller gives up.
var waiting = roundTrip(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestSlowAnswerEndsAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hook(t, "http://h", live(waiting))
		start := time.Now()
		_, err := s.Send(t.Context(), message(Raised, "en"))
		wants(t, err, "again", "no answer within 10s")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v of the clock", took)
		}
	})
}

func TestSendEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("the gateway stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if _, err := hook(t, "http://h", live(waiting)).Send(ctx, message(Raised, "en")); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLongTailTakesAnyServiceOfTheLibrary(t *testing.T) {
	var got atomic.Value
	var status atomic.Int32
	status.Store(200)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(string(body))
		if status.Load() == 0 {
			<-release
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	s := open(t, "{type: shoutrrr, url: 'generic+"+server.URL+"/services/token-0001'}", live(nil))
	m := message(Raised, "zh-CN")
	m.Text = strings.Repeat("桩", 4000)
	if answer, err := s.Send(t.Context(), m); err != nil || answer != "taken by generic" {
		t.Fatalf("%q, %v", answer, err)
	}
	text := got.Load().(string)
	if !strings.HasPrefix(text, m.Title+"\n桩") || !strings.HasSuffix(text, "…（余下见页面）\n查看详情："+m.Link) || len(text) > shoutrrrLimit {
		t.Errorf("%d bytes: %.60s ... %s", len(text), text, text[len(text)-200:])
	}
	status.Store(500)
	_, err := s.Send(t.Context(), m)
	wants(t, err, "again", "500 Internal Server Error")

	// A service that hangs gets no second message until it lets go.
	status.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, m); err == nil {
		t.Error("it did not wait")
	}
	_, err = s.Send(t.Context(), m)
	wants(t, err, "again", "still has not answered")
	close(release)

	_, err = New(read(t, "{type: shoutrrr, url: 'nosuch://token-0001@h'}"), live(nil))
	if err == nil || strings.Contains(err.Error(), "token-0001") {
		t.Error(err)
	}
}

func TestTemplateOfOnesOwn(t *testing.T) {
	line := func(kind, text string) string {
		return "{type: " + kind + ", url: 'https://h/hook', template: '" + file(t, "own.tmpl", text) + "'}"
	}
	for says, text := range map[string]string{
		`can't evaluate field Titel`:         `{{.Titel}}`,
		`function "jsn" not defined`:         `{{jsn .Title}}`,
		`unexpected EOF`:                     `{{if .Title}}`,
		`kind digest with 0 flags`:           `{{(index .Flags 0).Rule}}`,
		`can't evaluate field Plie`:          `{{range .Flags}}{{.Plie}}{{end}}`,
		`alerts channel "webhook": template`: `{{.Title.X}}`,
	} {
		if _, err := New(read(t, line("webhook", text)), options()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
	for text, want := range map[string]string{
		`{"text":{{json .Title}}}`:         "application/json; charset=utf-8\n",
		`{{.Title}} {{.Estate}}`:           "text/plain; charset=utf-8\n",
		`{"text":"{{.Title}}"}`:            "text/plain; charset=utf-8\n", // no JSON with a quote in the title: not called so
		`{{with .Flags}}1{{else}}2{{end}}`: "application/json; charset=utf-8\n",
	} {
		r := &recorder{}
		o := options()
		o.Transport = r
		if _, err := open(t, line("webhook", text), o).Send(t.Context(), message(Raised, "en")); err != nil || !strings.Contains(r.String(), "Content-Type: "+want) {
			t.Errorf("%s: %v, %s", text, err, r)
		}
	}
	// A robot's words.
	r := &recorder{answer: `{"errcode":0}`}
	o := options()
	o.Transport = r
	if _, err := open(t, line("wecom", `{{range .Flags}}{{.Pile}}-{{.Port}} {{time .RaisedAt}}{{end}} *`), o).Send(t.Context(), message(Raised, "en")); err != nil ||
		!strings.Contains(r.String(), `**\nP03-2 2026-11-23T20:15:30+08:00 ＊\n[`) {
		t.Error(err, r)
	}
}
