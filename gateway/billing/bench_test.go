package billing

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// year fills a ledger with n sessions over a year.
func (e *estate) year(b *testing.B, n int) {
	b.Helper()
	from := e.at("2026-01-01 00:00:00")
	step := 364 * 24 * time.Hour / time.Duration(n)
	table, err := tariff.NewTable(e.config.Location, e.config.Tariffs)
	if err != nil {
		b.Fatal(err)
	}
	var batch ledger.Batch
	for i := range n {
		home := strconv.Itoa(i%8+1) + "-" + strconv.Itoa(100+i%27)
		s := &session.Session{
			Pile: "P" + strconv.Itoa(i%8+1), Port: uint8(i%10 + 1), Building: strconv.Itoa(i%8 + 1), Household: home, Card: "04A1" + home, Order: strconv.Itoa(2026_0000_0000 + i),
			Start: from.Add(time.Duration(i) * step), EnergyMWh: 600_000 + int64(i%700)*1001, PeakMW: 182_400, MeterStartMWh: int64(i) * 1000, Reason: "full", SettledMWh: -1,
		}
		s.ID, s.End, s.MeterEndMWh = session.ID(s.Pile, s.Port, s.Start), s.Start.Add(5*time.Hour), s.MeterStartMWh+s.EnergyMWh
		reprice(s, table.At(s.Start), e.config.Location)
		batch.Entries = append(batch.Entries, ledger.Entry{Kind: ledger.KindSession, Change: session.Closed, Received: s.End, Session: s})
		if len(batch.Entries) == 20_000 || i == n-1 {
			if _, err := e.ledger.Append(b.Context(), &batch); err != nil {
				b.Fatal(err)
			}
			batch = ledger.Batch{}
		}
	}
	// A fresh one, without what filling it left in memory.
	if err := e.ledger.Close(); err != nil {
		b.Fatal(err)
	}
	if e.ledger, err = ledger.OpenRead(b.Context(), e.dir, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.ledger.Close() })
	debug.FreeOSMemory()
}

// heapWatch gives the most that the heap held at any write, in MB.
type heapWatch struct {
	io.Writer
	n    int
	most uint64
}

// Write looks at the heap now and then.
func (h *heapWatch) Write(p []byte) (int, error) {
	if h.n++; h.n%16 == 1 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.most = max(h.most, m.HeapAlloc)
	}
	return h.Writer.Write(p)
}

// peakRSS is the most memory that the process has had, in MB; 0 where the system does not tell.
func peakRSS() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1024
		}
	}
	return 0
}

func benchmarkExport(b *testing.B, n int, r Request) {
	e := newEstate(b)
	e.year(b, n)
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins here
	watch := &heapWatch{Writer: io.Discard}
	for b.Loop() {
		if _, err := e.book().Export(b.Context(), r, watch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(watch.most)/(1<<20), "MB-heap")
	b.ReportMetric(peakRSS(), "MB-rss")
}

// A year of the estate as a workbook: under 5 s and 200 MB.
func BenchmarkYearAsWorkbook(b *testing.B) {
	benchmarkExport(b, 18_000, Request{What: "sessions", Format: "xlsx"})
}

// Ten times the sessions take the same memory: CSV streams.
func BenchmarkCSV(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkExport(b, n, Request{What: "sessions", Format: "csv"}) })
	}
}
