package alert

import (
	"errors"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/ledger"
)

// Outcome is what came of one attempt to send a message.
type Outcome int

// The outcomes of an attempt.
const (
	Sent    Outcome = iota
	Failed          // and it is tried again
	Refused         // for good
)

// State is how a channel is doing.
type State struct {
	Name, Type  string
	Waiting     int            // deliveries that are not sent yet
	Sent        devices.Millis // when the last message was taken; 0 for none since the start
	Failing     devices.Millis // since when nothing is taken; 0 while all is well
	Error       string         // why; "" while all is well
	Refused     int            // messages that the channel refused for good since the start
	LastRefusal string         // why the last of them was
}

// askedWait is an error with the wait that the channel asks for, as package feed
// knows it.
type askedWait struct {
	error
	after time.Duration
}

// RetryAfter is the wait.
func (e askedWait) RetryAfter() time.Duration { return e.after }

// Unwrap gives the error.
func (e askedWait) Unwrap() error { return e.error }

func wrap(err error) error {
	if retry := (*channel.RetryError)(nil); errors.As(err, &retry) {
		return askedWait{err, retry.After}
	}
	return err
}

func isPermanent(err error) bool {
	permanent := (*channel.PermanentError)(nil)
	return errors.As(err, &permanent)
}

// maxError bounds what is kept of an error, in characters.
const maxError = 300

// oneLine gives an error as one line of bounded length; "" for nil.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	r := []rune(strings.Join(strings.Fields(err.Error()), " "))
	return string(r[:min(len(r), maxError)])
}

// State gives the present state.
func (c *courier) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *courier) update(f func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
}

// note counts what waits.
func (c *courier) note(ns []ledger.Notice) {
	n := 0
	for i := range ns {
		if ns[i].DoneAt == 0 {
			n++
		}
	}
	c.update(func(s *State) { s.Waiting = n })
}

// result notes what came of an attempt.
func (c *courier) result(m channel.Message, err error, now devices.Millis) {
	switch {
	case err == nil:
		c.recent = append(c.recent, now)
		c.recent = c.recent[max(0, len(c.recent)-aMinute):]
		c.update(func(s *State) { s.Sent = now })
		c.count(c.channel, Sent)
	case isPermanent(err):
		c.log.Error("the channel refused a message for good; its flags stand on the page", "kind", m.Kind, "delivery_id", m.DeliveryID, "error", oneLine(err))
		c.update(func(s *State) { s.Refused++; s.LastRefusal = oneLine(err) })
		c.count(c.channel, Refused)
	default:
		c.count(c.channel, Failed)
	}
}

// failing notes that nothing is taken.
func (c *courier) failing(err error, wait time.Duration) {
	c.update(func(s *State) {
		s.Error = oneLine(err)
		if s.Failing == 0 {
			s.Failing = c.now()
		}
	})
	c.outage.Failed(errors.New(oneLine(err)), wait, int64(c.State().Waiting))
}

// well notes that all is well.
func (c *courier) well() {
	c.update(func(s *State) { s.Error, s.Failing = "", 0 })
	c.outage.Over()
}
