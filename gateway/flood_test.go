package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
)

// The load of a flood: as fast as it goes, beside piles that send one message after
// the other.
const (
	floodMessages = 100_000
	junkMessages  = 20_000
	neighbours    = 4
	theirMessages = 100
)

// telemetryOf gives so many messages of a pile, a millisecond of its clock apart.
func telemetryOf(pile string, began time.Time, n int) (l wireLoad) {
	for i := range n {
		l.wire = appendPublish(l.wire, "pilewatch/v1/fuxing/"+pile+"/telemetry", uint16(i%65535+1),
			fmt.Appendf(nil, `{"ts":%d,"ports":[{"port":1,"state":"idle","w":0.5}]}`, began.UnixMilli()+int64(i)))
		l.ends = append(l.ends, len(l.wire))
	}
	return l
}

func junk(n int) (l wireLoad) {
	for i := range n {
		l.wire = appendPublish(l.wire, "pilewatch/v1/fuxing/JUNK/telemetry", uint16(i%65535+1), []byte(`{"ports":`))
		l.ends = append(l.ends, len(l.wire))
	}
	return l
}

// oneByOne sends each message when the last has its PUBACK, and gives how far a
// flood was when each had it.
func (l wireLoad) oneByOne(t testing.TB, addr, id string, flood *progress) (sent, acked []int64) {
	c := dialRaw(t, addr, id)
	defer c.Close()
	from := 0
	for _, end := range l.ends {
		if _, err := c.Write(l.wire[from:end]); err != nil {
			t.Error(err)
			return sent, acked
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Error(err)
			return sent, acked
		}
		sent, acked = append(sent, flood.sent.Load()), append(acked, flood.acked.Load())
		from = end
	}
	return sent, acked
}

// committedOrder reads from a journal how many messages of a flood stand before each
// message of the others, and how many came in each minute.
func committedOrder(t testing.TB, data, flood string) (before map[string][]int64, all int64, minutes map[devices.Millis]int) {
	t.Helper()
	l, err := ledger.OpenRead(t.Context(), data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before, minutes = map[string][]int64{}, map[devices.Millis]int{}
	for from := ledger.Seq(1); ; {
		b, err := l.Read(t.Context(), from, 1<<14)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Entries) == 0 {
			return before, all, minutes
		}
		for i := range b.Entries {
			e := &b.Entries[i]
			switch {
			case e.Kind != ledger.KindReading:
			case e.Reading.Pile == flood:
				all++
				minutes[e.Received-e.Received%60_000]++
			default:
				before[e.Reading.Pile] = append(before[e.Reading.Pile], all)
			}
		}
		from = b.Next()
	}
}

// TestAPileThatFloodsSlowsNobodyAndIsNamed lets a pile send as fast as it can, and
// another one rubbish, through mosquitto and through the embedded broker.
func TestAPileThatFloodsSlowsNobodyAndIsNamed(t *testing.T) {
	t.Run("embedded broker", func(t *testing.T) {
		data := t.TempDir()
		cfg, addr, url := embedded(t, data)
		floods(t, cfg, addr, strings.TrimPrefix(url, "tcp://"), data, func(_, acked, before []int64) {
			// Their PUBACK comes after their commit. A flood has 256 messages under way at
			// most: a message waits for those of the commit under way, and shares the next.
			if last := acked[len(acked)-1]; last >= floodMessages {
				t.Errorf("the last PUBACK came after %d of the flood", last)
			}
			if n := before[len(before)-1] - before[0]; n > 2*256*theirMessages {
				t.Errorf("%d messages of the flood were committed between %d of a neighbour", n, theirMessages)
			}
		})
	})
	t.Run("mosquitto", func(t *testing.T) {
		mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{Memory: true})
		dir, addr := t.TempDir(), freeAddr(t)
		cfg := settingsFile(t, dir, mosquitto.URL, addr, "")
		floods(t, cfg, addr, mosquitto.Addr, filepath.Join(dir, "data"), func(sent, _, before []int64) {
			// No message of the flood that the broker got after theirs is committed before it.
			for i, n := range before {
				if n > sent[i] {
					t.Errorf("message %d stands behind %d of the flood, and %d had been sent", i, n, sent[i])
				}
			}
		})
	})
}

// floods runs a gateway with a registry through a flood. check gets, for each message of a neighbour,
// how far the flood was when it had its PUBACK, and how much of it is in the journal before it.
func floods(t *testing.T, cfg, addr, broker, data string, check func(sent, acked, before []int64)) {
	piles := "pile,building,location,ports,max_port_w\nFLOOD,1,a,10,1000\nJUNK,2,b,10,1000\n"
	for n := range neighbours {
		piles += fmt.Sprintf("N%d,3,c,10,1000\n", n)
	}
	write(t, filepath.Dir(cfg), "piles.csv", piles)
	appendTo(t, cfg, "registry: {piles: piles.csv}\n")
	g := start(t, addr, "run", "--config", cfg)
	began := time.Now().Add(-time.Hour)
	var flood, rubbish progress
	var wg sync.WaitGroup
	wg.Go(func() { telemetryOf("FLOOD", began, floodMessages).publishTold(t, broker, "FLOOD", window, &flood) })
	wg.Go(func() { junk(junkMessages).publishTold(t, broker, "JUNK", window, &rubbish) })
	await(t, "the flood to be under way", func() error {
		if flood.acked.Load() < 2000 {
			return fmt.Errorf("%d messages", flood.acked.Load())
		}
		return nil
	})
	var sent, acked [neighbours][]int64
	var others sync.WaitGroup
	for n := range neighbours {
		others.Go(func() {
			pile := fmt.Sprint("N", n)
			sent[n], acked[n] = telemetryOf(pile, began, theirMessages).oneByOne(t, broker, pile, &flood)
		})
	}
	others.Wait()
	wg.Wait()
	const all = floodMessages + neighbours*theirMessages
	g.deliver(t, data, all)
	if n := metric(t, g, "pilewatch_readings_committed_total", ""); n != all {
		t.Errorf("%v readings, expected %d", n, all)
	}
	await(t, "all rejects", func() error {
		if n := metric(t, g, "pilewatch_messages_rejected_total", ""); n != junkMessages {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	floodOf := func(labels string) float64 { return metric(t, g, "pilewatch_flood_messages_total", labels) }
	said, rejects := [2]float64{floodOf(`kind="messages",pile="FLOOD"`), floodOf(`kind="rejects",pile="JUNK"`)}, floodOf(`kind="rejects"`)
	if n := floodOf(`building="3"`) + floodOf(`pile="unregistered"`); n != 0 {
		t.Errorf("%v messages of a neighbour, or of nobody, count as a flood", n)
	}
	g.stop()

	before, count, minutes := committedOrder(t, data, "FLOOD")
	if count != floodMessages {
		t.Errorf("%d messages of the flood are in the journal", count)
	}
	t.Logf("the journal takes %d bytes", scan[int64](t, data, "SELECT sum(length(block)) FROM journal"))
	for n := range neighbours {
		at := before[fmt.Sprint("N", n)]
		if len(at) != theirMessages || at[theirMessages-1] >= floodMessages {
			t.Fatalf("pile N%d: %d messages are in the journal, expected all, before the flood's last", n, len(at))
		}
		t.Logf("pile N%d: its first message stands behind %d of the flood, its last behind %d", n, at[0], at[theirMessages-1])
		check(sent[n], acked[n], at)
	}
	lines, over := 0, 0.0
	for _, n := range minutes {
		if n >= 6000 {
			lines++
			over += float64(n - 5999)
		}
	}
	if n := strings.Count(g.log.String(), "pile=FLOOD "); n != lines || said[0] != over || lines == 0 {
		t.Errorf("the log names it %d times, the metric has %v; expected %d times, a line a minute, and %v", n, said[0], lines, over)
	}
	if n := strings.Count(g.log.String(), "pile=JUNK "); n == 0 || n > len(minutes)+1 || said[1] == 0 || said[1] != rejects {
		t.Errorf("the log names who sends rubbish %d times, the metric has %v of %v", n, said[1], rejects)
	}
	if n := scan[int64](t, data, "SELECT max(n) FROM (SELECT count(*) AS n FROM reject GROUP BY time / 60000)"); n != 60 {
		t.Errorf("%d rejects of a minute are kept, expected 60", n)
	}
}

// appendTo adds a text to a file.
func appendTo(t testing.TB, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(b, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
