package ledger

import (
	"errors"
	"log/slog"
	"testing"
)

func TestALedgerOfVersionOneLearnsVerdicts(t *testing.T) {
	dir := t.TempDir()
	version1(t, dir)
	l, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if all, err := l.Verdicts(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("before: %v, %v", all, err)
	}
	if _, err := l.Append(t.Context(), &Batch{Entries: []Entry{{Kind: KindFlag, Flag: &Flag{ID: "f", Rule: "over_time", Status: StatusOpen, Evidence: []byte(`{"a":1}`)}}}}); err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{StatusFalseAlarm, StatusConfirmed, StatusAcknowledged} {
		if _, err := l.Judge(t.Context(), &Verdict{FlagID: "f", Status: status}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := l.Verdicts(t.Context())
	if err != nil || len(all) != 3 || all[0].Rule != "over_time" || string(all[0].Evidence) != `{"a":1}` {
		t.Errorf("after: %+v, %v", all, err)
	}
	if last := Latest(all); len(last) != 1 || last[0].Status != StatusConfirmed {
		t.Errorf("latest %+v", last)
	}
	if _, err := l.Judge(t.Context(), &Verdict{FlagID: "none", Status: StatusConfirmed}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a flag that is none: %v", err)
	}
	if _, err := l.Judge(t.Context(), &Verdict{FlagID: "f", Status: StatusOpen}); !errors.Is(err, ErrVerdict) {
		t.Errorf("a status that is none: %v", err)
	}
	// What the rules say later of the flag leaves what a person said.
	if _, err := l.Append(t.Context(), &Batch{Entries: []Entry{{Kind: KindFlag, Cleared: true, Flag: &Flag{ID: "f", Rule: "over_time", Status: StatusOpen, ClearedAt: 9}}}}); err != nil {
		t.Fatal(err)
	}
	if f, err := l.Flag(t.Context(), "f"); err != nil || f.Status != StatusAcknowledged || f.ClearedAt != 9 {
		t.Errorf("flag %+v, %v", f, err)
	}
}
