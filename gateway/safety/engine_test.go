package safety

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// An act is what a drawn run does: an entry, or the clock.
type act struct {
	entry   ledger.Entry
	silence devices.Millis // 0: the entry
}

// acts draws what three piles might send, folded as in life, with every fault.
func acts(t *rapid.T) []act {
	state, err := session.NewState(testSettings())
	if err != nil {
		t.Fatal(err)
	}
	set := testSettings()
	out := []act{{entry: ledger.Entry{Kind: ledger.KindSettings, Settings: &set}}}
	now := t0
	level := rapid.SampledFrom([]int64{-500, 0, 0, 3_000, 60_000, 150_000, 150_500, 260_000, 650_000, 1_100_000, 1_700_000, 30_000_000})
	for range rapid.IntRange(1, 150).Draw(t, "n") {
		now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "dt")) * time.Second)
		if rapid.IntRange(0, 50).Draw(t, "hole") == 0 {
			now = now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "hours")) * time.Hour)
		}
		e := drawEntry(t, now, level)
		if e.Kind == 0 {
			out = append(out, act{silence: now})
			continue
		}
		in, _ := e.Input()
		changes, outcome, err := session.Step(state, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if outcome == session.Duplicate {
			continue
		}
		out = append(out, act{entry: e})
		for _, c := range changes {
			out = append(out, act{entry: ledger.Entry{Kind: ledger.KindSession, Received: now, Change: c.Kind, Session: c.Session}})
		}
	}
	return out
}

// drawEntry draws one entry; Kind 0 for the clock alone.
func drawEntry(t *rapid.T, now devices.Millis, level *rapid.Generator[int64]) ledger.Entry {
	e := ledger.Entry{Received: now}
	pile := rapid.SampledFrom([]string{"P01", "P02", "P03"}).Draw(t, "pile")
	port := uint8(rapid.IntRange(1, 2).Draw(t, "port"))
	when, device := now, rapid.IntRange(0, 4).Draw(t, "clock") > 0
	if rapid.IntRange(0, 9).Draw(t, "late") == 0 {
		when = now.Add(-time.Duration(rapid.IntRange(1, 3000).Draw(t, "by")) * time.Second)
	}
	switch kind := rapid.IntRange(0, 20).Draw(t, "kind"); {
	case kind < 15:
		has := rapid.SampledFrom([]devices.Fields{0, devices.HasEnergy, devices.HasOrderEnergy}).Draw(t, "has")
		e.Kind = ledger.KindReading
		e.Reading = devices.Reading{
			Pile: pile, Port: port, Time: when, DeviceTime: device, PowerMW: level.Draw(t, "power"), Has: has,
			State: devices.PortState(rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "state")), EnergyMWh: rapid.Int64Range(0, 1e7).Draw(t, "wh"),
			OrderMWh: rapid.Int64Range(0, 1e6).Draw(t, "owh"), Card: rapid.SampledFrom([]string{"", "04A1B2C3", "B"}).Draw(t, "card"),
		}
	case kind < 18:
		e.Kind = ledger.KindEvent
		e.Event = &devices.Event{
			Pile: pile, Port: port, Time: when, DeviceTime: device, Kind: devices.EventKind(rapid.IntRange(1, 5).Draw(t, "event")),
			Alarm: rapid.SampledFrom(devices.Alarms).Draw(t, "alarm"), Order: "C", Start: when.Add(-time.Hour), End: when, SettledMWh: 1e6,
		}
		if e.Event.Kind == devices.EventAlarm && rapid.Bool().Draw(t, "whole") {
			e.Event.Port = 0
		}
	case kind == 18:
		e.Kind = ledger.KindStatus
		e.Status = &devices.Status{Pile: pile, Time: when, DeviceTime: device, Has: devices.HasOnline, Online: rapid.Bool().Draw(t, "online")}
	case kind == 19:
		e.Kind = ledger.KindTick
	}
	return e
}

// play runs acts through an engine that is replaced by its own restored state
// before the act numbered restoreAt.
func playActs(t *rapid.T, all []act, restoreAt int) (log []FlagChange, state []byte) {
	e := New(Defaults())
	collect := func(c FlagChange) { log = append(log, c) }
	for i := range all {
		if i == restoreAt {
			fresh := New(Defaults())
			if _, err := fresh.ReadFrom(bytes.NewReader(stateOfEngine(t, e))); err != nil {
				t.Fatal(err)
			}
			e = fresh
		}
		if all[i].silence != 0 {
			e.Silence(all[i].silence, collect)
		} else {
			e.Apply(&all[i].entry, collect)
		}
	}
	e.Settle(collect)
	return log, stateOfEngine(t, e)
}

func stateOfEngine(t *rapid.T, e *Engine) []byte {
	var b bytes.Buffer
	if _, err := e.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheSameJournalGivesTheSameFlagsAlsoAcrossARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := acts(t)
		want, state := playActs(t, all, -1)
		for _, at := range []int{-1, rapid.IntRange(0, len(all)).Draw(t, "restore")} {
			got, other := playActs(t, all, at)
			if !bytes.Equal(flat(t, want), flat(t, got)) {
				t.Fatalf("restored at %d: flags\n%s\nwant\n%s", at, flat(t, got), flat(t, want))
			}
			if !bytes.Equal(state, other) {
				t.Fatalf("restored at %d: the state differs\n%s\n%s", at, other, state)
			}
		}
	})
}

// Flags stand in the journal where their commit happened to fall, also between
// a reading and the session that it opened.
func TestFlagsInTheJournalChangeNothing(t *testing.T) {
	r := newRig(t)
	r.taped = true
	r.play(report{every: 30 * time.Second, digits: 1}, during("10m", "13m", 1700), 40*time.Minute)
	e := New(Defaults())
	set := testSettings()
	e.Apply(&ledger.Entry{Kind: ledger.KindSettings, Settings: &set}, nil)
	var got []FlagChange
	collect := func(c FlagChange) { got = append(got, c) }
	for i := range r.tape {
		e.Apply(&r.tape[i], collect)
		e.Apply(&ledger.Entry{Kind: ledger.KindFlag, Received: at("30h"), Flag: &ledger.Flag{}}, collect)
	}
	e.Settle(collect)
	if want, got := asJSON(t, r.log), asJSON(t, got); len(r.log) == 0 || !bytes.Equal(want, got) {
		t.Errorf("with flags between\n%s\nwithout\n%s", got, want)
	}
}

func flat(t *rapid.T, log []FlagChange) []byte {
	var b bytes.Buffer
	for _, c := range log {
		word := "raised"
		if c.Cleared {
			word = "cleared"
		}
		b.WriteString(strings.Join([]string{word, c.Flag.ID, c.Flag.Severity, c.Flag.SessionID, c.Flag.MessageEN, string(c.Flag.Evidence)}, " "))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func TestFlagsAreRaisedOnceRiseAndAreClearedOnce(t *testing.T) {
	rank := []string{ledger.Info, ledger.Warning, ledger.Critical}
	rapid.Check(t, func(t *rapid.T) {
		log, _ := playActs(t, acts(t), -1)
		stands, seen := map[string]string{}, map[string]bool{}
		for _, c := range log {
			f := c.Flag
			before, standing := stands[f.ID]
			switch {
			case c.Cleared && (!standing || f.ClearedAt < f.RaisedAt):
				t.Fatalf("%s was cleared and did not stand: %+v", f.ID, f)
			case c.Cleared:
				delete(stands, f.ID)
				seen[f.ID] = true
			case seen[f.ID]:
				t.Fatalf("%s was raised again after it was cleared", f.ID)
			case standing && slices.Index(rank, f.Severity) <= slices.Index(rank, before):
				t.Fatalf("%s went from %s to %s", f.ID, before, f.Severity)
			default:
				stands[f.ID] = f.Severity
			}
			if f.Status != ledger.StatusOpen || f.Message == "" || f.AdviceEN == "" || f.RuleVersion < 1 {
				t.Fatalf("incomplete: %+v", f)
			}
		}
	})
}

func TestApplyNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := New(Defaults())
		emit := func(FlagChange) {}
		millis := rapid.Custom(func(t *rapid.T) devices.Millis {
			return devices.Millis(rapid.Int64Range(-1e15, 1e15).Draw(t, "ms"))
		})
		for range rapid.IntRange(1, 80).Draw(t, "n") {
			pile, port := rapid.SampledFrom([]string{"", "P01", "P02"}).Draw(t, "pile"), rapid.Uint8().Draw(t, "port")
			x := ledger.Entry{Kind: ledger.Kind(rapid.IntRange(0, 8).Draw(t, "kind")), Received: millis.Draw(t, "received")}
			switch x.Kind {
			case ledger.KindReading:
				x.Reading = devices.Reading{Pile: pile, Port: port, Time: millis.Draw(t, "time"), DeviceTime: rapid.Bool().Draw(t, "device"),
					PowerMW: rapid.Int64().Draw(t, "power"), EnergyMWh: rapid.Int64().Draw(t, "wh"), Has: devices.Fields(rapid.IntRange(0, 511).Draw(t, "has"))}
			case ledger.KindEvent:
				x.Event = &devices.Event{Pile: pile, Port: port, Time: millis.Draw(t, "time"), Kind: devices.EventAlarm, Alarm: rapid.String().Draw(t, "alarm")}
			case ledger.KindStatus:
				x.Status = &devices.Status{Pile: pile, Has: devices.Fields(rapid.IntRange(0, 511).Draw(t, "has"))}
			case ledger.KindSettings:
				x.Settings = &session.Settings{TimeZone: rapid.SampledFrom([]string{"", "UTC", "Nowhere/Here"}).Draw(t, "zone")}
			case ledger.KindSession:
				x.Change = session.ChangeKind(rapid.IntRange(0, 6).Draw(t, "change"))
				x.Session = &session.Session{ID: rapid.SampledFrom([]string{"A", "B"}).Draw(t, "id"), Pile: pile, Port: port, Start: millis.Draw(t, "start"), End: millis.Draw(t, "end")}
			case ledger.KindFlag:
				x.Flag = &ledger.Flag{}
			}
			e.Apply(&x, emit)
			if rapid.IntRange(0, 4).Draw(t, "tick") == 0 {
				e.Silence(millis.Draw(t, "now"), emit)
			}
		}
		e.Settle(emit)
	})
}

// fleet is a number of ports that charge, with a reading of each in turn.
func fleet(ports int) (e *Engine, next func() *ledger.Entry) {
	e = New(Defaults())
	entry := &ledger.Entry{Kind: ledger.KindReading}
	names := []string{"P01", "P02", "P03", "P04", "P05", "P06", "P07", "P08", "P09", "P10"}
	i := 0
	next = func() *ledger.Entry {
		port, round := i%ports, i/ports
		i++
		when := t0 + devices.Millis(round*30_000+port*10)
		entry.Received = when
		entry.Reading = devices.Reading{
			Pile: names[port%10], Port: uint8(port/10 + 1), Time: when, DeviceTime: true, Has: devices.HasEnergy,
			PowerMW: 150_000 + int64(round%7)*1000 + int64(port), EnergyMWh: int64(round) * 1250,
		}
		return entry
	}
	for p := range ports {
		s := &session.Session{ID: "S", Pile: names[p%10], Port: uint8(p/10 + 1), Start: t0}
		e.Apply(&ledger.Entry{Kind: ledger.KindSession, Change: session.Opened, Session: s}, nil)
	}
	for range 200 * ports {
		e.Apply(next(), nil)
	}
	return e, next
}

func TestAReadingAllocatesNothing(t *testing.T) {
	e, next := fleet(20)
	if n := testing.AllocsPerRun(500, func() { e.Apply(next(), nil) }); n != 0 {
		t.Errorf("%v allocations a reading", n)
	}
}

func TestTheStateOfAPortDoesNotGrow(t *testing.T) {
	size := func(rounds int) int {
		e, next := fleet(10)
		for range rounds * 10 {
			e.Apply(next(), nil)
		}
		n, err := e.WriteTo(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	few, many := size(3000), size(9000) // 25 and 75 hours, with flags that stand
	if many > few*11/10 {
		t.Errorf("the state grew from %d to %d bytes", few, many)
	}
}

func BenchmarkApply(b *testing.B) {
	e, next := fleet(80)
	b.ReportAllocs()
	for b.Loop() {
		e.Apply(next(), nil)
	}
}

func TestFlagsNameNoCardAndNoRoom(t *testing.T) {
	r := newRig(t, threshold("excess_energy", "warn_kwh", 0.1))
	r.event(devices.EventAlarm, at("1m"), alarmOf("smoke", 1))
	r.play(reports()[2], plus(during("0", "11h", 300), during("1h", "11h", 300), during("2h", "2h20m", 1500)), 12*time.Hour, cardOf("SOMECARD"))
	secret := regexp.MustCompile("SOMECARD|SOMEROOM|SOMEHOUSEHOLD")
	for _, c := range r.log {
		f := c.Flag
		for _, text := range []string{f.Message, f.MessageEN, f.Advice, f.AdviceEN, string(f.Evidence)} {
			if secret.MatchString(text) {
				t.Errorf("%s: %s", f.ID, text)
			}
		}
		if f.SessionID != "" && f.Household != "SOMEHOUSEHOLD" {
			t.Errorf("%s: household %q", f.ID, f.Household)
		}
		for _, word := range []string{"违规", "violation", "偷"} {
			if strings.Contains(f.Message+f.MessageEN+f.Advice+f.AdviceEN, word) {
				t.Errorf("%s accuses: %s %s", f.ID, f.Message, f.MessageEN)
			}
		}
	}
}

func TestPilesAreInOrderHoweverTheyCame(t *testing.T) {
	e := New(Rules{})
	var want []string
	for _, pile := range []string{"P02", "P03", "P01", "P04", "P03", "M9", "M1"} {
		e.pile(pile)
		if !slices.Contains(want, pile) {
			want = append(want, pile)
			slices.Sort(want)
		}
		if pile == "P01" || pile == "M1" {
			if got := e.names(); !slices.Equal(got, want) {
				t.Errorf("%v, expected %v", got, want)
			}
		}
	}
}
