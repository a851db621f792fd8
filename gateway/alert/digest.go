package alert

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// summary is what a digest tells of a period.
type summary struct {
	from, to time.Time
	open     []ledger.Flag // at its end, the gravest first
	raised   int
	cleared  int
	visits   []ledger.Flag // of the open ones: somebody has to go there
	sessions int           // that ended in it
	mWh      int64
	piles    []pileTrouble // the worst first
}

// pileTrouble is a pile and how many flags it had.
type pileTrouble struct {
	pile    string
	flags   int
	offline bool
}

// lookBack is how long a flag that was cleared in a period may have stood.
const lookBack = 60 * 24 * time.Hour

// summarize reads what a digest tells: of all severities, of the rules and
// buildings that the channel is about.
func (c *courier) summarize(ctx context.Context, from, to time.Time) (s summary, err error) {
	s.from, s.to = from, to
	begin, end := devices.MillisOf(from), devices.MillisOf(to)
	all, _, err := c.ledger.Flags(ctx, ledger.Filter{From: begin - devices.Millis(lookBack.Milliseconds()), To: end})
	if err != nil {
		return s, err
	}
	old, _, err := c.ledger.Flags(ctx, ledger.Filter{To: begin - devices.Millis(lookBack.Milliseconds()), Open: new(true)})
	if err != nil {
		return s, err
	}
	p := c.policy
	p.least = 0 // what is not worth a message of its own is worth a line here
	troubles := map[string]*pileTrouble{}
	for _, f := range append(all, old...) {
		if p.wants(&f) && f.Status != ledger.StatusFalseAlarm {
			s.count(f, begin, end, troubles)
		}
	}
	for _, t := range troubles {
		s.piles = append(s.piles, *t)
	}
	slices.SortFunc(s.piles, func(a, b pileTrouble) int {
		return cmp.Or(cmp.Compare(b.flags, a.flags), strings.Compare(a.pile, b.pile))
	})
	slices.SortStableFunc(s.open, func(a, b ledger.Flag) int {
		return cmp.Or(cmp.Compare(gravity(&b), gravity(&a)), cmp.Compare(a.RaisedAt, b.RaisedAt))
	})
	for _, f := range s.open {
		if f.Status == ledger.StatusOpen && f.Rule != ruleOffline && (rank(f.Severity) >= rank(ledger.Warning) || f.Suspicion == "home_charging") {
			s.visits = append(s.visits, f)
		}
	}
	err = c.ledger.EachSession(ctx, ledger.Filter{From: begin, To: end, ByEnd: true}, func(x *session.Session) error {
		if building := cmp.Or(c.words.piles[x.Pile].Building, x.Building); len(p.buildings) == 0 || slices.Contains(p.buildings, building) {
			s.sessions++
			s.mWh += x.EnergyMWh
		}
		return nil
	})
	return s, err
}

// count adds a flag.
func (s *summary) count(f ledger.Flag, begin, end devices.Millis, troubles map[string]*pileTrouble) {
	isNew := f.RaisedAt >= begin
	stood := f.ClearedAt == 0 || f.ClearedAt >= end
	open := stood && f.Status != ledger.StatusResolved
	if isNew {
		s.raised++
	}
	if !stood && f.ClearedAt >= begin {
		s.cleared++
	}
	if open {
		s.open = append(s.open, f)
	}
	if f.Pile == "" || !open && !isNew {
		return
	}
	t := troubles[f.Pile]
	if t == nil {
		t = &pileTrouble{pile: f.Pile}
		troubles[f.Pile] = t
	}
	t.flags++
	t.offline = t.offline || open && f.Rule == ruleOffline
}

// maxVisits and maxPiles bound what a digest lists.
const (
	maxVisits = 10
	maxPiles  = 10
)

// digest puts a summary into words.
func (w *writer) digest(id string, weekly bool, s *summary) channel.Message {
	m := channel.Message{DeliveryID: id, Kind: channel.Digest, Severity: gravest(s.open), At: s.to, Link: w.link(nil)}
	name := w.pick("日报", "DAILY")
	if weekly {
		name = w.pick("周报", "WEEKLY")
	}
	if m.Severity != ledger.Info {
		name += w.pick("·", ", ") + w.severity(m.Severity)
	}
	tag := w.pick("【"+name+"】", "["+name+"] ")
	if len(s.open) == 0 {
		m.Title = tag + w.estate + w.pick("：没有待处理的提醒", ": no open flags")
	} else {
		m.Title = tag + w.estate + fmt.Sprintf(w.pick("：待处理%d条", ": %d open flags"), len(s.open))
	}
	day := w.pick("1月2日 15:04", "2 Jan 15:04")
	lines := []string{
		w.pick("时段：", "Period: ") + s.from.In(w.loc).Format(day) + w.pick("–", " to ") + s.to.In(w.loc).Format(day),
		w.pick("待处理：", "Open: ") + w.bySeverity(s.open),
		fmt.Sprintf(w.pick("新增：%d条；已解除：%d条", "New: %d; resolved: %d"), s.raised, s.cleared),
		fmt.Sprintf(w.pick("充电：%d次，%s度", "Charging: %d sessions, %s kWh"), s.sessions, hundredths(s.mWh)),
		fmt.Sprintf(w.pick("需要上门：%d处", "Visits to make: %d"), len(s.visits)),
	}
	for i := range s.visits[:min(len(s.visits), maxVisits)] {
		f := &s.visits[i]
		lines = append(lines, "· "+w.where(f)+w.pick("：", ": ")+w.ruleName(f)+w.pick("（", " (")+w.brief(f)+w.pick("）", ")"))
	}
	if rest := len(s.visits) - maxVisits; rest > 0 {
		lines = append(lines, fmt.Sprintf(w.pick("另有%d处，请看网页。", "And %d more: see the page."), rest))
	}
	m.Text = strings.Join(append(lines, w.pileLine(s.piles)), "\n")
	return m
}

func (w *writer) bySeverity(fs []ledger.Flag) string {
	n := map[string]int{}
	for i := range fs {
		n[fs[i].Severity]++
	}
	text := fmt.Sprintf(w.pick("%d条", "%d"), len(fs))
	if len(fs) == 0 {
		return text
	}
	var parts []string
	for _, s := range []string{ledger.Critical, ledger.Warning, ledger.Info} {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf(w.pick("%s%d", "%s %d"), w.severity(s), n[s]))
		}
	}
	return text + w.pick("（", " (") + strings.Join(parts, w.pick("，", ", ")) + w.pick("）", ")")
}

// pileLine names the piles with trouble.
func (w *writer) pileLine(piles []pileTrouble) string {
	head := w.pick("有问题的桩：", "Piles with trouble: ")
	if len(piles) == 0 {
		return head + w.pick("无", "none")
	}
	var parts []string
	for _, t := range piles[:min(len(piles), maxPiles)] {
		note := fmt.Sprintf(w.pick("%d条", "%d"), t.flags)
		if t.offline {
			note += w.pick("，离线", ", off line")
		}
		parts = append(parts, t.pile+w.pick("（", " (")+note+w.pick("）", ")"))
	}
	if rest := len(piles) - maxPiles; rest > 0 {
		parts = append(parts, fmt.Sprintf(w.pick("另有%d台", "%d more"), rest))
	}
	return head + strings.Join(parts, w.pick("、", ", "))
}

// hundredths writes an energy in kWh with two places.
func hundredths(mWh int64) string {
	h := (mWh + 5_000) / 10_000
	return fmt.Sprintf("%d.%02d", h/100, h%100)
}
