package alert

import (
	"slices"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// policy is what a channel wants to be told, and when.
type policy struct {
	channel       string
	least         int // rank of the least severity
	rules         []string
	buildings     []string
	quiet         config.Hours
	coolDown      time.Duration
	escalateAfter time.Duration
	digest        string
	state         bool // it shows what is so, and has quiet hours of its own
	loc           *time.Location
}

// personCoolDown is how long a person is spared what they were just told of the
// same place, where the configuration says nothing. A program is spared nothing.
const personCoolDown = 5 * time.Minute

func policyOf(c config.Channel, s channel.Sender, loc *time.Location) policy {
	p := policy{
		channel: c.Name, least: rank(c.MinSeverity), rules: c.Rules, buildings: c.Buildings, quiet: c.QuietHours, coolDown: c.CoolDown,
		escalateAfter: c.EscalateAfter, digest: c.Digest, loc: loc,
	}
	if p.escalateAfter > 0 {
		p.least = rank(ledger.Critical) // nobody is woken for less
	}
	if p.coolDown == 0 && c.Type != "webhook" {
		p.coolDown = personCoolDown
	}
	if _, p.state = s.(channel.Keeper); p.state {
		p.quiet, p.coolDown, p.digest = config.Hours{}, 0, ""
	}
	return p
}

// rank orders severities; -1 for a word that is none.
func rank(severity string) int { return slices.Index(config.Severities, severity) }

// wants reports whether the channel is to be told of a flag. What is about the
// whole estate is about every building.
func (p *policy) wants(f *ledger.Flag) bool {
	estate := f.Building == "" && f.Pile == ""
	return rank(f.Severity) >= p.least && (len(p.rules) == 0 || slices.Contains(p.rules, f.Rule)) &&
		(len(p.buildings) == 0 || estate || slices.Contains(p.buildings, f.Building))
}

// doneWith reports whether people need to hear no more of a flag.
func doneWith(f *ledger.Flag) bool {
	return f.Status == ledger.StatusFalseAlarm || f.Status == ledger.StatusResolved
}

// afterQuiet gives an instant, or the end of the quiet hours that it lies in.
func (p *policy) afterQuiet(at devices.Millis) devices.Millis {
	q := p.quiet
	if q.From == q.To {
		return at
	}
	t := at.Time().In(p.loc)
	minute := t.Hour()*60 + t.Minute()
	day := 0
	switch {
	case q.From < q.To && (minute < q.From || minute >= q.To), q.From > q.To && minute < q.From && minute >= q.To:
		return at
	case q.From > q.To && minute >= q.From:
		day = 1
	}
	return devices.MillisOf(time.Date(t.Year(), t.Month(), t.Day()+day, 0, q.To, 0, 0, p.loc))
}

// digestHour is when a digest is sent, of the local day; a weekly one on Mondays.
const digestHour = 8

// digestAt gives when the newest digest was due, and when the next will be.
func (p *policy) digestAt(now devices.Millis) (last, next time.Time) {
	t := now.Time().In(p.loc)
	days := 1
	last = time.Date(t.Year(), t.Month(), t.Day(), digestHour, 0, 0, 0, p.loc)
	if p.digest == "weekly" {
		days = 7
		last = last.AddDate(0, 0, -(int(t.Weekday())+6)%7)
	}
	if last.After(t) {
		last = last.AddDate(0, 0, -days)
	}
	return last, last.AddDate(0, 0, days)
}

// period is what a digest that is due at an instant is about.
func (p *policy) period(due time.Time) (from, to time.Time) {
	if p.digest == "weekly" {
		return due.AddDate(0, 0, -7), due
	}
	return due.AddDate(0, 0, -1), due
}
