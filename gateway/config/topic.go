package config

import (
	"fmt"
	"strings"
)

// A topic in the configuration is an MQTT topic filter, and may have text
// beside a +, as in +/status/switch:+. Brokers refuse that, so they are asked
// for the whole level, and what comes too much is passed over.

// Filter gives what a broker is asked for: a valid MQTT topic filter, which may
// let through more than Matches does.
func (s Subscription) Filter() string {
	levels := strings.Split(s.Topic, "/")
	for i, level := range levels {
		if strings.Contains(level, "+") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// Matches reports whether the subscription is for a topic. A message that no
// subscription is for was not asked for, and is none that cannot be read.
func (s Subscription) Matches(topic string) bool {
	filter := s.Topic
	if strings.HasPrefix(filter, "$share/") {
		filter = strings.SplitN(filter, "/", 3)[2]
	}
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false // the broker's own topics are in no wildcard
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, names, moreNames := strings.Cut(topic, "/")
		if !matchesLevel(level, name) || more && !moreNames && rest != "#" || !more && moreNames {
			return false
		}
		if !moreNames { // a/# is for a, too
			return true
		}
		filter, topic = rest, names
	}
}

func matchesLevel(level, name string) bool {
	before, after, wild := strings.Cut(level, "+")
	if !wild {
		return level == name
	}
	return len(name) >= len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

// checkTopic holds that Filter gives a valid filter.
func checkTopic(s string) error {
	if s == "" || len(s) > 65535 || strings.Contains(s, "\x00") {
		return fmt.Errorf("%d bytes: expected a topic filter such as pilewatch/v1/+/+/#", len(s))
	}
	levels := strings.Split(s, "/")
	for i, level := range levels {
		if strings.Count(level, "+") > 1 || strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) {
			return fmt.Errorf("%q: expected a + at most once a level, and # only as the last level", s)
		}
	}
	if levels[0] == "$share" && (len(levels) < 3 || levels[1] == "" || strings.Contains(levels[1], "+") || s == "$share/"+levels[1]+"/") {
		return fmt.Errorf("%q: expected $share/group/filter", s)
	}
	return nil
}
