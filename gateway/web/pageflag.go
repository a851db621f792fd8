package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"pilewatch/gateway/ledger"
)

// flagPageView is all that the page of one flag shows, in words.
type flagPageView struct {
	Estate string
	Flag   flagItem
	Trail  []trailItem // what people said of it
	Told   []trailItem // what the channels were told of it
}

// trailItem is a thing that was done.
type trailItem struct{ When, What, Who, Note string }

// flagPage serves the page of one flag, which messages link to.
func (s *Server) flagPage(w http.ResponseWriter, r *http.Request) {
	f, said, told, err := s.readFlag(r)
	if err != nil {
		s.problemOf(r, err).ServeHTTP(w, r)
		return
	}
	p := s.writer(r)
	v := flagPageView{Estate: cmp.Or(s.Name, s.Estate), Flag: p.flagItem(&f), Trail: convert(said, p.verdictItem), Told: convert(told, p.deliveryItem)}
	v.Flag.Actions = p.actions(&f, ledger.VerdictStatuses()...)
	s.show(w, r, p.language, "flag_page", &v)
}

// actions gives what who reads may say of a flag, of some statuses.
func (p *writer) actions(f *ledger.Flag, statuses ...string) (as []action) {
	for _, status := range statuses {
		if slices.Contains(p.may, status) && status != f.Status {
			as = append(as, action{f.ID, status, p.label("say_", status)})
		}
	}
	return as
}

func (p *writer) verdictItem(v *ledger.Verdict) trailItem {
	return trailItem{When: p.clock(p.at(v.At)), What: p.label("", v.Status), Who: v.By, Note: v.Note}
}

func (p *writer) deliveryItem(d *ledger.Delivery) trailItem {
	kind, _, _ := strings.Cut(d.Step, "/")
	item := trailItem{When: p.clock(p.at(d.At)), What: p.label("step_", kind) + " · " + p.label("state_", d.State), Who: d.Channel, Note: d.Error}
	if d.DoneAt != 0 {
		item.When = p.clock(p.at(d.DoneAt))
	}
	return item
}

func (p *writer) channelItem(c *Channel) channelItem {
	item := channelItem{Name: c.Name, Status: p.say("channel_ok")}
	if c.Failing != 0 {
		item.Bad, item.Status = true, p.say("channel_failing")
		item.Notes = append(item.Notes, p.say("failing_since")+" "+p.clock(p.at(c.Failing)), c.Error)
	}
	if c.Waiting > 0 {
		item.Notes = append(item.Notes, p.say("waits", c.Waiting))
	}
	if c.Sent != 0 {
		item.Notes = append(item.Notes, p.say("last_sent")+" "+p.clock(p.at(c.Sent)))
	}
	if c.Refused > 0 {
		item.Notes = append(item.Notes, fmt.Sprint(p.say("refused", c.Refused), ": ", c.LastRefusal))
	}
	return item
}
