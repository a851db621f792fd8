package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pilewatch/devices/sim"
	"pilewatch/gateway/app"
	"pilewatch/gateway/billing"
	"pilewatch/gateway/config"
)

// load reads the configuration that the flags name, or the defaults.
func (e *env) load() (*config.Config, error) {
	cfg := config.Default()
	if e.Config != "" {
		var err error
		if cfg, err = config.Load(e.Config); err != nil {
			return nil, app.Usage(err)
		}
	}
	if e.Data != "" {
		cfg.DataDir = e.Data
	}
	return cfg, nil
}

func (e *env) options() app.Options {
	return app.Options{Log: e.log, Version: version()}
}

// progress gives a function that shows a share on a terminal, and one that ends
// the line. Where nobody looks, both do nothing.
func (e *env) progress(what string) (show func(float64), end func()) {
	f, ok := e.stderr.(*os.File)
	if !ok || !isTerminal(f) {
		return func(float64) {}, func() {}
	}
	last := time.Time{}
	show = func(done float64) {
		if done < 1 && time.Since(last) < 200*time.Millisecond {
			return
		}
		last = time.Now()
		fmt.Fprintf(e.stderr, "\r%s %3.0f %%", what, min(done, 1)*100)
	}
	return show, func() { fmt.Fprintln(e.stderr) }
}

func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

type runCmd struct{}

// Run runs the gateway until it is told to stop.
func (runCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	a, err := app.New(e.ctx, cfg, e.options())
	if err != nil {
		return err
	}
	if err := a.Start(e.ctx); err != nil {
		return errors.Join(err, a.Stop())
	}
	select {
	case <-e.ctx.Done():
		e.log.Info("stopping: committing and acknowledging what has arrived")
	case err = <-a.Failed():
	}
	return errors.Join(err, a.Stop())
}

type demoCmd struct {
	HTTP     string        `name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address of the page; a free port when it is taken (${default})."`
	MQTT     string        `name:"mqtt" default:"127.0.0.1:1883" placeholder:"ADDR" help:"Address of the embedded broker; a free port when it is taken (${default})."`
	Days     int           `default:"30" help:"Days of the past to fill (${default})."`
	Interval time.Duration `default:"60s" help:"Between a pile's reports (${default})."`
	Seed     uint64        `default:"1" help:"Another seed, other people (${default})."`
}

// Run shows the gateway working.
func (d demoCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if d.Days < 1 || d.Days > 400 {
		return app.Usage(fmt.Errorf("--days %d: expected 1 to 400", d.Days))
	}
	cfg.HTTP.Listen, cfg.MQTT.Listen, cfg.MQTT.Broker = d.HTTP, d.MQTT, ""
	show, end := e.progress("正在生成过去的数据 filling the past")
	defer end()
	return app.RunDemo(e.ctx, cfg, e.options(), app.Demo{
		Past: time.Duration(d.Days) * 24 * time.Hour, Interval: d.Interval, Seed: d.Seed, Dir: e.Data, Out: e.stdout, Progress: show,
	})
}

type simulateCmd struct {
	Broker   string        `placeholder:"URL" help:"Broker to publish to; else the configured one, else tcp://127.0.0.1:1883."`
	Piles    int           `default:"8" help:"Piles (${default})."`
	Ports    int           `default:"8" help:"Ports of each pile (${default})."`
	Interval time.Duration `default:"30s" help:"Between a pile's reports (${default})."`
	From     string        `placeholder:"TIME" help:"First instant, a date or RFC 3339; now when left out."`
	To       string        `placeholder:"TIME" help:"End, excluded; none when left out."`
	Speed    float64       `default:"1" help:"Seconds of event time a second; 0 as fast as the broker takes it (${default})."`
	Seed     uint64        `default:"1" help:"Another seed, other people (${default})."`
	Scenario string        `default:"estate" enum:"${scenarios}" help:"What happens: ${enum} (${default})."`
	Fault    []string      `placeholder:"NAME" help:"What goes wrong, comma separated: ${faults}."`
}

// Run publishes the simulated piles.
func (s simulateCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	c := sim.Config{
		Estate: cfg.Estate.ID, Scenario: s.Scenario, Faults: s.Fault, Seed: s.Seed, Piles: s.Piles, Ports: s.Ports,
		Interval: s.Interval, From: time.Now().Truncate(time.Second), Location: cfg.Estate.Location,
	}
	for _, f := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", s.From, &c.From}, {"--to", s.To, &c.To}} {
		if f.text == "" {
			continue
		}
		if *f.into, err = app.Instant(f.flag, f.text, cfg.Estate.Location); err != nil {
			return app.Usage(err)
		}
	}
	if s.Piles < 1 || s.Ports < 1 {
		return app.Usage(fmt.Errorf("--piles %d --ports %d: expected 1 or more of each", s.Piles, s.Ports))
	}
	if s.Speed < 0 {
		return app.Usage(fmt.Errorf("--speed %g: expected 0 or more", s.Speed))
	}
	began := time.Now()
	n, err := app.Simulate(e.ctx, app.BrokerOf(cfg, s.Broker), app.Simulation{Estate: c, Speed: s.Speed}, func(at time.Time, n int) {
		e.log.Debug("publishing", "event_time", at, "messages", n)
	})
	if n > 0 || err == nil {
		fmt.Fprintf(e.stdout, "published %d messages in %.1f s\n", n, time.Since(began).Seconds())
	}
	return err
}

type replayCmd struct {
	Files []string `arg:"" name:"file" help:"Recordings, NDJSON with topic, received and payload or payload_b64; - is standard input."`
}

// Run replays recordings.
func (r replayCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, end := e.progress("replaying")
	began := time.Now()
	p, err := app.Replay(e.ctx, cfg, e.options(), r.Files, show)
	end()
	if err != nil && p.Messages == 0 {
		return err
	}
	fmt.Fprintf(e.stdout, "%d messages: %d readings kept (%d of them late), %d duplicates, %d rejects, %d sessions closed, in %.1f s\n",
		p.Messages, p.Readings, p.Late, p.Duplicates, p.Rejects, p.Sessions, time.Since(began).Seconds())
	return err
}

type recordCmd struct {
	Output string `short:"o" default:"-" placeholder:"FILE" help:"File to write; - is standard output (${default})."`
	Broker string `placeholder:"URL" help:"Broker to listen to; else the configured one, else tcp://127.0.0.1:1883."`
	Count  int    `placeholder:"N" help:"End after so many messages."`
}

// Run records until it is told to stop.
func (r recordCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	out, done := e.stdout, func(int) error { return nil }
	if r.Output != "-" {
		f, err := os.OpenFile(r.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return fmt.Errorf("%w; give a file that does not exist", err)
		}
		out, done = f, func(n int) error {
			if n == 0 { // so that the next try finds the name free
				return errors.Join(f.Close(), os.Remove(r.Output))
			}
			return f.Close()
		}
	}
	n, err := app.Record(e.ctx, cfg, r.Broker, r.Count, func() { fmt.Fprintln(e.stderr, "recording; Ctrl-C ends it") }, out)
	if err == nil {
		fmt.Fprintf(e.stderr, "%d messages recorded\n", n)
	}
	return errors.Join(err, done(n))
}

type exportCmd struct {
	What      string `arg:"" help:"${exports}."`
	Month     string `placeholder:"2026-11" help:"The billing month."`
	From      string `placeholder:"TIME" help:"First end of a session, or raising of a flag, a date or RFC 3339."`
	To        string `placeholder:"TIME" help:"End of the span, excluded."`
	Building  string `help:"Only this building's households; of a reconciliation and of flags, its piles."`
	Household string `help:"Only this household, such as 1-603."`
	Format    string `default:"csv" help:"${formats} (${default})."`
	Basis     bool   `help:"Of sessions in csv and html: also the session's id, its registers and bands, and the price of the service. In json and xlsx they always are."`
	Language  string `placeholder:"LANG" help:"zh-CN or en; else the configuration's."`
	Output    string `short:"o" default:"-" placeholder:"FILE" help:"File to write; - is standard output (${default})."`
	Force     bool   `help:"Replace a file that exists."`
}

// Run writes an export.
func (x exportCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, end := e.progress("exporting")
	done, err := app.Export(e.ctx, cfg, e.options(), app.ExportRequest{
		What: x.What, Month: x.Month, From: x.From, To: x.To, Building: x.Building, Household: x.Household, Format: x.Format, Basis: x.Basis,
		Language: x.Language, Output: x.Output, Overwrite: x.Force, Progress: show,
	}, e.stdout)
	end()
	if err != nil {
		return err
	}
	if done.Draft != "" {
		fmt.Fprintf(e.stderr, "%s is not closed, and its figures may change: see `pilewatch close-month %s`\n", done.Draft, done.Draft)
	}
	if done.Lines == 0 && x.What != "flags" {
		fmt.Fprintln(e.stderr, "no session is meant by that: where this is a surprise, look at --month, --building, --household")
	}
	e.remark(done.Summary)
	return nil
}

// remark prints what of the lines somebody should look at.
func (e *env) remark(sum billing.Summary) {
	for _, r := range []struct {
		n    int
		text string
	}{
		{sum.WithoutTariff, "have no tariff and are exported with empty fees: a tariff that is added now prices what starts from then on; bill these by hand"},
		{sum.UnknownCard, "are of no registered card, and no household pays for them: add the cards to the registry, for what starts from then on, and bill these by hand"},
		{sum.Estimated, "are estimated (估算): see `pilewatch explain SESSION`"},
		{sum.Disputed, "are disputed (有争议): the pile settled another energy, see `pilewatch explain SESSION`"},
		{sum.Lost, "ended because the pile fell silent (失联)"},
	} {
		if r.n > 0 {
			fmt.Fprintf(e.stderr, "%d of %d lines %s\n", r.n, sum.Lines, r.text)
		}
	}
}

type closeMonthCmd struct {
	Month string `arg:"" help:"The month, such as 2026-11."`
	First bool   `help:"Begin billing with this month, although sessions ended before it."`
}

// Run closes a billing period.
func (x closeMonthCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, end := e.progress("closing")
	p, sum, err := app.CloseMonth(e.ctx, cfg, e.options(), x.Month, x.First, show)
	end()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s closed: %d sessions and %d adjustments (补记), %d.%06d kWh, electricity %s yuan, service %s yuan, total %s yuan; checksum %s\n",
		p.Month, sum.Sessions, sum.Adjustments, sum.EnergyMWh/1_000_000, sum.EnergyMWh%1_000_000,
		billing.Yuan(sum.ElectricityFen), billing.Yuan(sum.ServiceFen), billing.Yuan(sum.TotalFen), p.Sum)
	e.remark(sum)
	return nil
}

type explainCmd struct {
	Session  string `arg:"" help:"Its id, such as P01-3-20261123T121530Z."`
	Language string `placeholder:"LANG" help:"zh-CN or en; else the configuration's."`
}

// Run explains a session's bill.
func (x explainCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return app.Explain(e.ctx, cfg, e.options(), x.Session, x.Language, e.stdout)
}

type alertCmd struct {
	Test alertTestCmd `cmd:"" help:"Send a marked test message over a channel, and print the channel's answer."`
}

type alertTestCmd struct {
	Channel string `arg:"" help:"Name of the channel in the configuration."`
}

// Run sends the message.
func (x alertTestCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return app.TestAlert(e.ctx, cfg, x.Channel, e.stdout)
}

type checkCmd struct {
	Ready bool `help:"Ask only whether the gateway that runs with this configuration is ready, as /readyz does; status 1 if not. For health checks."`
}

// Run checks the configuration and what it points to.
func (c checkCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if c.Ready {
		return app.CheckReady(e.ctx, cfg, e.stdout)
	}
	return app.Check(e.ctx, cfg, e.options(), e.stdout)
}

type versionCmd struct{}

// Run prints what the program is.
func (versionCmd) Run(e *env) error {
	v := version()
	_, err := fmt.Fprintf(e.stdout, "pilewatch %s, commit %s, %s\n", v.Version, v.Commit, v.Go)
	return err
}

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user, or change one; the password is read from standard input."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user."`
	List   userListCmd   `cmd:"" help:"List users and roles."`
}

type userAddCmd struct {
	Name string `arg:"" help:"User name."`
	Role string `default:"viewer" enum:"manager,committee,viewer" help:"Role: ${enum} (${default})."`
}

// Run adds a user.
func (u userAddCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	fmt.Fprint(e.stderr, "password: ")
	b, err := io.ReadAll(io.LimitReader(os.Stdin, 1024))
	if err != nil {
		return fmt.Errorf("reading the password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return app.AddUser(cfg, u.Name, u.Role, strings.TrimSuffix(line, "\r"))
}

type userRemoveCmd struct {
	Name string `arg:"" help:"User name."`
}

// Run removes a user.
func (u userRemoveCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return app.RemoveUser(cfg, u.Name)
}

type userListCmd struct{}

// Run lists the users.
func (userListCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	return app.ListUsers(cfg, e.stdout)
}

type backtestCmd struct {
	Traces   string `placeholder:"FILE" help:"Traces, NDJSON, one session a line; - is standard input. Without it: the ledger's past."`
	Labels   bool   `help:"The traces have labels (label, class, tier, onset_s): report recall, false alarms, misses."`
	Rules    string `type:"path" placeholder:"FILE" help:"Other thresholds to try, YAML as under safety.rules."`
	Verdicts bool   `help:"Score the rules on what people said of the flags."`
	From     string `placeholder:"TIME" help:"First flag that counts, a date or RFC 3339."`
	To       string `placeholder:"TIME" help:"End of the span, excluded."`
	Output   string `short:"o" default:"-" placeholder:"FILE" help:"File to write; - is standard output."`
	Force    bool   `help:"Replace a file that exists."`
}

// Run tries the rules.
func (b backtestCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, end := e.progress("backtest")
	defer end()
	return app.Backtest(e.ctx, cfg, e.options(), app.BacktestRequest{
		Traces: b.Traces, Labels: b.Labels, Rules: b.Rules, Verdicts: b.Verdicts, From: b.From, To: b.To, Output: b.Output, Force: b.Force,
	}, e.stdout, e.stderr, show)
}
