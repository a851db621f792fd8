package session

import (
	"reflect"
	"testing"

	"pilewatch/devices"
)

func TestASessionBelongsToWhoHeldTheCardWhenItStarted(t *testing.T) {
	s := DefaultSettings()
	s.Cards = map[string]Card{"A": {Household: "3-202", From: 2000}}
	s.FormerCards = map[string][]Card{"A": {{Household: "1-603", To: 1000}}}
	for at, want := range map[int64]string{0: "1-603", 999: "1-603", 1000: "", 1999: "", 2000: "3-202", 1 << 40: "3-202"} {
		if got := s.holder("A", devices.Millis(at)).Household; got != want {
			t.Errorf("at %d: %q, want %q", at, got, want)
		}
	}
}

// TestARegistryThatChangesKeepsWhoHeldACard runs through a card's life as a
// manager types it, without dates.
func TestARegistryThatChangesKeepsWhoHeldACard(t *testing.T) {
	registry := func(household string) Settings {
		s := DefaultSettings()
		if household != "" {
			s.Cards = map[string]Card{"A": {Household: household, Bikes: 1}}
		}
		return s
	}
	s := registry("1-603")
	for _, step := range []struct {
		household string
		at        int64
		now       map[string]Card
		former    map[string][]Card
	}{
		{"1-603", 1000, map[string]Card{"A": {Household: "1-603", Bikes: 1}}, nil},
		{"3-202", 2000, map[string]Card{"A": {Household: "3-202", Bikes: 1, From: 2000}}, map[string][]Card{"A": {{Household: "1-603", Bikes: 1, To: 2000}}}},
		{"3-202", 3000, map[string]Card{"A": {Household: "3-202", Bikes: 1, From: 2000}}, map[string][]Card{"A": {{Household: "1-603", Bikes: 1, To: 2000}}}},
		{"", 4000, nil, map[string][]Card{"A": {{Household: "1-603", Bikes: 1, To: 2000}, {Household: "3-202", Bikes: 1, From: 2000, To: 4000}}}},
		{"", 5000, nil, map[string][]Card{"A": {{Household: "1-603", Bikes: 1, To: 2000}, {Household: "3-202", Bikes: 1, From: 2000, To: 4000}}}},
		{"2-101", 6000, map[string]Card{"A": {Household: "2-101", Bikes: 1, From: 6000}},
			map[string][]Card{"A": {{Household: "1-603", Bikes: 1, To: 2000}, {Household: "3-202", Bikes: 1, From: 2000, To: 4000}}}},
	} {
		s = registry(step.household).After(s, devices.Millis(step.at))
		if !reflect.DeepEqual(s.Cards, step.now) || !reflect.DeepEqual(s.FormerCards, step.former) {
			t.Fatalf("%q at %d: %+v, before %+v", step.household, step.at, s.Cards, s.FormerCards)
		}
	}
	dated := registry("9-999")
	dated.FormerCards = map[string][]Card{"A": {{Household: "8-888", To: 10}}}
	if got := dated.After(s, devices.Millis(7000)); !reflect.DeepEqual(got, dated) {
		t.Errorf("the registry's own dates were not believed: %+v", got)
	}
}
