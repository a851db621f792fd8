package app

import (
	"context"
	"fmt"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// clockSlack is how far two clocks may be apart: as far as a device's may be ahead.
const clockSlack = 5 * time.Minute

// earliest is before any time at which this program can run: a box without a
// battery begins in 1970.
var earliest = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// clock holds this machine's clock against those that know better: what the
// ledger has already seen, and InfluxDB's.
func (c *checker) clock(cfg *config.Config, newest devices.Millis, influx time.Time) {
	now := time.Now()
	var err error
	switch seen := newest.Time(); {
	case now.Before(earliest):
		err = fmt.Errorf("it says %s: set it (timedatectl set-ntp true) before the gateway runs", clockText(now, cfg))
	case newest != 0 && seen.Sub(now) > clockSlack:
		err = fmt.Errorf("it says %s and the ledger has a message received at %s: set the clock that is, or was, wrong (timedatectl set-ntp true)",
			clockText(now, cfg), clockText(seen, cfg))
	case !influx.IsZero() && influx.Sub(now).Abs() > clockSlack:
		err = fmt.Errorf("it says %s and InfluxDB at %s says %s: set the one that is wrong (timedatectl set-ntp true there)",
			clockText(now, cfg), cfg.InfluxDB.URL, clockText(influx, cfg))
	}
	c.line("clock", err, "%s%s", clockText(now, cfg), said(!synchronised(), "; nothing keeps it right: timedatectl set-ntp true"))
}

func clockText(t time.Time, cfg *config.Config) string {
	return t.In(cfg.Estate.Location).Format("2006-01-02 15:04:05 MST")
}

// newestReceipt gives when the ledger's newest entry was received; 0 where there
// is none that can be read, which has a line of its own.
func newestReceipt(ctx context.Context, l *ledger.Ledger) devices.Millis {
	head := l.Head()
	if head <= 1 {
		return 0
	}
	b, err := l.Next(ctx, head-1, 1)
	if err != nil || len(b.Entries) == 0 {
		return 0
	}
	return b.Entries[len(b.Entries)-1].Received
}
