package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// pages are the dashboards, in the order in which they are linked.
func pages() []page {
	return []page{overviewPage(), pilePage(), safetyPage(), billingPage(), gatewayPage()}
}

// Files gives the dashboards as JSON, by the name of the file.
func Files() (map[string][]byte, error) {
	all := pages()
	files := make(map[string][]byte, len(all))
	for _, p := range all {
		d, err := p.build(all)
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", p.uid, err)
		}
		if files[p.uid+".json"], err = encode(d); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func encode(d dashboard.Dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a query is read by people, > and & in it too
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}
