package channel

import (
	"context"
	"strconv"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// Alertmanager forgets what it is not told again. Every keepEvery it hears that a
// flag stands, and for how long it may believe that: a gateway that restarts
// takes nothing back, one that is gone for good does, after keepFor.
const (
	keepEvery = 2 * time.Minute
	keepFor   = 15 * time.Minute
)

const alertsPath = "/api/v2/alerts"

// alertmanager shows flags as alerts of the API v2. The labels are what makes an
// alert the same: a flag has the same from start to end, but for its severity. A
// flag that rises ends the alert of its lower severity and starts one of the
// higher.
type alertmanager struct {
	*poster
	url     string // of the API
	english bool
	estate  string // its id
	link    func(flagID string) string
}

type alert struct {
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (a *alertmanager) Send(ctx context.Context, m Message) (string, error) {
	var alerts []alert
	for i := range m.Flags {
		alerts = append(alerts, a.alerts(&m.Flags[i])...)
	}
	switch {
	case m.Kind == Test:
		alerts = []alert{a.test(m)}
	case len(alerts) == 0:
		return "not sent: Alertmanager takes flags, and this message has none", nil
	}
	return a.tell(ctx, alerts)
}

// Every is how often Keep is to be called.
func (a *alertmanager) Every() time.Duration { return keepEvery }

// Keep tells that flags stand.
func (a *alertmanager) Keep(ctx context.Context, open []ledger.Flag) error {
	var alerts []alert
	for i := range open {
		alerts = append(alerts, a.alerts(&open[i])...)
	}
	if len(alerts) == 0 {
		return nil
	}
	_, err := a.tell(ctx, alerts)
	return err
}

func (a *alertmanager) tell(ctx context.Context, alerts []alert) (string, error) {
	body, err := compact(alerts)
	if err != nil {
		return "", never(err)
	}
	reply, err := a.post(ctx, a.url, nil, body)
	if err != nil {
		return "", err
	}
	return httpAnswer(reply), a.taken(reply)
}

// alerts gives a flag's alert and, as long as it might still be believed, the end
// of the one of the severity that it rose from.
func (a *alertmanager) alerts(f *ledger.Flag) []alert {
	end := a.now().Add(keepFor)
	if f.ClearedAt != 0 {
		end = f.ClearedAt.Time()
	}
	if f.Rose == "" {
		return []alert{a.alert(f, f.Severity, f.RaisedAt, end)}
	}
	alerts := []alert{a.alert(f, f.Severity, f.SeverityAt, end)}
	if rose := f.SeverityAt.Time(); a.now().Before(rose.Add(keepFor)) {
		alerts = append(alerts, a.alert(f, f.Rose, f.RaisedAt, rose))
	}
	return alerts
}

func (a *alertmanager) alert(f *ledger.Flag, severity string, start devices.Millis, end time.Time) alert {
	summary, advice := f.Message, f.Advice
	if a.english {
		summary, advice = f.MessageEN, f.AdviceEN
	}
	labels := map[string]string{
		"alertname": f.Rule, "job": "pilewatch", "estate": a.estate, "severity": severity, "flag": f.ID,
		"suspicion": f.Suspicion, "building": f.Building, "pile": f.Pile, // an empty one is none
	}
	if f.Port != 0 {
		labels["port"] = strconv.Itoa(int(f.Port))
	}
	for name, value := range labels {
		if labels[name] = strings.ToValidUTF8(value, "\uFFFD"); value == "" {
			delete(labels, name)
		}
	}
	return alert{
		StartsAt: rfc3339(start.Time()), EndsAt: rfc3339(end), Labels: labels,
		Annotations: map[string]string{"summary": summary, "description": advice}, GeneratorURL: a.link(f.ID),
	}
}

// test is an alert that ends by itself.
func (a *alertmanager) test(m Message) alert {
	return alert{
		StartsAt: rfc3339(a.now()), EndsAt: rfc3339(a.now().Add(time.Minute)),
		Labels:      map[string]string{"alertname": "pilewatch_test", "job": "pilewatch", "estate": a.estate, "severity": m.Severity},
		Annotations: map[string]string{"summary": m.Title, "description": m.Text}, GeneratorURL: m.Link,
	}
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
