package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/safety"
)

// BacktestRequest says what the rules are tried on, as a person types it.
type BacktestRequest struct {
	Traces   string // a file of traces, - for standard input; "" for the ledger
	Labels   bool   // the traces have labels: score
	Rules    string // a file of other thresholds; "" for the configuration's
	Verdicts bool   // score on what people said of the flags
	From, To string // of the ledger's past: dates or RFC 3339, the end excluded
	Output   string // what was said of each trace, or each flag; - for standard output
	Force    bool
}

// Backtest tries the overuse rules on traces or on the ledger's past, also while
// a gateway runs on it. For traces the outcomes go to the output as NDJSON and
// the report to report; for the ledger the report is the output.
func Backtest(ctx context.Context, cfg *config.Config, o Options, r BacktestRequest, stdout, report io.Writer, progress func(float64)) error {
	rules, err := rulesOf(cfg, r.Rules)
	if err != nil {
		return Usage(err)
	}
	if r.Traces != "" {
		if r.Verdicts || r.From != "" || r.To != "" {
			return Usage(errors.New("--verdicts, --from and --to are of the ledger: leave them out with --traces"))
		}
		return writeWhole(r.Output, r.Force, stdout, func(w io.Writer) error {
			return backtestTraces(ctx, rules, r, w, report)
		})
	}
	if r.Labels {
		return Usage(errors.New("--labels is of traces: give them with --traces FILE, or --verdicts for the ledger"))
	}
	from, to, err := span(&ExportRequest{From: r.From, To: r.To}, cfg.Estate.Location)
	if err != nil {
		return Usage(err)
	}
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return err
	}
	defer l.Close()
	p := &tryout{from: from, to: to, kept: map[string]bool{}}
	if err := p.run(ctx, l, rules, progress); err != nil {
		return err
	}
	return writeWhole(r.Output, r.Force, stdout, func(w io.Writer) error {
		if err := p.write(w); err != nil || !r.Verdicts {
			return err
		}
		return p.verdicts(ctx, l, rules, w)
	})
}

// rulesOf gives the thresholds to try: the configuration's, or those over it that a
// file gives.
func rulesOf(cfg *config.Config, file string) (safety.Rules, error) {
	rules, err := safetyRules(cfg)
	if err != nil || file == "" {
		return rules, err
	}
	other, err := config.LoadRules(file)
	if err != nil {
		return rules, err
	}
	return rules, applyRules(other, rules)
}

func backtestTraces(ctx context.Context, rules safety.Rules, r BacktestRequest, w, report io.Writer) error {
	in, err := openTraces(r.Traces)
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	scores, counts, coarse := safety.NewScores(), map[string]int{}, map[string]int{}
	traces, flagged, labelled := 0, 0, 0
	for t, err := range safety.ReadTraces(r.Traces, in) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		o, err := safety.Judge(rules, t)
		if err != nil {
			return fmt.Errorf("trace %s: %w", t.ID, err)
		}
		if err := lines.Encode(&o); err != nil {
			return err
		}
		traces++
		if o.Flagged {
			flagged++
		}
		for _, id := range o.Rules {
			counts[id]++
		}
		for _, id := range o.TooCoarse {
			coarse[id]++
		}
		if t.Label != nil {
			labelled++
		}
		scores.Add(t, &o)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(report, "%d traces, %d flagged\n", traces, flagged)
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(report, "  %-16s %d\n", id, counts[id])
	}
	for _, id := range slices.Sorted(maps.Keys(coarse)) {
		fmt.Fprintf(report, "%d traces report too seldom for %s to see all that it promises\n", coarse[id], id)
	}
	switch {
	case r.Labels && labelled == 0:
		return fmt.Errorf("%s has no labels: give traces with label, class, tier and onset_s, or leave out --labels", r.Traces)
	case r.Labels:
		fmt.Fprintln(report)
		return scores.Write(report)
	}
	return nil
}

func openTraces(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; give a file of traces, one JSON object a line", err)
	}
	return f, nil
}

// tryout is the ledger's past, seen by the rules that are tried.
type tryout struct {
	from, to devices.Millis
	would    []ledger.Flag   // what they would have flagged, as it was last
	at       map[string]int  // where in would, by id
	kept     map[string]bool // ids of the flags that the ledger has
	coarse   map[string][]string
	readings int
	began    devices.Millis // of the oldest reading
}

// run feeds the journal to the rules, and what follows to would.
func (p *tryout) run(ctx context.Context, l *ledger.Ledger, rules safety.Rules, progress func(float64)) error {
	e := safety.New(rules)
	p.at = map[string]int{}
	minute := devices.Millis(0)
	head, first := l.Head(), ledger.Seq(0)
	for next := ledger.Seq(1); next < head; {
		b, err := l.Read(ctx, next, 1<<16)
		if err != nil {
			return err
		}
		if len(b.Entries) == 0 {
			break
		}
		if first == 0 {
			first = b.First
		}
		for i := range b.Entries {
			x := &b.Entries[i]
			if x.Received >= minute+60_000 {
				minute = x.Received - x.Received%60_000
				e.Silence(minute, p.note)
			}
			e.Apply(x, p.note)
			switch {
			case x.Kind == ledger.KindReading:
				p.readings++
				p.began = cmp.Or(p.began, x.Received)
			case x.Kind == ledger.KindFlag && !x.Cleared && p.within(x.Flag):
				p.kept[x.Flag.ID] = true
			}
		}
		next = b.Next()
		progress(float64(next-first) / float64(max(1, head-first)))
	}
	e.Settle(p.note)
	p.coarse = e.TooCoarse()
	return nil
}

func (p *tryout) within(f *ledger.Flag) bool {
	return f.RaisedAt >= p.from && (p.to == 0 || f.RaisedAt < p.to)
}

func (p *tryout) note(c safety.FlagChange) {
	if !p.within(c.Flag) {
		return
	}
	if i, ok := p.at[c.Flag.ID]; ok {
		p.would[i] = *c.Flag
		return
	}
	p.at[c.Flag.ID] = len(p.would)
	p.would = append(p.would, *c.Flag)
}

// write writes per rule what would have been flagged, beside what the ledger has.
func (p *tryout) write(w io.Writer) error {
	by := map[string]map[string]int{}
	for i := range p.would {
		f := &p.would[i]
		if by[f.Rule] == nil {
			by[f.Rule] = map[string]int{}
		}
		by[f.Rule][f.Severity]++
		if !p.kept[f.ID] {
			by[f.Rule]["new"]++
		}
	}
	fmt.Fprintf(w, "%d readings\n\n", p.readings)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "rule\tinfo\twarning\tcritical\tnot in the ledger")
	for _, id := range slices.Sorted(maps.Keys(by)) {
		n := by[id]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\n", id, n[ledger.Info], n[ledger.Warning], n[ledger.Critical], n["new"])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	gone := slices.Sorted(maps.Keys(p.kept))
	gone = slices.DeleteFunc(gone, func(id string) bool { _, ok := p.at[id]; return ok })
	fmt.Fprintf(w, "\n%d flags of the ledger would not have been raised\n", len(gone))
	for _, id := range gone {
		fmt.Fprintln(w, "  "+id)
	}
	fmt.Fprintln(w)
	for i := range p.would {
		f := &p.would[i]
		fmt.Fprintf(w, "%s  %-8s  %s\n", f.ID, f.Severity, f.MessageEN)
	}
	for _, pile := range slices.Sorted(maps.Keys(p.coarse)) {
		fmt.Fprintf(w, "%s reports too seldom for %v to see all that they promise\n", pile, p.coarse[pile])
	}
	return nil
}

// verdicts scores the rules on what people said: a verdict is of a rule in a
// session, or where there is none of its flag. Where the readings are no longer
// kept, the curve that the flag has kept is judged.
func (p *tryout) verdicts(ctx context.Context, l *ledger.Ledger, rules safety.Rules, w io.Writer) error {
	all, err := l.Verdicts(ctx)
	if err != nil {
		return err
	}
	by := map[string]*verdictScore{}
	var missed, still []string
	for _, v := range ledger.Latest(all) {
		if !p.within(&ledger.Flag{RaisedAt: v.RaisedAt}) {
			continue
		}
		s := by[v.Rule]
		if s == nil {
			s = &verdictScore{}
			by[v.Rule] = s
		}
		again, how, err := p.again(ctx, l, rules, v)
		if err != nil {
			return err
		}
		switch how {
		case nothing:
			s.unknown++
			continue
		case theCurve:
			s.curve++
		}
		switch v.Status {
		case ledger.StatusConfirmed:
			s.confirmed++
			if again {
				s.kept++
			} else {
				missed = append(missed, v.FlagID)
			}
		case ledger.StatusFalseAlarm:
			s.alarms++
			if again {
				s.still++
				still = append(still, v.FlagID)
			}
		}
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "verdicts on\tconfirmed, still flagged\tfalse alarms, still flagged\tprecision\tby the kept curve\tcannot be told")
	for _, id := range slices.Sorted(maps.Keys(by)) {
		s := by[id]
		precision := "-"
		if s.kept+s.still > 0 {
			precision = fmt.Sprintf("%.0f %%", 100*float64(s.kept)/float64(s.kept+s.still))
		}
		fmt.Fprintf(t, "%s\t%d of %d\t%d of %d\t%s\t%d\t%d\n", id, s.kept, s.confirmed, s.still, s.alarms, precision, s.curve, s.unknown)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nconfirmed and not flagged now: %v\nfalse alarms that are still flagged: %v\n", missed, still)
	return err
}

// verdictScore counts the verdicts on a rule's flags.
type verdictScore struct {
	confirmed, kept int
	alarms, still   int
	curve           int // judged by the curve that the flag has kept
	unknown         int // neither readings nor a curve that can tell
}

// scoredBy is what a verdict was scored by.
type scoredBy int

const (
	nothing scoredBy = iota
	theReadings
	theCurve
)

// again reports whether the rules would flag again what a verdict is about, and
// by what that was told.
func (p *tryout) again(ctx context.Context, l *ledger.Ledger, rules safety.Rules, v ledger.Verdict) (bool, scoredBy, error) {
	begun := v.RaisedAt
	if v.SessionID != "" {
		switch s, err := l.Session(ctx, v.SessionID); {
		case err == nil:
			begun = s.Start
		case !errors.Is(err, ledger.ErrNotFound):
			return false, nothing, err
		}
	}
	if begun >= p.began {
		return slices.ContainsFunc(p.would, func(f ledger.Flag) bool {
			return f.Severity != ledger.Info && f.Rule == v.Rule && (f.ID == v.FlagID || v.SessionID != "" && f.SessionID == v.SessionID)
		}), theReadings, nil
	}
	kept := v.Evidence
	switch f, err := l.Flag(ctx, v.FlagID); {
	case err == nil:
		kept = f.Evidence // by now with the whole session's curve
	case !errors.Is(err, ledger.ErrNotFound):
		return false, nothing, err
	}
	again, ok := safety.Rejudge(rules, v.Rule, kept)
	if !ok {
		return false, nothing, nil
	}
	return again, theCurve, nil
}
