package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/safety"
	"pilewatch/gateway/session"
	"pilewatch/metrics/influx"
)

// Check loads the registries, tries the broker and InfluxDB, and prints what it
// found, a line each. The error says how many things a person must mend.
func Check(ctx context.Context, cfg *config.Config, o Options, out io.Writer) error {
	c := &checker{out: out}
	c.line("configuration", nil, "%s", orDefaults(cfg.File))
	c.registries(cfg)
	c.line("tariffs", nil, "%d", len(cfg.Tariffs))
	_, err := safetyRules(cfg)
	off := ""
	if ids := rulesOff(cfg); len(ids) > 0 {
		off = "; off: " + strings.Join(ids, ", ")
	}
	c.line("safety rules", err, "active: %s%s", strings.Join(safety.IDs, ", "), off)
	l, err := checkLedger(ctx, cfg, o)
	c.line("ledger", err, "%s%s", cfg.DataDir, l.note)
	c.broker(cfg, l.running)
	c.clock(cfg, l.newest, c.influx(ctx, cfg))
	c.page(ctx, cfg, l.running)
	c.alerts(cfg)
	if c.failed > 0 {
		return fmt.Errorf("%d of the lines above need mending", c.failed)
	}
	return nil
}

type checker struct {
	out      io.Writer
	failed   int
	registry session.Settings // with its piles and cards, where they could be read
}

// line prints one finding.
func (c *checker) line(what string, err error, format string, a ...any) {
	word, text := "ok   ", fmt.Sprintf(format, a...)
	if err != nil {
		c.failed++
		word, text = "FAIL ", strings.ReplaceAll(err.Error(), "\n", "\n"+strings.Repeat(" ", 21)) // a problem a line
	}
	fmt.Fprintf(c.out, "%s %-14s %s\n", word, what, text)
}

func orDefaults(file string) string {
	if file == "" {
		return "embedded defaults"
	}
	return file
}

func (c *checker) registries(cfg *config.Config) {
	s, err := settings(cfg)
	if err != nil {
		c.line("registry", err, "")
		return
	}
	c.registry = s
	c.line("registry", nil, "%d piles, %d cards", len(s.Piles), len(s.Cards))
}

func said(b bool, words string) string {
	if b {
		return words
	}
	return ""
}

// ledgerFound is what was found of a ledger.
type ledgerFound struct {
	note    string         // what to say of it
	running bool           // a gateway runs on it
	newest  devices.Millis // receipt of its newest entry; 0 for none
}

// checkLedger looks at the ledger, also where a gateway runs on it, and changes
// nothing.
func checkLedger(ctx context.Context, cfg *config.Config, o Options) (f ledgerFound, err error) {
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, os.ErrNotExist) {
		return ledgerFound{note: ", made by the first start"}, nil
	}
	who, err := ledger.InUse(cfg.DataDir)
	if err != nil {
		return f, err
	}
	if f.running = who != ""; f.running {
		f.note = ", in use by " + who
	}
	if err := ledger.CheckWritable(cfg.DataDir); err != nil {
		return f, err
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, ledger.File)); errors.Is(err, os.ErrNotExist) {
		f.note += ", made by the first start"
		return f, nil
	}
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	var version *ledger.VersionError
	if errors.As(err, &version) && version.Has < version.Knows {
		f.note += fmt.Sprintf(", schema version %d: the next start upgrades it to %d after a copy", version.Has, version.Knows)
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.newest = newestReceipt(ctx, l)
	return f, l.Close()
}

// free says whether an address can be listened on, or is ours already.
func free(addr, key string, ours func() bool) error {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return ln.Close()
	case ours():
		return nil
	}
	return taken(err, key)
}

// broker tries the broker; running says that a gateway runs on the ledger, which
// then has the embedded one.
func (c *checker) broker(cfg *config.Config, running bool) {
	m := cfg.MQTT
	if m.Broker == "" {
		c.line("broker", free(m.Listen, "mqtt.listen", func() bool { return running }), "embedded, on %s%s", m.Listen, said(running, ", of the gateway that runs"))
		return
	}
	var until atomic.Int64 // Unix seconds
	client, err := connect(m, "check", func(o *mqtt.ClientOptions) { o.SetTLSConfig(watched(o.TLSConfig, &until)) })
	if err != nil {
		c.line("broker", err, "")
		return
	}
	defer client.Disconnect(100)
	filters := map[string]byte{}
	for _, s := range m.Subscriptions {
		filters[s.Filter()] = 1
	}
	t := client.SubscribeMultiple(filters, nil)
	if !t.WaitTimeout(connectFor) {
		err = errors.New("no answer to the subscription")
	} else {
		err = t.Error()
	}
	if st, ok := t.(*mqtt.SubscribeToken); ok && err == nil {
		for f, code := range st.Result() {
			if code == 0x80 {
				err = errors.Join(err, fmt.Errorf("subscription to %q refused: give user %q the right to read it", f, m.Username))
			}
		}
	}
	ends := time.Unix(until.Load(), 0)
	c.line("broker", err, "%s, %d subscriptions%s", m.Broker, len(filters), said(until.Load() != 0 && time.Until(ends) < renewIn,
		"; its certificate ends on "+ends.Format(time.DateOnly)+": give it a new one before (deploy/setup renew), or the piles are refused as well"))
}

// renewIn is how long before its end a certificate is spoken of: who looks after the
// box comes by once a month.
const renewIn = 45 * 24 * time.Hour

// watched also keeps until when the certificate of the other side holds.
func watched(c *tls.Config, until *atomic.Int64) *tls.Config {
	if c = c.Clone(); c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		until.Store(s.PeerCertificates[0].NotAfter.Unix())
		return nil
	}
	return c
}

// influx asks InfluxDB whether it is there, and whether it would take points. It
// gives what the clock there says; the zero time where it did not answer.
func (c *checker) influx(ctx context.Context, cfg *config.Config) (clock time.Time) {
	if cfg.InfluxDB == nil {
		c.line("influxdb", nil, "not configured: everything stays in the ledger, and can be written later")
		return clock
	}
	client, err := influx.New(influxOptions(cfg))
	if err == nil {
		defer client.Close()
		wait, cancel := context.WithTimeout(ctx, connectFor)
		defer cancel()
		err = client.Check(wait)
		clock = client.Clock()
	}
	c.line("influxdb", err, "%s, bucket %s", cfg.InfluxDB.URL, cfg.InfluxDB.Bucket)
	return clock
}

// page looks at the page's address: where a gateway runs on the ledger, it may be
// that gateway's, or the new one of a configuration that has changed.
func (c *checker) page(ctx context.Context, cfg *config.Config, running bool) {
	users, err := countUsers(cfg)
	if err == nil {
		err = errors.Join(cfg.CheckExposure(users), free(cfg.HTTP.Listen, "http.listen", func() bool { return running && answers(ctx, cfg.HTTP.Listen) }))
	}
	c.line("page", err, "http://%s, %d users", cfg.HTTP.Listen, users)
}
