package registry

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

var examplePiles = []Pile{
	{ID: "P01", Building: "1", Location: "1号楼东侧车棚", Ports: 10, MaxPortMW: 1_000_000},
	{ID: "P02", Building: "1", Location: "1号楼西侧车棚", Ports: 10, MaxPortMW: 1_000_000},
	{ID: "P03", Building: "3", Location: "3号楼北侧", Ports: 12, MaxPortMW: 1_000_000},
}

var exampleCards = []Card{
	{ID: "04A1B2C3", Building: "1", Room: "603", Household: "1-603", Bikes: 1, PackMWh: 960_000},
	{ID: "04A1B2C4", Building: "1", Room: "402", Household: "1-402", Bikes: 2, PackMWh: 1_200_000},
	{ID: "04A1B2C5", Building: "3", Room: "202", Household: "3-202", Bikes: 1, PackMWh: 2_304_000, Courier: true},
}

// In every form that managers send the example in, it is the same registry.
func TestRegistryReadsAlikeInEveryForm(t *testing.T) {
	shared := filepath.Join("..", "..", "..", "shared", "examples")
	for _, dir := range []string{"testdata", shared} {
		for _, name := range []string{"piles", "piles-gbk", "piles-bom"} {
			got, err := LoadPiles(filepath.Join(dir, name+".csv"))
			if dir == shared && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || !reflect.DeepEqual(got, examplePiles) {
				t.Errorf("%s in %s: %+v, %v", name, dir, got, err)
			}
		}
		for _, name := range []string{"cards", "cards-gbk", "cards-bom"} {
			got, err := LoadCards(filepath.Join(dir, name+".csv"))
			if dir == shared && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || !reflect.DeepEqual(got, exampleCards) {
				t.Errorf("%s in %s: %+v, %v", name, dir, got, err)
			}
		}
	}
}

// The forms in testdata are what their names say.
func TestFormsAreWhatTheyAreCalled(t *testing.T) {
	for name, prefix := range map[string]string{"piles-gbk": "\xd7\xae\xba\xc5", "piles-bom": "\xef\xbb\xbf"} { // 桩号 in GBK
		data, err := os.ReadFile(filepath.Join("testdata", name+".csv"))
		if err != nil || !strings.HasPrefix(string(data), prefix) || !strings.Contains(string(data), "\r\n") {
			t.Errorf("%s: % x, %v", name, data[:min(8, len(data))], err)
		}
	}
}

func loadPiles(t *testing.T, text string) ([]Pile, error) {
	t.Helper()
	table, err := parse("piles.csv", []byte(text), pileColumns)
	if err != nil {
		return nil, err
	}
	return table.piles()
}

func loadCards(t *testing.T, text string) ([]Card, error) {
	t.Helper()
	table, err := parse("cards.csv", []byte(text), cardColumns)
	if err != nil {
		return nil, err
	}
	return table.cards()
}

func TestATitleAboveTheHeadingsIsPassedOver(t *testing.T) {
	piles, err := loadPiles(t, "复兴小区充电桩登记表,,\n\n桩号,楼号,端口数\nP01,1,10\n")
	if want := []Pile{{ID: "P01", Building: "1", Ports: 10}}; err != nil || !reflect.DeepEqual(piles, want) {
		t.Errorf("%+v, %v", piles, err)
	}
	for text, want := range map[string]string{
		"登记表,,\n二〇二六,,\n桩号,楼号,端口数\n": "piles.csv:2: no column 桩号", // one title
		"登记表,,\n":   "piles.csv:2: empty",
		"桩号\nP01\n": "piles.csv:1: no column 楼号",
	} {
		if _, err := loadPiles(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWhatPeopleTypeIsUnderstood(t *testing.T) {
	piles, err := loadPiles(t, "备注, 楼号 ,端口数,桩号,单口最大功率（W）\r\n,1号楼,１０, P01 ,1000W\r\n新,3＃,12,Pile 2,800.5\r\n,,,,\r\n")
	want := []Pile{{ID: "P01", Building: "1", Ports: 10, MaxPortMW: 1_000_000}, {ID: "Pile 2", Building: "3", Ports: 12, MaxPortMW: 800_500}}
	if err != nil || !reflect.DeepEqual(piles, want) {
		t.Errorf("piles %+v, %v", piles, err)
	}
	cards, err := loadCards(t, "姓名,电话,卡号,楼号,门牌,户号,电池,快递员\n张三,139,04 A1 B2 C3,１号楼,６０３室,1号楼－603室,48v/20AH,是\n李四,138,77,2幢,101,,60V 32.5Ah,否\n")
	wantCards := []Card{
		{ID: "04A1B2C3", Building: "1", Room: "603", Household: "1-603", PackMWh: 960_000, Courier: true},
		{ID: "77", Building: "2", Room: "101", Household: "2-101", PackMWh: 1_950_000},
	}
	if err != nil || !reflect.DeepEqual(cards, wantCards) {
		t.Errorf("cards %+v, %v", cards, err)
	}
}

func TestLinesAreCountedAsEditorsCount(t *testing.T) {
	_, err := loadPiles(t, "\npile,building,location,ports\n\nP01,1,\"a\nb\",10\n,,,\nP01,1,,10\n")
	if want := "piles.csv:7: pile P01 stands twice (first in row 4): remove one"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRegistryWithoutRowsIsEmpty(t *testing.T) {
	piles, err := loadPiles(t, "pile,building,ports\n")
	if err != nil || len(piles) != 0 {
		t.Error(piles, err)
	}
}

// Each file in testdata/bad stands for one kind of mistake, and the .err beside
// it is all that the person who made it is told.
func TestEveryMistakeIsListedByRow(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.csv")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := LoadPiles(file)
			if strings.HasPrefix(filepath.Base(file), "cards") {
				_, err = LoadCards(file)
			}
			if err == nil {
				t.Fatal("loaded")
			}
			golden := strings.TrimSuffix(file, ".csv") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := filepath.ToSlash(err.Error()) + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestCardNumbersStayOutOfErrors(t *testing.T) {
	_, err := loadCards(t, "卡号,楼号,门牌,车辆数\n04A1B2C3,1,603,x\n04A1B2C3,,,\n")
	if err == nil || strings.Contains(err.Error(), "04A1B2C3") || !strings.Contains(err.Error(), "…B2C3") {
		t.Error(err)
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := LoadPiles(filepath.Join(t.TempDir(), "none.csv"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "give its path") {
		t.Error(err)
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.csv")
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCards(path); err == nil || !strings.Contains(err.Error(), "over 16 MB") {
		t.Error(err)
	}
}

func FuzzRegistry(f *testing.F) {
	for _, name := range []string{"piles", "piles-gbk", "piles-bom", "cards", "cards-gbk"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".csv"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("pile,building,ports\n\"P01,1,3"))
	f.Add([]byte("卡号,楼号,门牌,户号,电池\n1,1,1,1-1,48V20Ah"))
	f.Fuzz(func(t *testing.T, data []byte) {
		piles, err := loadPiles(t, string(data))
		oneLineEach(t, "piles.csv:", err)
		seen := map[string]bool{}
		for _, p := range piles {
			if p.ID == "" || seen[p.ID] || p.Building == "" || p.Ports < 1 || p.Ports > 255 || p.MaxPortMW < 0 {
				t.Fatalf("%+v", p)
			}
			seen[p.ID] = true
		}
		cards, err := loadCards(t, string(data))
		oneLineEach(t, "cards.csv:", err)
		seen = map[string]bool{}
		for _, c := range cards {
			if c.ID == "" || seen[c.ID] || c.Household != c.Building+"-"+c.Room || c.PackMWh < 0 || c.Bikes < 0 {
				t.Fatalf("%+v", c)
			}
			seen[c.ID] = true
		}
	})
}

func oneLineEach(t *testing.T, prefix string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, prefix) {
			t.Fatalf("line %q of %v", line, err)
		}
	}
}
