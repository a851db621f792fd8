package ledger

import (
	"fmt"
	"testing"

	"pilewatch/gateway/session"
)

// TestSettingsAtAreThoseOfTheirTime changes the settings now and then, with and
// without a checkpoint behind the change, and asks for each entry.
func TestSettingsAtAreThoseOfTheirTime(t *testing.T) {
	l := open(t, t.TempDir())
	state := newState(t)
	want := map[Seq]string{}
	present := fmt.Sprint(session.DefaultSettings().StartMW)
	ask := func() {
		t.Helper()
		for at := Seq(1); at <= l.Head(); at++ {
			s, err := l.SettingsAt(t.Context(), at)
			if got := fmt.Sprint(s.StartMW); err != nil || got != want[at] {
				t.Fatalf("at %d of %d: start_w %s, want %s, %v", at, l.Head(), got, want[at], err)
			}
		}
	}
	want[1] = present
	for day := range 6 {
		s := session.DefaultSettings()
		s.StartMW = int64(1000 * (day/2 + 1)) // every other time the same again
		b := Batch{Entries: []Entry{{Kind: KindSettings, Settings: &s}}}
		if err := (Block{First: l.Head(), Entries: b.Entries}).Fold(state, func([]session.Change) {}); err != nil {
			t.Fatal(err)
		}
		first := l.mustAppend(t, b)
		present = fmt.Sprint(s.StartMW)
		want[first+1] = present
		charge(t, l, state, day, 10)
		for at := first + 1; at <= l.Head(); at++ {
			want[at] = present
		}
		ask()
		if day%3 == 1 {
			l.mustAppend(t, Batch{Checkpoints: map[string]Checkpoint{SessionCheckpoint: {State: pack(t, state)}}})
			ask()
		}
	}
}
