package config

import (
	"fmt"
	"net/mail"
	"slices"
	"time"
)

// Alerts says who is told of flags, and when.
type Alerts struct {
	PublicURL  string        // of the page, for links in messages; "" for none
	QuietHours Hours         // when only critical ones pass
	CoolDown   time.Duration // between two messages of the same; 0: the channel's own
	Channels   []Channel
}

// Hours is a part of the local day, in minutes of it; it may pass midnight.
// From and To alike are no part at all.
type Hours struct{ From, To int }

// noHours are hours that were said to be none: a channel's go before those of all.
var noHours = Hours{24 * 60, 24 * 60}

// Channel is one way to tell somebody.
type Channel struct {
	Name          string
	Type          string // one of ChannelTypes
	URL           Secret
	Secret        Secret        // signs messages
	To            []string      // mail addresses
	SMTP          Secret        // smtp:// or smtps://, with user and password where the server asks for them
	MinSeverity   string        // info, warning or critical
	Rules         []string      // the only rules told; nil for all
	Buildings     []string      // the only buildings told; nil for all
	Language      string        // zh-CN or en
	QuietHours    Hours         // when only critical ones pass
	CoolDown      time.Duration // between two messages of the same; 0: the type's own
	Digest        string        // daily or weekly; "" for none
	EscalateAfter time.Duration // a critical flag that nobody acknowledged is sent here then; 0: at once
	Template      string        // file with the words of a message; "" for ours
}

// ChannelTypes are the ways to tell somebody. shoutrrr is any service that the
// library of that name has a URL for.
var ChannelTypes = []string{"wecom", "dingtalk", "feishu", "email", "webhook", "alertmanager", "shoutrrr"}

// Severities are the severities of flags, the lowest first.
var Severities = []string{"info", "warning", "critical"}

func (c *Config) readAlerts(n node) {
	a := &c.Alerts
	first := map[string]string{}
	n.object(fields{
		"public_url":  address(&a.PublicURL, "http", "https"),
		"quiet_hours": hours(&a.QuietHours),
		"cool_down":   duration(&a.CoolDown),
		"channels": list(func(n node) {
			ch := readChannel(n)
			if key, twice := first[ch.Name]; twice && ch.Name != "" {
				n.bad("channel %q stands twice (first in %s): give it another name", ch.Name, key)
			}
			first[ch.Name] = n.key
			a.Channels = append(a.Channels, ch)
		}),
	})
}

func hours(dst *Hours) func(node) {
	return func(n node) {
		given := n.object(fields{"from": clock(&dst.From), "to": clock(&dst.To)})
		if given != nil && (!given["from"] || !given["to"]) {
			n.bad("from or to alone: expected both, such as {from: \"23:00\", to: \"07:00\"}")
		}
		if given != nil && dst.From == dst.To {
			*dst = noHours
		}
	}
}

func readChannel(n node) Channel {
	ch := Channel{MinSeverity: "warning"}
	given := n.object(fields{
		"name":           text(&ch.Name),
		"type":           choice(&ch.Type, ChannelTypes...),
		"to":             texts(&ch.To, checkMail),
		"min_severity":   choice(&ch.MinSeverity, Severities...),
		"rules":          texts(&ch.Rules, among(RuleIDs)),
		"buildings":      texts(&ch.Buildings, nil),
		"language":       choice(&ch.Language, "zh-CN", "en"),
		"quiet_hours":    hours(&ch.QuietHours),
		"cool_down":      duration(&ch.CoolDown),
		"digest":         choice(&ch.Digest, "daily", "weekly"),
		"escalate_after": duration(&ch.EscalateAfter),
		"template":       file(&ch.Template),
	}.secret("url", &ch.URL, nil).secret("secret", &ch.Secret, nil).secret("smtp", &ch.SMTP, checkSMTP))
	if given != nil && !given["type"] {
		n.bad("no type: expected %s", oneOf(ChannelTypes))
	}
	if ch.Name == "" {
		ch.Name = ch.Type
	}
	ch.URL.called(n.key+".url", "alerts", ch.Name, "url")
	ch.Secret.called(n.key+".secret", "alerts", ch.Name, "secret")
	ch.SMTP.called(n.key+".smtp", "alerts", ch.Name, "smtp")
	ch.check(n, given)
	return ch
}

// notFor says which types a key is not for, and why.
var notFor = []struct {
	key   string
	types []string
	why   string
}{
	{"to", []string{"wecom", "dingtalk", "feishu", "webhook", "alertmanager", "shoutrrr"}, "only email channels have addresses"},
	{"smtp", []string{"wecom", "dingtalk", "feishu", "webhook", "alertmanager", "shoutrrr"}, "only email channels have a mail server"},
	{"url", []string{"email"}, "the mail server goes under smtp"},
	{"secret", []string{"wecom"}, "a WeCom robot signs nothing: its secret is the key in url"},
	{"secret", []string{"alertmanager"}, "user and password go into url, https://user:password@host"},
	{"secret", []string{"email"}, "user and password go into smtp, smtp://user:password@host"},
	{"secret", []string{"shoutrrr"}, "the service's secrets go into url"},
	{"template", []string{"alertmanager"}, "Alertmanager's own templates make the words"},
	{"digest", []string{"alertmanager"}, "Alertmanager takes flags, not digests"},
}

// check holds what each type needs, and has no use for.
func (ch *Channel) check(n node, given map[string]bool) {
	for _, not := range notFor {
		for _, key := range []string{not.key, not.key + "_file"} {
			if given[key] && slices.Contains(not.types, ch.Type) {
				n.below(key).bad("%s: take it out", not.why)
			}
		}
	}
	switch {
	case ch.Type == "": // reported
	case ch.Type == "email":
		if len(ch.To) == 0 {
			n.bad("no to: expected mail addresses")
		}
		if !given["smtp"] && !ch.SMTP.Given() {
			n.bad("no smtp or smtp_file: expected the mail server, such as smtp://mail.example.org:587")
		}
	case !given["url"] && !ch.URL.Given():
		n.bad("no url or url_file: expected where %s messages go", ch.Type)
	case ch.URL.value != nil:
		if err := CheckChannelURL(ch.Type, *ch.URL.value); err != nil {
			n.below("url").bad("%v", err)
		}
	}
}

// CheckChannelURL holds that a URL is one for channels of a type; shoutrrr has
// schemes of its own. The error has no part of it that may be secret.
func CheckChannelURL(channelType, u string) error {
	if channelType == "shoutrrr" {
		return checkURL(u, nil, true)
	}
	return checkURL(u, []string{"https", "http"}, true)
}

func checkMail(s string) error {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return fmt.Errorf("%q: expected a mail address such as wuye@example.org", s)
	}
	return nil
}

// inherit takes from c what the channel does not say itself.
func (ch *Channel) inherit(c *Config) {
	if ch.Language == "" {
		ch.Language = c.Language
	}
	if ch.QuietHours == (Hours{}) {
		ch.QuietHours = c.Alerts.QuietHours
	}
	if ch.CoolDown == 0 {
		ch.CoolDown = c.Alerts.CoolDown
	}
}
