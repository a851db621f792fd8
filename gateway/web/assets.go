package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

// What the page is made of, and what it loads.
var (
	//go:embed assets/page.html
	pageHTML string
	//go:embed assets/page.css
	pageCSS []byte
	//go:embed assets/page.js
	pageJS []byte
	//go:embed assets/icon.svg
	iconSVG []byte
)

// pageTemplate is the page in one language.
type pageTemplate = template.Template

// parsePages reads the page once for each language. It is part of the program,
// so that a fault in it is one of the program.
func parsePages() map[language]*pageTemplate {
	pages := map[language]*pageTemplate{}
	for _, l := range []language{chinese, english} {
		other := map[language]language{chinese: english, english: chinese}[l]
		functions := template.FuncMap{
			"word":  l.word,
			"lang":  func() string { return l.String() },
			"other": func() string { return other.String() },
		}
		pages[l] = template.Must(template.New("page.html").Funcs(functions).Parse(pageHTML))
	}
	return pages
}

// asset is a file that the page loads.
type asset struct {
	name, sum string
	body      []byte
}

// assets gives what the page loads, by name.
func assets() map[string]asset {
	all := map[string]asset{}
	for name, body := range map[string][]byte{"page.css": pageCSS, "page.js": pageJS, "icon.svg": iconSVG} {
		all[name] = asset{name, fmt.Sprintf(`"%x"`, sha256.Sum256(body)), body}
	}
	return all
}

// ServeHTTP answers with the file, or that a browser has it already.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-cache") // asked for again each time, sent again after a new version
	w.Header().Set("ETag", a.sum)
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.body))
}
