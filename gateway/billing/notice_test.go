package billing

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestANoticeOfFewHouseholdsTellsOfNone: whatever households charged, no row sums
// up fewer than are asked for, each building is in one row, and the rows sum to
// the whole.
func TestANoticeOfFewHouseholdsTellsOfNone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		fewest := rapid.IntRange(0, 5).Draw(r, "fewest")
		var list []*Statement
		total, households, buildings := int64(0), 0, rapid.IntRange(1, 6).Draw(r, "buildings")
		for b := range buildings {
			n := rapid.IntRange(0, 4).Draw(r, "households")
			for h := range n {
				list = append(list, &Statement{Building: strconv.Itoa(b + 1), Household: strconv.Itoa(b+1) + "-" + strconv.Itoa(h), Sessions: 1, TotalFen: 100})
			}
			households += n
			if n == 0 || rapid.Bool().Draw(r, "unknown card") {
				list = append(list, &Statement{Building: strconv.Itoa(b + 1), Sessions: 1, TotalFen: 7})
			}
		}
		for _, st := range list {
			total += st.TotalFen
		}
		x := &export{Book: &Book{Config: Config{NoticeMinHouseholds: fewest}}}
		rows := x.noticeRows("2026-11", list)
		var named []string
		for _, row := range rows {
			total -= row.TotalFen
			named = append(named, strings.Split(row.Building, together)...)
			of := 0
			for _, st := range list {
				if st.Household != "" && slices.Contains(strings.Split(row.Building, together), st.Building) {
					of++
				}
			}
			if of < fewest && (len(rows) > 1 || households >= fewest) {
				r.Errorf("%s sums up %d households of %d", row.Building, of, fewest)
			}
		}
		if total != 0 || len(named) != buildings || !slices.IsSortedFunc(named, natural) {
			r.Errorf("%d fen are missing; buildings %v", total, named)
		}
	})
}

// TestANoticeOfOneBuildingIsItsRowOfTheWhole: no two notices tell by their difference.
func TestANoticeOfOneBuildingIsItsRowOfTheWhole(t *testing.T) {
	e := newEstate(t)
	e.fill()
	whole := string(e.export(Request{What: "notice", Format: "json", Span: Span{Month: "2026-11"}}))
	for building, row := range map[string]int{"1": 1, "3": 2, "10": 2} {
		got := strings.Split(string(e.export(Request{What: "notice", Format: "json", Span: Span{Month: "2026-11", Building: building}})), "\n")
		if want := strings.TrimSuffix(strings.Split(whole, "\n")[row], ","); len(got) != 4 || got[1] != want {
			t.Errorf("building %s: %s, want %s", building, got, want)
		}
	}
	if got := e.export(Request{What: "notice", Format: "json", Span: Span{Month: "2026-11", Building: "99"}}); string(got) != "[\n]\n" {
		t.Errorf("of a building where nobody charged: %s", got)
	}
}

// TestAClosedNoticeKeepsItsRows: also one that was closed when there was no fewest;
// its bytes never change.
func TestAClosedNoticeKeepsItsRows(t *testing.T) {
	e := newEstate(t)
	e.fill()
	e.config.NoticeMinHouseholds = 0
	r := Request{What: "notice", Format: "csv", Span: Span{Month: "2026-10"}}
	e.close("2026-10")
	before := e.export(r)
	e.config.NoticeMinHouseholds = 3
	if after := e.export(r); !bytes.Equal(before, after) || bytes.Contains(after, []byte("、")) {
		t.Errorf("%s was\n%s", after, before)
	}
}

func TestEnergyOnAWallIsRoundedToTwoPlaces(t *testing.T) {
	for mWh, want := range map[int64]string{0: "0.00", 4_999: "0.00", 5_000: "0.01", 1_856_423_566: "1856.42", 995_000: "1.00", -4_999: "0.00", -5_000: "-0.01", -1_234_567: "-1.23"} {
		if got := wallKWh(mWh); got != want {
			t.Errorf("%d mWh is %s, want %s", mWh, got, want)
		}
	}
}
