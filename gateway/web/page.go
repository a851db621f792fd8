package web

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// How much the page lists.
const (
	recentSessions = 20
	listedFlags    = 50
	countedFlags   = 1000
	clearedWithin  = 24 * time.Hour
)

// pageView is all that the page shows, in words.
type pageView struct {
	Estate   string
	Updated  string
	Troubles []string
	Tiles    []tile
	Flags    []flagItem
	Unlisted string // how many flags more there are; "" for none
	Cleared  []flagItem
	Blocks   []block
	Sessions []sessionItem
	Channels []channelItem
	Exports  []link
}

// tile is one number of the summary.
type tile struct{ Label, Value, Unit, Note, Class string }

// link is a way to something else.
type link struct{ Text, Address string }

// flagItem is a flag in words.
type flagItem struct {
	Severity, Label, Where, Household, When, Note, Message, Advice, Address string

	Actions []action
}

// action is what somebody may say of a flag.
type action struct{ Flag, Status, Text string }

// channelItem is a channel of alerts in words.
type channelItem struct {
	Name, Status string
	Bad          bool
	Notes        []string
}

// block is a building with its piles.
type block struct {
	Name  string
	Piles []pileItem
}

// pileItem is a pile in words.
type pileItem struct {
	Name, Place, Status, Note string
	Online                    bool
	Ports                     []portItem
}

// portItem is a port in words; State is its class.
type portItem struct {
	Number                       uint8
	State, Label, Power, Flagged string
}

// sessionItem is a session in words.
type sessionItem struct {
	Start, Where, Household, Duration, Energy, Peak, Fee, Ended string
	Open                                                        bool
}

// writer puts a page together in one language.
type writer struct {
	*Server
	language
	now   time.Time
	may   []string // what who reads may say of a flag
	piles []pileView
	ports []portView
	flags []ledger.Flag // that stand, the gravest first
	view  pageView
}

// page serves the built-in page. What cannot be read is said on it; the rest is there.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	p := s.writer(r)
	p.write(r.Context())
	s.show(w, r, p.language, "page.html", &p.view)
}

func (s *Server) writer(r *http.Request) *writer {
	_, role := s.who(r)
	return &writer{Server: s, language: s.languageOf(r), now: s.Now().In(s.Location), may: maySay(role)}
}

// show answers with one of the pages.
func (s *Server) show(w http.ResponseWriter, r *http.Request, l language, name string, view any) {
	var body bytes.Buffer
	if err := s.pages[l].ExecuteTemplate(&body, name, view); err != nil {
		s.problemOf(r, fmt.Errorf("writing the page: %w", err)).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(body.Bytes()) //nolint:errcheck // the client is gone
}

// languageOf is what the address asks for, or else what is configured.
func (s *Server) languageOf(r *http.Request) language {
	if cmp.Or(r.URL.Query().Get("lang"), s.Language) == "en" {
		return english
	}
	return chinese
}

func (p *writer) write(ctx context.Context) {
	p.view.Estate = cmp.Or(p.Name, p.Estate)
	p.view.Updated = p.now.Format(time.TimeOnly)
	for _, name := range slices.Sorted(maps.Keys(p.Checks)) {
		if err := p.Checks[name](); err != nil {
			p.view.Troubles = append(p.view.Troubles, p.say("trouble")+": "+name+": "+err.Error())
		}
	}
	p.Live.View(func(st *session.State) {
		p.piles = p.pileViews(st, ledger.Filter{})
		p.ports = p.portViews(st, ledger.Filter{}, portKey{})
	})
	today, err := p.readLedger(ctx)
	if err != nil {
		p.Log.Error("the page could not read the ledger", "error", err)
		p.view.Troubles = append(p.view.Troubles, p.say("no_ledger"))
	}
	p.believeFlags()
	p.view.Tiles = p.tiles(today)
	p.view.Blocks = p.blocks()
	p.view.Channels = convert(p.channels(), p.channelItem)
	if p.Export != nil {
		p.view.Exports = p.exports()
	}
}

// believeFlags takes a pile for offline that a flag which stands says is: the
// rule knows how often the pile speaks, and is quicker than the usual wait.
func (p *writer) believeFlags() {
	const rule = "pile_offline"
	for _, f := range p.flags {
		for i := range p.piles {
			if f.Rule == rule && f.Pile == p.piles[i].Pile {
				p.piles[i].Online = false
			}
		}
	}
}

// readLedger fills in flags and sessions, and gives the sessions that began today.
func (p *writer) readLedger(ctx context.Context) (today []session.Session, err error) {
	if err := p.readFlags(ctx); err != nil {
		return nil, err
	}
	recent, _, err := p.Ledger.Sessions(ctx, ledger.Filter{Limit: recentSessions})
	if err != nil {
		return nil, err
	}
	p.overlay(recent)
	p.view.Sessions = convert(recent, p.sessionItem)
	midnight := time.Date(p.now.Year(), p.now.Month(), p.now.Day(), 0, 0, 0, 0, p.Location)
	today, _, err = p.Ledger.Sessions(ctx, ledger.Filter{From: devices.MillisOf(midnight)})
	p.overlay(today)
	return today, err
}

// readFlags fills in those that stand, and those cleared of late.
func (p *writer) readFlags(ctx context.Context) error {
	open, _, err := p.Ledger.Flags(ctx, ledger.Filter{Open: new(true), Limit: countedFlags})
	if err != nil {
		return err
	}
	p.flags = slices.DeleteFunc(open, func(f ledger.Flag) bool {
		return f.Status == ledger.StatusFalseAlarm || f.Status == ledger.StatusResolved // people are done with it
	})
	slices.SortStableFunc(p.flags, func(a, b ledger.Flag) int { return gravity(b.Severity) - gravity(a.Severity) })
	listed := p.flags[:min(len(p.flags), listedFlags)]
	p.view.Flags = convert(listed, p.flagItem)
	if rest := len(p.flags) - len(listed); rest > 0 {
		p.view.Unlisted = p.say("more_flags", rest)
	}
	// A flag that was cleared today may have been raised long before.
	since := devices.MillisOf(p.now.Add(-clearedWithin))
	cleared, _, err := p.Ledger.Flags(ctx, ledger.Filter{Open: new(false), From: since.Add(-7 * clearedWithin), Limit: countedFlags})
	if err != nil {
		return err
	}
	cleared = slices.DeleteFunc(cleared, func(f ledger.Flag) bool { return f.ClearedAt < since })
	p.view.Cleared = convert(cleared[:min(len(cleared), listedFlags)], p.flagItem)
	return nil
}

func gravity(severity string) int {
	return slices.Index([]string{ledger.Info, ledger.Warning, ledger.Critical}, severity)
}

// say gives a word of the page, with numbers in it where it has places for them.
func (p *writer) say(key string, a ...any) string {
	w, err := p.word(key)
	if err != nil || len(a) == 0 {
		return w
	}
	return fmt.Sprintf(w, a...)
}

func (p *writer) tiles(today []session.Session) []tile {
	online, total, down := map[string]bool{}, 0, 0
	for _, v := range p.piles {
		online[v.Pile] = v.Online
		total += v.Ports
		if !v.Online {
			down++
		}
	}
	used, power := 0, milli(0)
	for _, v := range p.ports {
		if v.SessionID != "" {
			used++
		}
		if online[v.Pile] && v.PowerW != nil {
			power += *v.PowerW
		}
	}
	var energy int64
	running, critical := 0, 0
	for i := range today {
		energy += today[i].EnergyMWh
		if today[i].Open {
			running++
		}
	}
	for _, f := range p.flags {
		if f.Severity == ledger.Critical {
			critical++
		}
	}
	watts, unit := kilo(int64(power))
	tiles := []tile{
		{p.say("in_use"), fmt.Sprint(used), "", p.say("of_ports", total), ""},
		{p.say("power_now"), watts, unit, p.say("of_online"), ""},
		{p.say("energy"), decimal(energy, 1_000_000, 1), p.say("kwh"), p.say("energy_note"), ""},
		{p.say("count"), fmt.Sprint(len(today)), p.say("times"), p.say("count_note", running), ""},
		{p.say("open_flags"), fmt.Sprint(len(p.flags)), p.say("flags_unit"), p.say("flags_note", critical), ""},
	}
	if down > 0 {
		tiles[1].Note = p.say("piles_down", down)
	}
	switch {
	case critical > 0:
		tiles[4].Class = ledger.Critical
	case len(p.flags) > 0:
		tiles[4].Class = ledger.Warning
	}
	return tiles
}

func (p *writer) exports() []link {
	first := time.Date(p.now.Year(), p.now.Month(), 1, 0, 0, 0, 0, p.Location)
	address := func(month time.Time) string { return "/export/sessions.csv?month=" + month.Format("2006-01") }
	return []link{
		{p.say("this_month"), address(first)},
		{p.say("last_month"), address(first.AddDate(0, -1, 0))},
	}
}
