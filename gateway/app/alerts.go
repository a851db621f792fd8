package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pilewatch/gateway/alert"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/session"
	"pilewatch/gateway/web"
	"pilewatch/metrics"
)

// channels opens the channels of alerts; it sends nothing. The error has a line
// for each that cannot be used.
func channels(cfg *config.Config) (cs []alert.Channel, err error) {
	for _, c := range cfg.Alerts.Channels {
		s, bad := channel.New(c, channel.Options{
			PublicURL: cfg.Alerts.PublicURL, Link: func(id string) string { return alert.FlagPage(cfg.Alerts.PublicURL, id) },
			Estate: cfg.Estate.Name, EstateID: cfg.Estate.ID, Location: cfg.Estate.Location,
		})
		err = errors.Join(err, bad)
		cs = append(cs, alert.Channel{Channel: c, Sender: s})
	}
	return cs, err
}

func alertOptions(cfg *config.Config, piles map[string]session.Pile) alert.Options {
	return alert.Options{Estate: cfg.Estate.Name, PublicURL: cfg.Alerts.PublicURL, Location: cfg.Estate.Location, Piles: piles}
}

// makeAlerts makes who tells people of flags.
func (a *App) makeAlerts() error {
	cs, err := channels(a.cfg)
	if err != nil {
		return Usage(err)
	}
	o := alertOptions(a.cfg, a.settings.Piles)
	o.Log = a.log
	o.Count = func(name string, outcome alert.Outcome) { a.metrics.counters.AlertDelivered(name, results[outcome]) }
	a.alerts = alert.New(a.ledger, cs, o)
	return nil
}

// results are the outcomes of deliveries as labels of metrics.
var results = [...]string{alert.Sent: metrics.ResultOK, alert.Failed: metrics.ResultError, alert.Refused: metrics.ResultRejected}

// alertChannels gives how the channels are doing, as the page has it.
func (a *App) alertChannels() (all []web.Channel) {
	for _, s := range a.alerts.States() {
		all = append(all, web.Channel(s))
	}
	return all
}

// TestAlert sends a marked message over a configured channel, and prints what the
// channel answered.
func TestAlert(ctx context.Context, cfg *config.Config, name string, out io.Writer) error {
	var names []string
	for _, c := range cfg.Alerts.Channels {
		names = append(names, c.Name)
	}
	i := slices.Index(names, name)
	if i < 0 {
		known := "alerts.channels has none"
		if len(names) > 0 {
			known = "alerts.channels has " + strings.Join(names, ", ")
		}
		return Usage(fmt.Errorf("there is no channel %q: %s", name, known))
	}
	one := *cfg
	one.Alerts.Channels = cfg.Alerts.Channels[i : i+1]
	cs, err := channels(&one)
	if err != nil {
		return Usage(err)
	}
	answer, err := alert.Test(ctx, cs[0], alertOptions(cfg, nil), time.Now())
	if err != nil {
		return fmt.Errorf("channel %s did not take the message: %w", name, err)
	}
	_, err = fmt.Fprintf(out, "channel %s took the test message: %s\n", name, answer)
	return err
}

// alerts opens the channels of alerts, and says how they are routed.
func (c *checker) alerts(cfg *config.Config) {
	if len(cfg.Alerts.Channels) == 0 {
		c.line("alerts", nil, "none configured: flags are on the page, in the API and in metrics")
		return
	}
	for _, ch := range cfg.Alerts.Channels {
		one := *cfg
		one.Alerts.Channels = []config.Channel{ch}
		_, err := channels(&one)
		err = errors.Join(err, c.buildings(&ch))
		c.line("alerts", err, "%s (%s): %s; `pilewatch alert test %s` tries it", ch.Name, ch.Type, routing(&ch), ch.Name)
	}
	if cfg.Alerts.PublicURL == "" {
		c.line("alerts", nil, "no alerts.public_url: messages have no link to the page")
	}
}

// buildings refuses a building that nothing stands in: by a slip of the pen
// nobody would ever be told.
func (c *checker) buildings(ch *config.Channel) error {
	known := map[string]bool{}
	for _, p := range c.registry.Piles {
		known[p.Building] = true
	}
	for _, card := range c.registry.Cards {
		known[card.Building] = true
	}
	for _, b := range ch.Buildings {
		if len(known) > 0 && !known[b] {
			return fmt.Errorf("alerts channel %q: buildings: no pile or card of the registry is in building %q: write it as there", ch.Name, b)
		}
	}
	return nil
}

// routing says in a few words what a channel is told.
func routing(ch *config.Channel) string {
	words := []string{ch.MinSeverity + " and up"}
	if ch.EscalateAfter > 0 {
		words = []string{fmt.Sprintf("critical that nobody acknowledged in %v", ch.EscalateAfter)}
	}
	if len(ch.Rules) > 0 {
		words = append(words, "rules "+strings.Join(ch.Rules, " "))
	}
	if len(ch.Buildings) > 0 {
		words = append(words, "buildings "+strings.Join(ch.Buildings, " "))
	}
	if q := ch.QuietHours; q.From != q.To && ch.Type != "alertmanager" { // it has its own
		words = append(words, fmt.Sprintf("quiet %02d:%02d-%02d:%02d", q.From/60, q.From%60, q.To/60, q.To%60))
	}
	if ch.Digest != "" {
		words = append(words, ch.Digest+" digest")
	}
	return strings.Join(words, ", ")
}
