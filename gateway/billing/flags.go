package billing

import (
	"context"
	"errors"
	"io"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/view"
)

var flagColumns = []column{
	{"时间", "Raised", kindTime, false, 20}, {"解除", "Cleared", kindTime, false, 20}, {"级别", "Severity", kindText, false, 8}, {"规则", "Rule", kindText, false, 16},
	{"疑似", "Suspicion", kindText, false, 16}, {"楼号", "Building", kindText, false, 8}, {"户号", "Household", kindNumber, false, 10},
	{"桩号", "Pile", kindText, false, 10}, {"端口", "Port", kindCount, false, 8}, {"充电单", "Session", kindText, false, 28}, {"状态", "Status", kindText, false, 10},
	{"说明", "Message", kindText, false, 60}, {"建议", "Advice", kindText, false, 60}, {"编号", "Flag", kindText, false, 36},
}

// flagsAtOnce is how many flags are read at a time.
const flagsAtOnce = 500

// flagged writes the flags that were raised in a span, the first one first. They
// are as they are now: closing a month freezes none.
func (x *export) flagged(ctx context.Context, w io.Writer) error {
	if x.Format == "json" {
		out := newArray(w)
		return errors.Join(x.eachFlag(ctx, func(f *ledger.Flag) error { return out.put(view.FlagOf(f, x.Location)) }), out.end())
	}
	l := &layout{words: x.words, location: x.Location, columns: flagColumns, counted: 3, unit: x.pick("条", " flags")}
	return x.table(w, x.pick("用电提醒（仅为疑似，请上门了解并提供帮助）", "Flags: suspicions only; please visit and offer help"), x.pick("提醒", "Flags"), l, func(t tableWriter) error {
		return x.eachFlag(ctx, func(f *ledger.Flag) error { return t.row(x.flagRow(f)) })
	})
}

func (x *export) flagRow(f *ledger.Flag) []value {
	moment := func(m devices.Millis) value { return value{n: int64(m), filled: m != 0} }
	return []value{
		moment(f.RaisedAt), moment(f.ClearedAt), text(x.of(severityWords, f.Severity)), text(x.rule(f.Rule)), text(x.of(suspicionWords, f.Suspicion)),
		text(f.Building), text(f.Household), text(f.Pile), {n: int64(f.Port), filled: f.Port != 0}, text(f.SessionID), text(x.of(statusWords, f.Status)),
		text(x.pick(f.Message, f.MessageEN)), text(x.pick(f.Advice, f.AdviceEN)), text(f.ID),
	}
}

// eachFlag calls do with the flags of the span, some of them in memory at a time.
func (x *export) eachFlag(ctx context.Context, do func(*ledger.Flag) error) error {
	f := ledger.Filter{From: x.From, To: x.To, Building: x.Building, Household: x.Household, Oldest: true, Limit: flagsAtOnce}
	if x.Month != "" {
		var err error
		if f.From, f.To, err = x.bounds(x.Month); err != nil {
			return err
		}
	}
	first, last, err := x.ledger.SessionSpan(ctx) // about when flags are
	if err != nil {
		return err
	}
	if f.From != 0 {
		first = f.From
	}
	if f.To != 0 {
		last = f.To
	}
	x.done = share{0, 1}
	for more := true; more; more = f.After != "" {
		var flags []ledger.Flag
		if flags, f.After, err = x.ledger.Flags(ctx, f); err != nil {
			return err
		}
		for i := range flags {
			if err := do(&flags[i]); err != nil {
				return err
			}
		}
		if n := len(flags); n > 0 {
			x.progress(first, flags[n-1].RaisedAt, last)
		}
	}
	x.Progress(1)
	return nil
}
