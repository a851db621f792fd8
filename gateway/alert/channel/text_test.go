package channel

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func bytesOf(s string) int { return len(s) }

func TestFitCutsAtTheLastCharacterThatFits(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"桩桩桩桩", 12, "桩桩桩桩"},
		{"桩桩桩桩", 11, "桩桩…"},
		{"桩桩桩桩", 9, "桩桩…"},
		{"桩桩桩桩", 8, "桩…"},
		{"桩桩桩桩", 5, "…"},
		{"桩桩桩桩", 2, ""},
		{"a\xffb", 9, "a\uFFFDb"},
		{"", 0, ""},
	} {
		if got := fit(c.text, "…", c.limit, bytesOf); got != c.want {
			t.Errorf("%q in %d bytes: %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add("3号楼 P03 桩 2 号口", "…（余下见页面）", 20)
	f.Add("e\u0301👩‍👩‍👧\xff\x00\"\\", "…", 9)
	f.Add(strings.Repeat("桩\n", 50), "", 100)
	f.Fuzz(func(t *testing.T, text, mark string, limit int) {
		if !utf8.ValidString(mark) || limit < 0 || limit > 1<<16 || len(text) > 1<<16 {
			return
		}
		inJSON := func(s string) int {
			b, err := compact(s)
			if err != nil {
				t.Fatal(err)
			}
			return len(b)
		}
		whole := strings.ToValidUTF8(text, "\uFFFD")
		for _, size := range []func(string) int{bytesOf, inJSON} {
			got := fit(text, mark, limit, size)
			switch {
			case !utf8.ValidString(got):
				t.Fatalf("%q is not UTF-8", got)
			case got == whole && size(got) <= limit, got == "" && size(mark) > limit:
				continue
			case size(got) > limit || !strings.HasSuffix(got, mark):
				t.Fatalf("%q: %d bytes of %d, mark %q", got, size(got), limit, mark)
			}
			kept, ok := strings.CutPrefix(whole, strings.TrimSuffix(got, mark))
			if !ok {
				t.Fatalf("%q is not the beginning of %q", got, whole)
			}
			_, next := utf8.DecodeRuneInString(kept)
			if more := strings.TrimSuffix(got, mark) + kept[:next] + mark; next > 0 && size(more) <= limit {
				t.Fatalf("%q fits into %d bytes as well as %q", more, limit, got)
			}
		}
	})
}

func FuzzPlainHasNoMarkup(f *testing.F) {
	f.Add("<@all> [x](http://evil)\n# a\n> b **c**")
	f.Add("\\](\r](\n\r\n]\x00(")
	f.Fuzz(func(t *testing.T, text string) {
		got := plain(text)
		if strings.ContainsAny(got, "<*`@\r\x00") || strings.Contains(got, "](") {
			t.Fatalf("%q became %q", text, got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if line = strings.TrimLeft(line, " "); line != "" && (line[0] == '#' || line[0] == '>') {
				t.Fatalf("%q became %q", text, got)
			}
		}
	})
}
