package channel

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// secrets are the texts that must stand in no line that leaves this package.
type secrets []string

// The shortest texts that are hidden: what was given as a secret, and what a URL
// may only have for a name (/send, /robot). Shorter ones protect nothing and
// would make holes in every line.
const (
	shortestSecret = 3
	shortestPart   = 8
)

func (s *secrets) add(shortest int, texts ...string) {
	for _, t := range texts {
		quoted := strconv.Quote(t)
		for _, form := range []string{t, url.QueryEscape(t), url.PathEscape(t), quoted[1 : len(quoted)-1]} {
			if len(form) >= shortest && !slices.Contains(*s, form) {
				*s = append(*s, form)
			}
		}
	}
	slices.SortFunc(*s, func(a, b string) int { return len(b) - len(a) }) // a secret that holds another goes first
}

// addURL hides a URL, and what in it may be a secret by itself.
func (s *secrets) addURL(raw string) {
	if raw == "" {
		return
	}
	s.add(shortestSecret, raw)
	u, err := url.Parse(raw)
	if err != nil {
		return
	}
	s.add(shortestSecret, u.String())
	if password, ok := u.User.Password(); ok {
		s.add(shortestSecret, password)
	}
	s.add(shortestPart, u.User.Username(), u.RequestURI(), u.Path, u.Fragment)
	s.add(shortestPart, strings.Split(u.EscapedPath(), "/")...)
	s.add(shortestPart, strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		s.add(shortestSecret+1, values...)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") { // as it stands there
		_, value, _ := strings.Cut(pair, "=")
		s.add(shortestSecret+1, value)
	}
}

// maxLine is the longest answer or error in bytes.
const maxLine = 400

// hide gives a text as one line of at most limit bytes with *** for each secret.
func (s secrets) hide(text string, limit int) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return oneLine(text, limit)
}

// hideIn gives an error of the same kind that says the same without secrets; what
// it was made of is not kept, for it may print them.
func (s secrets) hideIn(err error) error {
	if err == nil {
		return nil
	}
	said := errors.New(s.hide(err.Error(), maxLine))
	if retry, ok := errors.AsType[*RetryError](err); ok {
		return &RetryError{After: retry.After, Err: said}
	}
	if _, ok := errors.AsType[*PermanentError](err); ok {
		return &PermanentError{Err: said}
	}
	return said
}
