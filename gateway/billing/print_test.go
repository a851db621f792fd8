package billing

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
	"pilewatch/gateway/session"
)

// TestStatementsPrintOneHouseholdAPage prints the statements with Chromium.
func TestStatementsPrintOneHouseholdAPage(t *testing.T) {
	e := newEstate(t)
	e.fill()
	for i := range 60 { // a courier: two a day
		e.add(e.chargeAt("3-301", "04FFFF01", "P03", 7, e.at("2026-11-01 09:00:00").Add(time.Duration(i)*12*time.Hour), 3*time.Hour, 900_000+int64(i)))
	}
	e.close("2026-10")
	full := []*session.Session{ // with every remark there is, as many lines as large type has room for
		e.charge("", "DEADBEEF01", "P09", 1, "2026-10-11 09:00:00", time.Hour, 400_000),
		{ID: "P09-1-20261101T000000Z", Pile: "P09", Port: 1, Building: "9", Start: e.at("2026-11-01 08:00:00"), End: e.at("2026-11-01 08:30:00"), EnergyMWh: 5, MeterStartMWh: -1, MeterEndMWh: -1, SettledMWh: -1},
	}
	for day := range 11 {
		full = append(full, e.chargeAt("5-101", "DEADBEEF05", "P05", 1, e.at("2026-11-02 09:00:00").Add(time.Duration(day)*24*time.Hour), 3*time.Hour, 900_000))
	}
	for day := range 6 {
		full = append(full, e.chargeAt("", "DEADBEEF01", "P09", 1, e.at("2026-11-02 09:00:00").Add(time.Duration(day)*24*time.Hour), 3*time.Hour, 900_000))
	}
	e.add(full...)
	dir := t.TempDir()
	for _, english := range []bool{false, true} {
		file := filepath.Join(dir, fmt.Sprintf("%v.html", english))
		if err := os.WriteFile(file, e.export(Request{What: "statements", Format: "html", English: english, Span: Span{Month: "2026-11"}}), 0o600); err != nil {
			t.Fatal(err)
		}
		p := realserver.Print(t, file)
		if !strings.Contains(p.Info, "A4") {
			t.Errorf("not on A4:\n%s", p.Info)
		}
		statements, _, err := e.book().Page(t.Context(), Span{Month: "2026-11"}, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Pages) != len(statements) {
			t.Fatalf("%d pages for %d statements", len(p.Pages), len(statements))
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, slip := range strings.Split(string(page), "<section")[1:] { // all but the courier's
			if large := strings.Contains(slip, `class="lines large"`); large != (statements[i].Sessions < 50) && !english { // which takes more room
				t.Errorf("the bill of %q with %d sessions is in large type: %v", statements[i].Household, statements[i].Sessions, large)
			}
		}
		for i, st := range statements {
			for _, want := range []string{yuan(st.ElectricityFen), yuan(st.ServiceFen), yuan(st.TotalFen), kWh(st.EnergyMWh), kWh(st.PreviousMWh), "021-55550000"} {
				if !strings.Contains(p.Pages[i], want) {
					t.Errorf("page %d, %s: no %s in\n%s", i+1, st.Household, want, p.Pages[i])
				}
			}
		}
	}
	list := filepath.Join(dir, "sessions.html")
	if err := os.WriteFile(list, e.export(Request{What: "sessions", Format: "html", Basis: true, Span: Span{Month: "2026-11"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	p := realserver.Print(t, list)
	if all := strings.Join(p.Pages, ""); len(p.Pages) < 3 || strings.Count(all, "订单号") != len(p.Pages) || strings.Count(all, "85次") != 1 || !strings.Contains(p.Info, "A4") {
		t.Errorf("the sessions: on each page the headings, and the sum once:\n%s", all)
	}
	file := filepath.Join(dir, "notice.html")
	if err := os.WriteFile(file, e.export(Request{What: "notice", Format: "html", Span: Span{Month: "2026-11"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	p = realserver.Print(t, file)
	notice := strings.Join(strings.Fields(strings.Join(p.Pages, "")), "")
	for _, want := range []string{"公示", "2026-合表：电费每千瓦时全天0.641元；服务费每千瓦时0.3元", "2026-11-分时：电费每千瓦时峰0.617、谷0.307元；服务费功率≤200W每小时0.25元"} {
		if !strings.Contains(notice, want) {
			t.Errorf("the notice has no %q:\n%s", want, notice)
		}
	}
	if len(p.Pages) != 1 || strings.Contains(notice, "住户") {
		t.Errorf("the notice of buildings: %q", p.Pages)
	}
}
