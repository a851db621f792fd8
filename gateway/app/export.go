package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/billing"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// ExportRequest says what to export, as a person types it.
type ExportRequest struct {
	What      string // of billing.Exports
	Month     string // 2026-11
	From, To  string // dates or RFC 3339, the end excluded
	Building  string
	Household string
	Format    string
	Basis     bool   // of sessions: what each fee came from, too
	Language  string // zh-CN or en; "" for the configured one
	Output    string // a file, or - for standard output
	Overwrite bool
	Progress  func(float64)
}

// request reads what a person typed; the error says what to type instead.
func (r *ExportRequest) request(cfg *config.Config) (billing.Request, error) {
	if r.Language == "" {
		r.Language = cfg.Language
	}
	q := billing.Request{
		What: r.What, Format: r.Format, English: r.Language == "en", Basis: r.Basis,
		Span: billing.Span{Month: r.Month, Building: r.Building, Household: r.Household},
	}
	if r.Language != "en" && r.Language != "zh-CN" {
		return q, fmt.Errorf("--language %q: expected zh-CN or en", r.Language)
	}
	if err := q.Check(); err != nil {
		return q, err
	}
	if r.Month != "" && (r.From != "" || r.To != "") {
		return q, errors.New("--month and --from or --to: give one or the other")
	}
	var err error
	q.From, q.To, err = span(r, cfg.Estate.Location)
	return q, err
}

// billingConfig is what bills need of the configuration.
func billingConfig(cfg *config.Config) billing.Config {
	c := billing.Config{
		Estate: cfg.Estate.Name, Phone: cfg.Billing.Phone, Location: cfg.Estate.Location, Tariffs: cfg.Tariffs, NoticeHouseholds: cfg.Billing.NoticeHouseholds,
		NoticeMinHouseholds: cfg.Billing.NoticeMinHouseholds,
	}
	for _, g := range cfg.Billing.GridBills {
		c.GridBills = append(c.GridBills, billing.GridBill{Month: g.Month, Building: g.Building, EnergyMWh: g.EnergyMWh, Amount: g.Amount})
	}
	return c
}

// Exported is what a person wants to know of an export.
type Exported struct {
	billing.Summary
	Draft string // the month, where it is not closed: its figures may change
}

// Export writes an export of the ledger, also while a gateway runs on it.
func Export(ctx context.Context, cfg *config.Config, o Options, r ExportRequest, stdout io.Writer) (x Exported, err error) {
	q, err := r.request(cfg)
	if err != nil {
		return x, Usage(err)
	}
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return x, err
	}
	defer l.Close()
	book, err := billing.OpenBook(ctx, l, billingConfig(cfg))
	if err != nil {
		return x, err
	}
	if r.What != "flags" && r.Month != "" && !book.Closed(r.Month) {
		x.Draft = r.Month
	}
	if r.Progress != nil {
		book.Progress = r.Progress
	}
	err = writeWhole(r.Output, r.Overwrite, stdout, func(w io.Writer) error {
		x.Summary, err = book.Export(ctx, q, w)
		return err
	})
	return x, err
}

// CloseMonth freezes a billing period, also while a gateway runs on the ledger.
func CloseMonth(ctx context.Context, cfg *config.Config, o Options, month string, first bool, progress func(float64)) (ledger.Period, billing.Summary, error) {
	if _, err := time.Parse("2006-01", month); err != nil {
		return ledger.Period{}, billing.Summary{}, Usage(fmt.Errorf("month %q: expected one such as 2026-11", month))
	}
	l, err := ledger.OpenBeside(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return ledger.Period{}, billing.Summary{}, err
	}
	p, sum, err := billing.Close(ctx, l, billingConfig(cfg), month, billing.CloseOptions{Now: now(), First: first}, progress)
	return p, sum, errors.Join(err, l.Close())
}

// Explain prints how a session's bill came about.
func Explain(ctx context.Context, cfg *config.Config, o Options, id, language string, stdout io.Writer) error {
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return err
	}
	defer l.Close()
	book, err := billing.OpenBook(ctx, l, billingConfig(cfg))
	if err != nil {
		return err
	}
	if language == "" {
		language = cfg.Language
	}
	return book.Explain(ctx, id, language == "en", stdout)
}

// span gives the time that a request means; zeros for all time.
func span(r *ExportRequest, loc *time.Location) (from, to devices.Millis, err error) {
	for _, f := range []struct {
		flag, text string
		into       *devices.Millis
	}{{"--from", r.From, &from}, {"--to", r.To, &to}} {
		if f.text == "" {
			continue
		}
		t, err := Instant(f.flag, f.text, loc)
		if err != nil {
			return 0, 0, err
		}
		*f.into = devices.MillisOf(t)
	}
	if to != 0 && to <= from {
		return 0, 0, fmt.Errorf("--to %s: it must be after --from %s", r.To, r.From)
	}
	return from, to, nil
}

// Instant reads a date of the estate or an RFC 3339 time; the error names the flag.
func Instant(flag, s string, loc *time.Location) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, loc); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%s %q: expected a date such as 2026-11-23, or a time such as 2026-11-23T20:15:00+08:00", flag, s)
	}
	return t, nil
}

// writeWhole writes a file under its name only when all of it is there and on
// disk. A file that has the name already stays, unless it is to be replaced.
func writeWhole(name string, overwrite bool, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" || name == "" {
		return write(stdout)
	}
	exists := fmt.Errorf("%s exists: give another name, or --force to replace it", name)
	if _, err := os.Lstat(name); err == nil && !overwrite {
		return exists
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w; choose another folder or change its rights", name, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	err = write(f)
	if err == nil {
		err = errors.Join(f.Chmod(0o640), f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("writing %s: %w; free some space, nothing was left behind", name, err)
		}
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if overwrite {
		return os.Rename(f.Name(), name)
	}
	err = os.Link(f.Name(), name) // unlike a rename it replaces nothing
	switch {
	case errors.Is(err, os.ErrExist):
		return exists
	case err != nil: // a file system without links
		return os.Rename(f.Name(), name)
	}
	return nil
}

// Verification is what Verify found.
type Verification struct {
	ledger.Report
	Periods, Lines int // closed billing periods, and what they bill
}

// Verify derives every session again and compares it with its row, and checks
// every closed period, also while a gateway runs on the ledger.
func Verify(ctx context.Context, cfg *config.Config, o Options, progress func(float64)) (v Verification, err error) {
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return v, err
	}
	defer l.Close()
	if v.Report, err = l.Verify(ctx, progress); err != nil {
		return v, err
	}
	var bills []string
	v.Periods, v.Lines, bills, err = billing.Verify(ctx, l)
	v.Differences = append(v.Differences, bills...)
	return v, err
}
