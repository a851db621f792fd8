package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// monthOfCharges gives messages of a port: an hour's charge at noon of each day of October and November 2026; and of
// a kettle on the next one.
func monthOfCharges() (reports []portReport) {
	wh := 1000.0
	for day := time.Date(2026, 10, 1, 4, 0, 0, 0, time.UTC); day.Month() < 12; day = day.AddDate(0, 0, 1) {
		for m := 0; m <= 60; m += 10 {
			state, w := "charging", 150.0
			if m == 60 {
				state, w = "idle", 0
			}
			at := day.Add(time.Duration(m) * time.Minute)
			reports = append(reports, portReport{at, "pilewatch/v1/fuxing/P01/telemetry", fmt.Sprintf(
				`{"ts":%q,"main_wh":%.1f,"ports":[{"port":1,"state":%q,"w":%g,"wh":%.1f,"card":"04A1B2C3"}]}`, at.Format(time.RFC3339), wh*1.02, state, w, wh)})
			if m < 60 {
				wh += 25
			}
		}
		if day.Day() == 5 && day.Month() == 10 {
			reports = append(reports, kettle(day.Add(2*time.Hour))...)
		}
	}
	return reports
}

// kettle is what raises a flag: an unregistered card, 1.6 kW for six minutes.
func kettle(at time.Time) (reports []portReport) {
	for m := range 8 {
		state, w := "charging", 1600
		if m > 6 {
			state, w = "idle", 0
		}
		at := at.Add(time.Duration(m) * time.Minute)
		reports = append(reports, portReport{at, "pilewatch/v1/fuxing/P01/telemetry", fmt.Sprintf(
			`{"ts":%q,"ports":[{"port":2,"state":%q,"w":%d,"card":"DEADBEEF77"}]}`, at.Format(time.RFC3339), state, w)})
	}
	return reports
}

func record(t testing.TB, file string, reports []portReport) {
	t.Helper()
	var out bytes.Buffer
	for _, r := range reports {
		line, err := json.Marshal(map[string]string{"topic": r.topic, "received": r.at.Format(time.RFC3339), "payload": r.payload})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAMonthIsClosedAndExportedBesideARunningGateway does what a manager does at
// the end of a month, by command and by page.
func TestAMonthIsClosedAndExportedBesideARunningGateway(t *testing.T) {
	dir := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", realserver.Port(t))
	cfg := write(t, dir, "pilewatch.yaml", fmt.Sprintf(`
mqtt: {listen: "127.0.0.1:%d"}
http: {listen: %q}
registry: {piles: piles.csv, cards: cards.csv}
billing: {phone: "021-5555"}
tariffs:
  - {name: 合表, valid_from: 2026-01-01, electricity: [{price: "0.641"}], service: {per_kwh: "0.30"}}
`, realserver.Port(t), addr))
	write(t, dir, "piles.csv", "pile,building,location,ports\nP01,1,东,8\n")
	// The card changed hands on 2026-11-16.
	write(t, dir, "cards.csv", "card,building,room,valid_from\n04A1B2C3,1,603,\n04A1B2C3,3,202,2026-11-16\n")
	recording := filepath.Join(dir, "months.ndjson")
	record(t, recording, monthOfCharges())
	must(t, "replay", "--config", cfg, recording)
	g := start(t, addr, "run", "--config", cfg)

	if out := must(t, "close-month", "--config", cfg, "2026-10"); !strings.Contains(out, "2026-10 closed: 32 sessions and 0 adjustments") {
		t.Error(out)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"close-month", "2026-10"}, "is closed already"},
		{[]string{"close-month", "2099-01"}, "has not ended"},
		{[]string{"explain", "nothing"}, "not found"},
	} {
		if _, errs, status := pilewatch(t, append(c.args, "--config", cfg)...); status != 1 || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, %q", c.args, status, errs)
		}
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	files := sameFiles(t, g, cfg, out)
	file := filepath.Join(out, "sessions-zh-CN.csv")
	before, _ := os.ReadFile(file)
	if _, errs, status := pilewatch(t, "export", "sessions", "--config", cfg, "-o", file); status != 1 || !strings.Contains(errs, "exists: give another name, or --force to replace it") {
		t.Errorf("over a file that exists: status %d, %s", status, errs)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the file that existed was changed")
	}
	left, err := os.ReadDir(out)
	if err != nil || len(left) != files {
		t.Errorf("something was left behind: %v, %v", left, err)
	}
	type statement struct {
		Household string
		Sessions  int
		EnergyMWh int64 `json:"energy_mwh"`
		Total     int64 `json:"total_fee_fen"`
	}
	got := list[statement](g, "/api/v1/statements?month=2026-11")
	// 150 Wh a day: 0.641 x 0.15 = 0.09615 and 0.3 x 0.15 = 0.045 yuan, 10 and 5 fen.
	want := []statement{{"1-603", 15, 2_250_000, 225}, {"3-202", 15, 2_250_000, 225}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("statements %+v, want %+v", got, want)
	}
	resp, err := http.Get("http://" + addr + "/export/sessions.pdf")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("sessions.pdf: %s", resp.Status)
	}
	g.stop()
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, "62 sessions derived again, 0 differences") || !strings.Contains(out, "1 closed periods with 32 lines checked") {
		t.Error(out)
	}
	if out := must(t, "explain", "--config", cfg, "P01-1-20261031T040000Z"); !strings.Contains(out, "0.15 kWh × 0.641 元") && !strings.Contains(out, "0.150 kWh × 0.641 元 = 0.09615 元") {
		t.Error(out)
	}
}
