package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/billing"
)

// sameFiles wants each export of October 2026 by command and by page to be the
// same bytes, and what the API lists of it the same objects; it gives how many
// files the command has written.
func sameFiles(t *testing.T, g *gateway, cfg, out string) (files int) {
	t.Helper()
	for _, what := range billing.Exports {
		for _, format := range billing.Formats {
			for _, language := range []string{"zh-CN", "en"} {
				file := filepath.Join(out, what+"-"+language+"."+format)
				must(t, "export", what, "--config", cfg, "--month", "2026-10", "--format", format, "--language", language, "-o", file)
				page := samePage(t, g, file, "/export/"+what+"."+format+"?month=2026-10&language="+language)
				for _, card := range []string{"04A1B2C3", "DEADBEEF77"} {
					if text := seen(t, page); strings.Contains(text, card) || what == "flags" && strings.Contains(text, card[len(card)-4:]) {
						t.Errorf("%s.%s tells the card %s", what, format, card)
					}
				}
				files++
			}
		}
	}
	for _, format := range billing.Formats {
		file := filepath.Join(out, "basis."+format)
		must(t, "export", "sessions", "--basis", "--config", cfg, "--from", "2026-10-03", "--to", "2026-10-20", "--household", "1-603", "--format", format, "-o", file)
		samePage(t, g, file, "/export/sessions."+format+"?from=2026-10-03&to=2026-10-20T00:00:00+08:00&household=1-603&basis=true")
		files++
	}
	for _, what := range []string{"statements", "flags"} {
		query := "?month=2026-10"
		if what == "flags" {
			query = "?from=2026-10-01&to=2026-11-01"
		}
		listed := list[json.RawMessage](g, "/api/v1/"+what+query)
		data, err := os.ReadFile(filepath.Join(out, what+"-en.json"))
		if err != nil {
			t.Fatal(err)
		}
		var exported []json.RawMessage
		if err := json.Unmarshal(data, &exported); err != nil || len(exported) == 0 || len(exported) != len(listed) {
			t.Fatalf("%s: %d exported, %d listed, %v", what, len(exported), len(listed), err)
		}
		of := map[string]bool{} // the API has the newest flags first
		for _, o := range exported {
			of[string(o)] = true
		}
		for _, o := range listed {
			if !of[string(o)] {
				t.Errorf("%s: the API lists %s, which is not exported", what, o)
			}
		}
	}
	return files
}

// samePage wants what a file has, in pieces as they are made: a server that held
// the whole would say how long it is.
func samePage(t *testing.T, g *gateway, file, path string) string {
	t.Helper()
	command, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + g.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(command, page) {
		t.Errorf("%s: the page gives another file than the command, %v", path, err)
	}
	if len(page) > 4096 && res.ContentLength >= 0 {
		t.Errorf("%s: %d bytes, and their number was known before", path, res.ContentLength)
	}
	return string(page)
}

// TestTheNoticeBoardTellsOfNobodyInTheRegistry looks for every name, room, card
// and phone of a registry in the notice, in each form of it.
func TestTheNoticeBoardTellsOfNobodyInTheRegistry(t *testing.T) {
	dir := t.TempDir()
	var registry strings.Builder
	registry.WriteString("卡号,楼号,门牌,姓名,电话,车牌\n")
	var reports []portReport
	var secrets []string
	at := time.Date(2026, 10, 5, 4, 0, 0, 0, time.UTC)
	for i, rooms := range [][]string{{"601", "602", "1201", "302"}, {"803", "504"}, {"707"}} {
		for j, room := range rooms {
			n := i*10 + j
			card, name, phone, plate := fmt.Sprintf("04A1B2%02dC%dF0", n, j), "张三李四王五赵六"[6*j:6*j+6], fmt.Sprintf("139%08d", 12345678+n), fmt.Sprintf("沪C%05d", 54321+n)
			fmt.Fprintf(&registry, "%s,%d号楼,%s室,%s,%s,%s\n", card, i+1, room, name, phone, plate)
			secrets = append(secrets, card, card[len(card)-4:], room, fmt.Sprintf("%d-%s", i+1, room), name, phone, plate)
			pile := fmt.Sprintf("P%02d", i+1)
			for m, w := range []float64{150, 150, 150, 0} {
				reports = append(reports, portReport{at.Add(time.Duration(m*10) * time.Minute), "pilewatch/v1/fuxing/" + pile + "/telemetry", fmt.Sprintf(
					`{"ts":%q,"ports":[{"port":%d,"state":%q,"w":%g,"card":%q,"order":"Z-%d"}]}`,
					at.Add(time.Duration(m*10)*time.Minute).Format(time.RFC3339), j+1, []string{"idle", "charging"}[min(1, int(w))], w, card, n)})
			}
		}
	}
	secrets = append(secrets, "P01", "P02", "P03", "Z-", "12:00", "2026-10-05")
	sortReports(reports)
	write(t, dir, "cards.csv", registry.String())
	write(t, dir, "piles.csv", "pile,building,ports\nP01,1,8\nP02,2,8\nP03,3,8\n")
	record(t, filepath.Join(dir, "day.ndjson"), reports)
	for i, notice := range []string{"", "notice_min_households: 3", "notice_households: true"} {
		cfg := write(t, dir, fmt.Sprintf("%d.yaml", i), "registry: {piles: piles.csv, cards: cards.csv}\nbilling: {"+notice+"}\n"+
			"tariffs: [{name: t, valid_from: 2026-01-01, electricity: [{price: \"0.641\"}]}]\n")
		if i == 0 {
			must(t, "replay", "--config", cfg, filepath.Join(dir, "day.ndjson"))
		}
		// Three of seven charged in buildings 2 and 3: where the committee wants three in a row, neither has one of its own.
		rows := [][]string{{"2026-10,1号楼,,4,0.250,", "2026-10,2号楼,,2,0.125,", "2026-10,3号楼,,1,0.0625,"}, {"2026-10,1号楼,,4,0.250,", "2026-10,2号楼、3号楼,,3,0.1875,"}, nil}[i]
		got := must(t, "export", "notice", "--config", cfg, "--month", "2026-10")
		for _, row := range rows {
			if !strings.Contains(got, row) {
				t.Errorf("no %s in the notice:\n%s", row, got)
			}
		}
		for _, format := range billing.Formats {
			for _, language := range []string{"zh-CN", "en"} {
				got := seen(t, must(t, "export", "notice", "--config", cfg, "--month", "2026-10", "--format", format, "--language", language))
				for _, s := range secrets {
					if alone := regexp.MustCompile(`(^|[^0-9A-Za-z.])` + regexp.QuoteMeta(s) + `($|[^0-9A-Za-z.])`).FindString(got); alone != "" {
						t.Errorf("notice.%s (%s) tells %q", format, notice, s)
					}
				}
				if masked := strings.Contains(got, "*02"); masked != (notice == "notice_households: true") {
					t.Errorf("notice.%s (%s) has masked households: %v", format, notice, masked)
				}
			}
		}
	}
}

// seen gives all the text of an export: of every part of a workbook, and of a page
// without its style.
func seen(t *testing.T, file string) string {
	t.Helper()
	text := file
	if strings.HasPrefix(file, "PK") {
		z, err := zip.NewReader(strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		text = ""
		for _, p := range z.File {
			r, err := p.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			text += string(data)
		}
	}
	if _, body, ok := strings.Cut(text, "<body>"); ok {
		text = body
	}
	return html.UnescapeString(text)
}

// TestWhatAnAccountantStumblesOverIsSaid: each kind of bad input gives a line that
// says so, the sums leave nothing out, and what would be wrong is refused.
func TestWhatAnAccountantStumblesOverIsSaid(t *testing.T) {
	dir := t.TempDir()
	cfg := write(t, dir, "pilewatch.yaml", "registry: {piles: piles.csv, cards: cards.csv}\n"+
		"tariffs: [{name: t, valid_from: 2026-10-02, electricity: [{price: \"0.641\"}], service: {per_kwh: \"0.30\"}}]\n")
	write(t, dir, "piles.csv", "pile,building,ports\nP01,1,8\n")
	write(t, dir, "cards.csv", "card,building,room\n04A1B2C3,1,603\n")
	var reports []portReport
	charge := func(start time.Time, port int, card string, wh ...float64) { // an hour at 150 W, with registers
		for i, r := range wh {
			at, state := start.Add(time.Duration(i)*10*time.Minute), "charging"
			if i == 6 {
				state = "idle"
			}
			reports = append(reports, portReport{at, "pilewatch/v1/fuxing/P01/telemetry", fmt.Sprintf(
				`{"ts":%q,"ports":[{"port":%d,"state":%q,"w":150,"wh":%g,"card":%q}]}`, at.Format(time.RFC3339), port, state, r, card)})
		}
	}
	noon := func(day int) time.Time { return time.Date(2026, 10, day, 4, 0, 0, 0, time.UTC) }
	charge(noon(1), 1, "04A1B2C3", 0, 25, 50, 75, 100, 125, 150)                                         // before any tariff
	charge(noon(2), 1, "DEADBEEF", 150, 175, 200, 225, 250, 275, 300)                                    // of a card that nobody has
	charge(noon(3), 1, "04A1B2C3", 300, 325, 350, 0, 25, 50, 75)                                         // the register falls
	charge(noon(4), 2, "04A1B2C3", -1000, -975, -950, -925, -900, -875, -850)                            // it is below zero
	charge(noon(5), 3, "04A1B2C3", 0, 25, 50, 75)                                                        // the pile falls silent
	charge(noon(6), 4, "04A1B2C3", 0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6)                                      // it leaps
	charge(time.Date(2026, 10, 31, 15, 30, 0, 0, time.UTC), 5, "04A1B2C3", 0, 25, 50, 75, 100, 125, 150) // over the end of the month
	charge(noon(33), 1, "04A1B2C3", 75, 100, 125, 150, 175, 200, 225)
	record(t, filepath.Join(dir, "month.ndjson"), reports)
	must(t, "replay", "--config", cfg, filepath.Join(dir, "month.ndjson"))

	out, errs, status := pilewatch(t, "export", "sessions", "--config", cfg, "--month", "2026-10")
	if status != 0 {
		t.Fatal(errs)
	}
	for _, want := range []string{
		"2026-10 is not closed, and its figures may change: see `pilewatch close-month 2026-10`\n",
		"1 of 6 lines have no tariff and are exported with empty fees: a tariff that is added now prices what starts from then on; bill these by hand\n",
		"1 of 6 lines are of no registered card, and no household pays for them: add the cards to the registry, for what starts from then on, and bill these by hand\n",
		"3 of 6 lines are estimated (估算): see `pilewatch explain SESSION`\n",
		"1 of 6 lines ended because the pile fell silent (失联)\n",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("not said: %s said is\n%s", want, errs)
		}
	}
	// Five hours and 30 minutes at 150 W, the two fees of four hours and 30 minutes: 4 x (10 + 5) + 5 + 2 fen.
	if want := "合计,,,,,,6次,,,,0.825,,,,0.45,0.22,0.67,,,\r\n"; !strings.HasSuffix(out, want) {
		t.Errorf("the sum is not %q:\n%s", want, out)
	}
	explained := must(t, "explain", "--config", cfg, "P01-2-20261004T040000Z")
	for _, want := range []string{"估算", "按功率×时间计：0.150 kWh", "0.10 + 0.05 = 0.15 元"} {
		if !strings.Contains(explained, want) {
			t.Errorf("explain does not say %q:\n%s", want, explained)
		}
	}
	file := write(t, dir, "there.csv", "mine")
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, "exists: give another name, or --force to replace it", []string{"export", "sessions", "-o", file}},
		{1, "no such file or directory", []string{"export", "sessions", "-o", filepath.Join(dir, "nowhere", "x.csv")}},
		{1, "has not ended: close it on 2099-02-01 or later", []string{"close-month", "2099-01"}},
		{0, "", []string{"close-month", "2026-10"}},
		{1, "2026-10 is closed already", []string{"close-month", "2026-10"}},
		{2, `--month "2026-1": expected a month such as 2026-11`, []string{"export", "sessions", "--month", "2026-1"}},
		{2, "give one or the other", []string{"export", "sessions", "--month", "2026-10", "--from", "2026-10-01"}},
		{2, "it must be after --from", []string{"export", "sessions", "--from", "2026-10-02", "--to", "2026-10-01"}},
		{2, "the basis is of sessions", []string{"export", "flags", "--basis"}},
	} {
		_, errs, status := pilewatch(t, append(c.args, "--config", cfg)...)
		if status != c.status || !strings.Contains(errs, c.want) || status != 0 && strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, %q", c.args, status, errs)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "mine" {
		t.Errorf("the file that was there: %q, %v", data, err)
	}
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Error(out)
	}
}

// TestAnExportThatIsInterruptedSaysSoAndLeavesNothing: a command that a signal ends.
func TestAnExportThatIsInterruptedSaysSoAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg := write(t, dir, "pilewatch.yaml", "data_dir: ./data\n")
	record(t, filepath.Join(dir, "nothing.ndjson"), nil)
	must(t, "replay", "--config", cfg, filepath.Join(dir, "nothing.ndjson"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	file := filepath.Join(dir, "out.xlsx")
	status := run(ctx, []string{"export", "sessions", "--config", cfg, "--month", "2026-10", "--format", "xlsx", "-o", file}, &out, &errs)
	if status != exitFailed || errs.String() != "pilewatch: interrupted: run the command again\n" {
		t.Errorf("status %d, said %q", status, &errs)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*out.xlsx*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
