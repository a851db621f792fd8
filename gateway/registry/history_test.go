package registry

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// workbook writes rows as Excel would: text, numbers and dates as what they are.
func workbook(t *testing.T, rows [][]any) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	if _, err := f.NewSheet("旧表"); err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		at, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.SetSheetRow("Sheet1", at, &row); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "cards.xlsx")
	if err := f.SaveAs(file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWorkbooksAreReadAsTheyAreSent(t *testing.T) {
	cards, err := LoadCards(workbook(t, [][]any{
		{"姓名", "卡号", "楼 号", "门牌", "车辆数", "启用日期"},
		{"张三", 412345678901, "１号楼", 603, 2, time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)},
		{},
		{"李四", "04A1B2C3", 3, "202室", nil, "2026年1月5日"},
	}))
	want := []Card{
		{ID: "412345678901", Building: "1", Room: "603", Household: "1-603", Bikes: 2, ValidFrom: "2026-11-16"},
		{ID: "04A1B2C3", Building: "3", Room: "202", Household: "3-202", ValidFrom: "2026-01-05"},
	}
	if err != nil || !reflect.DeepEqual(cards, want) {
		t.Errorf("%+v, %v", cards, err)
	}
	file := workbook(t, [][]any{{"卡号", "楼号", "门牌"}, {"1", "1", "101"}, {"1", "", "102"}, {"6.2284E+18", 1, 103}})
	_, err = LoadCards(file)
	for i, want := range []string{"3: no building", "3: card … stands twice (first in row 2)", "4: card number cut short by Excel"} {
		if err == nil || !strings.Contains(strings.Split(err.Error()+"\n\n\n", "\n")[i], filepath.Base(file)+":"+want) {
			t.Errorf("line %d of %v, want %s", i, err, want)
		}
	}
}

func TestAnOldWorkbookIsToldApart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cards.xls")
	if err := os.WriteFile(file, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCards(file); err == nil || !strings.Contains(err.Error(), "save it as .xlsx without a password") {
		t.Error(err)
	}
}

func TestACardHasOneHolderADay(t *testing.T) {
	const head = "card,building,room,valid_from,valid_to\n"
	got, err := loadCards(t, head+"77,3,202,2026/11/16,\n88,1,101,,\n77,1,603,,\n77,2,301,2027.1.1,2027-02-01\n")
	want := []Card{
		{ID: "77", Building: "1", Room: "603", Household: "1-603", ValidTo: "2026-11-16"},
		{ID: "77", Building: "3", Room: "202", Household: "3-202", ValidFrom: "2026-11-16", ValidTo: "2027-01-01"},
		{ID: "77", Building: "2", Room: "301", Household: "2-301", ValidFrom: "2027-01-01", ValidTo: "2027-02-01"},
		{ID: "88", Building: "1", Room: "101", Household: "1-101"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = loadCards(t, head+"77,1,603,,2026-12-01\n77,3,202,2026-11-16,\n88,1,101,2026-13-01,\n99,1,102,2026-11-02,2026-11-01\n")
	for i, want := range []string{
		"3: card … from 2026-11-16: row 2 has it until 2026-12-01; expected one holder a day",
		`4: valid_from "2026-13-01": expected a date such as 2026-11-01`,
		"5: valid_to 2026-11-01 is not after valid_from 2026-11-02",
	} {
		if err == nil || !strings.Contains(strings.Split(err.Error()+"\n\n\n", "\n")[i], want) {
			t.Errorf("line %d of %v, want %s", i, err, want)
		}
	}
}
