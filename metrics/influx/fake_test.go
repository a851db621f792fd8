package influx

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// server is an InfluxDB that keeps lines; answer, where it is set, goes first and
// reports whether it answered.
type server struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, lines []string) bool

	mu       sync.Mutex
	lines    []string
	requests []*http.Request
	sizes    []int // lines in each request
}

func newServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lines, err := unpack(r)
	if err != nil {
		influx2(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.sizes = append(s.requests, r), append(s.sizes, len(lines))
	if s.answer != nil && s.answer(w, r, lines) {
		return
	}
	s.lines = append(s.lines, lines...)
	w.WriteHeader(http.StatusNoContent)
}

func unpack(r *http.Request) ([]string, error) {
	if got := r.Header.Get("Content-Encoding"); got != "gzip" {
		return nil, fmt.Errorf("encoding %q", got)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// influx1 answers as InfluxDB 1.8 does.
func influx1(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Influxdb-Build", "OSS")
	w.Header().Set("X-Influxdb-Version", "1.8.10")
	if status != http.StatusUnauthorized {
		w.Header().Set("X-Influxdb-Error", why[:min(len(why), 1024)])
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
}

// influx2 answers as InfluxDB 2 does.
func influx2(w http.ResponseWriter, status int, code, why string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Influxdb-Build", "OSS")
	w.Header().Set("X-Influxdb-Version", "v2.7.11")
	w.Header().Set("X-Platform-Error-Code", code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": why, "op": "points/write", "err": "as text"})
}

// refusing1 stores the good lines and drops those with a mark, as 1.8 does.
func (s *server) refusing1(mark, why string) {
	s.answer = func(w http.ResponseWriter, _ *http.Request, lines []string) bool {
		bad := 0
		for _, l := range lines {
			if strings.Contains(l, mark) {
				bad++
			} else {
				s.lines = append(s.lines, l)
			}
		}
		if bad == 0 {
			w.WriteHeader(http.StatusNoContent)
		} else {
			influx1(w, http.StatusBadRequest, fmt.Sprintf("partial write: %s dropped=%d", why, bad))
		}
		return true
	}
}

// refusing2 refuses a request with a marked line as a whole, as 2.x does where
// it can't read one.
func (s *server) refusing2(mark string) {
	s.answer = func(w http.ResponseWriter, _ *http.Request, lines []string) bool {
		for _, l := range lines {
			if strings.Contains(l, mark) {
				influx2(w, http.StatusBadRequest, "invalid", fmt.Sprintf("unable to parse '%s': invalid number", l))
				return true
			}
		}
		return false
	}
}

// always gives every request the same answer.
func (s *server) always(f func(w http.ResponseWriter)) {
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ []string) bool { f(w); return true }
}

// stored gives the lines, and how often each was written.
func (s *server) stored() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, l := range s.lines {
		n[l]++
	}
	return n
}

// reject is a line that was kept.
type reject struct{ sink, line, reason string }

// book is the ledger as the consumer sees it.
type book struct {
	sessions map[string]session.Session
	rejects  []reject
	saves    int // how often some were kept
	broken   error
}

func (b *book) Session(_ context.Context, id string) (session.Session, error) {
	s, ok := b.sessions[id]
	switch {
	case b.broken != nil:
		return s, b.broken
	case !ok:
		return s, fmt.Errorf("session %s: %w", id, ledger.ErrNotFound)
	}
	return s, nil
}

func (b *book) SaveSinkRejects(_ context.Context, sink, reason string, lines []string) error {
	if b.broken != nil {
		return b.broken
	}
	for _, line := range lines {
		b.rejects = append(b.rejects, reject{sink, line, reason})
	}
	b.saves++
	return nil
}

func settings(piles map[string]session.Pile) func(context.Context, ledger.Seq) (session.Settings, error) {
	return func(context.Context, ledger.Seq) (session.Settings, error) {
		return session.Settings{Piles: piles}, nil
	}
}

// world is a consumer with all that is around it.
type world struct {
	*Consumer
	*server
	book *book
	log  *bytes.Buffer
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{server: newServer(t), book: &book{}, log: &bytes.Buffer{}}
	o := Options{
		URL: w.URL, Org: "fuxing", Bucket: "pilewatch", Estate: "fuxing",
		Token:    func() (string, error) { return "s3cret", nil },
		Settings: settings(map[string]session.Pile{"p1": {Building: "1"}}),
		Sessions: w.book, Rejects: w.book,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if w.Consumer, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Consumer.Close)
	return w
}

const t0 devices.Millis = 1_763_899_200_000 // 2025-11-23T12:00:00Z

// readings are n entries of port 1 of p1, a second apart; the power of the i-th is i W.
func readings(n int) []ledger.Entry {
	e := make([]ledger.Entry, n)
	for i := range e {
		e[i] = ledger.Entry{Kind: ledger.KindReading, Received: t0, Reading: devices.Reading{
			Pile: "p1", Port: 1, Time: t0 + devices.Millis(i*1000), PowerMW: int64(i) * 1000,
		}}
	}
	return e
}

// lineOf is what the i-th of them is to become.
func lineOf(i int) string {
	return fmt.Sprintf("port_power,building=1,estate=fuxing,pile=p1,port=1 power_w=%d %d", i, (int64(t0)+int64(i)*1000)*1_000_000)
}

func block(entries ...ledger.Entry) ledger.Block { return ledger.Block{First: 1, Entries: entries} }
