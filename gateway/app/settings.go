package app

import (
	"errors"
	"fmt"
	"time"

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
	var errs []error // of both registries: they are mended in one go
	if cfg.Registry.Piles != "" {
		piles, err := registry.LoadPiles(cfg.Registry.Piles)
		errs = append(errs, err)
		s.Piles = make(map[string]session.Pile, len(piles))
		for _, p := range piles {
			s.Piles[p.ID] = session.Pile{Building: p.Building, Location: p.Location, Ports: p.Ports, MaxPortMW: p.MaxPortMW}
		}
	}
	if cfg.Registry.Cards != "" {
		cards, err := registry.LoadCards(cfg.Registry.Cards)
		errs = append(errs, err)
		s.Cards, s.FormerCards = holders(cards, cfg.Estate.Location)
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return s, s.Check()
}

// holders gives who has each card, and who had it before. The registry has the
// holders of a card in the order of their days.
func holders(cards []registry.Card, loc *time.Location) (now map[string]session.Card, former map[string][]session.Card) {
	now = make(map[string]session.Card, len(cards))
	for _, c := range cards {
		if earlier, ok := now[c.ID]; ok {
			if former == nil {
				former = map[string][]session.Card{}
			}
			former[c.ID] = append(former[c.ID], earlier)
		}
		now[c.ID] = session.Card{
			Building: c.Building, Room: c.Room, Household: c.Household, Bikes: c.Bikes, PackMWh: c.PackMWh, Courier: c.Courier,
			From: midnight(c.ValidFrom, loc), To: midnight(c.ValidTo, loc),
		}
	}
	return now, former
}

// midnight is when a date begins; 0 for none.
func midnight(date string, loc *time.Location) devices.Millis {
	t, err := time.ParseInLocation(time.DateOnly, date, loc)
	if err != nil { // "": the registry has checked the others
		return 0
	}
	return devices.MillisOf(t)
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
