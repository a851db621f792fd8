package registry

import (
	"cmp"
	"regexp"
	"slices"
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
	ValidFrom string // first local day on which the household held it, 2006-01-02; "" for ever before
	ValidTo   string // the day from which it did not; "" while it does
}

var cardColumns = []column{
	{"card", []string{"卡号"}, true},
	{"building", []string{"楼号", "楼栋", "楼幢"}, true},
	{"room", []string{"门牌", "门牌号", "室号", "房号"}, true},
	{"household", []string{"户号"}, false},
	{"bikes", []string{"车辆数", "车数", "电动车数"}, false},
	{"pack", []string{"电池", "电池规格"}, false},
	{"courier", []string{"快递员", "外卖员", "骑手"}, false},
	{"valid_from", []string{"启用日期", "生效日期"}, false},
	{"valid_to", []string{"停用日期", "失效日期"}, false},
}

// LoadCards reads the cards of a CSV file or a workbook, in its order. A card may
// stand there once for each household that has held it: all but the first have a
// valid_from, and one ends where the next begins. They follow each other by their
// days. The error lists every problem as "cards.csv:3: ...", one a line, and then
// there are no cards.
func LoadCards(path string) ([]Card, error) {
	t, err := open(path, cardColumns)
	if err != nil {
		return nil, err
	}
	return t.cards()
}

func (t *table) cards() ([]Card, error) {
	var cards []Card
	lines := map[string][]dated{}
	for _, r := range t.rows {
		r.need("card", "its number")
		r.need("building", "its number, such as 3")
		r.need("room", "its number, such as 603")
		c := Card{
			ID: squeeze(r.cells["card"]), Building: building(r.cells["building"]), Room: room(r.cells["room"]),
			Bikes: r.whole("bikes", 0, 99), PackMWh: r.pack("pack"), Courier: r.yes("courier"),
			ValidFrom: r.date("valid_from"), ValidTo: r.date("valid_to"),
		}
		c.Household = r.household(c)
		if c.ValidTo != "" && c.ValidTo <= c.ValidFrom {
			r.bad("valid_to %s is not after valid_from %s: expected the day from which the household has it no more", c.ValidTo, c.ValidFrom)
		}
		if scientific.MatchString(c.ID) {
			r.bad("card number cut short by Excel: format the column as text and enter it again")
		} else if c.ID != "" {
			lines[c.ID] = append(lines[c.ID], dated{len(cards), r})
		}
		cards = append(cards, c)
	}
	for id, rows := range lines {
		follow(id, rows, cards)
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	return byDays(cards), nil
}

// dated is a row of a card.
type dated struct {
	at  int // in the list of cards
	row row
}

// follow checks that the holders of a card follow each other, and ends each where the next begins.
func follow(id string, rows []dated, cards []Card) {
	slices.SortStableFunc(rows, func(a, b dated) int { return strings.Compare(cards[a.at].ValidFrom, cards[b.at].ValidFrom) })
	for i := 1; i < len(rows); i++ {
		before, c := &cards[rows[i-1].at], &cards[rows[i].at]
		switch {
		case c.ValidFrom == before.ValidFrom:
			rows[i].row.bad("card %s stands twice (first in row %d): remove one, or give valid_from where it has changed hands", masked(id), rows[i-1].row.line)
		case before.ValidTo == "":
			before.ValidTo = c.ValidFrom
		case before.ValidTo > c.ValidFrom:
			rows[i].row.bad("card %s from %s: row %d has it until %s; expected one holder a day", masked(id), c.ValidFrom, rows[i-1].row.line, before.ValidTo)
		}
	}
}

// byDays puts the rows of each card in the order of their days, and leaves each
// card where it first stood.
func byDays(cards []Card) []Card {
	first := map[string]int{}
	for i, c := range cards {
		if _, ok := first[c.ID]; !ok {
			first[c.ID] = i
		}
	}
	slices.SortStableFunc(cards, func(a, b Card) int {
		return cmp.Or(first[a.ID]-first[b.ID], strings.Compare(a.ValidFrom, b.ValidFrom))
	})
	return cards
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
