package influx

import (
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBadLinesAreKeptAndAllOthersArrive(t *testing.T) {
	const mark, n = "pile=bad", 2000
	for name, refuse := range map[string]func(*server){
		"1.8 stores the good lines": func(s *server) {
			s.refusing1(mark, `field type conflict: input field "power_w" on measurement "port_power" is type float, already exists as type string`)
		},
		"2.x refuses the whole batch": func(s *server) { s.refusing2(mark) },
	} {
		for _, bad := range [][]int{{0}, {n - 1}, {1000}, {7, 8, 9, 1600}, {}} {
			t.Run(fmt.Sprint(name, bad), func(t *testing.T) {
				w := newWorld(t)
				refuse(w.server)
				e := readings(n)
				for _, i := range bad {
					e[i].Reading.Pile = "bad"
				}
				if err := w.Consume(t.Context(), block(e...)); err != nil {
					t.Fatal(err)
				}
				if got, want := len(w.stored()), n-len(bad); got != want {
					t.Errorf("%d different lines arrived, want %d", got, want)
				}
				var kept []string
				for _, r := range w.book.rejects {
					kept = append(kept, r.line)
					if r.sink != "influxdb" || !strings.Contains(r.reason, "field type conflict") && !strings.Contains(r.reason, "unable to parse") {
						t.Errorf("kept for %q: %q", r.sink, r.reason)
					}
				}
				var want []string
				for _, i := range bad {
					want = append(want, fmt.Sprintf("port_power,estate=fuxing,pile=bad,port=1 power_w=%d %d", i, (int64(t0)+int64(i)*1000)*1_000_000))
				}
				if !slices.Equal(kept, want) {
					t.Errorf("kept\n%s\nwant\n%s", strings.Join(kept, "\n"), strings.Join(want, "\n"))
				}
				if w.Refused() != uint64(len(bad)) {
					t.Errorf("counted %d, want %d", w.Refused(), len(bad))
				}
				if most := 1 + 2*len(bad)*bits.Len(n); len(w.sizes) > most {
					t.Errorf("%d requests, want %d at most", len(w.sizes), most)
				}
			})
		}
	}
}

func TestBatchInWhichAllIsBadIsOneRequest(t *testing.T) {
	w := newWorld(t)
	w.refusing1("pile=p1", "field type conflict")
	if err := w.Consume(t.Context(), block(readings(300)...)); err != nil {
		t.Fatal(err)
	}
	if len(w.sizes) != 1 || len(w.book.rejects) != 300 || w.Refused() != 300 || w.book.saves != 1 {
		t.Errorf("%d requests, %d kept in %d goes, %d counted", len(w.sizes), len(w.book.rejects), w.book.saves, w.Refused())
	}
}

func TestOutageInTheMiddleOfTheSearchKeepsEachBadLineOnce(t *testing.T) {
	w := newWorld(t)
	e := readings(1000)
	bad := []int{3, 400, 401, 998}
	for _, i := range bad {
		e[i].Reading.Pile = "bad"
	}
	w.refusing2("pile=bad")
	refuse, n := w.answer, 0
	w.answer = func(rw http.ResponseWriter, r *http.Request, lines []string) bool {
		if n++; n%4 == 0 {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return refuse(rw, r, lines)
	}
	attempts := 1
	for ; w.Consume(t.Context(), block(e...)) != nil; attempts++ {
		if attempts > 100 {
			t.Fatal("it gets nowhere")
		}
	}
	if len(w.book.rejects) != len(bad) || len(w.stored()) != 1000-len(bad) {
		t.Errorf("%d kept, %d arrived", len(w.book.rejects), len(w.stored()))
	}
	if attempts < 3 {
		t.Errorf("only %d attempts: the outages were not met", attempts)
	}
}

func TestLineThatTheLedgerCannotKeepYetIsNotPassedOver(t *testing.T) {
	w := newWorld(t)
	w.refusing1("power_w=2 ", "field type conflict")
	w.book.broken = errors.New("disk full")
	b := block(readings(4)...)
	if err := w.Consume(t.Context(), b); !errors.Is(err, w.book.broken) {
		t.Fatalf("error %v", err)
	}
	w.book.broken = nil
	if err := w.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if len(w.book.rejects) != 1 || len(w.stored()) != 3 {
		t.Errorf("%d kept, %d arrived", len(w.book.rejects), len(w.stored()))
	}
}

func TestPointsOlderThanTheBucketKeepsAreNoBadLines(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"1.8": func(w http.ResponseWriter) {
			influx1(w, 400, "partial write: points beyond retention policy dropped=5000")
		},
		"2.0": func(w http.ResponseWriter) {
			influx2(w, 500, "internal error", "unexpected error writing points to database: partial write: points beyond retention policy dropped=24")
		},
		"2.7": func(w http.ResponseWriter) {
			influx2(w, 422, "unprocessable entity", "failure writing points to database: partial write: dropped 3 points outside retention policy of duration 24h0m0s")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.always(answer)
			if err := w.Consume(t.Context(), block(readings(20_000)...)); err != nil {
				t.Fatal(err)
			}
			if len(w.sizes) != 4 || len(w.book.rejects) != 0 || w.Refused() != 0 {
				t.Errorf("%d requests, %d kept, %d counted", len(w.sizes), len(w.book.rejects), w.Refused())
			}
			if n := strings.Count(w.log.String(), "older than its bucket keeps"); n != 1 {
				t.Errorf("%d lines in the log, want one a minute", n)
			}
		})
	}
}

func TestRequestThatIsTooLargeIsHalved(t *testing.T) {
	w := newWorld(t)
	w.answer = func(rw http.ResponseWriter, _ *http.Request, lines []string) bool {
		if len(lines) > 1500 {
			http.Error(rw, "<html>413 Request Entity Too Large</html>", http.StatusRequestEntityTooLarge)
		}
		return len(lines) > 1500
	}
	if err := w.Consume(t.Context(), block(readings(5000)...)); err != nil {
		t.Fatal(err)
	}
	if len(w.lines) != 5000 || len(w.book.rejects) != 0 {
		t.Errorf("%d lines, %d kept", len(w.lines), len(w.book.rejects))
	}
}

// What a status means: it passes, with or without a wait that the server asks
// for, or a person has to act; in no case is a line given up.
func TestOutageHoldsTheBlock(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		after  time.Duration // 0: none asked for
		hint   string        // "": it passes by itself
	}{
		{"429", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "17")
			influx2(w, 429, "too many requests", "org has exceeded limited_write plan limit")
		}, 17 * time.Second, ""},
		{"503 with a date", func(w http.ResponseWriter) { w.Header().Set("Retry-After", soon); w.WriteHeader(503) }, time.Hour, ""},
		{"503", func(w http.ResponseWriter) { w.WriteHeader(503) }, 0, ""},
		{"500", func(w http.ResponseWriter) { influx1(w, 500, "timeout") }, 0, ""},
		{"500 engine", func(w http.ResponseWriter) { influx1(w, 500, "engine: cache-max-memory-size exceeded: (1/1)") }, 0, ""},
		{"502", func(w http.ResponseWriter) { http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway) }, 0, ""},
		{"408", func(w http.ResponseWriter) { w.WriteHeader(408) }, 0, ""},
		{"401 of 1.8", func(w http.ResponseWriter) { influx1(w, 401, "authorization failed") }, time.Minute, "influxdb.token"},
		{"401 of 2", func(w http.ResponseWriter) { influx2(w, 401, "unauthorized", "unauthorized access") }, time.Minute, "influxdb.token"},
		{"403", func(w http.ResponseWriter) { influx2(w, 403, "forbidden", "insufficient permissions for write") }, time.Minute, `bucket "pilewatch"`},
		{"404 of 1.8", func(w http.ResponseWriter) { influx1(w, 404, `database not found: "pilewatch"`) }, time.Minute, `create bucket "pilewatch" in organisation "fuxing"`},
		{"404 of 2", func(w http.ResponseWriter) { influx2(w, 404, "not found", `bucket "pilewatch" not found`) }, time.Minute, "create bucket"},
		{"500 for a retention policy", func(w http.ResponseWriter) { influx1(w, 500, "retention policy not found: weekly") }, time.Minute, "retention policy"},
		{"301", func(w http.ResponseWriter) { w.Header().Set("Location", "https://h/api/v2/write"); w.WriteHeader(301) }, time.Minute, "leads on to https://h/"},
		{"a web page", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprint(w, "<html>log in")
		}, time.Minute, "influxdb.url"},
		{"400 of a TLS port", func(w http.ResponseWriter) {
			w.Header()["Content-Type"] = nil
			w.WriteHeader(400)
			_, _ = fmt.Fprint(w, "Client sent an HTTP request to an HTTPS server.\n")
		}, time.Minute, "https://"},
		{"400 of nginx", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(400)
			_, _ = fmt.Fprint(w, "<html>400 The plain HTTP request was sent to HTTPS port</html>")
		}, time.Minute, "https://"},
		{"400 about the request", func(w http.ResponseWriter) { influx1(w, 400, "database is required") }, time.Minute, "influxdb.bucket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.always(c.answer)
			b := block(readings(10)...)
			err := w.Consume(t.Context(), b)
			if err == nil {
				t.Fatal("no error")
			}
			var asks interface{ RetryAfter() time.Duration }
			if !errors.As(err, &asks) || asks.RetryAfter() > c.after || asks.RetryAfter() < c.after-time.Minute/2 {
				t.Errorf("asks for %v, want %v", asks, c.after)
			}
			var person interface{ Hint() string }
			if isSetup := errors.As(err, &person); isSetup != (c.hint != "") || isSetup && !strings.Contains(person.Hint(), c.hint) {
				t.Errorf("%v: hint %v, want %q", err, person, c.hint)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			if len(w.book.rejects) != 0 || w.Refused() != 0 {
				t.Errorf("given up: %v", w.book.rejects)
			}
			w.answer = nil
			if err := w.Consume(t.Context(), b); err != nil || len(w.lines) != 10 {
				t.Errorf("afterwards: %v, %d lines", err, len(w.lines))
			}
		})
	}
}

func TestUnknownRefusalOfALineIsThatOfTheLine(t *testing.T) {
	w := newWorld(t)
	w.answer = func(rw http.ResponseWriter, _ *http.Request, lines []string) bool {
		bad := slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "power_w=5 ") })
		if bad {
			influx2(rw, 400, "invalid", "the moon is full")
		}
		return bad
	}
	if err := w.Consume(t.Context(), block(readings(10)...)); err != nil {
		t.Fatal(err)
	}
	if r := w.book.rejects; len(r) != 1 || r[0] != (reject{"influxdb", lineOf(5), "the moon is full"}) {
		t.Errorf("kept %v", r)
	}
}

func TestSilentServerIsATimeout(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = unpack(r)
		<-r.Context().Done()
	}))
	defer slow.Close()
	c, err := New(Options{URL: slow.URL, Bucket: "b", Timeout: 50 * time.Millisecond, Rejects: w.book, Sessions: w.book})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Consume(t.Context(), block(readings(1)...)); err == nil || len(w.book.rejects) != 0 {
		t.Errorf("error %v, kept %v", err, w.book.rejects)
	}
}

// A server that is so slow that a full request takes longer than one may gets
// less at once, and everything in the end.
func TestInfluxThatIsTooSlowForAFullRequestGetsSmallerOnes(t *testing.T) {
	const timeout, most = time.Second, 1000 // lines that it stores in that time
	for name, slow := range map[string]func(http.ResponseWriter, *http.Request){
		"no answer in time":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a proxy's timeout":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"a server's timeout": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *Options) { o.Timeout = timeout })
			failed := 0
			w.answer = func(rw http.ResponseWriter, r *http.Request, lines []string) bool {
				if len(lines) <= most {
					time.Sleep(timeout / 3) // what it takes
					return false
				}
				failed++
				slow(rw, r)
				return true
			}
			b := block(readings(2500)...)
			for n := 0; w.Consume(t.Context(), b) != nil; n++ {
				if n > 20 {
					t.Fatalf("it gets nowhere: requests of %v lines", w.sizes)
				}
			}
			if len(w.stored()) != 2500 || len(w.book.rejects) != 0 {
				t.Errorf("%d lines arrived, %d are given up", len(w.stored()), len(w.book.rejects))
			}
			if failed != 2 { // 2,500 and 1,250; it does not try them again
				t.Errorf("requests of %v lines: %d took too long, want 2", w.sizes, failed)
			}
		})
	}
}

func TestAnswerWithoutAnEndIsCutShort(t *testing.T) {
	w := newWorld(t)
	w.always(func(rw http.ResponseWriter) {
		rw.WriteHeader(http.StatusServiceUnavailable)
		for range 64 {
			if _, err := rw.Write(make([]byte, 1<<20)); err != nil {
				return // as it should
			}
		}
		t.Error("64 MB of an error page were read")
	})
	if err := w.Consume(t.Context(), block(readings(1)...)); err == nil || len(err.Error()) > 2000 {
		t.Errorf("error %.100v", err)
	}
}

func TestALongReasonIsKeptShort(t *testing.T) {
	w := newWorld(t)
	w.always(func(rw http.ResponseWriter) {
		influx2(rw, 422, "unprocessable entity", "field type conflict: "+strings.Repeat("and so on ", 5000)+" dropped=10")
	})
	if err := w.Consume(t.Context(), block(readings(10)...)); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.book.rejects {
		if len(r.reason) > 1100 {
			t.Fatalf("a reason of %d bytes is kept with each of %d lines", len(r.reason), len(w.book.rejects))
		}
	}
}

func TestLogHasAFewBadLinesAMinute(t *testing.T) {
	q := quiet{most: 3}
	now := time.Unix(1_700_000_000, 0)
	said, silent := 0, 0
	for range 3600 { // one a second
		if n, ok := q.say(now); ok {
			said, silent = said+1, silent+n
		}
		now = now.Add(time.Second)
	}
	if said != 180 || said+silent+q.silent != 3600 {
		t.Errorf("said %d, silent %d and %d", said, silent, q.silent)
	}

	w := newWorld(t)
	w.refusing1("p1", "field type conflict")
	if err := w.Consume(t.Context(), block(readings(100)...)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.log.String(), "port_power,building=1"); n != 3 {
		t.Errorf("%d lines in the log, want 3", n)
	}
}

func TestCheckTriesTheWayWithoutAPoint(t *testing.T) {
	w := newWorld(t)
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if len(w.lines) != 1 || !strings.HasPrefix(w.lines[0], "#") {
		t.Errorf("sent %q", w.lines)
	}
	w.always(func(w http.ResponseWriter) { influx1(w, 404, `database not found: "pilewatch"`) })
	if err := w.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "create bucket") {
		t.Errorf("error %v: it does not say what to do", err)
	}
	w.server.Close()
	if err := w.Check(t.Context()); err == nil {
		t.Error("nobody listens and Check is content")
	}
}
