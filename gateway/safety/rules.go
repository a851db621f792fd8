package safety

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/session"
)

// IDs are the ids of all rules, as the public interface lists them.
var IDs = []string{
	"over_power", "second_load", "two_tapers", "excess_energy", "over_time", "resistive_load", "hot_burst",
	"cycling_load", "profile_mismatch", "card_concurrency", "household_volume", "silent_bike", "back_to_back",
	"overstay", "port_temperature", "zombie_bike", "unauthorised_draw", "meter_imbalance", "device_alarm", "pile_offline",
}

// Rule is a row of [All].
type Rule struct {
	ID string
	// Version is kept with each flag, so that a verdict is on the rule that raised it.
	Version int
	// Defaults are the thresholds; the unit is in the name.
	Defaults map[string]float64
	// Max are the largest values that the remembered past allows.
	Max map[string]float64
	// Coarsest is the longest reporting interval at which the rule sees all that
	// it promises; 0 for any.
	Coarsest time.Duration

	ofCharge bool // it looks at ports with an open session alone
	build    func(thresholds) detector
}

// All are the rules, in the order in which they look at a reading.
var All = []Rule{
	{ID: "over_power", Version: 2, Defaults: overPowerDefaults, Max: overPowerMax, Coarsest: 6 * time.Minute, build: newOverPower},
	{ID: "hot_burst", Version: 1, Defaults: hotBurstDefaults, Max: hotBurstMax, Coarsest: 150 * time.Second, build: newHotBurst},
	{ID: "second_load", Version: 4, Defaults: secondLoadDefaults, Max: secondLoadMax, Coarsest: 70 * time.Second, ofCharge: true, build: newSecondLoad},
	{ID: "two_tapers", Version: 3, Defaults: twoTapersDefaults, Max: twoTapersMax, Coarsest: 6 * time.Minute, ofCharge: true, build: newTwoTapers},
	{ID: "cycling_load", Version: 3, Defaults: cyclingLoadDefaults, Coarsest: 70 * time.Second, ofCharge: true, build: newCyclingLoad},
	{ID: "resistive_load", Version: 3, Defaults: resistiveLoadDefaults, Coarsest: 6 * time.Minute, ofCharge: true, build: newResistiveLoad},
	{ID: "excess_energy", Version: 2, Defaults: excessEnergyDefaults, ofCharge: true, build: newExcessEnergy},
	{ID: "over_time", Version: 1, Defaults: overTimeDefaults, ofCharge: true, build: newOverTime},
	{ID: "profile_mismatch", Version: 1, Defaults: profileMismatchDefaults, ofCharge: true, build: newProfileMismatch},
	{ID: "card_concurrency", Version: 1, Defaults: cardConcurrencyDefaults, build: newCardConcurrency},
	{ID: "household_volume", Version: 1, Defaults: householdVolumeDefaults, build: newHouseholdVolume},
	{ID: "silent_bike", Version: 1, Defaults: silentBikeDefaults, build: newSilentBike},
	{ID: "back_to_back", Version: 2, Defaults: backToBackDefaults, build: newBackToBack},
	{ID: "overstay", Version: 1, Defaults: overstayDefaults, build: newOverstay},
	{ID: "port_temperature", Version: 1, Defaults: portTemperatureDefaults, build: newPortTemperature},
	{ID: "zombie_bike", Version: 1, Defaults: zombieBikeDefaults, build: newZombieBike},
	{ID: "unauthorised_draw", Version: 2, Defaults: unauthorisedDrawDefaults, build: newUnauthorisedDraw},
	{ID: "meter_imbalance", Version: 1, Defaults: meterImbalanceDefaults, build: newMeterImbalance},
	{ID: "device_alarm", Version: 1, Defaults: deviceAlarmDefaults, build: newDeviceAlarm},
	{ID: "pile_offline", Version: 1, Defaults: pileOfflineDefaults, build: newPileOffline},
}

// Days is a span of days, both included, as 2006-01-02 in the estate's zone.
type Days struct{ From, To string }

// Rules are thresholds for the rules, by id and key, and which of them are off.
type Rules struct {
	Holidays []Days // when people are away: no bike is missed
	Values   map[string]map[string]float64
	Off      map[string]bool
}

// Defaults gives the default thresholds of every built rule, all of them on.
// What it gives may be changed.
func Defaults() Rules {
	r := Rules{Values: map[string]map[string]float64{}, Off: map[string]bool{}}
	for i := range All {
		r.Values[All[i].ID] = maps.Clone(All[i].Defaults)
	}
	return r
}

// Keys gives the thresholds that each rule knows, sorted, by id.
func Keys() map[string][]string {
	keys := map[string][]string{}
	for i := range All {
		keys[All[i].ID] = slices.Sorted(maps.Keys(All[i].Defaults))
	}
	return keys
}

// maxThreshold is above any threshold that a rule could have, whatever its unit.
const maxThreshold = 1e9

// Set changes one threshold. The error lists what may be set.
func (r Rules) Set(rule, key string, v float64) error {
	values, ok := r.Values[rule]
	if !ok {
		return fmt.Errorf("no rule %q: choose one of %s", rule, strings.Join(IDs, ", "))
	}
	if _, ok := values[key]; !ok {
		return fmt.Errorf("rule %s has no threshold %q: choose one of %s", rule, key, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	if most := largest(rule, key); !(v >= 0 && v <= most) {
		return fmt.Errorf("rule %s: %s is %v: give a number from 0 to %v", rule, key, v, most)
	}
	values[key] = v
	return nil
}

// largest is the largest value that a threshold may have.
func largest(rule, key string) float64 {
	for i := range All {
		if most, ok := All[i].Max[key]; ok && All[i].ID == rule {
			return most
		}
	}
	return maxThreshold
}

// Enable switches a rule on or off. A rule that is not built may be switched
// too: then it stays off, or on, when a later version builds it.
func (r Rules) Enable(rule string, on bool) error {
	if !slices.Contains(IDs, rule) {
		return fmt.Errorf("no rule %q: choose one of %s", rule, strings.Join(IDs, ", "))
	}
	r.Off[rule] = !on
	return nil
}

// thresholds are the values of one rule.
type thresholds map[string]float64

func (t thresholds) mW(key string) int64               { return int64(t[key] * 1000) }
func (t thresholds) mWh(key string) int64              { return int64(t[key] * 1_000_000) } // of kWh
func (t thresholds) minutes(key string) devices.Millis { return devices.Millis(t[key] * 60_000) }
func (t thresholds) hours(key string) devices.Millis   { return devices.Millis(t[key] * 3_600_000) }
func (t thresholds) seconds(key string) devices.Millis { return devices.Millis(t[key] * 1000) }

// A detector is a rule with its thresholds. It is one or more of the following.
type detector any

// A watcher looks at a port after each of its readings.
type watcher interface {
	// see says what the port shows, by what it remembers. stands is the level of
	// the rule's flag that stands there, or none. It allocates nothing.
	see(p *port, stands level) level
	// tell says it in words and numbers, when a flag is raised.
	tell(p *port, l level) story
}

// A modeller sets thresholds of the model of one charge.
type modeller interface {
	limit(x *limits)
}

// A listener hears the events of ports and piles, and every reading that might
// end what it said.
type listener interface {
	event(e *Engine, a *active, at place, ev *devices.Event)
	reading(e *Engine, a *active, at place, r *devices.Reading)
}

// A follower hears of every change of a session, after the port has taken it over.
type follower interface {
	follow(e *Engine, a *active, at place, change session.ChangeKind, s *session.Session)
}

// A hourly rule looks at the estate once an hour of receipt.
type hourly interface {
	hour(e *Engine, a *active, now devices.Millis)
}

// A meterer hears what a pile says of itself.
type meterer interface {
	status(e *Engine, a *active, p *pile, s *devices.Status)
}

// level is what a rule says of what it sees.
type level uint8

const (
	unsure   level = iota // not enough is known: what stands, stands
	none                  // the condition is not there
	info                  // worth knowing
	warning               // a visit
	critical              // at once
)
