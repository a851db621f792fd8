// Package channel delivers messages to people and programs: the group robots of
// WeCom, DingTalk and Feishu, e-mail, webhooks, Alertmanager, and what the
// library shoutrrr has a URL for. A file each.
//
// Webhooks get JSON: the public interface's flag (the first, where a message is
// about several) with delivery_id and kind; beside it title, text, link, at and
// estate as people read them, and flags, all of them. A digest or a test is about
// none: it has severity and message, and flags is empty. X-Pilewatch-Delivery is
// the delivery id, and with a secret X-Pilewatch-Signature is "sha256=" and the
// HMAC-SHA256, in hex, of X-Pilewatch-Timestamp (Unix seconds), a dot, and the
// body. A template of one's own (text/template) sees the fields of [Message] and
// .Estate, and has the functions json (any value), time (of .RaisedAt) and flag
// (as the interface has it); it makes the body of a webhook, and the text of other
// channels.
//
// A message is taken when Send returns without an error; otherwise the error
// says when to try again: see [Sender]. Nothing that a channel answers, and no
// error, has a secret in it.
package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// The kinds of messages.
const (
	Raised   = "raised"
	Cleared  = "cleared"
	Repeated = "repeated"
	Digest   = "digest"
	Test     = "test"
)

// Message is what a channel tells.
type Message struct {
	DeliveryID string        // the same on a repeat
	Kind       string        // raised, cleared, repeated, digest or test
	Severity   string        // info, warning or critical
	Title      string        // one line, with the severity in its first characters
	Text       string        // plain text, lines separated by \n
	Link       string        // page of the flag; "" for none
	Flags      []ledger.Flag // what it is about; none for a digest
	At         time.Time     // event time
}

// Sender is a channel. Send returns once the channel has taken the message, with
// what it said in one line. A [PermanentError] says that it will never take this
// message, a [RetryError] that it is not to be tried before a while; after any
// other error the caller tries again with growing waits. Send waits by itself
// where the channel allows only so many messages a minute; it ends with ctx. It
// is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, m Message) (answer string, err error)
}

// Keeper is a channel that shows a state, which expires: it is to be told of all
// open flags every Every, and soon after a start.
type Keeper interface {
	Keep(ctx context.Context, open []ledger.Flag) error
	Every() time.Duration
}

// RetryError says that the same message may be taken, but not before After.
type RetryError struct {
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RetryError) Unwrap() error { return e.Err }

// PermanentError says that this message will never be taken.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *PermanentError) Unwrap() error { return e.Err }

// Options are what all channels share. Zero values are what the gateway runs with.
type Options struct {
	Transport http.RoundTripper          // nil: one of its own, with the proxies of the environment
	RootCAs   *x509.CertPool             // who may sign certificates; nil: whom this machine trusts
	Now       func() time.Time           // nil: time.Now
	PublicURL string                     // of the page; "" for none
	Link      func(flagID string) string // page of a flag, for channels that link by themselves; nil: PublicURL
	Estate    string                     // its name
	EstateID  string                     // as in topics and labels
	Location  *time.Location             // its time zone; nil: UTC
}

// New makes the channel that c describes; what it gives is a [Keeper] too where
// the channel shows a state. Secrets are read now. The error names the key to
// mend, and no secret.
func New(c config.Channel, o Options) (Sender, error) {
	g := &guard{timeout: httpTimeout}
	o.fill()
	err := g.open(c, o)
	if err != nil {
		return nil, fmt.Errorf("alerts channel %q: %w", c.Name, g.hidden.hideIn(err))
	}
	if state, ok := g.sender.(Keeper); ok {
		return &keeper{g, state}, nil
	}
	return g, nil
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Link == nil {
		page := o.PublicURL
		o.Link = func(string) string { return page }
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // messages are rare
			ForceAttemptHTTP2: true,
		}
	}
}

// open reads the secrets, so that all of them are hidden from then on, and makes
// the channel's sender.
func (g *guard) open(c config.Channel, o Options) error {
	var address, secret, smtp string
	for _, s := range []struct {
		from config.Secret
		to   *string
	}{{c.URL, &address}, {c.Secret, &secret}, {c.SMTP, &smtp}} {
		text, err := s.from.Resolve()
		if err != nil {
			return err
		}
		*s.to = strings.TrimSpace(text)
	}
	g.hidden.add(shortestSecret, secret)
	g.hidden.addURL(address)
	g.hidden.addURL(smtp)
	if c.Type != "email" {
		if err := config.CheckChannelURL(c.Type, address); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	g.data = func(m Message) templateData {
		m.At = m.At.In(o.Location)
		return templateData{Message: m, Estate: o.Estate}
	}
	var tried []string
	if c.Template != "" {
		var err error
		if g.text, tried, err = readTemplate(c, g.data, o.Location); err != nil {
			return err
		}
	}
	p := &poster{now: o.Now, hidden: &g.hidden, client: &http.Client{Transport: o.Transport, CheckRedirect: stay}}
	switch c.Type {
	case "wecom":
		g.sender, g.paces = newWeCom(c, address, p), []*pace{newPace(20, time.Minute)}
	case "dingtalk":
		g.sender, g.paces = newDingTalk(c, address, secret, p), []*pace{newPace(20, time.Minute)}
	case "feishu":
		g.sender, g.paces = newFeishu(c, address, secret, p), []*pace{newPace(100, time.Minute), newPace(5, time.Second)}
	case "webhook":
		g.sender, g.text = newWebhook(address, secret, p, o, g, tried), nil
	case "alertmanager":
		g.sender = &alertmanager{poster: p, url: strings.TrimSuffix(strings.TrimRight(address, "/"), alertsPath) + alertsPath,
			english: c.Language == "en", estate: o.EstateID, link: o.Link}
	case "email":
		server, err := config.ParseSMTP(smtp)
		if err != nil {
			return fmt.Errorf("smtp: %w", err)
		}
		if len(c.To) == 0 {
			return errors.New("to: no addresses: give one")
		}
		g.hidden.add(shortestSecret, server.Password)
		g.sender, g.timeout = newMailer(c, server, o.RootCAs, o.Estate, o.Now), mailTimeout
	case "shoutrrr":
		if u, err := url.Parse(address); err == nil {
			g.hidden.add(shortestSecret+1, u.Hostname(), u.Host) // many services keep a token there
		}
		service, err := newLongTail(c, address)
		if err != nil {
			return err
		}
		g.sender, g.paces = service, []*pace{newPace(20, time.Minute)} // what the strictest of them bear
	default:
		return fmt.Errorf("type %q is not known", c.Type)
	}
	return nil
}

// stay ends a request at a redirect, and gives that as the answer.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
