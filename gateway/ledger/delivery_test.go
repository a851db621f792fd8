package ledger

import (
	"reflect"
	"testing"

	"pilewatch/devices"
)

func raised(channel, flag string, at devices.Millis) Delivery {
	return Delivery{Channel: channel, FlagID: flag, Step: "raised/warning", At: at, State: DeliveryWaiting}
}

func over(channel, flag string, at devices.Millis) Delivery {
	return Delivery{Channel: channel, FlagID: flag, Step: StepCleared, At: at, State: DeliveryWaiting}
}

// told gives the flags and steps of what a channel is or was told since an instant.
func told(t *testing.T, l *Ledger, channel string, since devices.Millis) (lines []string) {
	t.Helper()
	ns, err := l.Notices(t.Context(), channel, since)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range ns {
		if n.Flag.ID != n.FlagID {
			t.Errorf("%s has the flag %q", n.FlagID, n.Flag.ID)
		}
		lines = append(lines, n.FlagID+" "+n.Step)
	}
	return lines
}

func TestADeliveryIsAnnouncedOnceAndAnEndOnlyToWhoKnowsTheBeginning(t *testing.T) {
	l := open(t, t.TempDir())
	var entries []Entry
	for _, id := range []string{"a", "b", "c"} {
		entries = append(entries, Entry{Kind: KindFlag, Flag: &Flag{ID: id, Severity: Warning, Status: StatusOpen}})
	}
	if _, err := l.Append(t.Context(), &Batch{Entries: entries}); err != nil {
		t.Fatal(err)
	}
	dropped := raised("office", "c", 3)
	dropped.State, dropped.DoneAt = DeliveryDropped, 3
	for range 2 { // as after a crash
		if err := l.Announce(t.Context(), raised("office", "a", 1), over("office", "a", 2), over("office", "b", 2), dropped, over("office", "c", 4), over("night", "a", 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(t, l, "office", 0), []string{"a raised/warning", "a cleared", "c raised/warning"}; !reflect.DeepEqual(got, want) {
		t.Errorf("office: %q, want %q", got, want)
	}
	if got := told(t, l, "night", 0); got != nil {
		t.Errorf("night: %q", got)
	}
	sent := raised("office", "a", 1)
	sent.State, sent.Message, sent.Attempts, sent.TriedAt, sent.DoneAt, sent.Error = DeliverySent, "id", 2, 90, 100, "HTTP 500"
	if err := l.SaveDeliveries(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	if err := l.Announce(t.Context(), raised("office", "a", 7)); err != nil {
		t.Fatal(err)
	}
	if ds, err := l.DeliveriesOf(t.Context(), "a"); err != nil || len(ds) != 2 || ds[0] != sent {
		t.Errorf("kept %+v, %v", ds, err)
	}
	if got, want := told(t, l, "office", 101), []string{"a cleared"}; !reflect.DeepEqual(got, want) {
		t.Errorf("since then: %q, want %q", got, want)
	}
}

func TestAChannelBeginsOnce(t *testing.T) {
	l := open(t, t.TempDir())
	if err := l.BeginChannel(t.Context(), "alert:office", 7, raised("office", "a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := l.BeginChannel(t.Context(), "alert:office", 9, raised("office", "b", 1)); err != nil {
		t.Fatal(err)
	}
	at, err := l.Cursor(t.Context(), "alert:office")
	ns, bad := l.Notices(t.Context(), "office", 0)
	if err != nil || bad != nil || at != 7 || len(ns) != 1 {
		t.Errorf("cursor %d, %d deliveries, %v %v", at, len(ns), err, bad)
	}
}

func TestWhatStandsCriticalIsRememberedAndTheRestLetGo(t *testing.T) {
	l := open(t, t.TempDir())
	var ds []Delivery
	var entries []Entry
	for id, f := range map[string]Flag{"stands": {Severity: Critical}, "over": {Severity: Critical, ClearedAt: 50}, "mild": {Severity: Warning}} {
		f.ID, f.Status = id, StatusOpen
		entries = append(entries, Entry{Kind: KindFlag, Cleared: f.ClearedAt != 0, Flag: &f})
		d := raised("office", id, 1)
		d.State, d.DoneAt = DeliverySent, 10
		ds = append(ds, d)
	}
	if _, err := l.Append(t.Context(), &Batch{Entries: entries}); err != nil {
		t.Fatal(err)
	}
	if err := l.SaveDeliveries(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, l, "office", 1000), []string{"stands raised/warning"}; !reflect.DeepEqual(got, want) {
		t.Errorf("long after: %q, want %q", got, want)
	}
	if _, err := l.Prune(t.Context(), 1000, 0, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, l, "office", 0), []string{"mild raised/warning", "stands raised/warning"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after retention: %q, want %q", got, want)
	}
}
