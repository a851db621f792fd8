package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/feed"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

var shanghai = time.FixedZone("CST", 8*3600)

// phone is a channel that notes what it is told.
type phone struct {
	mu    sync.Mutex
	fail  func(attempt int) error // nil: never; attempts count from 0
	slow  time.Duration
	tries []time.Time
	got   []received
	all   []channel.Message // also those that failed
}

// received is a message, and when it came.
type received struct {
	channel.Message
	at time.Time
}

func (p *phone) Send(ctx context.Context, m channel.Message) (string, error) {
	p.mu.Lock()
	n, slow, fail := len(p.tries), p.slow, p.fail
	p.tries = append(p.tries, time.Now())
	p.all = append(p.all, m)
	p.mu.Unlock()
	if !feed.Sleep(ctx, slow) {
		return "", context.Cause(ctx)
	}
	if fail != nil {
		if err := fail(n); err != nil {
			return "", err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, received{m, time.Now()})
	return "taken", nil
}

// down makes every attempt from now on fail; nil ends it.
func (p *phone) down(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = nil
	if err != nil {
		p.fail = func(int) error { return err }
	}
}

// told gives what came, as kind and ids of the flags.
func (p *phone) told() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		var ids []string
		for _, f := range m.Flags {
			ids = append(ids, f.ID)
		}
		lines = append(lines, strings.TrimSpace(m.Kind+" "+strings.Join(ids, " ")))
	}
	return lines
}

// attempts is how often it was tried.
func (p *phone) attempts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// nth is what came n-th, from 0.
func (p *phone) nth(n int) received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[n]
}

// board is a channel that shows a state.
type board struct {
	phone
	shown []string
	every time.Duration
}

func (b *board) Keep(_ context.Context, open []ledger.Flag) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, f := range open {
		ids = append(ids, f.ID)
	}
	b.shown = append(b.shown, strings.Join(ids, " "))
	return nil
}

func (b *board) Every() time.Duration { return b.every }

// world is a gateway's ledger with the alerts on it.
type world struct {
	t       *testing.T
	dir     string
	ledger  *ledger.Ledger
	alerts  *Dispatcher
	log     *strings.Builder
	mu      sync.Mutex
	counts  map[string]int
	stopRun func()
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// said is the log.
func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// bubble runs a test on a clock of its own, at 15:04 of the estate.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 26, 15, 4, 0, 0, shanghai)))
		w := &world{t: t, dir: dir, log: &strings.Builder{}, counts: map[string]int{}}
		w.open()
		defer w.close()
		f(t, w)
	})
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.ledger, err = ledger.Open(w.t.Context(), w.dir, slog.New(slog.DiscardHandler)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.stop()
	if err := w.ledger.Close(); err != nil {
		w.t.Error(err)
	}
}

// channelOf is a channel as the configuration gives it, by changes to a usual one.
func channelOf(name string, s channel.Sender, edit ...func(*config.Channel)) Channel {
	c := Channel{config.Channel{Name: name, Type: "webhook", MinSeverity: "warning", Language: "zh-CN"}, s}
	for _, f := range edit {
		f(&c.Channel)
	}
	return c
}

func options(w *world) Options {
	return Options{
		Estate: "复兴小区", PublicURL: "http://pilewatch.local:8080", Location: shanghai, Log: slog.New(slog.NewTextHandler(w, nil)),
		Piles: map[string]session.Pile{"P03": {Building: "3", Location: "北侧", Ports: 10}, "P01": {Building: "1", Location: "东门车棚", Ports: 10}},
		Count: func(name string, o Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counts[fmt.Sprint(name, " ", o)]++
		},
	}
}

// start lets the alerts run on the channels.
func (w *world) start(channels ...Channel) {
	w.t.Helper()
	w.alerts = New(w.ledger, channels, options(w))
	if err := w.alerts.Begin(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, c := range w.alerts.Consumers() {
		wg.Go(func() { feed.NewRunner(w.ledger, c, feed.Options{Log: slog.New(slog.DiscardHandler)}).Run(ctx) })
	}
	wg.Go(func() { w.alerts.Run(ctx) })
	w.stopRun = func() { cancel(); wg.Wait() }
	synctest.Wait()
}

func (w *world) stop() {
	if w.stopRun != nil {
		w.stopRun()
		w.stopRun = nil
	}
}

// newFlag is a warning of a port of pile P03, raised now.
func newFlag(id string, edit ...func(*ledger.Flag)) *ledger.Flag {
	f := &ledger.Flag{
		ID: id, Rule: "second_load", Severity: ledger.Warning, Suspicion: "power_strip", Building: "3", Pile: "P03", Port: 2, Household: "3-602",
		RaisedAt: devices.MillisOf(time.Now()), Status: ledger.StatusOpen, Evidence: json.RawMessage(`{}`), RuleVersion: 1,
		Message:   "3号楼 P03 桩 2 号口，11月26日 15:04：功率由 110 W 跃升到 210 W，并保持了 5 分钟。疑似一个插口带了多个负载（插线板），请上门了解情况并提供帮助。",
		MessageEN: "Building 3, pile P03, port 2, 26 Nov 15:04: the power rose from 110 W to 210 W and stayed for 5 min. Several loads on one socket (a power strip) are suspected: please visit and offer help.",
		Advice:    "请看看插口上是否接了插线板或两个以上的充电器。",
		AdviceEN:  "See whether a power strip or several chargers hang on the socket.",
	}
	for _, e := range edit {
		e(f)
	}
	return f
}

func critical(f *ledger.Flag) { f.Severity = ledger.Critical }

func at(pile string, port uint8) func(*ledger.Flag) {
	return func(f *ledger.Flag) { f.Pile, f.Port = pile, port }
}

// say writes flags to the journal, in one commit. One that was cleared says so.
func (w *world) say(fs ...*ledger.Flag) {
	w.t.Helper()
	var b ledger.Batch
	for _, f := range fs {
		own := *f
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindFlag, Cleared: f.ClearedAt != 0, Received: devices.MillisOf(time.Now()), Flag: &own})
	}
	if _, err := w.ledger.Append(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
}

func cleared(f *ledger.Flag) *ledger.Flag {
	own := *f
	own.ClearedAt = devices.MillisOf(time.Now())
	return &own
}

// judge says something of a flag, as a person.
func (w *world) judge(id, status string) {
	w.t.Helper()
	if _, err := w.ledger.Judge(w.t.Context(), &ledger.Verdict{At: devices.MillisOf(time.Now()), FlagID: id, Status: status, By: "wang"}); err != nil {
		w.t.Fatal(err)
	}
	w.alerts.Judged()
}

// wait lets time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// want compares what a phone was told.
func want(t *testing.T, p *phone, lines ...string) {
	t.Helper()
	if got := p.told(); strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

var errAway = errors.New("connection refused")
