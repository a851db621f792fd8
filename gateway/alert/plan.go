package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

const (
	// gather is how long a message waits for others of the same pile.
	gather = devices.Millis(800)
	// late is from when on waiting is no longer a moment's: what has come together
	// since is one message.
	late = devices.Millis(60_000)
	// apart is how many messages may go out at once; more are one.
	apart = 3
	// aMinute is how many messages a minute a channel gets; critical ones pass.
	aMinute = 6
	// mostFlags bounds one message. The others are in the next.
	mostFlags = 500
	// firstRepeat is after what time a critical flag that nobody acknowledged is told
	// again, and from then on after twice the time, up to lastRepeat, for a day.
	firstRepeat = devices.Millis(5 * 60_000)
	lastRepeat  = devices.Millis(60 * 60_000)
	repeatFor   = devices.Millis(24 * 60 * 60_000)
	// stale is after what time nobody needs to be told any more of what is over, as
	// after a channel was away from the configuration for months.
	stale = devices.Millis(7 * 24 * 60 * 60_000)
)

// draft is a message before it has words.
type draft struct {
	id      string // delivery id
	notices []ledger.Notice
}

// kind is that of the message: cleared where all that it is about is over.
func (d *draft) kind() string {
	raised, flags, cleared := false, map[string]bool{}, map[string]bool{}
	for i := range d.notices {
		n := &d.notices[i]
		flags[n.FlagID] = true
		switch kind, _ := kindOf(n.Step); kind {
		case channel.Digest:
			return channel.Digest
		case channel.Raised:
			raised = true
		case channel.Cleared:
			cleared[n.FlagID] = true
		}
	}
	switch {
	case len(cleared) == len(flags):
		return channel.Cleared
	case raised || len(cleared) > 0:
		return channel.Raised
	}
	return channel.Repeated
}

// begins reports whether it tells of something for the first time.
func (d *draft) begins() bool {
	return slices.ContainsFunc(d.notices, func(n ledger.Notice) bool {
		kind, _ := kindOf(n.Step)
		return kind == channel.Raised
	})
}

// flags are what the message is about, the gravest first, each once.
func (d *draft) flags() (fs []ledger.Flag) {
	for i := range d.notices {
		f := &d.notices[i].Flag
		if d.notices[i].FlagID != "" && !slices.ContainsFunc(fs, func(o ledger.Flag) bool { return o.ID == f.ID }) {
			fs = append(fs, *f)
		}
	}
	slices.SortStableFunc(fs, func(a, b ledger.Flag) int {
		return cmp.Or(cmp.Compare(gravity(&b), gravity(&a)), cmp.Compare(a.RaisedAt, b.RaisedAt))
	})
	return fs
}

// gravity orders flags: what stands before what is over, then by severity, then
// what a device itself reports, smoke before all: titles tell the first.
func gravity(f *ledger.Flag) int {
	g := 3 * rank(f.Severity)
	if f.ClearedAt != 0 {
		g -= 3 * len(config.Severities)
	}
	switch {
	case alarmOf(f) == "smoke":
		g += 2
	case f.Rule == ruleAlarm:
		g++
	}
	return g
}

// deliveryID is the same for the same steps of the same flags.
func deliveryID(channelName string, ns []ledger.Notice) string {
	h := sha256.New()
	for _, part := range append([]string{channelName}, steps(ns)...) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func steps(ns []ledger.Notice) []string {
	all := make([]string, len(ns))
	for i := range ns {
		all[i] = ns[i].FlagID + "\x01" + ns[i].Step
	}
	slices.Sort(all)
	return all
}

// decision is what follows for a channel now.
type decision struct {
	send *draft            // nil: nothing now
	drop []ledger.Delivery // nobody needs these any more
	next devices.Millis    // when there may be more to do; 0: when something happens
}

// plan says what to send next, from what a channel is to be told and was told of
// late (ns, in the order in which it came about), when it was sent something
// (recent, the newest last), and the clock. It changes nothing: what it says is
// true until something was sent or something happened.
func plan(p *policy, ns []ledger.Notice, recent []devices.Millis, now devices.Millis) (d decision) {
	if begun := underWay(ns); len(begun) > 0 {
		return decision{send: &draft{begun[0].Message, begun}}
	}
	var ready, soon []*matter
	var digests []ledger.Notice
	for _, m := range matters(ns) {
		switch {
		case m.flag.ID == "":
			for _, n := range m.waiting {
				if at := p.free(n.At, ledger.Info, recent, now); at > now {
					d.next = sooner(d.next, at)
				} else {
					digests = append(digests, n)
				}
			}
		case p.needless(m, now):
			for _, n := range m.waiting {
				d.drop = append(d.drop, n.Delivery)
			}
		default:
			switch at := p.readyAt(m, ns, recent, now); {
			case at > now:
				d.next = sooner(d.next, at)
				again := len(m.waiting) == 0 && (m.last+firstRepeat <= now || at <= now+late) // is told together, rather early than twice
				if again || at <= now+gather {
					soon = append(soon, m)
				}
			case at > 0:
				ready = append(ready, m)
			}
		}
	}
	chosen := p.choose(ready, soon, now)
	if len(chosen) == 0 && len(digests) > 0 {
		chosen = digests[:1]
	}
	if len(chosen) > 0 {
		d.send = &draft{deliveryID(p.channel, chosen), chosen}
	}
	return d
}

func sooner(a, b devices.Millis) devices.Millis {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// underWay gives what waits and has a message already: that one is sent again as
// it was, before anything else.
func underWay(ns []ledger.Notice) (same []ledger.Notice) {
	for _, n := range ns {
		if n.DoneAt == 0 && n.Message != "" && (same == nil || same[0].Message == n.Message) {
			same = append(same, n)
		}
	}
	return same
}

// matter is a flag with what the channel was told of it and is to be told.
type matter struct {
	flag    ledger.Flag
	waiting []ledger.Notice
	told    bool           // that it was raised
	first   devices.Millis // when it was told first
	last    devices.Millis // and last
	repeats int
}

func matters(ns []ledger.Notice) (ms []*matter) {
	of := map[string]*matter{}
	for _, n := range ns {
		m := of[n.FlagID]
		if m == nil {
			m = &matter{flag: n.Flag}
			of[n.FlagID] = m
			ms = append(ms, m)
		}
		kind, _ := kindOf(n.Step)
		switch {
		case n.DoneAt == 0:
			m.waiting = append(m.waiting, n)
		case n.State == ledger.DeliveryDropped:
		default:
			m.told = m.told || kind == channel.Raised
			if m.first == 0 {
				m.first = n.DoneAt
			}
			m.last = max(m.last, n.DoneAt)
		}
		if kind == channel.Repeated {
			m.repeats++
		}
	}
	return ms
}

// fresh reports whether the channel knows nothing of the flag yet, and is to.
func (m *matter) fresh() bool {
	return !m.told && len(m.waiting) > 0 && m.waiting[0].Step != ledger.StepCleared
}

// needless reports whether nobody has to be told any more what waits of a flag:
// people are done with it before they were told, or somebody saw to it, or it was
// over, before it escalated; or it was over long ago.
func (p *policy) needless(m *matter, now devices.Millis) bool {
	if len(m.waiting) > 0 && m.flag.ClearedAt != 0 && now-m.waiting[len(m.waiting)-1].At > stale {
		return true
	}
	if !m.fresh() {
		return false
	}
	return doneWith(&m.flag) || p.escalateAfter > 0 && (m.flag.ClearedAt != 0 || m.flag.Status != ledger.StatusOpen)
}

// readyAt is when what waits of a flag may go out, or when it is told again; 0
// where there is nothing.
func (p *policy) readyAt(m *matter, ns []ledger.Notice, recent []devices.Millis, now devices.Millis) devices.Millis {
	if len(m.waiting) == 0 {
		return p.repeatAt(m)
	}
	at := m.waiting[0].At + gather
	if m.fresh() {
		if p.escalateAfter > 0 {
			at = max(at, m.waiting[0].At+devices.Millis(p.escalateAfter.Milliseconds()))
		}
		if heard := heardOf(ns, m); heard > 0 {
			at = max(at, heard+devices.Millis(p.coolDown.Milliseconds()))
		}
	}
	return p.free(at, m.flag.Severity, recent, now)
}

// free is when the channel may be sent something of a severity, from an instant on.
func (p *policy) free(at devices.Millis, severity string, recent []devices.Millis, now devices.Millis) devices.Millis {
	if severity == ledger.Critical || p.state {
		return at
	}
	if n := len(recent); n >= aMinute {
		at = max(at, recent[n-aMinute]+devices.Millis(time.Minute.Milliseconds()))
	}
	if quiet := p.afterQuiet(max(at, now)); quiet > max(at, now) {
		return quiet
	}
	return at
}

// heardOf is when the channel was last told of another flag of the same rule, or
// alarm, at the same place that was as grave; 0 for never.
func heardOf(ns []ledger.Notice, m *matter) (at devices.Millis) {
	for i := range ns {
		f := &ns[i].Flag
		kind, severity := kindOf(ns[i].Step)
		if kind == channel.Raised && ns[i].State == ledger.DeliverySent && f.ID != m.flag.ID && rank(severity) >= rank(m.flag.Severity) &&
			sameName(f, &m.flag) && f.Pile == m.flag.Pile && f.Port == m.flag.Port && f.Building == m.flag.Building && f.Household == m.flag.Household {
			at = max(at, ns[i].DoneAt)
		}
	}
	return at
}

// repeatAt is when a critical flag is told again; 0 for never.
func (p *policy) repeatAt(m *matter) devices.Millis {
	f := &m.flag
	if p.state || !m.told || f.Severity != ledger.Critical || f.ClearedAt != 0 || f.Status != ledger.StatusOpen {
		return 0
	}
	wait := min(firstRepeat<<min(m.repeats, 8), lastRepeat)
	at := m.last + max(wait, devices.Millis(p.coolDown.Milliseconds()))
	if at > m.first+repeatFor {
		return 0
	}
	return at
}

// choose gives what goes into the next message, of what is ready and of what soon
// will be and belongs to it.
func (p *policy) choose(ready, soon []*matter, now devices.Millis) []ledger.Notice {
	groups := map[string][]ledger.Notice{}
	var order []string
	oldest := now
	ready = ready[:min(len(ready), mostFlags)]
	for _, m := range ready {
		ns := p.waitingOf(m, now)
		key := groupOf(&ns[0]) // what began and ended meanwhile is told once
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], ns...)
		oldest = min(oldest, ns[0].At)
	}
	if len(order) == 0 {
		return nil
	}
	for _, m := range soon {
		ns := p.waitingOf(m, now)
		if key := groupOf(&ns[0]); groups[key] != nil {
			groups[key] = append(groups[key], ns...)
		}
	}
	if len(ready) > 1 && (now-oldest > late || len(order) > apart) {
		var all []ledger.Notice
		for _, key := range order {
			if key != channel.Repeated { // what is new is not lost in what people know
				all = append(all, groups[key]...)
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	// A flag is raised before it is cleared.
	slices.SortStableFunc(order, func(a, b string) int {
		return cmp.Compare(stage(&groups[a][0]), stage(&groups[b][0]))
	})
	return groups[order[0]]
}

// waitingOf gives what waits of a flag, which is one message; where nothing
// waits, that it is told again.
func (p *policy) waitingOf(m *matter, now devices.Millis) []ledger.Notice {
	if len(m.waiting) > 0 {
		return m.waiting
	}
	again := ledger.Delivery{Channel: p.channel, FlagID: m.flag.ID, Step: repeatedStep(m.repeats + 1), At: now, State: ledger.DeliveryWaiting}
	return []ledger.Notice{{Delivery: again, Flag: m.flag}}
}

// groupOf says which steps are one message: of a pile, of piles that fell silent,
// or all that is told again.
func groupOf(n *ledger.Notice) string {
	kind, _ := kindOf(n.Step)
	switch {
	case kind == channel.Repeated:
		return kind
	case n.Flag.Rule == ruleOffline:
		return kind + " offline"
	case n.Flag.Pile == "":
		return kind + " flag " + n.FlagID
	}
	return kind + " pile " + n.Flag.Pile
}

const ruleOffline = "pile_offline"

func stage(n *ledger.Notice) int {
	kind, _ := kindOf(n.Step)
	return slices.Index([]string{channel.Raised, channel.Cleared, channel.Repeated}, kind)
}
