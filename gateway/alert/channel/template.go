package channel

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/view"
)

// templateData is what a template of a person's own sees: {{.Title}}, {{.Estate}},
// {{range .Flags}}{{.Pile}}{{end}}.
type templateData struct {
	Message
	Estate string
}

// readTemplate reads a template and tries it on a message of each kind, so that
// a name that nothing has is told at the start, not at the first alarm. It gives
// what came of the first.
func readTemplate(c config.Channel, data func(Message) templateData, loc *time.Location) (*template.Template, []string, error) {
	text, err := os.ReadFile(c.Template)
	if err != nil {
		return nil, nil, fmt.Errorf("template: %w; mend the key, or write the file", err)
	}
	t, err := template.New(filepath.Base(c.Template)).Option("missingkey=error").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := compact(v)
			return string(b), err
		},
		"time": func(m devices.Millis) string { return m.Time().In(loc).Format(time.RFC3339) },
		"flag": func(f ledger.Flag) view.Flag { return view.FlagOf(&f, loc) },
	}).Parse(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("template: %w", err)
	}
	var tried []string
	for _, m := range specimens() {
		out := new(lines)
		if err := t.Execute(out, data(m)); err != nil {
			return nil, nil, fmt.Errorf("template, for a message of kind %s with %d flags: %w", m.Kind, len(m.Flags), err)
		}
		tried = append(tried, string(*out))
	}
	return t, tried, nil
}

// lines collects output.
type lines []byte

func (l *lines) Write(p []byte) (int, error) {
	*l = append(*l, p...)
	return len(p), nil
}

var _ io.Writer = new(lines)

// specimens are messages with whatever makes trouble: quotes, lines, no flags.
func specimens() []Message {
	at := time.Date(2026, 11, 23, 20, 15, 30, 0, time.UTC)
	m := Message{
		DeliveryID: "specimen", Severity: ledger.Warning, Title: `a "title" \ <b>`, Text: "first \"line\"\nsecond\tline", Link: "http://127.0.0.1/?a=1&b=2", At: at,
	}
	flag := ledger.Flag{ID: "specimen", Rule: "over_power", Severity: ledger.Warning, Pile: "P01", RaisedAt: devices.MillisOf(at), Evidence: json.RawMessage(`{"w":700}`)}
	var all []Message
	for _, kind := range []string{Raised, Cleared, Repeated, Digest, Test} {
		m.Kind, m.Flags = kind, nil
		if kind != Digest && kind != Test {
			m.Flags = []ledger.Flag{flag}
		}
		all = append(all, m)
	}
	return all
}
