package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

// The first message of each kind, and the first telemetry with each state of a port.
func TestFormatOfEveryKindOfMessage(t *testing.T) {
	c := Config{Seed: 4, Scenario: "day", From: start(), To: start().AddDate(0, 0, 2), Piles: 3, Ports: 4, Faults: []string{"gap"}}
	var b bytes.Buffer
	seen := map[string]bool{}
	for m := range mustNew(t, c).All() {
		kinds := []string{string(m.Payload)}
		if !m.Retained {
			h := parse(t, m)
			kinds = []string{h.Event + h.Reason + h.Alarm}
			for _, p := range h.Ports {
				kinds = append(kinds, fmt.Sprintf("%s %t", p.State, p.W > 0))
			}
		}
		fresh := false
		for _, kind := range kinds {
			fresh = fresh || !seen[kind]
			seen[kind] = true
		}
		if fresh {
			at := m.At.Format("2006-01-02T15:04:05.000Z07:00")
			fmt.Fprintf(&b, "%s %s retained=%t qos=%d\n  %s\n", at, m.Topic, m.Retained, m.QoS, m.Payload)
		}
	}
	for _, want := range []string{"online", "offline", "card", "start", "stopfull", "stopunplugged", "stoptime_limit",
		"alarm", "settle", "idle false", "idle true", "plugged false", "charging true", "full false", "fault false"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(kind string) bool { return strings.HasPrefix(kind, want) }) {
			t.Errorf("no message of the kind %q", want)
		}
	}
	golden := filepath.Join("testdata", "messages.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the messages differ from %s; look at the difference, then run with -update\n%s", golden, b.Bytes())
	}
}

func TestDecimalsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "v")
		text := string(appendMilli(nil, v))
		if !json.Valid([]byte(text)) || strings.HasSuffix(text, ".") {
			t.Fatalf("%d becomes %q", v, text)
		}
		whole, part, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		got, err := strconv.ParseInt(whole+(part + "000")[:3], 10, 64)
		if err != nil || got != max(v, -v) || (v < 0) != strings.HasPrefix(text, "-") {
			t.Fatalf("%d becomes %q", v, text)
		}
	})
}

func TestTasksComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[task]
		for i, at := range rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "times") {
			q.push(task{at: at, order: uint64(i)})
			if at%5 == 0 {
				q.pop()
			}
		}
		last := task{at: -1}
		for len(q) > 0 {
			next := q.pop()
			if next.at < last.at || next.at == last.at && next.order < last.order {
				t.Fatalf("%+v after %+v", next, last)
			}
			last = next
		}
	})
}

func TestStampsAreRFC3339(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, shanghai, time.FixedZone("", -(3*60+30)*60)} {
		s := stamps{location: zone}
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.Int64Range(0, 4e12).Draw(t, "ms")
			want := time.UnixMilli(at).In(zone).Format("2006-01-02T15:04:05.000Z07:00")
			if got := string(s.append(nil, at)); got != want {
				t.Fatalf("%d is written %s, not %s", at, got, want)
			}
		})
	}
}
