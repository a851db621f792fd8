// Package metrics gives Prometheus what 'Prometheus' in the public interface
// promises, in base units and under the prefix pilewatch_.
//
// [Fleet] looks at live state when it is scraped and keeps nothing; [Counters]
// counts what it is told of. Label sets that are known start at 0. Both are
// registered where the caller says. No card number is in a label. The names,
// types and helps are held by testdata/metrics.golden.
package metrics

import (
	"log/slog"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const prefix = "pilewatch_"

// maxScrapes is how many scrapes may run at a time; more are told to come again.
const maxScrapes = 4

// Handler serves what g gathers, as text or OpenMetrics, as the client asks.
// What can't be gathered is logged and left out.
func Handler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	})
}

type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(v ...any) {
	l.log.Error("some metrics could not be given", "error", v)
}

// label makes a value that a label may have: what is no UTF-8 is quoted, which
// keeps two such names apart.
func label(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strconv.Quote(s)
}
