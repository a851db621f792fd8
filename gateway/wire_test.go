package main

import (
	"bufio"
	bits "encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"pilewatch/devices/sim"
	"pilewatch/gateway/realserver"
)

// The benchmarks here load the real binary through a real broker, and in the same
// run a bare paho subscriber that only counts: what counts is the ratio of the two.
// deploy/bench runs them.

// wireLoad is a number of PUBLISH packets of QoS 1, ready for the wire.
type wireLoad struct {
	wire     []byte
	ends     []int // of each packet in wire
	readings int
}

// simulated gives the messages of piles that all charge, numbered for one connection.
// Those that a pile need not say are left out unless all is set: a message of one
// port has 200 bytes then, else 290.
func simulated(b testing.TB, piles, ports, messages int, all bool) wireLoad {
	b.Helper()
	e, err := sim.New(sim.Config{Scenario: "steady", Piles: piles, Ports: ports, Seed: 1, Interval: 30 * time.Second, From: time.Now().Add(-24 * time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	var l wireLoad
	for m := range e.All() {
		if !strings.HasSuffix(m.Topic, "/telemetry") {
			continue
		}
		if !all {
			m.Payload = needless.ReplaceAll(m.Payload, nil)
		}
		l.wire = appendPublish(l.wire, m.Topic, uint16(len(l.ends)%65535+1), m.Payload)
		l.ends = append(l.ends, len(l.wire))
		l.readings += ports
		if len(l.ends) == messages {
			break
		}
	}
	return l
}

// needless is what many piles do not say: temperatures, the radio's level, the main
// meter and the order.
var needless = regexp.MustCompile(`,"(temp_c|rssi|main_wh|order)":(-?[0-9.]+|"[^"]*")`)

// appendPublish writes a PUBLISH of QoS 1 (MQTT 3.1.1, 3.3).
func appendPublish(b []byte, topic string, id uint16, payload []byte) []byte {
	b = append(b, 0x32)
	b = bits.AppendUvarint(b, uint64(2+len(topic)+2+len(payload))) // the same seven bits a byte
	b = bits.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	b = bits.BigEndian.AppendUint16(b, id)
	return append(b, payload...)
}

// dialRaw opens an MQTT connection of its own for a publisher that costs next to nothing.
func dialRaw(b testing.TB, addr, id string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	connect := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, byte(len(id))}, id...)
	if _, err := c.Write(connect); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		b.Fatal(err)
	}
	return c
}

// publish sends a load with at most window messages waiting for their PUBACK, and
// returns when the last has it.
func (l wireLoad) publish(b testing.TB, addr, id string, window int) {
	b.Helper()
	l.publishTold(b, addr, id, window, new(progress))
}

// progress is how far a publisher is.
type progress struct{ sent, acked atomic.Int64 }

// publishTold is publish, and tells how far it is: a message is sent at the latest
// when the broker can have it, and acknowledged at the earliest when it is.
func (l wireLoad) publishTold(b testing.TB, addr, id string, window int, at *progress) {
	b.Helper()
	c := dialRaw(b, addr, id)
	defer c.Close()
	moved, failed := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		r := bufio.NewReaderSize(c, 64<<10)
		for range l.ends {
			if _, err := r.Discard(4); err != nil { // a PUBACK
				failed <- err
				return
			}
			if at.acked.Add(1); r.Buffered() < 4 {
				select {
				case moved <- struct{}{}:
				default:
				}
			}
		}
		failed <- nil
	}()
	for sent := 0; sent < len(l.ends); {
		room := min(window-(sent-int(at.acked.Load())), len(l.ends)-sent, 256)
		if room < min(64, window, len(l.ends)-sent) {
			<-moved
			continue
		}
		at.sent.Store(int64(sent + room))
		from := 0
		if sent > 0 {
			from = l.ends[sent-1]
		}
		if _, err := c.Write(l.wire[from:l.ends[sent+room-1]]); err != nil {
			b.Fatal(err)
		}
		sent += room
	}
	if err := <-failed; err != nil {
		b.Fatal(err)
	}
}

// usage is what a process has used.
type usage struct {
	cpu  time.Duration
	peak float64 // resident, MB
}

// used reads /proc.
func used(b testing.TB, pid int) (u usage) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skipf("no /proc here: %v", err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	for _, s := range f[11:13] { // utime and stime, in hundredths of a second
		n, _ := strconv.Atoi(s)
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		u.peak = kb / 1024
	}
	return u
}

// bareAddr, in the environment, makes the test's binary a bare subscriber.
const bareAddr = "PILEWATCH_BARE_SUBSCRIBER"

// bareSubscriber counts messages as paho hands them over, acknowledged by paho
// itself, and says when it listens and when it has as many as it was told.
func bareSubscriber(spec string) {
	addr, count, _ := strings.Cut(spec, " ")
	want, _ := strconv.ParseInt(count, 10, 64)
	var n atomic.Int64
	done := make(chan struct{})
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("bare").SetCleanSession(false))
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		fmt.Println(t.Error())
		os.Exit(1)
	}
	c.Subscribe("pilewatch/v1/+/+/#", 1, func(mqtt.Client, mqtt.Message) {
		if n.Add(1) == want {
			close(done)
		}
	}).Wait()
	fmt.Println("listening")
	<-done
	fmt.Println("done")
	c.Disconnect(1000)
}

// measured is one run of one receiver.
type measured struct {
	rate float64       // messages a second
	cpu  time.Duration // of all messages
	peak float64
}

func (m measured) cpuPerMillion(messages int) float64 {
	return m.cpu.Seconds() / float64(messages) * 1e6
}

func runBare(b *testing.B, l wireLoad) measured {
	b.Helper()
	mosquitto := realserver.Mosquitto(b, realserver.MosquittoOptions{Memory: true})
	defer mosquitto.Stop()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", bareAddr, mosquitto.Addr, len(l.ends)))
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	said := bufio.NewScanner(out)
	said.Scan() // it listens
	before, began := used(b, cmd.Process.Pid), time.Now()
	l.publish(b, mosquitto.Addr, "load", window)
	if !said.Scan() || said.Text() != "done" {
		b.Fatalf("the bare subscriber said %q", said.Text())
	}
	took, after := time.Since(began), used(b, cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return measured{float64(len(l.ends)) / took.Seconds(), after.cpu - before.cpu, after.peak}
}

// window is how many messages the publisher has under way: enough to keep the
// broker busy, and few enough that it does not queue the whole load.
const window = 8192

// sinkOfNothing stands for an InfluxDB on a machine of its own: it takes what is
// written and forgets it.
func sinkOfNothing(b testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// deliver waits until the gateway has committed and delivered a load, and gives when
// it had committed it. It looks into the ledger alone: metrics cost the gateway a
// series for each port, and Prometheus asks every 15 s.
func (g *gateway) deliver(b testing.TB, data string, readings int) (committed time.Time) {
	b.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	var head int64
	awaitUntil(b, deadline, "the commit", func() error {
		if now := scan[int64](b, data, "SELECT coalesce((SELECT seq + count FROM journal ORDER BY seq DESC LIMIT 1), 1)"); now != head {
			head, committed = now, time.Now()
		}
		if time.Since(committed) < time.Second || head <= int64(readings) {
			return fmt.Errorf("%d entries so far", head-1)
		}
		return nil
	})
	awaitUntil(b, deadline, "InfluxDB and the rules", func() error {
		if at := scan[int64](b, data, "SELECT coalesce(min(seq), 1) FROM cursor"); at < head {
			return fmt.Errorf("%d wait", head-at)
		}
		return nil
	})
	return committed
}

// runGateway measures the gateway with all that it does: fold, rules, InfluxDB.
func runGateway(b *testing.B, l wireLoad, influx string) measured {
	b.Helper()
	mosquitto := realserver.Mosquitto(b, realserver.MosquittoOptions{Memory: true})
	defer mosquitto.Stop()
	dir, addr := b.TempDir(), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b))
	data := filepath.Join(dir, "data")
	more := fmt.Sprintf("data_dir: %q\ninfluxdb: {url: %q, bucket: pilewatch}", data, influx)
	g := start(b, addr, "run", "--config", settingsFile(b, dir, mosquitto.URL, addr, more))
	before, began := used(b, g.cmd.Process.Pid), time.Now()
	l.publish(b, mosquitto.Addr, "load", window)
	committed := g.deliver(b, data, l.readings)
	after := used(b, g.cmd.Process.Pid)
	g.stop()
	return measured{float64(len(l.ends)) / committed.Sub(began).Seconds(), after.cpu - before.cpu, after.peak}
}

// tell gives the medians of runs in pairs.
func tell(b *testing.B, l wireLoad, ours, bare []measured) {
	median := func(of func(i int) float64) float64 {
		vs := make([]float64, len(ours))
		for i := range vs {
			vs[i] = of(i)
		}
		slices.Sort(vs)
		return vs[len(vs)/2]
	}
	n := len(l.ends)
	b.ReportMetric(median(func(i int) float64 { return ours[i].rate }), "msg/s")
	b.ReportMetric(median(func(i int) float64 { return ours[i].cpuPerMillion(n) }), "cpu-s/M")
	b.ReportMetric(median(func(i int) float64 { return ours[i].peak }), "MB")
	if bare != nil {
		b.ReportMetric(median(func(i int) float64 { return bare[i].rate }), "bare-msg/s")
		b.ReportMetric(median(func(i int) float64 { return bare[i].cpuPerMillion(n) }), "bare-cpu-s/M")
		b.ReportMetric(median(func(i int) float64 { return ours[i].rate / bare[i].rate }), "x-bare")
	}
	b.ReportMetric(float64(len(l.wire))/float64(n), "B/msg")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWire loads mosquitto with telemetry of QoS 1, by turns for a bare paho
// subscriber and for the gateway with fold, all rules and InfluxDB writing on.
func BenchmarkWire(b *testing.B) {
	for _, c := range []struct {
		name                   string
		ports, piles, messages int
		all                    bool
	}{{"ports=1", 1, 2000, 600_000, false}, {"ports=12", 12, 500, 150_000, false}, {"ports=1,all", 1, 2000, 600_000, true}, {"ports=12,all", 12, 500, 150_000, true}} {
		b.Run(c.name, func(b *testing.B) {
			l := simulated(b, c.piles, c.ports, c.messages, c.all)
			influx := sinkOfNothing(b)
			var ours, bare []measured
			for b.Loop() {
				bare = append(bare, runBare(b, l))
				ours = append(ours, runGateway(b, l, influx))
			}
			tell(b, l, ours, bare)
		})
	}
}

// BenchmarkEmbedded loads the embedded broker from many connected piles at once,
// each with a few messages under way; a PUBACK comes after the commit.
func BenchmarkEmbedded(b *testing.B) {
	for _, piles := range []int{10, 200, 1000} {
		b.Run(fmt.Sprintf("piles=%d", piles), func(b *testing.B) {
			l := simulated(b, piles, 1, 600_000, false)
			influx := sinkOfNothing(b)
			var ours []measured
			for b.Loop() {
				ours = append(ours, runEmbedded(b, l, piles, influx))
			}
			tell(b, l, ours, nil)
		})
	}
}

func runEmbedded(b *testing.B, l wireLoad, piles int, influx string) measured {
	b.Helper()
	dir, addr, broker := b.TempDir(), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b)), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b))
	conf := write(b, dir, "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\ndata_dir: %q\ninfluxdb: {url: %q, bucket: pilewatch}\n",
		broker, addr, filepath.Join(dir, "data"), influx))
	g := start(b, addr, "run", "--config", conf)
	before, began := used(b, g.cmd.Process.Pid), time.Now()
	var wg sync.WaitGroup
	for i, part := range l.dealt(piles) {
		wg.Go(func() { part.publish(b, broker, fmt.Sprintf("pile-%d", i), 64) })
	}
	wg.Wait()
	took := time.Since(began) // the last PUBACK has come, so the last commit is over
	g.deliver(b, filepath.Join(dir, "data"), l.readings)
	after := used(b, g.cmd.Process.Pid)
	g.stop()
	return measured{float64(len(l.ends)) / took.Seconds(), after.cpu - before.cpu, after.peak}
}

// dealt gives each of n piles, who take turns in l, its own messages.
func (l wireLoad) dealt(n int) []wireLoad {
	parts := make([]wireLoad, n)
	from := 0
	for i, end := range l.ends {
		p := &parts[i%n]
		p.wire = append(p.wire, l.wire[from:end]...)
		p.ends = append(p.ends, len(p.wire))
		from = end
	}
	return parts
}

// BenchmarkLatency publishes 100 messages a second to the embedded broker, each
// after the last, and reports how long a PUBACK takes.
func BenchmarkLatency(b *testing.B) {
	const every, messages = 10 * time.Millisecond, 1500
	l := simulated(b, 100, 1, messages, false)
	dir, addr, broker := b.TempDir(), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b)), fmt.Sprintf("127.0.0.1:%d", realserver.Port(b))
	conf := write(b, dir, "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\ndata_dir: %q\ninfluxdb: {url: %q, bucket: pilewatch}\n",
		broker, addr, filepath.Join(dir, "data"), sinkOfNothing(b)))
	g := start(b, addr, "run", "--config", conf)
	c := dialRaw(b, broker, "latency")
	defer c.Close()
	var took []float64
	for b.Loop() {
		took = took[:0]
		tick := time.NewTicker(every)
		from := 0
		for _, end := range l.ends {
			<-tick.C
			sent := time.Now()
			if _, err := c.Write(l.wire[from:end]); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				b.Fatal(err)
			}
			took, from = append(took, float64(time.Since(sent).Microseconds())/1000), end
		}
		tick.Stop()
	}
	g.stop()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
	b.ReportMetric(took[len(took)-1], "max-ms")
	b.ReportMetric(0, "ns/op")
}
