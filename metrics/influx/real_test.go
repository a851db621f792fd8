package influx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
	"pilewatch/gateway/session"
)

// realConsumer writes to a real InfluxDB.
func realConsumer(t *testing.T, url, bucket, token string) (*Consumer, *book, *bytes.Buffer) {
	t.Helper()
	b, log := &book{}, &bytes.Buffer{}
	c, err := New(Options{
		URL: url, Org: "passed over", Bucket: bucket, Estate: "fuxing", Token: func() (string, error) { return token, nil },
		Settings: settings(map[string]session.Pile{"p1": {Building: "3"}}),
		Sessions: b, Rejects: b, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, b, log
}

func TestRealInfluxHasEveryPointOfTheContract(t *testing.T) {
	s := realserver.Influx(t)
	s.CreateDatabase("pilewatch")
	c, b, _ := realConsumer(t, s.URL, "pilewatch", "")
	all := block(everything()...)
	for range 2 { // every point is safe to write twice
		c.next = 0
		if err := c.Consume(t.Context(), all); err != nil || len(b.rejects) != 0 {
			t.Fatalf("error %v, refused %v", err, b.rejects)
		}
	}
	want := map[string]string{
		"SELECT * FROM port_power WHERE port='2'": `[{"building":"3","current_a":0.712,"energy_wh":1284531.25,"estate":"fuxing","pile":"p1","port":"2",` +
			`"power_factor":0.97,"power_w":152.4,"state":"charging","temperature_c":34.5,"time":1763899200500000000,"voltage_v":221.3}]`,
		"SELECT * FROM session WHERE household='3-502'": `[{"building":"3","duration_s":7261,"electricity_fee_fen":82,"energy_wh":1284.531,"estate":"fuxing","household":"3-502",` +
			`"mean_w":636.825,"peak_w":152.4,"pile":"p1","port":"2","quality":"estimated+late","service_fee_fen":39,"session_id":"p1-2-20251123T120000Z",` +
			`"stop_reason":"full","time":1763899200000000000,"total_fee_fen":121}]`,
		"SELECT raised, severity, message FROM flag WHERE rule='over_power' AND raised=0": `[{"message":"功率 650 W，疑似\"大功率电器\"\\","raised":0,"severity":"warning","time":1763899230000000000},` +
			`{"message":"功率 650 W，疑似\"大功率电器\"\\","raised":0,"severity":"critical","time":1763899260001000000}]`,
		"SELECT * FROM pile_status WHERE rssi<0":               `[{"building":"3","estate":"fuxing","main_energy_wh":5230010,"online":null,"pile":"p1","rssi":-71,"temperature_c":31,"time":1763899200003000000}]`,
		"SELECT online FROM pile_status":                       `[{"online":true,"time":1763899200001000000},{"online":false,"time":1763899200002000000}]`,
		"SELECT count(power_w) FROM port_power":                `[{"count":5,"time":0}]`,
		"SELECT power_w FROM port_power WHERE pile='a, b=c 桩'": `[{"power_w":0.001,"time":1763899200000000000}]`,
		"SELECT count(raised) FROM flag":                       `[{"count":5,"time":0}]`,
		"SELECT count(energy_wh) FROM session":                 `[{"count":2,"time":0}]`,
	}
	for query, rows := range want {
		if got := jsonOf(t, s.Query("pilewatch", query)); got != rows {
			t.Errorf("%s\ngot  %s\nwant %s", query, got, rows)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// An hour's look raises flags of several bikes of a building at one time.
func TestRealInfluxKeepsFlagsOfOneTimeApart(t *testing.T) {
	s := realserver.Influx(t)
	s.CreateDatabase("pilewatch")
	c, _, _ := realConsumer(t, s.URL, "pilewatch", "")
	var e []ledger.Entry
	const bikes = 40
	for i := range bikes {
		e = append(e, ledger.Entry{Kind: ledger.KindFlag, Flag: &ledger.Flag{
			ID: fmt.Sprintf("zombie_bike-%d", i), Rule: "zombie_bike", Severity: ledger.Info, Building: "3", RaisedAt: t0, Message: "3号楼",
		}})
	}
	for range 2 { // twice is once
		c.next = 0
		if err := c.Consume(t.Context(), block(e...)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := jsonOf(t, s.Query("pilewatch", "SELECT count(raised) FROM flag")), fmt.Sprintf(`[{"count":%d,"time":0}]`, bikes); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

// A field that somebody wrote with another type before: its lines are refused,
// found among the others, and kept with InfluxDB's reason.
func TestRealInfluxRefusesATypeConflictAndNothingElse(t *testing.T) {
	s := realserver.Influx(t)
	s.CreateDatabase("pilewatch")
	c, b, log := realConsumer(t, s.URL, "pilewatch", "")
	if bad, err := c.post(t.Context(), fmt.Appendf(nil, "port_power,pile=other state=1i %d\n", int64(t0)*1_000_000)); bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	const n = 5000
	conflict := map[int]bool{0: true, 1: true, 2499: true, 4321: true, n - 1: true}
	e := readings(n)
	for i := range conflict {
		e[i].Reading.State = devices.StateCharging
	}
	if err := c.Consume(t.Context(), block(e...)); err != nil {
		t.Fatal(err)
	}
	if got, want := jsonOf(t, s.Query("pilewatch", "SELECT count(power_w) FROM port_power")), fmt.Sprintf(`[{"count":%d,"time":0}]`, n-len(conflict)); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if len(b.rejects) != len(conflict) || c.Refused() != uint64(len(conflict)) {
		t.Errorf("%d kept, %d counted, want %d", len(b.rejects), c.Refused(), len(conflict))
	}
	for _, r := range b.rejects {
		if !strings.Contains(r.line, `state="charging"`) || !strings.Contains(r.reason, "field type conflict") {
			t.Errorf("kept %+v", r)
		}
	}
	if !strings.Contains(log.String(), "field type conflict") {
		t.Error("the log does not have the reason")
	}
}

func TestRealInfluxThatGoesAndComesBackMissesNothing(t *testing.T) {
	s := realserver.Influx(t)
	s.CreateDatabase("pilewatch")
	c, b, _ := realConsumer(t, s.URL, "pilewatch", "")
	e := readings(12_000)
	for i, stopped := 0, false; i < len(e); i += 4000 {
		part := ledger.Block{First: ledger.Seq(i + 1), Entries: e[i : i+4000]}
		if i == 4000 {
			s.Stop()
			stopped = true
		}
		err := c.Consume(t.Context(), part)
		if (err != nil) != stopped {
			t.Fatalf("stopped %v, error %v", stopped, err)
		}
		if stopped {
			s.Start()
			stopped = false
			if err := c.Consume(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := jsonOf(t, s.Query("pilewatch", "SELECT count(power_w), sum(power_w) FROM port_power")), `[{"count":12000,"sum":71994000,"time":0}]`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if len(b.rejects) != 0 {
		t.Errorf("kept %v", b.rejects)
	}
}

func TestRealInfluxSaysWhatIsSetUpWrongly(t *testing.T) {
	s := realserver.InfluxWithPassword(t, "gateway", "secret")
	s.CreateDatabase("pilewatch")
	for _, c := range []struct{ bucket, token, hint string }{
		{"pilewatch", "gateway:secret", ""},
		{"pilewatch/autogen", "gateway:secret", ""},
		{"pilewatch", "gateway:wrong", "influxdb.token"},
		{"pilewatch", "", "influxdb.token"},
		{"nowhere", "gateway:secret", `create bucket "nowhere"`},
		{"pilewatch/nowhere", "gateway:secret", "retention policy"},
	} {
		con, b, _ := realConsumer(t, s.URL, c.bucket, c.token)
		for name, err := range map[string]error{"Consume": con.Consume(t.Context(), block(readings(3)...)), "Check": con.Check(t.Context())} {
			var person interface{ Hint() string }
			if (err == nil) != (c.hint == "") || err != nil && (!errors.As(err, &person) || !strings.Contains(person.Hint(), c.hint)) {
				t.Errorf("%s to %s with %q: error %v, want a hint with %q", name, c.bucket, c.token, err, c.hint)
			}
		}
		if len(b.rejects) != 0 {
			t.Errorf("bucket %s: given up %v", c.bucket, b.rejects)
		}
	}
}

func TestRealInfluxDropsWhatItsRetentionDoesNotCover(t *testing.T) {
	s := realserver.Influx(t)
	s.Query("", `CREATE DATABASE "short" WITH DURATION 24h`)
	c, b, log := realConsumer(t, s.URL, "short", "")
	e := readings(100) // of 2025
	for i := 50; i < 100; i++ {
		e[i].Reading.Time = devices.MillisOf(time.Now()) + devices.Millis(i)
	}
	if err := c.Consume(t.Context(), block(e...)); err != nil {
		t.Fatal(err)
	}
	if got, want := jsonOf(t, s.Query("short", "SELECT count(power_w) FROM port_power")), `[{"count":50,"time":0}]`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if len(b.rejects) != 0 || !strings.Contains(log.String(), "older than its bucket keeps") {
		t.Errorf("kept %d, log %s", len(b.rejects), log)
	}
}

func BenchmarkRealInflux(b *testing.B) {
	s := realserver.Influx(b)
	s.CreateDatabase("pilewatch")
	book := &book{}
	c, err := New(Options{URL: s.URL, Bucket: "pilewatch", Estate: "fuxing", Sessions: book, Rejects: book})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	benchmark(b, c)
}
