package app

import (
	"fmt"

	"pilewatch/devices"
	"pilewatch/devices/catalog"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ingest"
	"pilewatch/gateway/registry"
	"pilewatch/gateway/session"
)

// settings gives what the fold depends on: the configuration and the registries.
func settings(cfg *config.Config) (session.Settings, error) {
	s := session.Settings{
		StartMW: cfg.Session.StartMW, IdleMW: cfg.Session.IdleMW,
		IdleFor: cfg.Session.IdleFor, MaxGap: cfg.Session.MaxGap, LostAfter: cfg.Session.LostAfter,
		TimeZone: cfg.Estate.Location.String(), Tariffs: cfg.Tariffs,
	}
	if cfg.Registry.Piles != "" {
		piles, err := registry.LoadPiles(cfg.Registry.Piles)
		if err != nil {
			return s, err
		}
		s.Piles = make(map[string]session.Pile, len(piles))
		for _, p := range piles {
			s.Piles[p.ID] = session.Pile{Building: p.Building, Location: p.Location, Ports: p.Ports, MaxPortMW: p.MaxPortMW}
		}
	}
	if cfg.Registry.Cards != "" {
		cards, err := registry.LoadCards(cfg.Registry.Cards)
		if err != nil {
			return s, err
		}
		s.Cards = make(map[string]session.Card, len(cards))
		for _, c := range cards {
			s.Cards[c.ID] = session.Card{
				Building: c.Building, Room: c.Room, Household: c.Household, Bikes: c.Bikes, PackMWh: c.PackMWh, Courier: c.Courier,
			}
		}
	}
	return s, s.Check()
}

// routes gives which decoder reads which topics.
func routes(cfg *config.Config) ([]ingest.Route, error) {
	rs := make([]ingest.Route, 0, len(cfg.MQTT.Subscriptions))
	for _, s := range cfg.MQTT.Subscriptions {
		d, err := catalog.New(s.Decoder, devices.Options{Location: cfg.Estate.Location, Mapping: s.Mapping})
		if err != nil {
			return nil, fmt.Errorf("mqtt.subscriptions: topic %s: %w", s.Topic, err)
		}
		r := ingest.Route{Name: s.Decoder, Decoder: d, Matches: s.Matches}
		if s.Filter() != s.Topic {
			r.Asked = config.Subscription{Topic: s.Filter()}.Matches
		}
		rs = append(rs, r)
	}
	return rs, nil
}
