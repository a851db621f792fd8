package billing

import (
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// files gives every export of a month, by name.
func (e *estate) files(month string) map[string][]byte {
	out := map[string][]byte{}
	for _, what := range Exports {
		for _, format := range Formats {
			for _, english := range []bool{false, true} {
				out[fmt.Sprint(what, ".", format, english)] = e.export(Request{What: what, Format: format, English: english, Span: Span{Month: month}})
			}
		}
	}
	return out
}

// TestAClosedPeriodIsTheSameBytesForEver exports a closed month before and after
// all that may happen in two years.
func TestAClosedPeriodIsTheSameBytesForEver(t *testing.T) {
	e := newEstate(t)
	e.fill()
	p, sum := e.close("2026-10")
	if p.Lines != 2 || sum.TotalFen == 0 || len(p.Sum) != 64 {
		t.Errorf("closed %+v, %+v", p, sum)
	}
	e.close("2026-11")
	before := e.files("2026-11")

	e.add(e.charge("1-603", "04A1B2C3", "P02", 1, "2026-11-03 20:15:30", time.Hour, 250_000)) // late
	again := e.charge("1-603", "04A1B2C3", "P01", 2, "2026-11-05 19:45:00", 6*time.Hour, 1_500_000)
	again.Quality = session.Estimated
	e.add(again) // corrected
	e.config.Estate, e.config.Phone, e.config.NoticeHouseholds = "新名字", "10086", true
	e.config.Tariffs = []tariff.Tariff{{Name: "2026-11-分时", ValidFrom: "2024-01-01", Bands: []tariff.Band{tariff.FlatBand(1_000_000)}, PerKWh: 1}}
	if err := e.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	e.open()

	after := e.files("2026-11")
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if !bytes.Equal(before[name], after[name]) {
			t.Errorf("%s is not the same bytes", name)
		}
	}
	if d := e.verify(); d != nil {
		t.Error(d)
	}
}

// lines gives those of a month.
func (e *estate) lines(month string) (lines []*Line) {
	e.t.Helper()
	if err := e.book().MonthLines(e.t.Context(), month, func(ln *Line) error { lines = append(lines, ln); return nil }); err != nil {
		e.t.Fatal(err)
	}
	return lines
}

func TestWhatComesLaterIsALineOfTheNextPeriod(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.close("2026-10")
	e.close("2026-11")
	late := e.charge("1-402", "04A1B2C4", "P02", 1, "2026-10-03 20:15:30", time.Hour, 250_000)
	more := e.charge("1-603", "04A1B2C3", "P01", 2, "2026-11-05 19:45:00", 6*time.Hour, 1_500_000)
	other := e.charge("1-402", "04A1B2C5", "P03", 12, "2026-11-09 23:10:00", 5*time.Hour, 1_203_456)
	e.add(late, more, other, e.charge("1-402", "04A1B2C4", "P02", 1, "2026-12-03 20:15:30", time.Hour, 100_000))

	lines := e.lines("2026-12")
	if len(lines) != 5 || lines[0].Kind != KindSession {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	if ln := lines[1]; ln.Kind != KindLate || ln.Of != "2026-10" || ln.Session.ID != late.ID || ln.Session.TotalFen() != late.TotalFen() {
		t.Errorf("late: %+v", ln)
	}
	if ln := lines[2]; ln.Kind != KindCorrection || ln.Of != "2026-11" || ln.Session.ID != more.ID || ln.Session.EnergyMWh != 250_000 || ln.Session.ElectricityFen != 63-53 || ln.Session.ServiceFen != 0 {
		t.Errorf("correction: %+v", ln)
	}
	back, bill := lines[3], lines[4]
	if back.Session.Household != "3-202" || back.Session.EnergyMWh != -1_203_456 || back.Session.TotalFen() != -162 {
		t.Errorf("taken back: %+v", back)
	}
	if bill.Session.Household != "1-402" || bill.Session.EnergyMWh != 1_203_456 || bill.Session.TotalFen() != 162 {
		t.Errorf("billed to who held the card: %+v", bill)
	}
	e.close("2026-12")
	if lines := e.lines("2027-01"); len(lines) != 0 {
		t.Errorf("billed twice: %+v", lines)
	}
	if d := e.verify(); d != nil {
		t.Error(d)
	}
}

// explains fails the test where explain does not say all that is wanted.
func (e *estate) explains(id string, want []string) {
	e.t.Helper()
	var out bytes.Buffer
	if err := e.book().Explain(e.t.Context(), id, false, &out); err != nil {
		e.t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(out.String(), w) {
			e.t.Errorf("no %q in\n%s", w, &out)
		}
	}
	if strings.Contains(out.String(), "%!") {
		e.t.Errorf("a broken text:\n%s", &out)
	}
}

// TestExplainTellsWhatIsStillDue: the lines that explain tells of a session are
// those of the periods, and of the open month what that has now.
func TestExplainTellsWhatIsStillDue(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.close("2026-10")
	e.close("2026-11")
	late := e.charge("", "04A1B2C4", "P02", 1, "2026-10-03 20:15:30", time.Hour, 250_000)
	late.Quality, late.SettledMWh, late.MeterStartMWh, late.MeterEndMWh = session.Late, 250_000, -1, -1
	more := e.charge("1-603", "04A1B2C3", "P01", 2, "2026-11-05 19:45:00", 6*time.Hour, 1_500_000)
	other := e.charge("1-402", "04A1B2C5", "P03", 12, "2026-11-09 23:10:00", 5*time.Hour, 1_203_456)
	disputed := e.charge("1-603", "04A1B2C3", "P01", 1, "2026-10-31 20:00:00", 4*time.Hour, 700_001)
	disputed.Quality, disputed.SettledMWh = session.Disputed, 900_000
	before := e.charge("1-603", "04A1B2C3", "P01", 1, "2026-01-31 20:00:00", 4*time.Hour, 700_001)
	next := e.charge("1-402", "04A1B2C4", "P02", 1, "2026-12-03 20:15:30", time.Hour, 100_000)
	e.add(late, more, other, disputed, before, next)
	e.config.Tariffs = nil // a closed bill knows how it came about
	for id, want := range map[string][]string{
		late.ID:     {"1小时0分0秒", "按桩保存的订单：0.250 kWh，按时间平均分摊", "尚未关账 2026-12，补记（2026-10漏计）：户号 （卡未登记），0.250 kWh，电费 0.16 元，服务费 0.08 元"},
		more.ID:     {"适用档位 ≤ 200 W：21600 秒", "已关账 2026-11，本期：户号 1-603，1.250 kWh", "尚未关账 2026-12，补记（更正2026-11）：户号 1-603，0.250 kWh，电费 0.10 元，服务费 0.00 元"},
		other.ID:    {"户号 3-202，-1.203456 kWh", "尚未关账 2026-12，补记（更正2026-11）：户号 1-402，1.203456 kWh"},
		disputed.ID: {"超过 2% + 10 Wh，请核对", "桩自己结算：0.900 kWh", "尚未关账 2026-12，补记（更正2026-11）：户号 1-603，0.000 kWh，电费 0.00 元"},
		before.ID:   {"在第一个账期 2026-10 之前结束，不计费"},
		next.ID:     {"尚未关账 2026-12，本期：户号 1-402"},
	} {
		e.explains(id, want)
		s, err := e.ledger.Session(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		billed, err := e.ledger.LinesOf(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		due, err := e.book().due(&s, billed)
		if err != nil {
			t.Fatal(err)
		}
		var open []*Line
		for _, ln := range e.lines("2026-12") {
			if ln.Flags = nil; ln.Session.ID == id {
				open = append(open, ln)
			}
		}
		if !reflect.DeepEqual(due, open) {
			t.Errorf("%s: due %+v, and the open month has %+v", id, due, open)
		}
	}
}

// TestExplainShowsWhichTierAndWhatWasBelieved: a peak a milliwatt over a tier, one
// over all, and a register that fell.
func TestExplainShowsWhichTierAndWhatWasBelieved(t *testing.T) {
	e := newEstate(t)
	over := e.charge("1-603", "04A1B2C3", "P01", 2, "2026-11-05 19:45:00", 601*time.Minute, 1_500_000)
	last := e.charge("1-603", "04A1B2C3", "P01", 3, "2026-11-05 19:45:00", 2*time.Hour, 1_500_000)
	over.PeakMW, last.PeakMW, last.MeterEndMWh = 200_001, 900_000, 5
	for _, s := range []*session.Session{over, last} {
		reprice(s, &e.config.Tariffs[1], e.config.Location)
	}
	e.add(over, last)
	for id, want := range map[string][]string{
		over.ID: {"峰值功率 200.001 W，适用档位 ≤ 400 W：36060 秒 ÷ 3600 × 每小时 0.5 元 = 5.008333… 元\n  四舍五入到分：5.01 元"},
		last.ID: {"峰值功率 900 W 高于最高档 800 W，按最高档计：7200 秒 ÷ 3600 × 每小时 1 元 = 2 元", "电表读数起 1000.000，止 0.000005 kWh，其间有跳变或回退\n  可信部分按读数，其余按功率×时间：1.500 kWh"},
	} {
		e.explains(id, want)
	}
}

func TestMonthsAreClosedOnceInOrderAndWhenTheyHaveEnded(t *testing.T) {
	e := newEstate(t)
	e.fill()
	try := func(month, now string, first bool) string {
		_, _, err := Close(t.Context(), e.ledger, e.config, month, CloseOptions{Now: e.at(now), First: first}, func(float64) {})
		if err == nil {
			return ""
		}
		return err.Error()
	}
	const later = "2027-06-01 00:00:00"
	for _, c := range []struct {
		month, now string
		first      bool
		want       string
	}{
		{"2026-10", "2026-10-31 23:59:59", false, "2026-10 has not ended: close it on 2026-11-01 or later"},
		{"2026-11", later, false, "sessions of 2026-10 are not closed: close that month first, or give --first to begin billing with 2026-11 and leave out what ended before"},
		{"2026-10", "2026-11-01 00:00:00", false, ""},
		{"2026-10", later, false, "2026-10 is closed already: what has arrived for it since goes to 2026-11 as 补记"},
		{"2026-12", later, false, "2026-12 cannot be closed: the months are closed in order, and the next is 2026-11"},
		{"2026-09", later, true, "2026-09 cannot be closed: the months are closed in order, and the next is 2026-11"},
		{"2026-1", later, false, `month "2026-1": expected one such as 2026-11`},
		{"2026-11", later, false, ""},
		{"2026-12", later, false, ""}, // without a session
	} {
		if got := try(c.month, c.now, c.first); got != c.want {
			t.Errorf("close %s: %q, want %q", c.month, got, c.want)
		}
	}
}

func TestBillingMayBeginWithALaterMonth(t *testing.T) {
	e := newEstate(t)
	e.fill()
	if _, _, err := Close(t.Context(), e.ledger, e.config, "2026-11", CloseOptions{Now: e.at("2026-12-01 00:00:00"), First: true}, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	if lines := e.lines("2026-12"); len(lines) != 0 {
		t.Errorf("what ended before billing began is billed: %+v", lines)
	}
}

// TestVerifySeesWhatWasChangedInAClosedPeriod changes what the ledger itself
// refuses to change, as somebody with a database tool would.
func TestVerifySeesWhatWasChangedInAClosedPeriod(t *testing.T) {
	for _, c := range []struct{ name, change, want string }{
		{"nothing", "SELECT 1", ""},
		{"a fee", "UPDATE period_line SET electricity_fee_fen = electricity_fee_fen + 1 WHERE month = '2026-10' AND n = 1", "one thing in its columns and another in its body"},
		{"a body", `UPDATE period_line SET body = replace(body, '1-603', '1-604') WHERE month = '2026-10' AND n = 1`, "its checksum is"},
		{"a line", "DELETE FROM period_line WHERE month = '2026-10' AND n = 2", "has 1 lines, and was closed with 2"},
		{"a period", "DELETE FROM period_line WHERE month = '2026-10'; DELETE FROM period WHERE month = '2026-10'", "period 2026-11: its checksum is"},
		{"totals", `UPDATE period SET body = replace(body, '"sessions":2', '"sessions":3') WHERE month = '2026-10'`, "its totals are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEstate(t)
			e.fill()
			e.close("2026-10")
			e.close("2026-11")
			db, err := sql.Open("sqlite", filepath.Join(e.dir, ledger.File))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if c.want != "" {
				if _, err := db.ExecContext(t.Context(), c.change); err == nil || !strings.Contains(err.Error(), "a closed period never changes") {
					t.Errorf("the ledger lets it be: %v", err)
				}
			}
			for _, trigger := range []string{"period_stays", "period_kept", "period_line_stays", "period_line_kept"} {
				if _, err := db.ExecContext(t.Context(), "DROP TRIGGER "+trigger); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.ExecContext(t.Context(), c.change); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(e.verify(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("verify says %q, want %q", got, c.want)
			}
		})
	}
}

// TestEveryFenIsBilledOnce: whatever arrives, is corrected and is closed in
// whatever order, the lines of a session sum to what it costs, a household's
// statements sum to its sessions, closed bytes stay, and verify agrees.
func TestEveryFenIsBilledOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		e := newEstate(t)
		defer e.ledger.Close()
		now := map[string]*session.Session{}
		closed := map[string][]byte{}
		next := "2026-10"
		at := e.at("2026-10-01 00:00:00")
		span := int(e.at("2027-01-01 00:00:00") - at)
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0, 1, 2:
				var s *session.Session
				if len(now) > 0 && rapid.Bool().Draw(r, "again") {
					id := rapid.SampledFrom(slices.Sorted(maps.Keys(now))).Draw(r, "session")
					s = now[id].Clone()
					s.EnergyMWh = rapid.Int64Range(0, 3_000_000).Draw(r, "energy")
					s.Household = rapid.SampledFrom([]string{"1-603", "3-202", ""}).Draw(r, "household")
					s.Quality = session.Quality(rapid.IntRange(0, 7).Draw(r, "quality"))
					table, err := tariff.NewTable(e.config.Location, e.config.Tariffs)
					if err != nil {
						r.Fatal(err)
					}
					reprice(s, table.At(s.Start), e.config.Location)
				} else {
					from := at.Add(time.Duration(rapid.IntRange(0, span).Draw(r, "start")) * time.Millisecond)
					d := time.Duration(rapid.IntRange(0, 12*3600_000).Draw(r, "long")) * time.Millisecond
					s = e.chargeAt(rapid.SampledFrom([]string{"1-603", "3-202", ""}).Draw(r, "household"), "04A1B2C3", "P01", uint8(len(now)+1), from, d, rapid.Int64Range(0, 3_000_000).Draw(r, "energy"))
				}
				now[s.ID] = s
				e.add(s)
			case 3:
				if next > "2026-12" {
					continue
				}
				if len(closed) == 0 {
					if _, _, err := Close(t.Context(), e.ledger, e.config, next, CloseOptions{Now: e.at("2027-06-01 00:00:00")}, func(float64) {}); err != nil {
						r.Fatal(err)
					}
				} else {
					e.close(next)
				}
				closed[next] = e.export(Request{What: "sessions", Format: "json", Span: Span{Month: next}})
				next = after(next, 1)
			}
		}
		sums, households := map[string][3]int64{}, map[string]int64{}
		if err := e.book().Lines(t.Context(), Span{}, func(ln *Line) error {
			s := sums[ln.Session.ID]
			s[0] += ln.Session.EnergyMWh
			s[1] += ln.Session.ElectricityFen
			s[2] += ln.Session.ServiceFen
			sums[ln.Session.ID] = s
			households[ln.Session.Household] += ln.Session.TotalFen()
			return nil
		}); err != nil {
			r.Fatal(err)
		}
		want := map[string]int64{}
		for id, s := range now {
			if got := sums[id]; got != [3]int64{s.EnergyMWh, s.ElectricityFen, s.ServiceFen} {
				r.Fatalf("session %s is billed %v, and is %d mWh, %d + %d fen", id, got, s.EnergyMWh, s.ElectricityFen, s.ServiceFen)
			}
			want[s.Household] += s.TotalFen()
		}
		for h, fen := range households {
			if want[h] != fen {
				r.Fatalf("household %q is billed %d fen, and its sessions cost %d", h, fen, want[h])
			}
		}
		for m, b := range closed {
			if !bytes.Equal(b, e.export(Request{What: "sessions", Format: "json", Span: Span{Month: m}})) {
				r.Fatalf("the closed %s has changed", m)
			}
		}
		if d := e.verify(); d != nil {
			r.Fatal(d)
		}
	})
}
