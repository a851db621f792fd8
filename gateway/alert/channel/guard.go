package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"pilewatch/gateway/ledger"
)

// guard stands before a channel: it waits for its turn, ends what takes too long,
// and hides secrets in what comes back.
type guard struct {
	sender  Sender
	paces   []*pace
	timeout time.Duration
	hidden  secrets
	text    *template.Template // of Message.Text; nil: as it is
	data    func(Message) templateData
}

func (g *guard) Send(ctx context.Context, m Message) (string, error) {
	for _, p := range g.paces {
		if err := p.wait(ctx); err != nil {
			return "", err
		}
	}
	if g.text != nil {
		var b strings.Builder
		if err := g.text.Execute(&b, g.data(m)); err != nil {
			return "", g.hidden.hideIn(slowly(fmt.Errorf("template: %w", err)))
		}
		m.Text = b.String()
	}
	answer, err := "", error(nil)
	err = g.within(ctx, func(ctx context.Context) (err error) {
		answer, err = g.sender.Send(ctx, m)
		return err
	})
	return g.hidden.hide(answer, maxLine), err
}

// within runs f with the channel's time limit.
func (g *guard) within(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	err := f(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // the caller's will, not the channel's fault
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil:
		err = fmt.Errorf("no answer within %v: is a network or a proxy in the way?", g.timeout)
	}
	return g.hidden.hideIn(err)
}

// keeper is a guarded channel that shows a state.
type keeper struct {
	*guard
	state Keeper
}

func (k *keeper) Every() time.Duration { return k.state.Every() }

func (k *keeper) Keep(ctx context.Context, open []ledger.Flag) error {
	return k.within(ctx, func(ctx context.Context) error { return k.state.Keep(ctx, open) })
}
