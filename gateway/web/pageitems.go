package web

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// blocks arranges piles and ports by building: 2 before 10, the unregistered last.
func (p *writer) blocks() []block {
	ports := map[string][]portView{}
	for _, v := range p.ports {
		ports[v.Pile] = append(ports[v.Pile], v)
	}
	flagged := map[portKey]bool{}
	for _, f := range p.flags {
		flagged[portKey{f.Pile, f.Port}] = true
	}
	of := map[string][]pileItem{}
	for _, v := range p.piles {
		of[v.Building] = append(of[v.Building], p.pileItem(v, ports[v.Pile], flagged))
	}
	var buildings []string
	for b := range of {
		buildings = append(buildings, b)
	}
	slices.SortFunc(buildings, compareBuildings)
	return convert(buildings, func(b *string) block { return block{p.building(*b), of[*b]} })
}

func compareBuildings(a, b string) int {
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(x, y)
	case a == "" || b == "":
		return cmp.Compare(len(b), len(a))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

func (p *writer) building(b string) string {
	if b == "" {
		return p.say("unregistered")
	}
	if _, err := strconv.Atoi(b); err != nil {
		return b
	}
	return p.say("building", b)
}

func (p *writer) pileItem(v pileView, heard []portView, flagged map[portKey]bool) pileItem {
	item := pileItem{Name: v.Pile, Place: v.Location, Online: v.Online, Status: p.say("online")}
	switch {
	case v.LastSeen == nil:
		item.Status, item.Note = p.say("offline"), p.say("never_seen")
	case !v.Online:
		item.Status, item.Note = p.say("offline"), p.say("last_seen")+" "+p.clock(v.LastSeen)
	case v.TemperatureC != nil:
		item.Note = decimal(int64(*v.TemperatureC), 1000, 0) + " °C"
	}
	byNumber := map[uint8]*portView{}
	highest := v.Ports
	for i := range heard {
		byNumber[heard[i].Port] = &heard[i]
		highest = max(highest, int(heard[i].Port))
	}
	for n := 1; n <= min(highest, 255); n++ {
		q := byNumber[uint8(n)]
		if q == nil && (n > v.Ports || !v.Registered) {
			continue // nobody says that there is such a port
		}
		item.Ports = append(item.Ports, p.portItem(uint8(n), q, v.Online, flagged[portKey{v.Pile, uint8(n)}]))
	}
	return item
}

// portItem says what a port does. One that states nothing is taken to charge
// while it has a session, and to be free otherwise.
func (p *writer) portItem(n uint8, v *portView, online, flagged bool) portItem {
	item := portItem{Number: n, State: "none"}
	switch {
	case v == nil:
	case !online:
		item.State = "offline"
	case v.State != "unknown":
		item.State = v.State
	case v.SessionID != "":
		item.State = "charging"
	default:
		item.State = "idle"
	}
	item.Label = p.label("state_", item.State)
	if item.State == "offline" {
		item.Label = p.say("offline")
	}
	if v != nil && online && v.PowerW != nil && (item.State == "charging" || *v.PowerW >= 1000) {
		item.Power = decimal(int64(*v.PowerW), 1000, 0) + " W"
	}
	if flagged {
		item.Flagged = p.say("has_flag")
	}
	return item
}

func (p *writer) flagItem(f *ledger.Flag) flagItem {
	item := flagItem{
		Severity: f.Severity, Address: "/flags/" + url.PathEscape(f.ID), Label: p.label("", f.Severity), Where: p.where(f.Building, f.Pile, f.Port), Household: f.Household,
		When: p.clock(p.at(f.RaisedAt)), Message: p.pick(f.Message, f.MessageEN), Advice: p.pick(f.Advice, f.AdviceEN),
	}
	if f.Status == ledger.StatusAcknowledged || f.Status == ledger.StatusConfirmed {
		item.Note = p.say(f.Status)
	}
	if f.ClearedAt == 0 && f.Status == ledger.StatusOpen {
		item.Actions = p.actions(f, ledger.StatusAcknowledged)
	}
	if f.ClearedAt != 0 {
		item.When += " – " + p.clock(p.at(f.ClearedAt))
	} else if p.language == chinese {
		item.When += " " + p.say("since")
	} else {
		item.When = p.say("since") + " " + item.When
	}
	return item
}

func (p *writer) where(building, pile string, port uint8) string {
	parts := []string{pile, p.say("whole_pile")}
	if port != 0 {
		parts[1] = p.say("port", port)
	}
	if building != "" {
		parts = append([]string{p.building(building)}, parts...)
	}
	return strings.Join(parts, " · ")
}

func (p *writer) sessionItem(x *session.Session) sessionItem {
	watts, unit := kilo(x.PeakMW)
	item := sessionItem{
		Start: p.clock(p.at(x.Start)), Where: p.where(x.Building, x.Pile, x.Port), Household: cmp.Or(x.Household, "–"),
		Duration: clockTime(x.Duration()), Energy: decimal(x.EnergyMWh, 1_000_000, 2) + " " + p.say("kwh"), Peak: watts + " " + unit,
		Fee: "–", Ended: p.label("reason_", x.Reason), Open: x.Open,
	}
	switch {
	case x.Open:
		item.Ended = p.say("going_on")
	case x.Tariff != "":
		item.Fee = "¥" + decimal(x.TotalFen(), 100, 2)
	}
	return item
}

// clock is the time of day, with the date where it is another day.
func (p *writer) clock(t *stamp) string {
	if t == nil {
		return "–"
	}
	if t.Year() == p.now.Year() && t.YearDay() == p.now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format(p.pick("1月2日 15:04", "2 Jan 15:04"))
}

// clockTime writes a duration as hours and minutes: 3:05.
func clockTime(d time.Duration) string {
	m := int(d / time.Minute)
	return fmt.Sprintf("%d:%02d", m/60, m%60)
}

// kilo writes milliwatts as watts, or as kilowatts from one on.
func kilo(mW int64) (value, unit string) {
	if mW < 1_000_000 {
		return decimal(mW, 1000, 0), "W"
	}
	return decimal(mW, 1_000_000, 2), "kW"
}

// decimal writes v/unit with the given places, rounded half away from zero.
func decimal(v, unit int64, places int) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	for range places {
		unit /= 10
	}
	n := strconv.FormatInt((v+unit/2)/unit, 10)
	if places == 0 {
		return sign + n
	}
	n = strings.Repeat("0", max(0, places+1-len(n))) + n
	return sign + n[:len(n)-places] + "." + n[len(n)-places:]
}
