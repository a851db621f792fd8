package main

import (
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// ledgerContent gives every row of every table of a ledger, as text.
func ledgerContent(t testing.TB, data string) map[string][]string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rowsOf := func(query string) (out []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			line := ""
			for i, v := range row {
				line += fmt.Sprintf("%s=%q ", columns[i], fmt.Sprint(v))
			}
			out = append(out, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	content := map[string][]string{}
	for _, line := range rowsOf("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
		table := strings.Trim(strings.TrimPrefix(line, "name="), `" `)
		content[table] = rowsOf("SELECT * FROM " + table)
	}
	return content
}

// sameLedger compares what two contents hold. Of what is there only to work with, a
// row a consumer stays: its bytes may differ. rejects is by how many rows that of
// messages which can't be read may grow: a repetition of such a message is one more.
func sameLedger(t testing.TB, after string, was, is map[string][]string, rejects int) {
	t.Helper()
	if a, b := slices.Sorted(maps.Keys(was)), slices.Sorted(maps.Keys(is)); !slices.Equal(a, b) {
		t.Fatalf("tables %v became %v", a, b)
	}
	for table, rows := range was {
		switch now := is[table]; table {
		case "checkpoint", "cursor":
			if len(now) != len(rows) {
				t.Errorf("%s: %d rows of %s became %d", after, len(rows), table, len(now))
			}
		case "reject":
			if len(now) != len(rows)+rejects {
				t.Errorf("%s: %d rejects became %d, expected %d more", after, len(rows), len(now), rejects)
			}
		default:
			if !slices.Equal(rows, now) {
				t.Errorf("%s: %s changed from %d rows to %d:\n%s", after, table, len(rows), len(now), strings.Join(now, "\n"))
			}
		}
	}
}

// settlements are what a pile says of orders that it has settled.
func settlements(ts time.Time, day time.Time, seq int) (reports []portReport) {
	settle := func(pile string, port int, order string, from time.Duration, wh float64) {
		reports = append(reports, portReport{ts, "pilewatch/v1/fuxing/" + pile + "/event", fmt.Sprintf(
			`{"ts":%q,"seq":%d,"port":%d,"event":"settle","order":%q,"start":%q,"end":%q,"energy_wh":%g,"reason":"full"}`, ts.Format(time.RFC3339), seq, port, order,
			day.Add(from).Format(time.RFC3339), day.Add(from+40*time.Minute).Format(time.RFC3339), wh)})
	}
	for i := range 6 {
		settle("P01", 1, fmt.Sprint("A-", i), time.Duration(i)*time.Hour, 100+float64(i%2)*60) // each other one disputed
	}
	for i := range 6 {
		settle("P01", 2, fmt.Sprint("OFFLINE-", i), time.Duration(i)*time.Hour, 80) // never heard of before
	}
	return reports
}

// everyKind is what piles say of every kind, with and without a time of theirs: by
// its time, or by its number, a repetition of each is known.
func everyKind(day time.Time) (reports []portReport) {
	say := func(at time.Time, topic, payload string) {
		reports = append(reports, portReport{at, "pilewatch/v1/fuxing/" + topic, payload})
	}
	for i := range 6 { // orders
		for m := 0; m <= 40; m += 5 {
			state, w := "charging", 150
			if m == 40 {
				state, w = "idle", 0
			}
			at := day.Add(time.Duration(60*i+m) * time.Minute)
			say(at, "P01/telemetry", fmt.Sprintf(`{"ts":%q,"seq":%d,"temp_c":30,"main_wh":%g,"ports":[{"port":1,"state":%q,"w":%d,"wh":%g,"card":"04A1B2C3","order":"A-%d"},{"port":2,"w":0,"state":"idle"}]}`,
				at.Format(time.RFC3339), 100*i+m, 9000+2.6*float64(40*i+m), state, w, 1000+2.5*float64(40*i+m), i))
		}
	}
	ts := func(minutes int) string { return day.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339) }
	say(day, "P02/event", `{"ts":"`+ts(0)+`","port":1,"event":"start","card":"04A1B2C4","wh":500}`)
	for m := 5; m < 60; m += 5 { // readings that carry no state, of a kettle at the end
		say(day.Add(time.Duration(m)*time.Minute), "P02/telemetry", fmt.Sprintf(`{"ts":%q,"ports":[{"port":1,"w":%d,"wh":%g}]}`, ts(m), 120+m/50*1500, 500+2*float64(m)))
	}
	say(day.Add(time.Hour), "P02/event", `{"ts":"`+ts(60)+`","port":1,"event":"stop","reason":"remote","wh":640}`)
	say(day.Add(time.Hour), "P02/event", `{"ts":"`+ts(60)+`","port":2,"event":"alarm","alarm":"smoke"}`)
	say(day.Add(time.Hour), "P02/status", "online")
	for seq := range 20 { // by the clock of receipt
		state, w := "charging", 130
		if seq == 19 {
			state, w = "idle", 0
		}
		say(day.Add(time.Hour), "P03/telemetry", fmt.Sprintf(`{"seq":%d,"ports":[{"port":1,"state":%q,"w":%d,"wh":%d}]}`, seq, state, w, 300+seq))
	}
	say(day.Add(time.Hour), "P03/event", `{"seq":20,"port":1,"event":"card","card":"04A1B2C5"}`)
	say(day.Add(time.Hour), "P03/telemetry", `{"seq":21,"ports":[{"port":1,`)
	say(day.Add(7*time.Hour), "P02/telemetry", `{"ts":"`+ts(420)+`","ports":[{"port":1,"state":"idle","w":0,"wh":640}]}`)
	return append(reports, settlements(day.Add(8*time.Hour), day, 900)...)
}

const twiceConfig = `
registry: {piles: piles.csv, cards: cards.csv}
tariffs:
  - {name: flat, valid_from: 2026-01-01, electricity: [{price: "0.641"}], service: {per_kwh: "0.30"}}`

// TestRedeliveryReplayAndSettlementsRepeatedForHoursDoNotChangeTheLedger compares
// every row of every table.
func TestRedeliveryReplayAndSettlementsRepeatedForHoursDoNotChangeTheLedger(t *testing.T) {
	day := time.Date(2026, 10, 22, 2, 0, 0, 0, time.UTC)
	reports := everyKind(day)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	way := newNetwork(t, mosquitto.Addr)
	dir, addr := t.TempDir(), freeAddr(t)
	data, recording := filepath.Join(dir, "data"), filepath.Join(dir, "day.ndjson")
	write(t, dir, "piles.csv", "pile,building,location,ports,max_port_w\nP01,1,a,10,1000\nP02,1,b,10,1000\nP03,2,c,10,1000\n")
	write(t, dir, "cards.csv", "card,building,room,household,bikes,pack,courier\n04A1B2C3,1,603,1-603,1,48V20Ah,\n04A1B2C4,1,402,1-402,1,48V20Ah,\n")
	direct := write(t, dir, "recorder.yaml", fmt.Sprintf("mqtt: {broker: %q, client_id: recorder}\n", mosquitto.URL))
	cfg := settingsFile(t, dir, "tcp://"+way.addr(), addr, fmt.Sprintf("data_dir: %q", data)+twiceConfig)
	g := start(t, addr, "run", "--config", cfg)
	ended := startRecording(t, direct, recording)
	dropped := func() float64 {
		return metric(t, g, "pilewatch_readings_dropped_total", `reason="duplicate"`)
	}
	quiet := func(messages int) {
		t.Helper()
		await(t, "all messages and what follows from them", func() error {
			n, waits := metric(t, g, "pilewatch_messages_received_total", ""), metric(t, g, "pilewatch_sink_backlog_readings", "")
			if int(n) != messages || waits > 0 {
				return fmt.Errorf("%v of %d messages, %v entries wait", n, messages, waits)
			}
			return nil
		})
	}

	way.deafen() // no acknowledgement arrives
	publishAll(t, mosquitto.URL, reports)
	quiet(len(reports))
	ended(len(reports))
	was := ledgerContent(t, data)
	if len(was["session"]) != 6+6+1+1 || len(was["flag"]) == 0 || len(was["reject"]) != 1 {
		t.Fatalf("%d sessions, %d flags, %d rejects:\n%s", len(was["session"]), len(was["flag"]), len(was["reject"]), strings.Join(was["session"], "\n"))
	}
	way.heal() // all that was not acknowledged comes again, marked DUP
	quiet(2 * len(reports))
	if n := dropped(); n < float64(len(reports)-1) {
		t.Errorf("%v duplicates of %d messages", n, len(reports))
	}
	sameLedger(t, "redelivery", was, ledgerContent(t, data), 1)

	var again []portReport
	for half := range 24 {
		again = append(again, settlements(day.Add(8*time.Hour+time.Duration(half+1)*30*time.Minute), day, 901+half)...)
	}
	again = append(again, settlements(day.Add(8*time.Hour), day, 900)...) // word for word, too
	publishAll(t, mosquitto.URL, again)
	quiet(2*len(reports) + len(again))
	sameLedger(t, "settlements repeated for 12 hours", was, ledgerContent(t, data), 1)
	g.stop()

	must(t, "close-month", "--config", cfg, "2026-10")
	bills := must(t, "export", "statements", "--config", cfg, "--month", "2026-10", "--format", "json")
	sessions := must(t, "export", "sessions", "--config", cfg, "--format", "json")
	was = ledgerContent(t, data)
	if len(was["period_line"]) != 13 || !strings.Contains(bills, "1-603") {
		t.Fatalf("%d lines: %s", len(was["period_line"]), bills)
	}
	repeated := filepath.Join(dir, "settlements.ndjson")
	record(t, repeated, again)
	rejects := 0
	for _, file := range []string{recording, repeated, recording} {
		must(t, "replay", "--config", cfg, file)
		if file == recording {
			rejects++
		}
		sameLedger(t, "a replay of "+filepath.Base(file), was, ledgerContent(t, data), rejects)
	}
	if now := must(t, "export", "statements", "--config", cfg, "--month", "2026-10", "--format", "json"); now != bills {
		t.Errorf("statements:\n%s\nbefore:\n%s", now, bills)
	}
	if now := must(t, "export", "sessions", "--config", cfg, "--format", "json"); now != sessions {
		t.Errorf("sessions:\n%s\nbefore:\n%s", now, sessions)
	}
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
}
