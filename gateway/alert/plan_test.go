package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// paper is a channel's rows without a ledger, and what was sent.
type paper struct {
	policy policy
	rows   []ledger.Notice
	flags  map[string]*ledger.Flag
	recent []devices.Millis
	sent   []sending
	down   [][2]devices.Millis // when nothing is taken
}

// sending is a message that was taken.
type sending struct {
	at    devices.Millis
	first devices.Millis // when it was tried first
	draft draft
}

func (p *paper) announce(id, step string, now devices.Millis) {
	known := slices.ContainsFunc(p.rows, func(n ledger.Notice) bool { return n.FlagID == id && n.State != ledger.DeliveryDropped })
	if p.row(id, step) == nil && (step != ledger.StepCleared || known) {
		p.rows = append(p.rows, ledger.Notice{Delivery: ledger.Delivery{Channel: "c", FlagID: id, Step: step, At: now, State: ledger.DeliveryWaiting}})
	}
}

func (p *paper) row(id, step string) *ledger.Notice {
	for i := range p.rows {
		if p.rows[i].FlagID == id && p.rows[i].Step == step {
			return &p.rows[i]
		}
	}
	return nil
}

// round does what the plan says at an instant, and says when to look again.
func (p *paper) round(now devices.Millis) (next devices.Millis) {
	for i := range p.rows {
		p.rows[i].Flag = *p.flags[p.rows[i].FlagID]
	}
	d := plan(&p.policy, slices.Clone(p.rows), p.recent, now)
	for _, drop := range d.drop {
		row := p.row(drop.FlagID, drop.Step)
		row.State, row.DoneAt = ledger.DeliveryDropped, now
	}
	if d.send == nil {
		return d.next
	}
	up := !slices.ContainsFunc(p.down, func(out [2]devices.Millis) bool { return now >= out[0] && now < out[1] })
	first := now
	for _, n := range d.send.notices {
		row := p.row(n.FlagID, n.Step)
		if row == nil {
			p.rows = append(p.rows, n)
			row = &p.rows[len(p.rows)-1]
		}
		if row.TriedAt == 0 {
			row.TriedAt = now
		}
		first = min(first, row.TriedAt)
		row.Message = d.send.id
		if up {
			row.State, row.DoneAt = ledger.DeliverySent, now
		}
	}
	if !up {
		return now + 60_000
	}
	p.recent = append(p.recent, now)
	p.sent = append(p.sent, sending{now, first, *d.send})
	return now
}

// event is something that happens to a flag.
type event struct {
	at   devices.Millis
	id   string
	what string // raise, rise, clear, or a verdict
}

// happen lets an event happen.
func (p *paper) happen(e event) {
	f := p.flags[e.id]
	switch e.what {
	case "rise":
		if f.ClearedAt != 0 || f.Severity == ledger.Critical {
			return
		}
		f.Rose, f.Severity, f.SeverityAt = f.Severity, ledger.Critical, e.at
		fallthrough
	case "raise":
		if p.policy.wants(f) {
			p.announce(e.id, raisedStep(f.Severity), e.at)
		}
	case "clear":
		f.ClearedAt = e.at
		p.announce(e.id, ledger.StepCleared, e.at)
	default:
		f.Status = e.what
	}
}

func drawPaper(t *rapid.T) (*paper, []event) {
	p := &paper{flags: map[string]*ledger.Flag{}, policy: policy{
		channel: "c", least: rapid.IntRange(0, 2).Draw(t, "least"), loc: shanghai,
		quiet:         rapid.SampledFrom([]config.Hours{{}, {From: 23 * 60, To: 7 * 60}, {From: 13 * 60, To: 16 * 60}}).Draw(t, "quiet"),
		coolDown:      time.Duration(rapid.IntRange(0, 90).Draw(t, "cool-down")) * time.Minute,
		escalateAfter: time.Duration(rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "escalate")) * time.Minute,
	}}
	if p.policy.escalateAfter > 0 {
		p.policy.least = rank(ledger.Critical)
	}
	second := func(most int) devices.Millis { return devices.Millis(rapid.IntRange(0, most).Draw(t, "s")) * 1000 }
	var events []event
	for n := range rapid.IntRange(1, 12).Draw(t, "flags") {
		id := fmt.Sprint("f", n)
		raised := afternoon + second(20_000)
		p.flags[id] = &ledger.Flag{
			ID: id, Rule: rapid.SampledFrom([]string{"second_load", "hot_burst", ruleOffline}).Draw(t, "rule"), Pile: rapid.SampledFrom([]string{"P1", "P2", "P3", ""}).Draw(t, "pile"),
			Port: uint8(rapid.IntRange(0, 2).Draw(t, "port")), Severity: rapid.SampledFrom(config.Severities).Draw(t, "severity"), RaisedAt: raised, Status: ledger.StatusOpen,
		}
		events = append(events, event{raised, id, "raise"})
		for _, what := range []string{"rise", "clear", rapid.SampledFrom(ledger.VerdictStatuses()).Draw(t, "verdict")} {
			if rapid.Bool().Draw(t, what) {
				events = append(events, event{raised + 1 + second(30_000), id, what})
			}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "outages") {
		from := afternoon + second(20_000)
		p.down = append(p.down, [2]devices.Millis{from, from + second(10_000)})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return p, events
}

// live lets events happen, and does what the plan says in between and for three days after.
func (p *paper) live(t *rapid.T, events []event) {
	now, end := afternoon, afternoon+3*24*60*60_000
	for rounds := 0; now < end; rounds++ {
		if rounds > 20_000 {
			t.Fatal("it never rests")
		}
		for len(events) > 0 && events[0].at <= now {
			p.happen(events[0])
			events = events[1:]
		}
		next := p.round(now)
		if next == 0 {
			next = end
		}
		if len(events) > 0 {
			next = min(next, events[0].at)
		}
		now = max(now, next)
	}
}

func TestWhateverHappensEachFlagIsToldInOrderOnceAndNothingStaysBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, events := drawPaper(t)
		p.live(t, events)
		done := map[string]devices.Millis{} // when a step was told
		for n, s := range p.sent {
			for _, row := range s.draft.notices {
				key := row.FlagID + " " + row.Step
				if _, twice := done[key]; twice {
					t.Fatalf("%s was told twice", key)
				}
				done[key] = s.at + devices.Millis(n) // two within a millisecond have an order
			}
			p.checkManners(t, n)
		}
		for _, row := range p.rows {
			at, told := done[row.FlagID+" "+row.Step]
			kind, _ := kindOf(row.Step)
			f := p.flags[row.FlagID]
			switch {
			case row.DoneAt == 0:
				t.Fatalf("%s %s stays behind", row.FlagID, row.Step)
			case row.State == ledger.DeliveryDropped && p.policy.escalateAfter == 0 && !doneWith(f):
				t.Fatalf("%s %s was dropped", row.FlagID, row.Step)
			case kind == channel.Repeated && f.Severity != ledger.Critical:
				t.Fatalf("%s was told again", row.FlagID)
			case kind == channel.Raised && told:
				if end, ok := done[row.FlagID+" "+ledger.StepCleared]; ok && end < at {
					t.Fatalf("%s was over at %d before it was raised at %d", row.FlagID, end, at)
				}
				if f.ClearedAt != 0 && p.row(row.FlagID, ledger.StepCleared) == nil {
					t.Fatalf("the end of %s is not told", row.FlagID)
				}
			}
		}
	})
}

func TestWhatWasOverBeforeItCouldBeToldIsOneMessage(t *testing.T) {
	p := &paper{flags: map[string]*ledger.Flag{"f": {ID: "f", Rule: "second_load", Pile: "P1", Severity: ledger.Warning, RaisedAt: afternoon, Status: ledger.StatusOpen}}}
	p.policy = policy{channel: "c", loc: shanghai, quiet: config.Hours{From: 13 * 60, To: 16 * 60}}
	p.happen(event{afternoon, "f", "raise"})
	p.happen(event{minutes(10), "f", "clear"})
	next := p.round(minutes(10))
	for p.round(next) == next && len(p.sent) < 9 {
	}
	if len(p.sent) != 1 || p.sent[0].draft.kind() != channel.Cleared || !p.sent[0].draft.begins() || len(p.sent[0].draft.notices) != 2 {
		t.Errorf("told %+v", p.sent)
	}
}

// pass lets events happen, and does what the plan says, until an instant.
func (p *paper) pass(events []event, until devices.Millis) {
	for now := events[0].at; now > 0 && now < until; {
		for len(events) > 0 && events[0].at <= now {
			p.happen(events[0])
			events = events[1:]
		}
		now = p.round(now)
		if len(events) > 0 {
			now = sooner(now, events[0].at)
		}
	}
}

func TestRepetitionsWithinAMinuteAreOneMessage(t *testing.T) {
	p := &paper{flags: map[string]*ledger.Flag{}, policy: policy{channel: "c", loc: shanghai}}
	var events []event
	for n, pile := range []string{"P1", "P2", "P3"} {
		p.flags[pile] = &ledger.Flag{ID: pile, Rule: "hot_burst", Pile: pile, Severity: ledger.Critical, RaisedAt: afternoon, Status: ledger.StatusOpen}
		events = append(events, event{afternoon + devices.Millis(n)*20_000, pile, "raise"})
	}
	p.pass(events, minutes(6))
	if len(p.sent) != 4 || p.sent[3].draft.kind() != channel.Repeated || len(p.sent[3].draft.notices) != 3 {
		t.Errorf("told %+v", p.sent)
	}
}

func TestWhatIsNewIsNotLostInWhatIsToldAgain(t *testing.T) {
	p := &paper{flags: map[string]*ledger.Flag{}, policy: policy{channel: "c", loc: shanghai}}
	for n := range 5 {
		id := fmt.Sprint("f", n)
		p.flags[id] = &ledger.Flag{ID: id, Rule: "hot_burst", Pile: id, Severity: ledger.Critical, RaisedAt: afternoon, Status: ledger.StatusOpen}
	}
	p.down = [][2]devices.Millis{{minutes(1), minutes(6)}}
	p.pass([]event{
		{afternoon, "f0", "raise"}, {afternoon, "f1", "raise"}, {minutes(1), "f2", "raise"}, {minutes(2), "f3", "raise"}, {minutes(2), "f4", "raise"},
	}, minutes(8))
	for _, s := range p.sent {
		again := 0
		for _, n := range s.draft.notices {
			if kind, _ := kindOf(n.Step); kind == channel.Repeated {
				again++
			}
		}
		if again != 0 && again != len(s.draft.notices) {
			t.Errorf("%q", steps(s.draft.notices))
		}
	}
	if last := p.sent[len(p.sent)-1].draft; last.kind() != channel.Repeated || len(p.sent) != 5 {
		t.Errorf("%d messages, the last %q", len(p.sent), steps(last.notices))
	}
}

func TestSmokeWaitsForNoOtherAlarm(t *testing.T) {
	p := &paper{flags: map[string]*ledger.Flag{}, policy: policy{channel: "c", loc: shanghai, coolDown: time.Hour}}
	for id, alarm := range map[string]string{"heat": "over_temperature", "smoke": "smoke", "heat again": "over_temperature"} {
		p.flags[id] = &ledger.Flag{ID: id, Rule: ruleAlarm, Pile: "P1", Port: 2, Severity: ledger.Critical, Status: ledger.StatusAcknowledged, Evidence: json.RawMessage(`{"alarm":"` + alarm + `"}`)}
	}
	p.pass([]event{{afternoon, "heat", "raise"}, {minutes(1), "smoke", "raise"}, {minutes(2), "heat again", "raise"}}, minutes(5))
	if len(p.sent) != 2 || p.sent[1].at != minutes(1)+gather || p.sent[1].draft.notices[0].FlagID != "smoke" {
		t.Errorf("told %+v", p.sent)
	}
}

// checkManners holds that a message kept to quiet hours and to the rate.
func (p *paper) checkManners(t *rapid.T, n int) {
	s := p.sent[n]
	grave := slices.ContainsFunc(s.draft.notices, func(row ledger.Notice) bool { return row.Flag.Severity == ledger.Critical })
	if grave {
		return
	}
	if p.policy.afterQuiet(s.first) != s.first {
		t.Fatalf("told in quiet hours: %s", strings.Join(steps(s.draft.notices), ", "))
	}
	if n >= aMinute && s.first == s.at && s.at-p.sent[n-aMinute].at < 60_000 {
		t.Fatalf("%d messages within a minute", aMinute+1)
	}
}
