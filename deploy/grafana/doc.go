// Package grafana describes the dashboards that property managers and the IT
// helper look at, and gives them as the files that Grafana provisions.
//
// A dashboard is a [page]: Chinese titles, units, thresholds, and queries in
// InfluxQL (so that InfluxDB 1.8, 2.x and 3 Core all serve them) or PromQL. The
// files in dashboards/ are what [Files] gives, byte for byte; the tests hold them
// to it, to the schema of Grafana, and run every query against an InfluxDB and a
// Prometheus that hold the demonstration's month. After a change here:
//
//	go test ./deploy/grafana -run TestFiles -update
package grafana
