package safety

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// flags are those of one place. A row outlives its flag, so that no id comes twice.
type flags []standing

// standing is a flag of a rule at a place.
type standing struct {
	Rule string       `json:"rule"`
	What string       `json:"what,omitempty"` // tells apart flags of one rule: the alarm
	Last string       `json:"last"`           // the newest id
	Flag *ledger.Flag `json:"flag,omitempty"` // nil: none stands
	Card string       `json:"card,omitempty"` // of the session that Flag is about
}

func (f flags) find(rule, what string) *standing {
	for i := range f {
		if f[i].What == what && f[i].Rule == rule {
			return &f[i]
		}
	}
	return nil
}

// level is that of the flag of a rule that stands; none when there is none.
func (f flags) level(rule string) level {
	if s := f.find(rule, ""); s != nil && s.Flag != nil {
		return levelOf(s.Flag.Severity)
	}
	return none
}

// stand reports whether any flag stands.
func (f flags) stand() bool {
	for i := range f {
		if f[i].Flag != nil {
			return true
		}
	}
	return false
}

func (l level) severity() string {
	switch l {
	case critical:
		return ledger.Critical
	case warning:
		return ledger.Warning
	}
	return ledger.Info
}

func levelOf(severity string) level {
	switch severity {
	case ledger.Critical:
		return critical
	case ledger.Warning:
		return warning
	}
	return info
}

// numbers is the evidence of a flag.
type numbers map[string]any

// story is what a rule says when it raises a flag.
type story struct {
	suspicion          string
	zh, en             string // what was seen, a clause
	adviceZH, adviceEN string
	numbers            numbers
	curve              [][2]float64
	also               []sign // what else was seen in the session
	visit              bool   // for the list of visits
	household          string // whose it is, where no port says so
	building           string
}

// flagsAt gives the flags of a place.
func (e *Engine) flagsAt(at place) *flags {
	if at.pile == nil {
		return &e.flags
	}
	return &at.port.more().Flags
}

// raise raises a flag, or its severity where one stands.
func (e *Engine) raise(at place, rule *active, what string, l level, when devices.Millis, s story) {
	all := e.flagsAt(at)
	row := all.find(rule.ID, what)
	if row == nil {
		*all = append(*all, standing{Rule: rule.ID, What: what})
		row = &(*all)[len(*all)-1]
	}
	f := &ledger.Flag{ID: "", Rule: rule.ID, RaisedAt: when, Status: ledger.StatusOpen, RuleVersion: rule.Version}
	if row.Flag != nil {
		f.RaisedAt, f.ID = row.Flag.RaisedAt, row.Flag.ID
		f.SeverityAt, f.Rose = max(when, f.RaisedAt), row.Flag.Severity
	} else {
		f.ID = freshID(rule.ID, what, at, when, row.Last)
	}
	e.locate(f, at)
	if at.pile == nil {
		f.Household, f.Building = s.household, s.building
	}
	card := ""
	if c := at.port.charging(); c != nil {
		c.join(rule.ID, &s)
		card = c.Card
		if s.numbers != nil {
			s.numbers["interval_s"] = int64(at.port.Interval / second)
		}
		if c.Model != nil && s.numbers != nil {
			s.numbers["session_peak_w"] = watts(int64(max(c.Model.Most, at.port.W)))
		}
	}
	f.Severity, f.Suspicion = l.severity(), s.suspicion
	f.Evidence = evidence(s)
	f.Message, f.MessageEN = e.message(f, at, when, s)
	f.Advice, f.AdviceEN = s.adviceZH, s.adviceEN
	row.Flag, row.Last, row.Card = f, f.ID, card
	e.tell(row, false)
}

// locate says where a flag is, and whose session it is about.
func (e *Engine) locate(f *ledger.Flag, at place) {
	if at.pile == nil {
		return
	}
	f.Pile, f.Port = at.pile.Name, at.port.Number
	f.Building = e.registry.Piles[f.Pile].Building
	if c := at.port.charging(); c != nil {
		f.SessionID, f.Household = c.ID, c.Household
		if c.Building != "" {
			f.Building = c.Building
		}
	}
}

// freshID is the id of a flag: the same whenever the journal is read again.
func freshID(rule, what string, at place, when devices.Millis, last string) string {
	if what != "" {
		rule += "-" + what
	}
	where, number := "estate", uint8(0)
	if at.pile != nil {
		where, number = at.pile.Name, at.port.Number
	}
	id := fmt.Sprintf("%s-%s-%d-%s", rule, where, number, when.Time().Format("20060102T150405Z"))
	if last == id {
		return id + "-2"
	}
	if n, ok := strings.CutPrefix(last, id+"-"); ok {
		if k, err := strconv.Atoi(n); err == nil { // one more within the second
			return id + "-" + strconv.Itoa(k+1)
		}
	}
	return id
}

// clear clears a flag that stands.
func (e *Engine) clear(at place, rule, what string, when devices.Millis) {
	all := e.flags
	if at.pile != nil {
		all = at.port.flags()
	}
	if row := all.find(rule, what); row != nil {
		e.clearRow(row, when)
	}
}

func (e *Engine) clearRow(row *standing, when devices.Millis) {
	f := row.Flag
	if f == nil {
		return
	}
	f.ClearedAt = max(when, f.RaisedAt)
	e.tell(row, true)
	row.Flag, row.Card = nil, ""
}

// clearSession clears what the curve of a session that is over had shown. The
// whole curve goes into the evidence then, for verdicts that outlive the readings.
func (e *Engine) clearSession(at place, end devices.Millis, curve [][2]float64) {
	for i := range e.watchers {
		row := at.port.flags().find(e.watchers[i].ID, "")
		if row != nil && row.Flag != nil && row.Flag.SessionID == at.port.Charge.ID {
			row.Flag.Evidence = withCurve(row.Flag.Evidence, curve)
			e.clearRow(row, end)
		}
	}
}

// withCurve adds the curve of the whole session to evidence.
func withCurve(was json.RawMessage, curve [][2]float64) json.RawMessage {
	all := map[string]json.RawMessage{}
	b, err := json.Marshal(curve)
	if err != nil || json.Unmarshal(was, &all) != nil {
		return was
	}
	all["session_curve"] = b
	if b, err = json.Marshal(all); err != nil {
		return was
	}
	return b
}

func (e *Engine) tell(row *standing, cleared bool) {
	if e.emit == nil {
		return
	}
	own := *row.Flag
	e.emit(FlagChange{Flag: &own, Cleared: cleared, At: e.received, Card: row.Card})
}

// evidence gives the numbers and the curve as JSON; the same story, the same bytes.
func evidence(s story) json.RawMessage {
	all := make(map[string]any, len(s.numbers)+1)
	for k, v := range s.numbers {
		all[k] = v
	}
	if s.curve != nil {
		all["curve"] = s.curve
	}
	b, err := json.Marshal(all)
	if err != nil { // numbers are finite: thresholds were checked
		return json.RawMessage("{}")
	}
	return b
}
