package channel

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fit gives text, or as much of its beginning as lets size stay within limit,
// with mark behind it. It cuts between characters. size is that of the whole
// message with the given text in it, and grows with the text; where not even the
// mark fits it gives "".
func fit(text, mark string, limit int, size func(text string) int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit && size(text) <= limit {
		return text
	}
	var ends []int // of the beginnings that may be left, no longer than the limit
	for i := range text {
		if i > limit {
			break
		}
		ends = append(ends, i)
	}
	n := sort.Search(len(ends), func(i int) bool { return size(text[:ends[i]]+mark) > limit })
	if n == 0 {
		return ""
	}
	return text[:ends[n-1]] + mark
}

// oneLine makes a line of a text: no line breaks or control characters, at most
// limit bytes.
func oneLine(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	return fit(s, "…", limit, func(s string) int { return len(s) })
}

// plainMark replaces what the robots take for markup, links and mentions by wide
// twins that look the same: their dialects have no way to escape. What begins a
// list is harmless.
var plainMark = strings.NewReplacer("<", "＜", "](", "］(", "*", "＊", "`", "｀", "@", "＠")

var newLines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// plainStart is for what is markup only at the beginning of a line.
var plainStart = map[byte]string{'#': "＃", '>': "＞"}

// plain is a text that a robot shows as it is.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, newLines.Replace(s))
	lines := strings.Split(plainMark.Replace(s), "\n")
	for i, line := range lines {
		if begin := strings.TrimLeft(line, " "); begin != "" && plainStart[begin[0]] != "" {
			lines[i] = plainStart[begin[0]] + begin[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// href is a link that can't end what it stands in.
var href = strings.NewReplacer("(", "%28", ")", "%29", "<", "%3C", ">", "%3E", " ", "%20", "\n", "", "\r", "", "\"", "%22")

// words of a message that are ours, by language.
type words struct {
	cut  string // stands where a text was cut
	link string // name of the link
	at   string // stands before a bare link
}

func wordsIn(language string) words {
	if language == "en" {
		return words{cut: "… (the rest is on the page)", link: "Open", at: "Open: "}
	}
	return words{cut: "…（余下见页面）", link: "查看详情", at: "查看详情："}
}

// maxTitle is the longest title in bytes: a title is a line, not a text.
const maxTitle = 300
