package influx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

func TestPointsGoOutInBatchesCompressedWithTheToken(t *testing.T) {
	w := newWorld(t)
	if err := w.Consume(t.Context(), block(readings(12_345)...)); err != nil {
		t.Fatal(err)
	}
	if want := []int{5000, 5000, 2345}; !slices.Equal(w.sizes, want) {
		t.Errorf("requests of %v lines, want %v", w.sizes, want)
	}
	for i, l := range w.lines {
		if l != lineOf(i) {
			t.Fatalf("line %d is %q, want %q", i, l, lineOf(i))
		}
	}
	r := w.requests[0]
	if got := r.URL.Path + "?" + r.URL.Query().Encode(); got != "/api/v2/write?bucket=pilewatch&org=fuxing&precision=ns" {
		t.Errorf("written to %s", got)
	}
	if got := r.Header.Get("Authorization"); got != "Token s3cret" {
		t.Errorf("authorization %q", got)
	}
	if w.Name() != "influxdb" {
		t.Errorf("name %q", w.Name())
	}
}

func TestEntriesWithoutAPointWriteNothing(t *testing.T) {
	w := newWorld(t)
	s := &session.Session{ID: "p1-1-20251123T120000Z", Pile: "p1", Port: 1, Start: t0}
	err := w.Consume(t.Context(), block(
		ledger.Entry{Kind: ledger.KindTick},
		ledger.Entry{Kind: ledger.KindEvent, Event: &devices.Event{Pile: "p1", Port: 1, Kind: devices.EventStart}},
		ledger.Entry{Kind: ledger.KindStatus, Status: &devices.Status{Pile: "p1", Time: t0, Has: devices.HasSeq}},
		ledger.Entry{Kind: ledger.KindSession, Change: session.Opened, Session: s},
		ledger.Entry{Kind: ledger.KindSession, Change: session.Updated, Session: s},
		ledger.Entry{Kind: ledger.KindSession, Change: session.Reopened, Session: s},
	))
	if err != nil || len(w.requests) != 0 {
		t.Errorf("%d requests, error %v", len(w.requests), err)
	}
}

func TestBuildingIsThatOfTheSettingsInForce(t *testing.T) {
	w := newWorld(t)
	e := readings(3)
	moved := &session.Settings{Piles: map[string]session.Pile{"p1": {Building: "7"}}}
	gone := &session.Settings{}
	all := block(e[0], ledger.Entry{Kind: ledger.KindSettings, Settings: moved}, e[1], ledger.Entry{Kind: ledger.KindSettings, Settings: gone}, e[2])

	w.always(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	for range 3 { // what fails and comes again keeps the building that held at the time
		if err := w.Consume(t.Context(), all); err == nil {
			t.Fatal("503 was no error")
		}
	}
	w.answer = nil
	if err := w.Consume(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	want := []string{
		lineOf(0),
		strings.Replace(lineOf(1), "building=1", "building=7", 1),
		strings.Replace(lineOf(2), "building=1,", "", 1),
	}
	if !slices.Equal(w.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(w.lines, "\n"), strings.Join(want, "\n"))
	}
}

// A gateway that was started with another registry writes what waited as it was.
func TestWhatWaitedHasTheBuildingOfItsTime(t *testing.T) {
	var asked []ledger.Seq
	unread := errors.New("disk I/O error")
	w := newWorld(t, func(o *Options) {
		o.Settings = func(_ context.Context, at ledger.Seq) (session.Settings, error) {
			asked = append(asked, at)
			return session.Settings{Piles: map[string]session.Pile{"p1": {Building: "1"}}}, unread
		}
	})
	e := readings(3)
	b := ledger.Block{First: 7, Entries: []ledger.Entry{e[0], {Kind: ledger.KindSettings, Settings: &session.Settings{}}, e[1]}}
	if err := w.Consume(t.Context(), b); !errors.Is(err, unread) || len(w.lines) != 0 {
		t.Fatalf("settings that can't be read: %v, %d lines", err, len(w.lines))
	}
	unread = nil
	for _, b := range []ledger.Block{b, {First: 10, Entries: e[2:]}} {
		if err := w.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{lineOf(0), strings.Replace(lineOf(1), "building=1,", "", 1), strings.Replace(lineOf(2), "building=1,", "", 1)}; !slices.Equal(w.lines, want) {
		t.Errorf("got %q", w.lines)
	}
	if want := []ledger.Seq{7, 7}; !slices.Equal(asked, want) {
		t.Errorf("asked for the settings at %v, want %v", asked, want)
	}
}

func TestFailedBlockGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	away := false
	w.answer = func(rw http.ResponseWriter, _ *http.Request, _ []string) bool {
		if away = len(w.sizes) == 2 || len(w.sizes) == 3; away {
			rw.WriteHeader(http.StatusBadGateway)
		}
		return away
	}
	b := block(readings(12_000)...)
	var part interface{ Progress() bool }
	if err := w.Consume(t.Context(), b); !errors.As(err, &part) || !part.Progress() {
		t.Fatalf("502 after a request that was taken: %v", err)
	}
	if err := w.Consume(t.Context(), b); err == nil || errors.As(err, &part) {
		t.Fatalf("502 at the first request: %v", err)
	}
	if err := w.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if want := []int{5000, 5000, 5000, 5000, 2000}; !slices.Equal(w.sizes, want) {
		t.Errorf("requests of %v lines, want %v", w.sizes, want)
	}
	if len(w.stored()) != 12_000 || len(w.lines) != 12_000 {
		t.Errorf("%d lines, %d different", len(w.lines), len(w.stored()))
	}
	if err := w.Consume(t.Context(), ledger.Block{First: 12_001, Entries: readings(1)}); err != nil || len(w.lines) != 12_001 {
		t.Errorf("the next block: %v, %d lines", err, len(w.lines))
	}
}

func TestSettledSessionRewritesItsWholePoint(t *testing.T) {
	w := newWorld(t)
	whole := session.Session{
		ID: "p1-1-20251123T120000Z", Pile: "p1", Port: 1, Building: "1", Household: "1-101", Card: "04A1B2C3",
		Start: t0, End: t0.Add(3600 * 1e9), EnergyMWh: 480_000, PeakMW: 120_000, Reason: "lost", SettledMWh: -1,
	}
	if err := w.Consume(t.Context(), block(ledger.Entry{Kind: ledger.KindSession, Change: session.Closed, Session: &whole})); err != nil {
		t.Fatal(err)
	}
	amended := whole
	change := session.Session{ID: whole.ID, Pile: "p1", Port: 1, Start: t0, Reason: "full", SettledMWh: 700_000, Quality: session.Disputed}
	amended.Settle(&change)
	settled := ledger.Block{First: 2, Entries: []ledger.Entry{{Kind: ledger.KindSession, Change: session.Settled, Session: &change}}}

	w.book.broken = errors.New("disk I/O error")
	if err := w.Consume(t.Context(), settled); !errors.Is(err, w.book.broken) {
		t.Fatalf("the ledger failed and Consume said %v", err)
	}
	w.book.broken, w.book.sessions = nil, map[string]session.Session{whole.ID: amended}
	if err := w.Consume(t.Context(), settled); err != nil {
		t.Fatal(err)
	}
	const line = `session,building=1,estate=fuxing,household=1-101,pile=p1,port=1 session_id="p1-1-20251123T120000Z",stop_reason="%s",` +
		`energy_wh=480,duration_s=3600i,peak_w=120,mean_w=480,electricity_fee_fen=0i,service_fee_fen=0i,total_fee_fen=0i,quality="%s" 1763899200000000000`
	if want := []string{fmt.Sprintf(line, "lost", "measured"), fmt.Sprintf(line, "full", "disputed")}; !slices.Equal(w.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(w.lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestSettledSessionThatIsNotThereOrOpenIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.book.sessions = map[string]session.Session{"open": {ID: "open", Open: true}}
	var b ledger.Block
	for i, id := range []string{"gone", "open"} {
		b = ledger.Block{First: ledger.Seq(i + 1), Entries: []ledger.Entry{{Kind: ledger.KindSession, Change: session.Settled, Session: &session.Session{ID: id}}}}
		if err := w.Consume(t.Context(), b); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if len(w.requests) != 0 {
		t.Error("something was written")
	}
}

func TestNameThatLineProtocolCannotHoldIsKeptAndTheOthersGoOn(t *testing.T) {
	w := newWorld(t)
	e := readings(3)
	e[1].Reading.Pile = "two\nlines"
	if err := w.Consume(t.Context(), block(e...)); err != nil {
		t.Fatal(err)
	}
	if want := []string{lineOf(0), lineOf(2)}; !slices.Equal(w.lines, want) {
		t.Errorf("written %q", w.lines)
	}
	if r := w.book.rejects; len(r) != 1 || !strings.Contains(r[0].line, `journal entry 2: reading of pile "two\nlines", port 1`) || w.Refused() != 1 {
		t.Errorf("kept %+v, refused %d", r, w.Refused())
	}
}

func TestNewTokenNeedsNoRestartAndIsNeverTold(t *testing.T) {
	token := "first-one\n"
	var unread error
	w := newWorld(t, func(o *Options) { o.Token = func() (string, error) { return token, unread } })
	w.answer = func(rw http.ResponseWriter, r *http.Request, _ []string) bool {
		ok := r.Header.Get("Authorization") == "Token second-one"
		if !ok {
			influx1(rw, http.StatusUnauthorized, "authorization failed")
		}
		return !ok
	}
	b := block(readings(1)...)
	err := w.Consume(t.Context(), b)
	if err == nil || strings.Contains(err.Error(), "first-one") || strings.Contains(w.log.String(), "first-one") {
		t.Errorf("error %v, log %s", err, w.log)
	}
	unread = errors.New("open /run/secrets/influx: no such file")
	err = w.Consume(t.Context(), b)
	var person interface{ Hint() string }
	if !errors.Is(err, unread) || !errors.As(err, &person) {
		t.Errorf("a token that can't be read: %v", err)
	}
	token, unread = "second-one", nil
	if err := w.Consume(t.Context(), b); err != nil || len(w.lines) != 1 {
		t.Errorf("with the new token: %v", err)
	}
}

func TestPasswordInTheAddressIsNotTold(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.URL = strings.Replace(o.URL, "http://", "http://me:hunter2@", 1) })
	w.always(func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) })
	err := w.Consume(t.Context(), block(readings(1)...))
	w.server.Close()
	away := w.Consume(t.Context(), block(readings(1)...))
	if all := fmt.Sprint(err, away, w.log); err == nil || away == nil || strings.Contains(all, "hunter2") {
		t.Errorf("told: %s", all)
	}
}

func TestMissingAddressOrBucketIsRefusedAtOnce(t *testing.T) {
	for _, o := range []Options{
		{URL: "", Bucket: "b"}, {URL: "127.0.0.1:8086", Bucket: "b"}, {URL: "ftp://h", Bucket: "b"},
		{URL: "http://", Bucket: "b"}, {URL: "http://h:%zz", Bucket: "b"}, {URL: "http://h:8086"},
	} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "influxdb.") {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}

func TestAddressMayHaveAPath(t *testing.T) {
	for _, tail := range []string{"/influx", "/influx/"} {
		w := newWorld(t, func(o *Options) { o.URL += tail })
		if err := w.Consume(t.Context(), block(readings(1)...)); err != nil {
			t.Fatal(err)
		}
		if got := w.requests[0].URL.Path; got != "/influx/api/v2/write" {
			t.Errorf("written to %s", got)
		}
	}
}

func TestNoGoroutineStaysBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	b := block(readings(5000)...)
	w.always(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	_ = w.Consume(t.Context(), b)
	w.server.Close() // connections are refused from now on
	for range 5 {
		if err := w.Consume(t.Context(), b); err == nil {
			t.Fatal("nobody listens and there was no error")
		}
	}
	w.Consumer.Close()
}

func TestMemoryIsUsedAgain(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		if err := w.Consume(t.Context(), ledger.Block{First: ledger.Seq(i*20_000 + 1), Entries: readings(20_000)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(w.batch.ends); n != maxLines {
		t.Errorf("room for %d lines, want %d", n, maxLines)
	}
	if n := cap(w.batch.enc.lines); n > 2*maxBytes {
		t.Errorf("a buffer of %d bytes", n)
	}
}

func TestOptionsAreNotChanged(t *testing.T) {
	pile := map[string]session.Pile{"p1": {Building: "1"}}
	w := newWorld(t, func(o *Options) { o.Settings = settings(pile) })
	_ = w.Consume(t.Context(), block(ledger.Entry{Kind: ledger.KindSettings, Settings: &session.Settings{}}))
	if !reflect.DeepEqual(pile, map[string]session.Pile{"p1": {Building: "1"}}) {
		t.Error("the settings passed in were changed")
	}
}
