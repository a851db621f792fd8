package grafana

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What Grafana does with a query before it sends it: times and variables.

// span is the time that a panel looks at.
type span struct{ from, to time.Time }

var relative = regexp.MustCompile(`^now(?:-(\d+)([hdMy]))?(?:/([dMy]))?$`)

// instant gives a relative time such as now-1M/M; up rounds it to the end of the unit.
func instant(t testing.TB, now time.Time, text string, up bool) time.Time {
	t.Helper()
	m := relative.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("not a relative time: %q", text)
	}
	if m[1] != "" {
		n, _ := strconv.Atoi(m[1])
		now = back(now, n, m[2])
	}
	if m[3] == "" {
		return now
	}
	y, mon, d := now.Date()
	switch m[3] {
	case "M":
		d = 1
	case "y":
		mon, d = 1, 1
	}
	start := time.Date(y, mon, d, 0, 0, 0, 0, now.Location())
	if up {
		return back(start, -1, m[3]).Add(-time.Millisecond)
	}
	return start
}

// back goes n units back; a month back from the 31st is the last day of a shorter month.
func back(at time.Time, n int, unit string) time.Time {
	switch unit {
	case "h":
		return at.Add(-time.Duration(n) * time.Hour)
	case "d":
		return at.AddDate(0, 0, -n)
	case "y":
		n *= 12
	}
	first := at.AddDate(0, -n, 1-at.Day())
	return first.AddDate(0, 0, min(at.Day(), first.AddDate(0, 1, -1).Day())-1)
}

// spanOf is the dashboard's time with a panel's own beginning and shift.
func spanOf(t testing.TB, now time.Time, from, to string, timeFrom, timeShift *string) span {
	t.Helper()
	s := span{instant(t, now, from, false), instant(t, now, to, true)}
	if timeFrom != nil {
		text := *timeFrom
		if !strings.HasPrefix(text, "now") {
			text = "now-" + text
		}
		s = span{instant(t, now, text, false), now}
	}
	if timeShift != nil {
		s = span{instant(t, s.from, "now-"+*timeShift, false), instant(t, s.to, "now-"+*timeShift, true)}
	}
	return s
}

func TestTimesAreThoseOfGrafana(t *testing.T) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 31, 15, 4, 5, 0, loc)
	today, shift, month, whole := "now/d", "1d", "now/M", "1M/M"
	for _, c := range []struct {
		timeFrom, timeShift *string
		from, to            string
	}{
		{nil, nil, "2026-03-30 15:04:05", "2026-03-31 15:04:05"},
		{&today, nil, "2026-03-31 00:00:00", "2026-03-31 15:04:05"},
		{&today, &shift, "2026-03-30 00:00:00", "2026-03-30 15:04:05"},
		{&month, &whole, "2026-02-01 00:00:00", "2026-02-28 23:59:59"},
	} {
		s := spanOf(t, now, "now-24h", "now", c.timeFrom, c.timeShift)
		if got := [2]string{s.from.Format(time.DateTime), s.to.Format(time.DateTime)}; got != [2]string{c.from, c.to} {
			t.Errorf("got %v, want %s to %s", got, c.from, c.to)
		}
	}
}

// values are those that are chosen of each variable; nil is All.
type values map[string][]string

const everything = ".*" // what All of each of our variables is

var (
	influxVariable = regexp.MustCompile(`\$\{(\w+):regex\}`)
	promVariable   = regexp.MustCompile(`\$(estate|building|pile|port|severity)\b`)
	notExpanded    = regexp.MustCompile(`\$[{\w]`)
)

// influxText puts variables and times into an InfluxQL query, as the format
// regex of Grafana and its InfluxDB plugin do.
func influxText(t testing.TB, q string, v values, s span, minInterval string) string {
	t.Helper()
	q = influxVariable.ReplaceAllStringFunc(q, func(ref string) string {
		return alternatives(v[influxVariable.FindStringSubmatch(ref)[1]], escapedForRegex)
	})
	q = strings.ReplaceAll(q, "$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", s.from.UnixMilli(), s.to.UnixMilli()))
	q = strings.ReplaceAll(q, "$__interval", seconds(interval(t, s, minInterval)))
	if left := notExpanded.FindString(q); left != "" {
		t.Errorf("%s... is not expanded in %s", left, q)
	}
	return q
}

// promText does the same for PromQL: its plugin escapes for a regular expression
// in a string.
func promText(t testing.TB, q string, v values, s span) string {
	t.Helper()
	q = promVariable.ReplaceAllStringFunc(q, func(ref string) string { return alternatives(v[ref[1:]], escapedForProm) })
	rate := max(interval(t, s, "15s")+15*time.Second, 4*15*time.Second) // the data source's timeInterval
	q = strings.ReplaceAll(q, "$__rate_interval", seconds(rate))
	if left := notExpanded.FindString(q); left != "" {
		t.Errorf("%s... is not expanded in %s", left, q)
	}
	return q
}

func alternatives(chosen []string, escape func(string) string) string {
	if chosen == nil {
		return everything
	}
	escaped := make([]string, len(chosen))
	for i, c := range chosen {
		escaped[i] = escape(c)
	}
	if len(escaped) == 1 {
		return escaped[0]
	}
	return "(" + strings.Join(escaped, "|") + ")"
}

var special = regexp.MustCompile(`[\\^$*+?.()|[\]{}/]`)

func escapedForRegex(s string) string { return special.ReplaceAllString(s, `\$0`) }

var promSpecial = regexp.MustCompile(`[$^*{}\[\]'+?.()|]`)

func escapedForProm(s string) string {
	return promSpecial.ReplaceAllString(strings.ReplaceAll(s, `\`, `\\\\`), `\\$0`)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d/time.Second)) + "s" }

// interval is the step of a panel a thousand pixels wide: one of those that
// people count in, not under the least.
func interval(t testing.TB, s span, least string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(least)
	if err != nil {
		t.Fatal(err)
	}
	want := s.to.Sub(s.from) / 1000
	for _, nice := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		15 * time.Minute, 30 * time.Minute, time.Hour,
	} {
		if nice >= want {
			return max(nice, d)
		}
	}
	return max(3*time.Hour, d)
}
