package registry

import (
	"strings"
	"unicode"
)

// Pile is a charging pile (充电桩).
type Pile struct {
	ID        string // as it stands in topics
	Building  string // the number alone: 3 for 3号楼
	Location  string // as people say it; may be empty
	Ports     int    // 1 to 255
	MaxPortMW int64  // the most that one port delivers, mW; 0 when the registry says nothing
}

var pileColumns = []column{
	{"pile", []string{"桩号", "桩编号", "充电桩", "充电桩号"}, true},
	{"building", []string{"楼号", "楼栋", "楼幢"}, true},
	{"location", []string{"位置", "安装位置"}, false},
	{"ports", []string{"端口数", "插口数", "插座数"}, true},
	{"max_port_w", []string{"最大功率", "单口最大功率", "端口最大功率"}, false},
}

// LoadPiles reads the piles of a CSV file, in its order. The error lists every
// problem as "piles.csv:3: ...", one a line, and then there are no piles.
func LoadPiles(path string) ([]Pile, error) {
	t, err := open(path, pileColumns)
	if err != nil {
		return nil, err
	}
	return t.piles()
}

func (t *table) piles() ([]Pile, error) {
	var piles []Pile
	first := map[string]int{}
	for _, r := range t.rows {
		r.need("pile", "its id, as in its topics")
		r.need("building", "its number, such as 3")
		r.need("ports", "a whole number from 1 to 255")
		p := Pile{
			ID: r.cells["pile"], Building: building(r.cells["building"]), Location: r.cells["location"],
			Ports: r.whole("ports", 1, 255), MaxPortMW: r.milliwatts("max_port_w"),
		}
		before, twice := first[p.ID]
		switch {
		case strings.ContainsAny(p.ID, "/+#") || strings.ContainsFunc(p.ID, unicode.IsControl):
			r.bad("pile %q: expected an id without / + # and line breaks, as in its topics", p.ID)
		case twice:
			r.bad("pile %s stands twice (first in row %d): remove one", p.ID, before)
		case p.ID != "":
			first[p.ID] = r.line
		}
		piles = append(piles, p)
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	return piles, nil
}
