package realserver

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	getOffice   = "apt-get install -y --no-install-recommends libreoffice-calc"
	getChromium = "apt-get install -y --no-install-recommends chromium fonts-noto-cjk"
	getPoppler  = "apt-get install -y --no-install-recommends poppler-utils"
)

// OpenInOffice opens spreadsheets in LibreOffice, which computes their formulas,
// and gives the CSV file of each sheet, by the file's name without its ending, "-",
// and the sheet's name: cells as they are stored, fields with a comma between.
func OpenInOffice(t testing.TB, files ...string) map[string]string {
	t.Helper()
	return inOffice(t, files)
}

// OpenTextInOffice opens a CSV file in LibreOffice as Excel does by a double click:
// UTF-8, and every field that looks like a number, a date or a formula is one. It
// gives the CSV file of what the cells show.
func OpenTextInOffice(t testing.TB, file string) string {
	t.Helper()
	const commaUTF8AmericanDetect = `--infilter=Text - txt - csv (StarCalc):44,34,76,1,,1033,false,true,false,false,false,0,false,true`
	for _, f := range inOffice(t, []string{file}, commaUTF8AmericanDetect) {
		return f
	}
	return ""
}

func inOffice(t testing.TB, files []string, args ...string) map[string]string {
	t.Helper()
	program := need(t, "soffice", getOffice)
	dir := t.TempDir()
	const everySheet = `csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1`
	args = append(args, "-env:UserInstallation=file://"+filepath.Join(dir, "profile"), "--headless", "--convert-to", everySheet, "--outdir", dir)
	tool(t, program, append(args, files...)...)
	written, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(written) == 0 {
		t.Fatalf("LibreOffice wrote nothing of %v: %v", files, err)
	}
	sheets := map[string]string{}
	for _, f := range written {
		sheets[strings.TrimSuffix(filepath.Base(f), ".csv")] = f
	}
	return sheets
}

// Printed is a PDF file as Chromium prints a page.
type Printed struct {
	Info  string   // what pdfinfo says
	Pages []string // their text
}

// Print prints an HTML file with headless Chromium.
func Print(t testing.TB, file string) Printed {
	t.Helper()
	program, info, text := need(t, "chromium", getChromium), need(t, "pdfinfo", getPoppler), need(t, "pdftotext", getPoppler)
	dir := t.TempDir()
	pdf := filepath.Join(dir, "printed.pdf")
	tool(t, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--no-pdf-header-footer", "--print-to-pdf="+pdf, (&url.URL{Scheme: "file", Path: file}).String())
	pages := strings.Split(tool(t, text, "-layout", pdf, "-"), "\f")
	return Printed{Info: tool(t, info, pdf), Pages: pages[:len(pages)-1]}
}

// tool runs a program to its end and gives what it writes; it is killed with the test.
func tool(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.WaitDelay = 5 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", filepath.Base(program), err, out, errs.String())
	}
	return string(out)
}
