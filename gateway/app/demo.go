package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
	"pilewatch/devices/sim"
	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/ingest"
	"pilewatch/gateway/registry"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// Demo says how the demonstration runs.
type Demo struct {
	Past     time.Duration // how far back it fills
	Interval time.Duration // between a pile's reports
	Seed     uint64
	Dir      string    // the throw-away folder; removed at the end
	Out      io.Writer // what a person reads
	Progress func(float64)
}

// RunDemo fills a throw-away ledger with the past of a simulated estate through
// the same pipeline as live data, then runs the gateway while the estate goes on
// living, until ctx is done.
func RunDemo(ctx context.Context, cfg *config.Config, o Options, d Demo) (err error) {
	dir, err := os.MkdirTemp(d.Dir, "pilewatch-demo-")
	if err != nil {
		return fmt.Errorf("the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg.DataDir = dir
	began := time.Now().Truncate(time.Second)
	simulation := Simulation{Speed: 1, Estate: sim.Config{
		Estate: cfg.Estate.ID, Seed: d.Seed, From: began.Add(-d.Past), Live: began, Interval: d.Interval, Location: cfg.Estate.Location,
	}}
	estate, err := sim.New(simulation.Estate)
	if err != nil {
		return Usage(err)
	}
	o.Settings = func(s *session.Settings) { simulatedRegistry(estate, s) }
	if cfg.Tariffs == nil {
		cfg.Tariffs = demoTariffs()
	}
	o.FreePorts = true
	a, err := New(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	next, played, err := a.fill(ctx, estate, simulation.Estate.From, d.Progress)
	if err != nil || ctx.Err() != nil {
		return err
	}
	fmt.Fprintf(d.Out, "过去%d天已生成：%d条报文，%d条读数，%d次充电，用时%.1f秒 (past filled)\n",
		int(d.Past.Hours()/24), played.Messages, played.Readings, played.Sessions, time.Since(began).Seconds())
	if err := a.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "网页 page:   http://%s/\n指标 metrics: http://%s/metrics\nMQTT:        tcp://%s\n按 Ctrl-C 结束 (Ctrl-C ends it)\n", a.HTTPAddr(), a.HTTPAddr(), a.MQTTAddr())
	return a.live(ctx, estate, next)
}

// demoTariffs is the price list of the demonstration, where none is configured:
// a flat price of electricity, and the service fee apart.
func demoTariffs() []tariff.Tariff {
	return []tariff.Tariff{{Name: "演示", ValidFrom: "2024-01-01", Bands: []tariff.Band{tariff.FlatBand(641_000)}, PerKWh: 300_000}}
}

// simulatedRegistry puts the simulated piles and cards into the registry.
func simulatedRegistry(e *sim.Estate, s *session.Settings) {
	s.Piles, s.Cards = map[string]session.Pile{}, map[string]session.Card{}
	for _, p := range e.Piles() {
		s.Piles[p.Pile] = session.Pile{Building: p.Building, Location: p.Location, Ports: p.Ports, MaxPortMW: int64(p.MaxPortW) * 1000}
	}
	for _, c := range e.Cards() {
		s.Cards[c.Card] = session.Card{
			Building: c.Building, Room: c.Room, Household: c.Household, Bikes: c.Bikes, PackMWh: registry.PackMWh(c.Pack), Courier: c.Courier,
		}
	}
}

// fill plays the estate's past until it has caught up with the clock, and gives
// the message that is still to come.
func (a *App) fill(ctx context.Context, e *sim.Estate, from time.Time, progress func(float64)) (next sim.Message, played Played, err error) {
	p := a.playback(ctx, played.add)
	n := 0
	for msg := range e.All() {
		if msg.At.After(time.Now()) {
			next = msg
			break
		}
		d := ingest.Delivery{Input: devices.Input{Topic: msg.Topic, Payload: msg.Payload, Received: devices.MillisOf(msg.At)}}
		if err = p.Add(ctx, d); err != nil || ctx.Err() != nil {
			break
		}
		if n++; n%4096 == 0 {
			progress(float64(msg.At.Sub(from)) / float64(time.Since(from)))
		}
	}
	err = errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	progress(1)
	return next, played, err
}

// live publishes the estate's messages to the embedded broker, each at its time,
// until ctx is done or the gateway fails.
func (a *App) live(ctx context.Context, e *sim.Estate, next sim.Message) error {
	c, err := connect(config.MQTT{Broker: "tcp://" + a.mqttAddr, ClientID: "pilewatch-demo"}, "piles", func(*mqtt.ClientOptions) {})
	if err != nil {
		return err
	}
	defer c.Disconnect(100)
	p := newPublisher(c)
	for msg := next; ; {
		select {
		case err := <-a.Failed():
			return err
		default:
		}
		if !feed.Sleep(ctx, time.Until(msg.At)) {
			return nil
		}
		if err := p.publish(ctx, msg); err != nil && ctx.Err() == nil {
			return err
		}
		var ok bool
		if msg, ok = e.Next(); !ok {
			<-ctx.Done()
			return nil
		}
	}
}
