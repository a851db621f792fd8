// Command pilewatch is the gateway between an estate's charging piles and the
// people who run them. It reads flags and signals; package app does the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // days and tariffs are the estate's, also on a box without zones

	"github.com/alecthomas/kong"

	"pilewatch/devices/sim"
	"pilewatch/gateway/app"
	"pilewatch/gateway/billing"
)

// Exit statuses of the public interface.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// globals are the flags of every command.
type globals struct {
	Config    string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; without it the embedded defaults hold."`
	Data      string `type:"path" placeholder:"DIR" help:"Folder of the ledger, instead of the configuration's data_dir."`
	LogFormat string `enum:"text,json" default:"text" help:"Format of the log on standard error: ${enum}."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: ${enum}."`
}

type commands struct {
	globals
	Run      runCmd        `cmd:"" help:"Run the gateway. Without a configuration: embedded broker, ledger in ./data, page and metrics on 127.0.0.1:8080."`
	Demo     demoCmd       `cmd:"" help:"Show it working: a simulated estate in a throw-away folder, its past 30 days, then live."`
	Simulate simulateCmd   `cmd:"" help:"Publish the simulated piles to a broker."`
	Replay   replayCmd     `cmd:"" help:"Run recorded messages through the whole pipeline into the ledger, as fast as it goes."`
	Record   recordCmd     `cmd:"" help:"Write what the broker carries to a file that replay reads."`
	Export   exportCmd     `cmd:"" help:"Write sessions, statements, the notice board, flags or the reconciliation, for a month or a span."`
	Close    closeMonthCmd `cmd:"" name:"close-month" help:"Close a billing period for good; what arrives later goes to the next as 补记."`
	Explain  explainCmd    `cmd:"" help:"Print how a session's bill came about, step by step."`
	Backtest backtestCmd   `cmd:"" help:"Try the overuse rules, or other thresholds, on the ledger's past or on recorded traces, and report what they would have flagged."`
	Verify   verifyCmd     `cmd:"" help:"Derive every session and bill again from the readings and compare, and check the closed periods; status 1 on a difference."`
	Backup   backupCmd     `cmd:"" help:"Copy the ledger to a file, also while the gateway runs; --help says how to restore it."`
	Repair   repairCmd     `cmd:"" help:"Set damaged journal blocks aside, after a copy, so that the gateway can go on without them."`
	Check    checkCmd      `cmd:"" help:"Load configuration and registries, try broker and InfluxDB, and print what was found."`
	Alert    alertCmd      `cmd:"" help:"Try the channels of alerts."`
	User     userCmd       `cmd:"" help:"Manage who may see the page."`
	Version  versionCmd    `cmd:"" help:"Print version, commit and Go version."`
}

// env is what commands work with.
type env struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	globals
}

// run parses the command line and runs the command; it gives the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c, kong.Name("pilewatch"),
		kong.Description("The gateway for e-bike charging piles: MQTT telemetry to sessions, bills, metrics and warnings."),
		kong.Vars{"scenarios": strings.Join(sim.Scenarios(), ","), "faults": strings.Join(sim.Faults(), ", "),
			"exports": strings.Join(billing.Exports, ", "), "formats": strings.Join(billing.Formats, ", ")},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "pilewatch:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "pilewatch: %v; see pilewatch --help\n", err)
		return exitUsage
	}
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr, log: newLogger(stderr, c.LogFormat, c.LogLevel), globals: c.globals}
	return report(command.Run(e), stderr)
}

// report prints an error, and gives its exit status.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, context.Canceled) { // by a signal: what it was at tells nobody anything
		err = errors.New("interrupted: run the command again")
	}
	fmt.Fprintln(stderr, "pilewatch:", err)
	if errors.Is(err, app.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

func newLogger(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // the flag knows only levels
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
