package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// event is one event as it came; comments count as one, named "".
type event struct{ id, name, data string }

// follow opens a stream and gives a function that waits for the next event.
func follow(t *testing.T, base string, headers ...string) func() event {
	t.Helper()
	return followWith(t, http.DefaultClient, base, headers...)
}

func followWith(t *testing.T, client *http.Client, base string, headers ...string) func() event {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, ct)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func() (e event) {
		t.Helper()
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if value == "" && lines.Text() == "" {
					return e
				}
				e.data = value
			}
		}
		return event{name: "end", data: fmt.Sprint(lines.Err())}
	}
}

func TestEventsTellWhatHappens(t *testing.T) {
	w := newWorld(t)
	w.live()
	next := follow(t, serve(t, w.config()))
	head := w.ledger.Head()
	if e := next(); e.name != "reset" || e.id != fmt.Sprint(head-1) {
		t.Fatalf("%+v", e)
	}
	w.say(reading("P01", 3, 0, 120_000, 9_000, devices.StateCharging, cards[1]))
	e := next()
	var opened struct {
		Change  string
		Session map[string]any
	}
	if err := json.Unmarshal([]byte(e.data), &opened); err != nil || e.name != "session" || e.id != fmt.Sprint(head+1) || // after the reading itself
		opened.Change != "opened" || opened.Session["session_id"] != "P01-3-20261123T121530Z" || opened.Session["card_last4"] != "B2C4" {
		t.Fatalf("%+v %v", e, err)
	}
	golden(t, "event_session", e.data)
	e = next()
	if e.name != "live" || e.id != fmt.Sprint(head+1) {
		t.Fatalf("%+v", e)
	}
	golden(t, "event_live", e.data)

	f, err := w.ledger.Flag(t.Context(), "f-1")
	if err != nil {
		t.Fatal(err)
	}
	f.ClearedAt = evening
	w.flag(f)
	if e = next(); e.name != "flag" || !strings.HasPrefix(e.data, `{"change":"cleared","flag":{"id":"f-1"`) {
		t.Fatalf("%+v", e)
	}
	golden(t, "event_flag", e.data)
}

func TestClientThatComesBackMissesNothing(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	first := follow(t, base)()
	w.say(reading("P01", 3, 0, 120_000, 9_000, devices.StateCharging, ""))
	w.say(reading("P01", 3, -1, 0, 9_100, devices.StateIdle, ""))
	next := follow(t, base, "Last-Event-ID", first.id)
	for _, change := range []string{"opened", "closed"} {
		if e := next(); e.name != "session" || !strings.HasPrefix(e.data, `{"change":"`+change+`"`) {
			t.Errorf("%s: %+v", change, e)
		}
	}
	for _, strange := range []string{"x", "-5", "99999999", ""} {
		if e := follow(t, base, "Last-Event-ID", strange)(); e.name != "reset" {
			t.Errorf("after %q: %+v", strange, e)
		}
	}
}

// What a pile settles for a closed session comes as a change of the whole session.
func TestSettlementIsToldWithTheWholeSession(t *testing.T) {
	w := newWorld(t)
	start := reading("P01", 4, 60, 100_000, 0, devices.StateCharging, cards[0])
	start.Reading.Order = "A-1"
	w.say(start, reading("P01", 4, 30, 0, 50_000, devices.StateIdle, ""))
	next := follow(t, serve(t, w.config()))
	next()
	w.say(session.Input{Received: evening, Event: &devices.Event{
		Kind: devices.EventSettle, Pile: "P01", Port: 4, Order: "A-1", Reason: "full", Start: start.Reading.Time, End: evening, SettledMWh: 90_000, Time: evening,
	}})
	e := next()
	if e.name != "session" || !strings.Contains(e.data, `"change":"settled"`) || !strings.Contains(e.data, `"energy_mwh":50000`) || !strings.Contains(e.data, `"quality":"disputed"`) {
		t.Errorf("%+v", e)
	}
}

func TestOnlySoManyClientsFollow(t *testing.T) {
	w := newWorld(t)
	s := NewServer(w.config())
	for range maxStreams {
		s.streams <- struct{}{}
	}
	c := newPipes(t, s)
	r, err := c.client.Get("http://127.0.0.1/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") != "15" {
		t.Errorf("%d, again after %s", r.StatusCode, r.Header.Get("Retry-After"))
	}
}

func TestReadingsAreToldAtMostEveryTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := bubble(t)
		p := newPipes(t, s)
		next := followWith(t, p.client, "http://127.0.0.1")
		next()
		begin := time.Now()
		go func() {
			for i := range 100 { // ten a second, for ten seconds
				j.append(sample(uint8(1 + i%2)))
				time.Sleep(100 * time.Millisecond)
			}
		}()
		for i, want := range []time.Duration{0, 2, 4, 6, 8, 10} {
			e := next()
			if at := time.Since(begin); e.name != "live" || at != want*time.Second {
				t.Errorf("event %d after %s: %+v", i, at, e)
			}
			ports := strings.Count(e.data, `"pile":"P01"`)
			if i > 0 && ports != 2 || i == 0 && ports != 1 {
				t.Errorf("event %d tells of %d ports", i, ports)
			}
		}
	})
}

// A stream outlives the deadlines of ordinary requests, and says that it is there.
func TestQuietStreamStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := bubble(t)
		p := newPipes(t, s)
		next := followWith(t, p.client, "http://127.0.0.1")
		next()
		begin := time.Now()
		for i := 1; i <= 80; i++ { // twenty minutes
			if e := next(); e.data != "still here" || time.Since(begin) != time.Duration(i)*keepAlive {
				t.Fatalf("after %s: %+v", time.Since(begin), e)
			}
		}
		j.append(sample(1))
		if e := next(); e.name != "live" {
			t.Fatalf("%+v", e)
		}
	})
}

func TestSlowClientIsDroppedAndNobodyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := bubble(t)
		p := newPipes(t, s)
		conn, err := p.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil { // and then it never reads
			t.Fatal(err)
		}
		other := followWith(t, p.client, "http://127.0.0.1")
		other()
		synctest.Wait()
		if len(s.streams) != 2 {
			t.Fatal(len(s.streams))
		}
		begin := time.Now()
		j.append(sample(1))
		if e := other(); e.name != "live" || time.Since(begin) != 0 {
			t.Errorf("the other waited %s for %+v", time.Since(begin), e)
		}
		time.Sleep(writeWithin + time.Second)
		synctest.Wait()
		if len(s.streams) != 1 {
			t.Errorf("%d streams are open", len(s.streams))
		}
	})
}

func TestClientTooFarBehindStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := bubble(t)
		j.append(make([]ledger.Entry, maxBehind+10)...)
		p := newPipes(t, s)
		e := followWith(t, p.client, "http://127.0.0.1", "Last-Event-ID", "3")()
		if e.name != "reset" || e.id != fmt.Sprint(maxBehind+10) {
			t.Errorf("%+v", e)
		}
	})
}

func TestStoppingEndsStreamsAtOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := bubble(t)
		p := newPipes(t, s)
		next := followWith(t, p.client, "http://127.0.0.1")
		next()
		begin := time.Now()
		ended := make(chan error)
		go func() { ended <- p.end() }()
		if e := next(); e.name != "end" || e.data != "<nil>" { // a proper end, not a broken connection
			t.Errorf("%+v", e)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// damaged has a block that cannot be read.
type damaged struct{ *fakeJournal }

func (d damaged) Next(ctx context.Context, from ledger.Seq, limit int) (ledger.Block, error) {
	if from <= 5 {
		return ledger.Block{}, errors.New("its checksum differs")
	}
	return d.fakeJournal.Next(ctx, from, limit)
}

func TestWhatCannotBeReadIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := bubble(t)
		j.append(make([]ledger.Entry, 5)...)
		s.Ledger = damaged{j}
		p := newPipes(t, s)
		next := followWith(t, p.client, "http://127.0.0.1", "Last-Event-ID", "2")
		if e := next(); e.name != "reset" || e.id != "5" {
			t.Fatalf("%+v", e)
		}
		j.append(sample(2))
		if e := next(); e.name != "live" || e.id != "6" {
			t.Fatalf("%+v", e)
		}
	})
}

func TestHeadOfEventsDoesNotStayOpen(t *testing.T) {
	w := newWorld(t)
	if a := ask(t, "HEAD", serve(t, w.config())+"/api/v1/events"); a.status != 200 || a.body != "" {
		t.Errorf("%+v", a)
	}
}
