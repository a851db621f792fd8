package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/billing"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

// ExportRequest says what to export, as a person types it.
type ExportRequest struct {
	What      string // sessions
	Month     string // 2026-11
	From, To  string // dates or RFC 3339, the end excluded
	Building  string
	Household string
	Format    string
	Output    string // a file, or - for standard output
	Overwrite bool
}

// exportOf reads a request; the error says what to type instead.
func exportOf(cfg *config.Config, r ExportRequest) (billing.Export, error) {
	x := billing.Export{Building: r.Building, Household: r.Household, English: cfg.Language == "en", Location: cfg.Estate.Location, Tariffs: cfg.Tariffs}
	if r.What != "sessions" {
		return x, fmt.Errorf("export %s: expected sessions", r.What)
	}
	if !slices.Contains(billing.SessionFormats, r.Format) {
		return x, fmt.Errorf("format %q: expected %s", r.Format, strings.Join(billing.SessionFormats, " or "))
	}
	var err error
	x.From, x.To, err = span(r, cfg.Estate.Location)
	return x, err
}

// Export writes an export of the ledger, also while a gateway runs on it.
func Export(ctx context.Context, cfg *config.Config, o Options, r ExportRequest, stdout io.Writer) (billing.Summary, error) {
	x, err := exportOf(cfg, r)
	if err != nil {
		return billing.Summary{}, Usage(err)
	}
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return billing.Summary{}, err
	}
	defer l.Close()
	var sum billing.Summary
	err = writeWhole(r.Output, r.Overwrite, stdout, func(w io.Writer) error {
		sum, err = x.Sessions(ctx, l, r.Format, w)
		return err
	})
	return sum, err
}

// span gives the time that a request means; zeros for all time.
func span(r ExportRequest, loc *time.Location) (from, to devices.Millis, err error) {
	if r.Month != "" {
		if r.From != "" || r.To != "" {
			return 0, 0, errors.New("--month and --from or --to: give one or the other")
		}
		m, err := time.ParseInLocation("2006-01", r.Month, loc)
		if err != nil {
			return 0, 0, fmt.Errorf("--month %q: expected a month such as 2026-11", r.Month)
		}
		return devices.MillisOf(m), devices.MillisOf(m.AddDate(0, 1, 0)), nil
	}
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

// writeWhole writes a file under its name only when all of it is there.
func writeWhole(name string, overwrite bool, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" || name == "" {
		return write(stdout)
	}
	if _, err := os.Stat(name); err == nil && !overwrite {
		return fmt.Errorf("%s exists: give another name, or --force to replace it", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Chmod(f.Name(), 0o640); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

// Verify derives every session again and compares it with its row, also while a
// gateway runs on the ledger.
func Verify(ctx context.Context, cfg *config.Config, o Options, progress func(float64)) (ledger.Report, error) {
	l, err := ledger.OpenRead(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return ledger.Report{}, err
	}
	defer l.Close()
	return l.Verify(ctx, progress)
}
