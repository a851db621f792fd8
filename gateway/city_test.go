package main

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"pilewatch/gateway/realserver"
)

// A city: a million ports, of which a quarter charge, report every 30 s.
const (
	cityPiles    = 83_333
	cityPorts    = 12
	cityCharging = 3 // of the ports of a pile
	cityInterval = 30 * time.Second
	cityRounds   = 10 // the first of which is not measured: a quarter of a million charges begin in it
)

// appendCityReport writes what a pile says in a round.
func appendCityReport(b []byte, pile, round int, at time.Time) []byte {
	b = at.AppendFormat(append(b, `{"ts":"`...), time.RFC3339)
	b = append(b, `","ports":[`...)
	for port := 1; port <= cityPorts; port++ {
		if port > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"port":`...), int64(port), 10)
		wh := int64(pile*100 + port*10_000)
		if port <= cityCharging {
			w := int64(90 + (pile*7+port*31)%200)
			b = strconv.AppendInt(append(b, `,"state":"charging","w":`...), w, 10)
			b = append(b, `,"v":221.3,"card":"04`...)
			b = append(strconv.AppendInt(b, int64(1_000_000+pile*cityPorts+port), 16), '"')
			wh += w * int64(round) / 120
		} else {
			b = append(b, `,"state":"idle","w":0`...)
		}
		b = append(strconv.AppendInt(append(b, `,"wh":`...), wh, 10), '}')
	}
	return append(b, "]}"...)
}

// publishCity lets every pile report once a round, evenly over the interval, and
// says when the second round begins.
func publishCity(b *testing.B, addr string, second func()) {
	c := dialRaw(b, addr, "city")
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, bufio.NewReader(c), 4*cityPiles*cityRounds) // PUBACKs
		done <- err
	}()
	var out, payload []byte
	sent, began := 0, time.Now()
	for tick := time.NewTicker(50 * time.Millisecond); sent < cityPiles*cityRounds; <-tick.C {
		due := min(int(time.Since(began)*cityPiles/cityInterval), cityPiles*cityRounds)
		if sent < cityPiles && due >= cityPiles {
			second()
		}
		for out = out[:0]; sent < due; sent++ {
			pile, round := sent%cityPiles, sent/cityPiles
			payload = appendCityReport(payload[:0], pile, round, time.Now())
			out = appendPublish(out, fmt.Sprintf("pilewatch/v1/city/P%05d/telemetry", pile), uint16(sent%65535+1), payload)
		}
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCity lives five minutes of a city in five minutes, kills the gateway
// and starts it again: how much of a core it takes, how much memory, how long until
// it is ready again, and how long a stop takes.
func BenchmarkCity(b *testing.B) {
	b.Setenv("GOMEMLIMIT", "1350MiB") // as for any service with a bound: deploy/systemd has it
	for b.Loop() {
		mosquitto := realserver.Mosquitto(b, realserver.MosquittoOptions{Memory: true})
		dir, addr := b.TempDir(), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b))
		more := fmt.Sprintf("data_dir: %q\ninfluxdb: {url: %q, bucket: pilewatch}", filepath.Join(dir, "data"), sinkOfNothing(b))
		cfg := settingsFile(b, dir, mosquitto.URL, addr, more)
		g := start(b, addr, "run", "--config", cfg)
		empty, began := used(b, g.cmd.Process.Pid), time.Now()
		var before usage
		var warm time.Time
		publishCity(b, mosquitto.Addr, func() { before, warm = used(b, g.cmd.Process.Pid), time.Now() })
		lived, after := time.Since(warm), used(b, g.cmd.Process.Pid)
		b.ReportMetric(100*(before.cpu-empty.cpu).Seconds()/warm.Sub(began).Seconds(), "first-core-%")
		b.ReportMetric(100*(after.cpu-before.cpu).Seconds()/lived.Seconds(), "core-%")
		committed := g.deliver(b, filepath.Join(dir, "data"), cityPiles*cityPorts*cityRounds)
		b.ReportMetric(committed.Sub(warm.Add(lived)).Seconds(), "behind-s")
		b.ReportMetric(used(b, g.cmd.Process.Pid).peak, "MB")
		g.kill()
		began = time.Now()
		g = start(b, addr, "run", "--config", cfg) // until it is ready
		b.ReportMetric(time.Since(began).Seconds(), "restart-s")
		b.ReportMetric(used(b, g.cmd.Process.Pid).peak, "restart-MB")
		began = time.Now()
		g.stop()
		b.ReportMetric(time.Since(began).Seconds(), "stop-s")
		mosquitto.Stop()
	}
	b.ReportMetric(0, "ns/op")
}
