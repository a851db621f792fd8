package alert

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// writer puts messages into words: where, when, what was seen, how sure, what to
// do. It names no card, no person and no room.
type writer struct {
	language
	estate   string                  // its name
	url      string                  // of the page; "" for none
	escalate time.Duration           // after which it is told what nobody acknowledged; 0: at once
	loc      *time.Location          //
	piles    map[string]session.Pile // of the registry
}

// listed is how many flags a message tells one by one.
const listed = 20

// message gives a draft its words. A digest has those of digest.go.
func (w *writer) message(d *draft, now devices.Millis) channel.Message {
	fs := d.flags()
	m := channel.Message{DeliveryID: d.id, Kind: d.kind(), Severity: gravest(fs), Flags: fs, At: eventTime(fs).Time().In(w.loc)}
	if m.Kind == channel.Repeated {
		m.At = d.notices[0].At.Time().In(w.loc)
	}
	m.Link = w.link(fs)
	about := w.about(fs)
	m.Title = w.tag(m.Kind, m.Severity) + about
	if len(fs) == 1 {
		m.Text = w.one(d, &fs[0], now)
	} else {
		m.Text = w.many(d, fs, now)
	}
	return m
}

// gravest is the highest severity.
func gravest(fs []ledger.Flag) string {
	s := ledger.Info
	for i := range fs {
		if rank(fs[i].Severity) > rank(s) {
			s = fs[i].Severity
		}
	}
	return s
}

// eventTime is when the newest of it happened.
func eventTime(fs []ledger.Flag) (at devices.Millis) {
	for i := range fs {
		at = max(at, fs[i].RaisedAt, fs[i].SeverityAt, fs[i].ClearedAt)
	}
	return at
}

// link is the page of the one flag, or the page.
func (w *writer) link(fs []ledger.Flag) string {
	switch {
	case w.url == "":
		return ""
	case len(fs) == 1:
		return FlagPage(w.url, fs[0].ID)
	}
	return strings.TrimRight(w.url, "/") + "/"
}

// FlagPage is the address of a flag's page; "" without one of the page.
func FlagPage(publicURL, flagID string) string {
	if publicURL == "" {
		return ""
	}
	return strings.TrimRight(publicURL, "/") + "/flags/" + url.PathEscape(flagID)
}

// tag is what a title begins with: 【严重·已解除】.
func (w *writer) tag(kind, severity string) string {
	word := w.severity(severity)
	switch kind {
	case channel.Cleared:
		word += w.pick("·已解除", ", over")
	case channel.Repeated:
		word += w.pick("·仍未处理", ", still open")
	}
	return w.pick("【"+word+"】", "["+word+"] ")
}

func (w *writer) severity(s string) string {
	switch s {
	case ledger.Critical:
		return w.pick("严重", "CRITICAL")
	case ledger.Warning:
		return w.pick("警告", "WARNING")
	}
	return w.pick("提示", "NOTE")
}

// about says in a few words where it is and what; of several flags what the
// gravest is, for a telephone shows little more than a title.
func (w *writer) about(fs []ledger.Flag) string {
	colon := w.pick("：", ": ")
	if len(fs) == 1 {
		return w.where(&fs[0]) + colon + w.ruleName(&fs[0])
	}
	what := w.ruleName(&fs[0])
	if sameRule(fs) {
		what += fmt.Sprintf(w.pick("，%d条提醒", ", %d flags"), len(fs))
	} else {
		what += fmt.Sprintf(w.pick("等%d条提醒", " and others, %d flags"), len(fs))
	}
	over := 0
	for i := range fs {
		if fs[i].ClearedAt != 0 {
			over++
		}
	}
	if over > 0 && over < len(fs) {
		what += fmt.Sprintf(w.pick("，其中%d条已解除", ", %d of them over"), over)
	}
	switch {
	case samePile(fs) == "":
		return w.estate + colon + what
	case samePort(fs):
		return w.where(&fs[0]) + colon + what
	}
	return w.pileName(fs[0].Pile, fs[0].Building) + colon + what
}

func samePile(fs []ledger.Flag) string {
	for i := range fs {
		if fs[i].Pile != fs[0].Pile {
			return ""
		}
	}
	return fs[0].Pile
}

func samePort(fs []ledger.Flag) bool {
	for i := range fs {
		if fs[i].Pile != fs[0].Pile || fs[i].Port != fs[0].Port {
			return false
		}
	}
	return true
}

// sameRule reports whether one name fits all.
func sameRule(fs []ledger.Flag) bool {
	for i := range fs {
		if !sameName(&fs[i], &fs[0]) {
			return false
		}
	}
	return true
}

// where names a place as people say it: 3号楼 北侧 P03桩 2口.
func (w *writer) where(f *ledger.Flag) string {
	switch {
	case f.Pile == "" && f.Building == "":
		return w.estate
	case f.Pile == "":
		return w.building(f.Building)
	case f.Port == 0:
		return w.pileName(f.Pile, f.Building)
	}
	return w.pileName(f.Pile, f.Building) + fmt.Sprintf(w.pick(" %d口", ", port %d"), f.Port)
}

// pileName names a pile. The building is the pile's: a flag may have that of the
// household whose session it is about.
func (w *writer) pileName(pile, building string) string {
	p, known := w.piles[pile]
	if known && p.Building != "" {
		building = p.Building
	}
	var parts []string
	if building != "" {
		parts = append(parts, w.building(building))
	}
	if place := strings.TrimSpace(strings.TrimPrefix(p.Location, chineseBuilding(building))); place != "" {
		parts = append(parts, place) // registries like to say 3号楼北侧
	}
	parts = append(parts, w.pick(pile+"桩", "pile "+pile))
	return strings.Join(parts, w.pick(" ", ", "))
}

func (w *writer) building(b string) string {
	zh := chineseBuilding(b)
	if zh == b {
		return b
	}
	return w.pick(zh, "Building "+b)
}

// chineseBuilding is 3号楼 for 3, and any other name as it is.
func chineseBuilding(b string) string {
	if _, err := strconv.Atoi(b); err != nil {
		return b
	}
	return b + "号楼"
}

// lead says why people are told: that nobody saw to it, or that it is over. Of an
// ordinary alarm it says nothing.
func (w *writer) lead(kind string, fs []ledger.Flag, now devices.Millis) []string {
	standing := func(f ledger.Flag) bool { return f.ClearedAt == 0 }
	switch {
	case kind == channel.Raised && w.escalate > 0 && slices.ContainsFunc(fs, standing):
		return []string{fmt.Sprintf(w.pick("%s内无人确认，因此转到这里。请到现场处理，并在网页上点“我来处理”。",
			"Nobody acknowledged this within %s, and so it comes here. Please see to it, and say so on the page."), w.span(devices.Millis(w.escalate.Milliseconds())))}
	case kind == channel.Repeated:
		oldest := now
		for i := range fs {
			oldest = min(oldest, since(&fs[i]))
		}
		return []string{fmt.Sprintf(w.pick("已过%s，仍无人确认。请到现场处理，并在网页上点“我来处理”。",
			"Nobody has acknowledged this for %s. Please see to it, and say so on the page."), w.span(now-oldest))}
	case kind != channel.Cleared:
		return nil
	case sameRule(fs) && fs[0].Rule == ruleOffline:
		return []string{w.pick("已恢复联系。请留意各插口是否恢复充电。", "Heard again. Please see whether the ports charge again.")}
	}
	return []string{w.pick("触发提醒的情况已结束。如果还没有人了解过，仍请上门看一看。", "What raised this is over. If nobody has looked into it yet, a visit is still worth while.")}
}

// one tells all of one flag.
func (w *writer) one(d *draft, f *ledger.Flag, now devices.Millis) string {
	kind := d.kind()
	lines := w.lead(kind, []ledger.Flag{*f}, now)
	add := func(zh, en, text string) {
		if text != "" {
			lines = append(lines, w.pick(zh+"：", en+": ")+text)
		}
	}
	add("时间", "When", w.when(f))
	add("位置", "Where", w.silent(f))
	add("情况", "Seen", w.pick(f.Message, f.MessageEN))
	if f.Rose != "" && kind == channel.Raised {
		add("变化", "Change", fmt.Sprintf(w.pick("由“%s”升为“%s”", "rose from %s to %s"), w.severity(f.Rose), w.severity(f.Severity)))
	}
	if kind != channel.Cleared || d.begins() && f.Rule != ruleOffline {
		add("把握", "How sure", w.howSure(f))
		add("建议", "What to do", w.pick(f.Advice, f.AdviceEN))
	}
	return strings.Join(lines, "\n")
}

// silent names the piles of a power cut, so that people know where to look; "" of
// any other flag.
func (w *writer) silent(f *ledger.Flag) string {
	var e struct{ Piles []string }
	if f.Rule != ruleOffline || f.Pile != "" || json.Unmarshal(f.Evidence, &e) != nil {
		return ""
	}
	var names []string
	for _, pile := range e.Piles[:min(len(e.Piles), maxPiles)] {
		names = append(names, w.pileName(pile, ""))
	}
	if rest := len(e.Piles) - len(names); rest > 0 {
		names = append(names, fmt.Sprintf(w.pick("另有%d台", "%d more"), rest))
	}
	return strings.Join(names, w.pick("、", "; "))
}

// since is from when on a flag is what it is.
func since(f *ledger.Flag) devices.Millis { return max(f.RaisedAt, f.SeverityAt) }

// many tells of several flags, a paragraph for each, and what to do of each kind.
func (w *writer) many(d *draft, fs []ledger.Flag, now devices.Millis) string {
	lines := w.lead(d.kind(), fs, now)
	shown := fs[:min(len(fs), listed)]
	for i := range shown {
		f := &shown[i]
		lines = append(lines, w.item(f, samePile(fs) != "" || sameRule(fs) && f.Pile == ""))
	}
	if rest := len(fs) - len(shown); rest > 0 {
		lines = append(lines, fmt.Sprintf(w.pick("另有%d条，请看网页。", "And %d more: see the page."), rest))
	}
	return strings.Join(append(lines, w.advice(shown)...), "\n")
}

// mostAdvice is how many lines of it a message has.
const mostAdvice = 4

// advice says what to do, of the gravest first, once for all whom it is the same
// for; and for what, where that is not the same for all.
func (w *writer) advice(fs []ledger.Flag) (lines []string) {
	names := map[string][]string{}
	var order []string
	for i := range fs {
		a := w.pick(fs[i].Advice, fs[i].AdviceEN)
		if a == "" || fs[i].ClearedAt != 0 {
			continue
		}
		if names[a] == nil {
			order = append(order, a)
		}
		if name := w.ruleName(&fs[i]); !slices.Contains(names[a], name) {
			names[a] = append(names[a], name)
		}
	}
	for _, a := range order[:min(len(order), mostAdvice)] {
		of := ""
		if len(order) > 1 {
			of = w.pick("·", ", ") + strings.Join(names[a], w.pick("、", "; "))
		}
		lines = append(lines, w.pick("建议"+of+"：", "What to do"+of+": ")+a)
	}
	return lines
}

// item tells one of several flags: by its place and rule, or in full, where the
// title has said a part of that.
func (w *writer) item(f *ledger.Flag, full bool) string {
	line, note := w.tag(channel.Raised, f.Severity)+w.where(f)+w.pick("：", ": ")+w.ruleName(f), w.brief(f)
	if full && w.pick(f.Message, f.MessageEN) != "" {
		line, note = w.tag(channel.Raised, f.Severity)+w.pick(f.Message, f.MessageEN), ""
		if f.ClearedAt != 0 {
			note = w.until(f) + w.pick(" 已解除", ", over")
		}
	}
	if sure := w.howSureShort(f); sure != "" && f.ClearedAt == 0 {
		note = strings.TrimPrefix(note+w.pick("，", ", ")+sure, w.pick("，", ", "))
	}
	if note != "" {
		note = w.pick("（"+note+"）", " ("+note+")")
	}
	return "· " + line + note
}

// brief is when without how long.
func (w *writer) brief(f *ledger.Flag) string {
	if f.ClearedAt == 0 {
		return w.pick(w.clock(f.RaisedAt)+" 起", "since "+w.clock(f.RaisedAt))
	}
	return w.clock(f.RaisedAt) + w.pick("–", " to ") + w.until(f) + w.pick("，已解除", ", over")
}

// until is when a flag was cleared, with the day where it is another one.
func (w *writer) until(f *ledger.Flag) string {
	if from, to := f.RaisedAt.Time().In(w.loc), f.ClearedAt.Time().In(w.loc); from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return to.Format("15:04")
	}
	return w.clock(f.ClearedAt)
}

// when says from when on, and until when: 11月26日 15:04 起.
func (w *writer) when(f *ledger.Flag) string {
	from := w.clock(f.RaisedAt)
	if f.ClearedAt == 0 {
		return w.pick(from+" 起，仍在持续", "since "+from)
	}
	took := w.span(f.ClearedAt - f.RaisedAt)
	return from + w.pick("–", " to ") + w.until(f) + w.pick("（"+took+"）", " ("+took+")")
}

func (w *writer) clock(at devices.Millis) string {
	return at.Time().In(w.loc).Format(w.pick("1月2日 15:04", "2 Jan 15:04"))
}

// span says how long something took: 5分钟, 2小时5分钟.
func (w *writer) span(d devices.Millis) string {
	minutes := max(0, int64(d)/60_000)
	switch h := minutes / 60; {
	case minutes == 0:
		return w.pick("不到1分钟", "under 1 min")
	case h == 0:
		return fmt.Sprintf(w.pick("%d分钟", "%d min"), minutes)
	case h < 48:
		return fmt.Sprintf(w.pick("%d小时%d分钟", "%d h %d min"), h, minutes%60)
	default:
		return fmt.Sprintf(w.pick("%d天", "%d days"), h/24)
	}
}

// test is a message that says that it is one.
func (w *writer) test(id string, at time.Time) channel.Message {
	m := channel.Message{DeliveryID: id, Kind: channel.Test, Severity: ledger.Info, At: at.In(w.loc), Link: w.link(nil)}
	m.Title = w.pick("【测试】", "[TEST] ") + w.estate + w.pick("：这是一条测试消息", ": this is a test")
	m.Text = w.pick("收到这条消息，说明充电桩提醒能送达这里。无需处理。", "If you can read this, alerts of the charging piles arrive here. There is nothing to do.") +
		"\n" + w.pick("时间：", "When: ") + w.clock(devices.MillisOf(at))
	return m
}
