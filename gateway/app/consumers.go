package app

import (
	"fmt"
	"slices"

	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/safety"
	"pilewatch/metrics/influx"
)

// safetyRules gives the rules with the configured thresholds.
func safetyRules(cfg *config.Config) (safety.Rules, error) {
	rules := safety.Defaults()
	for _, d := range cfg.Safety.Holidays {
		rules.Holidays = append(rules.Holidays, safety.Days(d))
	}
	return rules, applyRules(cfg, rules)
}

// applyRules sets what a configuration says of the rules.
func applyRules(cfg *config.Config, rules safety.Rules) error {
	if err := cfg.CheckRules(safety.Keys()); err != nil {
		return err
	}
	for id, r := range cfg.Safety.Rules {
		if r.Enabled != nil {
			if err := rules.Enable(id, *r.Enabled); err != nil {
				return err
			}
		}
		for key, v := range r.Values {
			if err := rules.Set(id, key, v); err != nil {
				return fmt.Errorf("safety.rules: %w", err)
			}
		}
	}
	return nil
}

// consumers gives who reads the journal.
func (a *App) consumers() ([]feed.Consumer, error) {
	cs := append([]feed.Consumer{a.safety}, a.alerts.Consumers()...)
	if a.cfg.InfluxDB == nil {
		return cs, nil
	}
	o := influxOptions(a.cfg)
	o.Settings, o.Sessions, o.Rejects, o.Log = a.ledger.SettingsAt, a.ledger, a.ledger, a.log
	c, err := influx.New(o)
	if err != nil {
		return nil, Usage(err)
	}
	a.onStop(func() error { c.Close(); return nil })
	return append(cs, c), nil
}

func influxOptions(cfg *config.Config) influx.Options {
	i := cfg.InfluxDB
	return influx.Options{URL: i.URL, Org: i.Org, Bucket: i.Bucket, Token: i.Token.Resolve, Estate: cfg.Estate.ID}
}

// rulesOff lists the rules that the configuration switches off.
func rulesOff(cfg *config.Config) (off []string) {
	for id, r := range cfg.Safety.Rules {
		if r.Enabled != nil && !*r.Enabled {
			off = append(off, id)
		}
	}
	slices.Sort(off)
	return off
}
