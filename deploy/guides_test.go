package deploy_test

import (
	"fmt"
	"image"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"

	"pilewatch/devices/catalog"
	"pilewatch/gateway/config"
	"pilewatch/gateway/realserver"
)

// fence is a fenced block of a guide. What stands in the guides is carried out, in
// order, in a copy of this machine, but for blocks with a second word behind their
// language: `sh elsewhere` needs what a copy has not (containers, systemd's own
// commands, the Internet), `yaml alternative` is another way than the one followed.
type fence struct {
	file     string
	line     int
	language string
	aside    bool
	text     string
}

func (f *fence) at() string { return f.file + ":" + strconv.Itoa(f.line) }

// guides gives the guides in their order; the index is the last.
func guides(t *testing.T) []string {
	t.Helper()
	return files(t, "guides/*.md")
}

// fences gives the fenced blocks of a file, without the indentation of a list.
func fences(t *testing.T, file string) (fs []fence) {
	t.Helper()
	var open *fence
	var indent string
	for i, line := range strings.Split(read(t, file), "\n") {
		text := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(text, "```"):
			language, word, _ := strings.Cut(strings.TrimPrefix(text, "```"), " ")
			if !slices.Contains([]string{"", "elsewhere", "alternative"}, word) {
				t.Errorf("%s:%d: a block that is %q: expected elsewhere or alternative", file, i+1, word)
			}
			open = &fence{file: file, line: i + 1, language: language, aside: word != ""}
			indent = line[:len(line)-len(text)]
		case open != nil && text == "```":
			fs = append(fs, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s: the block does not end", open.at())
	}
	return fs
}

func TestConfigurationsInGuidesAreTaken(t *testing.T) {
	n := 0
	for _, file := range append(guides(t), "README.md", "billing.md") {
		for _, f := range fences(t, file) {
			if f.language != "yaml" || strings.Contains(f.text, "[...]") {
				continue
			}
			n++
			name := filepath.Join(t.TempDir(), "pilewatch.yaml")
			if err := os.WriteFile(name, []byte(f.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(name); err != nil {
				t.Errorf("%s: %v", f.at(), err)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d configurations found", n)
	}
}

// A registry is taken as Excel and WPS save it.
func TestRegistriesInGuidesAreTakenInUTF8AndGBK(t *testing.T) {
	t.Parallel()
	for _, f := range fences(t, "guides/3-registry.md") {
		if f.language != "csv" {
			continue
		}
		gbk, err := simplifiedchinese.GBK.NewEncoder().String(f.text)
		if err != nil {
			t.Fatal(err)
		}
		key, ids := registryOf(f.text), map[string]bool{}
		for _, row := range strings.Split(strings.TrimSpace(f.text), "\n")[1:] {
			id, _, _ := strings.Cut(row, ",")
			ids[id] = true // a card that changed hands has two rows
		}
		for _, text := range []string{f.text, "\ufeff" + f.text, gbk} {
			dir := t.TempDir()
			for name, text := range map[string]string{"table.csv": text, "pilewatch.yaml": "registry: {" + key + ": table.csv}"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// Its status says too whether the usual ports are free here.
			out, _ := exec.CommandContext(t.Context(), program(t), "check", "--config", filepath.Join(dir, "pilewatch.yaml")).CombinedOutput()
			if want := fmt.Sprintf("%d %s", len(ids), key); !regexp.MustCompile(`(?m)^ok +registry .*\b` + want).Match(out) {
				t.Errorf("%s: %q expected of\n%s", f.at(), want, out)
			}
		}
	}
}

// registryOf says which table it is, by its first heading.
func registryOf(text string) string {
	if strings.HasPrefix(text, "桩号") {
		return "piles"
	}
	return "cards"
}

var (
	ofPilewatch = regexp.MustCompile(`^(?:sudo -u pilewatch |docker compose exec gateway /)?pilewatch (.*)$`)
	substituted = regexp.MustCompile(`\$\([^)]*\)`)
)

// arguments gives what a line of shell asks of pilewatch; none where it asks nothing.
func arguments(line string) []string {
	line, _, _ = strings.Cut(line, " #")
	line, _, _ = strings.Cut(line, " > ")
	m := ofPilewatch.FindStringSubmatch(substituted.ReplaceAllString(line, "X"))
	if m == nil {
		return nil
	}
	return strings.Fields(m[1])
}

func TestCommandsInGuidesAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, file := range append(guides(t), "README.md", "billing.md") {
		for _, f := range fences(t, file) {
			if f.language != "sh" && f.language != "" {
				continue
			}
			for i, line := range strings.Split(f.text, "\n") {
				args := arguments(line)
				if len(args) == 0 || seen[strings.Join(args, " ")] {
					continue
				}
				seen[strings.Join(args, " ")] = true
				// With --help a command says what is unknown of its words, and does nothing else.
				if out, err := exec.CommandContext(t.Context(), program(t), append(args, "--help")...).CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %s: %v\n%s", file, f.line+1+i, line, err, out)
				}
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("%d commands found", len(seen))
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksInGuidesLeadSomewhere(t *testing.T) {
	linked(t, append(guides(t), "README.md", "billing.md", "grafana/README.md"))
}

// linked wants what the links of some files lead to.
func linked(t *testing.T, files []string) {
	t.Helper()
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			target, err := url.PathUnescape(m[1])
			if err != nil || strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: a link to %s: %v", file, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, to), anchor) {
				t.Errorf("%s: a link to %s: no such heading among %q", file, m[1], anchors(t, to))
			}
		}
	}
}

// headings gives the headings of a file, without marks.
func headings(t *testing.T, file string) (hs []string) {
	t.Helper()
	for line := range strings.SplitSeq(read(t, file), "\n") {
		if marks, text, ok := strings.Cut(line, " "); ok && marks != "" && strings.Trim(marks, "#") == "" {
			hs = append(hs, strings.ReplaceAll(text, "`", ""))
		}
	}
	return hs
}

// anchors gives what leads to the headings of a file, as GitHub and Gitea make it.
func anchors(t *testing.T, file string) (as []string) {
	t.Helper()
	for _, h := range headings(t, file) {
		as = append(as, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, h))
	}
	return as
}

func TestEveryRuleHasASectionUnderTheNameThatAlertsGive(t *testing.T) {
	hs := headings(t, "guides/5-alerts.md")
	for _, r := range rules(t) {
		if id := r.Labels["rule"]; r.Record == "pilewatch:rule_name" && !slices.Contains(hs, id+" "+r.Labels["name"]) {
			t.Errorf("no section %q", "### `"+id+"` "+r.Labels["name"])
		}
	}
	for _, id := range config.RuleIDs {
		if !slices.ContainsFunc(hs, func(h string) bool { return strings.HasPrefix(h, id+" ") }) {
			t.Errorf("no section for %s", id)
		}
	}
}

func TestEveryDecoderHasASection(t *testing.T) {
	for _, name := range catalog.Names() {
		if !slices.Contains(headings(t, "guides/2-connect.md"), name) {
			t.Errorf("no section %q", "## `"+name+"`")
		}
	}
}

func TestPicturesAreShownAndSmall(t *testing.T) {
	shown, total := "", int64(0)
	for _, file := range guides(t) {
		shown += read(t, file)
	}
	for _, file := range files(t, "guides/pictures.d/*") {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); info.Size() > 200_000 || info.Size() < 2_000 {
			t.Errorf("%s has %d bytes: take it anew with deploy/guides/pictures", file, info.Size())
		}
		if !strings.Contains(shown, "(pictures.d/"+filepath.Base(file)+")") {
			t.Errorf("%s: no guide shows it", file)
		}
	}
	if total > 1_500_000 {
		t.Errorf("the pictures have %d bytes", total)
	}
}

func TestPicturesCanBeTakenFromTheRunningProgram(t *testing.T) {
	t.Parallel()
	realserver.Need(t, "chromium", "chromium fonts-noto-cjk")
	realserver.Need(t, "pdftoppm", "poppler-utils")
	realserver.Need(t, "curl", "curl")
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "guides/pictures", dir)
	cmd.Env = append(os.Environ(), "PILEWATCH="+program(t))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its demonstration
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	names := func(dir string) (ns []string) {
		for _, file := range files(t, dir+"/*.png") {
			ns = append(ns, filepath.Base(file))
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(f)
			_ = f.Close()
			if err != nil || !shows(picture) {
				t.Errorf("%s is empty: %v", file, err)
			}
		}
		return ns
	}
	if got, want := names(dir), names("guides/pictures.d"); !slices.Equal(got, want) {
		t.Errorf("pictures %q, want %q", got, want)
	}
}

// shows reports whether a picture has more than a ground: four lines of it or more with
// something in them.
func shows(m image.Image) bool {
	b, lines := m.Bounds(), 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X + 1; x < b.Max.X; x++ {
			if m.At(x, y) != m.At(x-1, y) {
				lines++
				break
			}
		}
	}
	return lines >= 4
}
