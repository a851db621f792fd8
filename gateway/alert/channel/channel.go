// Package channel delivers messages to people and programs: the group robots of
// WeCom, DingTalk and Feishu, e-mail, webhooks, Alertmanager, and what the
// library shoutrrr has a URL for. A file each.
//
// A message is taken when Send returns without an error; otherwise the error
// says when to try again: see [Sender]. Nothing that a channel answers, and no
// error, has a secret in it.
package channel

import (
	"context"
	"fmt"
	"net/http"
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
	Transport http.RoundTripper // nil: one of its own, with the proxies of the environment
	Now       func() time.Time  // nil: time.Now
	PublicURL string            // of the page; "" for none
	Estate    string            // its name
	EstateID  string            // as in topics and labels
	Location  *time.Location    // its time zone; nil: UTC
}

// New makes the channel that c describes. Secrets are read now; the error names
// the key to mend.
func New(c config.Channel, o Options) (Sender, error) {
	return nil, fmt.Errorf("channel %s: type %q is not known", c.Name, c.Type)
}
