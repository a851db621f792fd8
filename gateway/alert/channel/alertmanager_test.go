package channel

import (
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/realserver"
)

func TestRealAlertmanagerShowsAFlagFromStartToEnd(t *testing.T) {
	am := realserver.Alertmanager(t)
	now := time.Now().Truncate(time.Second)
	o := options()
	o.Now = nil
	s := open(t, "{type: alertmanager, url: '"+am.URL+"'}", o)
	keep := s.(Keeper)

	f := burst()
	f.Severity, f.RaisedAt = ledger.Warning, devices.MillisOf(now.Add(-time.Minute))
	m := message(Raised, "zh-CN")
	m.Flags = []ledger.Flag{f}
	answer, err := s.Send(t.Context(), m)
	if err != nil {
		t.Fatal(answer, err)
	}
	got := am.Alerts()
	if len(got) != 1 || got[0].Labels["alertname"] != "hot_burst" || got[0].Labels["severity"] != "warning" || got[0].Labels["port"] != "2" ||
		!got[0].StartsAt.Equal(f.RaisedAt.Time()) || got[0].GeneratorURL != m.Link || got[0].Annotations["summary"] != f.Message {
		t.Fatalf("raised: %+v", got)
	}
	first := got[0].EndsAt
	if left := first.Sub(now); left <= 2*keep.Every() {
		t.Errorf("it expires in %v, and is told again every %v", left, keep.Every())
	}

	// Told again, it lives on, and is the same alert.
	if err := keep.Keep(t.Context(), []ledger.Flag{f}); err != nil {
		t.Fatal(err)
	}
	if got := am.Alerts(); len(got) != 1 || !got[0].EndsAt.After(first) || !got[0].StartsAt.Equal(f.RaisedAt.Time()) {
		t.Fatalf("kept: %+v", got)
	}

	// It rises: one alert, of the new severity.
	f.Rose, f.Severity, f.SeverityAt = f.Severity, ledger.Critical, devices.MillisOf(now.Add(-10*time.Second))
	if err := keep.Keep(t.Context(), []ledger.Flag{f}); err != nil {
		t.Fatal(err)
	}
	if got := am.Alerts(); len(got) != 1 || got[0].Labels["severity"] != "critical" {
		t.Fatalf("risen: %+v", got)
	}

	f.ClearedAt = devices.MillisOf(now.Add(-time.Second))
	m.Kind, m.Flags = Cleared, []ledger.Flag{f}
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := am.Alerts(); len(got) != 0 {
		t.Fatalf("cleared: %+v", got)
	}
	if err := keep.Keep(t.Context(), nil); err != nil {
		t.Errorf("nothing to keep: %v", err)
	}
	for _, kind := range []string{Test, Digest} {
		if answer, err := s.Send(t.Context(), message(kind, "en")); err != nil || answer == "" {
			t.Errorf("%s: %q, %v", kind, answer, err)
		}
	}
	if got := am.Alerts(); len(got) != 1 || got[0].Labels["alertname"] != "pilewatch_test" {
		t.Errorf("test: %+v", got)
	}
}

func TestRealAlertmanagerRefusalIsFinal(t *testing.T) {
	am := realserver.Alertmanager(t)
	m := message(Raised, "en")
	m.Flags[0].RaisedAt, m.Flags[0].ClearedAt = devices.MillisOf(time.Now()), 1 // ends before it starts
	_, err := open(t, "{type: alertmanager, url: '"+am.URL+"'}", live(nil)).Send(t.Context(), m)
	wants(t, err, "never", "start time must be before end time")
	_, err = open(t, "{type: alertmanager, url: '"+am.URL+"/elsewhere'}", live(nil)).Send(t.Context(), m)
	wants(t, err, "after 5m0s", "check url")
	am.Stop()
	_, err = open(t, "{type: alertmanager, url: '"+am.URL+"'}", live(nil)).Send(t.Context(), m)
	wants(t, err, "again", "connection refused")
}
