package safety

import "slices"

// sign is what a rule saw in a session, in a few words.
type sign struct{ rule, zh, en string }

// signs are the rules whose flags are about the curve of one session, in the
// order in which they are named. A charge remembers them as bits.
var signs = [...]sign{
	{"second_load", "中途加接过负载", "a load that was added in mid-charge"},
	{"two_tapers", "不止一次充满的下降", "a fall that is not that of one charge"},
	{"cycling_load", "有通断的电器", "a load that comes and goes"},
	{"hot_burst", "短时大功率", "a short burst of high power"},
	{"resistive_load", "不升不降的负载", "a load without a battery's curve"},
	{"over_power", "功率偏大", "more power than the largest charger"},
	{"excess_energy", "用电偏多", "more energy than a battery holds"},
	{"over_time", "时间偏长", "more hours than a charge takes"},
	{"profile_mismatch", "与该卡平时不同", "another power than is usual for the card"},
}

// concludes reports whether a sign is of this curve, and not of the card's habit,
// which adds weight and concludes nothing.
func (s sign) concludes() bool { return s.rule != "profile_mismatch" }

// seen is the set of signs of a session.
type seen uint16

func signOf(rule string) seen {
	i := slices.IndexFunc(signs[:], func(s sign) bool { return s.rule == rule })
	if i < 0 {
		return 0
	}
	return 1 << i
}

// of reports whether a rule is among them.
func (s seen) of(rule string) bool { return s&signOf(rule) != 0 }

// among reports whether one of some rules is.
func (s seen) among(rules ...string) bool { return slices.ContainsFunc(rules, s.of) }

// others are the signs without those of a rule.
func (s seen) others(rule string) (out []sign) {
	for i := range signs {
		if s&(1<<i) != 0 && signs[i].rule != rule {
			out = append(out, signs[i])
		}
	}
	return out
}

// conclude gives the one suspicion that all signs of a session lead to; alone is
// that of the newest sign by itself.
//
// A load that was added, and then a second taper or something that comes and goes,
// is a power strip on a pile socket (domain.md, Overuse rules); so is what draws as
// much as a kettle and tapers twice. What bursts or comes and goes is else an
// appliance, however much or long it draws; so is what neither rises nor falls,
// until it draws for too many hours: then it may as well be a charger that does not
// end, as is a fall that came to a stand. What is large in power and in energy is a
// large charger where it is one charger's curve: also where it draws as much as a
// kettle, when the power moves as a battery's does, and no heater's.
func (s seen) conclude(alone string, moves bool) string {
	strip, long := s.among("second_load", "two_tapers"), s.of("over_time")
	switch {
	case s.of("second_load") && s.among("two_tapers", "cycling_load"), s.of("two_tapers") && s.of("hot_burst"):
		return "power_strip"
	case moves && !strip && s.of("hot_burst") && s.of("excess_energy") && !s.among("cycling_load", "resistive_load"):
		return "oversize_charger"
	case s.among("cycling_load", "hot_burst"), s.of("resistive_load") && !long:
		return "appliance"
	case long && !s.of("second_load"):
		return "overlong"
	case s.of("over_power") && s.of("excess_energy") && !strip:
		return "oversize_charger"
	}
	return alone
}

// join takes a sign into what is known of the session, and the session's other
// signs into the story: one suspicion, and what else it rests on.
func (c *charge) join(rule string, s *story) {
	if signOf(rule) == 0 {
		return
	}
	c.Seen |= signOf(rule)
	s.also = c.Seen.others(rule)
	if !(sign{rule: rule}).concludes() {
		return
	}
	if joint := c.Seen.conclude(s.suspicion, c.Model != nil && c.Model.moves()); joint != s.suspicion {
		s.suspicion = joint
		s.adviceZH, s.adviceEN = adviceFor(joint)
	}
	if len(s.also) > 0 && s.numbers != nil {
		var with []string
		for _, x := range s.also {
			with = append(with, x.rule)
		}
		s.numbers["with"] = with
	}
}
