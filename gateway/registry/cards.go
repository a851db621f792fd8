package registry

import (
	"regexp"
	"strings"
)

// Card is a resident's card, and what is known of the household's bikes.
type Card struct {
	ID        string // the number; never logged
	Building  string // the number alone: 3 for 3号楼
	Room      string // the number alone: 603 for 603室
	Household string // 户号, building-room
	Bikes     int    // registered on this card; 0 when the registry says nothing
	PackMWh   int64  // nominal energy of the battery, mWh; 0 when the registry says nothing
	Courier   bool
}

var cardColumns = []column{
	{"card", []string{"卡号"}, true},
	{"building", []string{"楼号", "楼栋", "楼幢"}, true},
	{"room", []string{"门牌", "门牌号", "室号", "房号"}, true},
	{"household", []string{"户号"}, false},
	{"bikes", []string{"车辆数", "车数", "电动车数"}, false},
	{"pack", []string{"电池", "电池规格"}, false},
	{"courier", []string{"快递员", "外卖员", "骑手"}, false},
}

// LoadCards reads the cards of a CSV file, in its order. The error lists every
// problem as "cards.csv:3: ...", one a line, and then there are no cards.
func LoadCards(path string) ([]Card, error) {
	t, err := open(path, cardColumns)
	if err != nil {
		return nil, err
	}
	return t.cards()
}

func (t *table) cards() ([]Card, error) {
	var cards []Card
	first := map[string]int{}
	for _, r := range t.rows {
		r.need("card", "its number")
		r.need("building", "its number, such as 3")
		r.need("room", "its number, such as 603")
		c := Card{
			ID: squeeze(r.cells["card"]), Building: building(r.cells["building"]), Room: room(r.cells["room"]),
			Bikes: r.whole("bikes", 0, 99), PackMWh: r.pack("pack"), Courier: r.yes("courier"),
		}
		c.Household = r.household(c)
		before, twice := first[c.ID]
		switch {
		case scientific.MatchString(c.ID):
			r.bad("card number cut short by Excel: format the column as text and enter it again")
		case twice:
			r.bad("card %s stands twice (first in row %d): remove one", masked(c.ID), before)
		case c.ID != "":
			first[c.ID] = r.line
		}
		cards = append(cards, c)
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	return cards, nil
}

// household is building-room, whether the cell says so or is empty.
func (r row) household(c Card) string {
	want := c.Building + "-" + c.Room
	cell := squeeze(r.cells["household"])
	if cell == "" || c.Building == "" || c.Room == "" { // what is missing is reported already
		return want
	}
	i := strings.LastIndex(cell, "-")
	if i < 0 || building(cell[:i])+"-"+room(cell[i+1:]) != want {
		r.bad("household %q is not building-room: expected %s, or an empty cell", cell, want)
	}
	return want
}

// scientific is what Excel makes of a long number in a cell that is not text.
var scientific = regexp.MustCompile(`(?i)^[0-9](\.[0-9]+)?E\+[0-9]+$`)

// masked shows the last four characters of a card number that has more.
func masked(id string) string {
	if runes := []rune(id); len(runes) > 4 {
		return "…" + string(runes[len(runes)-4:])
	}
	return "…"
}
