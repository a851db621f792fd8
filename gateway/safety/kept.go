package safety

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// Rejudge tries rules on the curves that a flag has in its evidence, for when the
// readings are no longer kept: whether the same rule would flag it again, as
// warning or more. ok is false where no curve can tell: there is none of power, or
// with the thresholds of that time the rule does not find on it what it had found
// then on all readings.
func Rejudge(rules Rules, rule string, kept json.RawMessage) (flagged, ok bool) {
	var ev struct {
		Curve      [][2]float64       `json:"curve"`
		Session    [][2]float64       `json:"session_curve"`
		PackWh     float64            `json:"pack_wh"`
		Thresholds map[string]float64 `json:"thresholds"`
	}
	if json.Unmarshal(kept, &ev) != nil || signOf(rule) == 0 {
		return false, false
	}
	then := Defaults()
	maps.Copy(then.Values[rule], ev.Thresholds)
	for _, curve := range [][][2]float64{ev.Curve, ev.Session} {
		if len(curve) < 2 {
			continue
		}
		t := &Trace{ID: rule, packMWh: int64(ev.PackWh * 1000)}
		first := math.Floor(curve[0][0])
		for _, p := range curve {
			t.Points = append(t.Points, [2]float64{p[0] - first, p[1]})
		}
		if raises(then, rule, t) {
			return raises(rules, rule, t), true
		}
	}
	return false, false
}

// raises reports whether a rule flags a trace, as warning or more.
func raises(rules Rules, rule string, t *Trace) bool {
	o, err := Judge(rules, t)
	return err == nil && slices.Contains(o.Rules, rule)
}
