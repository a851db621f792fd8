package config

import "testing"

func TestTopicsAreAskedForAsBrokersAllow(t *testing.T) {
	for topic, want := range map[string]string{
		"pilewatch/v1/+/+/#": "pilewatch/v1/+/+/#", "tele/+/SENSOR": "tele/+/SENSOR", "+/status/switch:+": "+/status/+",
		"a+/b/#": "+/b/#", "$share/g/a:+/b": "$share/g/+/b", "/": "/",
	} {
		if got := (Subscription{Topic: topic}).Filter(); got != want || checkTopic(topic) != nil {
			t.Errorf("%s is asked for as %s (%v), want %s", topic, got, checkTopic(topic), want)
		}
	}
}

func TestTopicsMatchAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"pilewatch/v1/+/+/#", "pilewatch/v1/fuxing/P01/telemetry", true},
		{"pilewatch/v1/+/+/#", "pilewatch/v1/fuxing/P01", true}, // # is for the level above, too
		{"pilewatch/v1/+/+/#", "pilewatch/v1/fuxing/P01/a/b", true},
		{"pilewatch/v1/+/+/#", "pilewatch/v1/fuxing", false},
		{"pilewatch/v1/+/+/#", "pilewatch/v2/fuxing/P01/telemetry", false},
		{"tele/+/SENSOR", "tele/plug/SENSOR", true},
		{"tele/+/SENSOR", "tele//SENSOR", true},
		{"tele/+/SENSOR", "tele/plug/STATE", false},
		{"tele/+/SENSOR", "tele/plug/SENSOR/x", false},
		{"tele/+/SENSOR", "tele/plug", false},
		{"+/status/switch:+", "shelly-1/status/switch:0", true},
		{"+/status/switch:+", "shelly-1/status/switch:12", true},
		{"+/status/switch:+", "shelly-1/status/wifi", false},
		{"+/status/switch:+", "shelly-1/status/switch", false},
		{"+/status/switch:+", "shelly-1/events/switch:0", false},
		{"ab+ba/x", "aba/x", false}, // before and after do not overlap
		{"ab+ba/x", "abba/x", true},
		{"#", "a/b", true},
		{"#", "$SYS/broker/uptime", false},
		{"+/broker/uptime", "$SYS/broker/uptime", false},
		{"$SYS/#", "$SYS/broker/uptime", true},
		{"$share/gateways/a/+", "a/b", true},
		{"$share/gateways/a/+", "gateways/a/b", false},
		{"a/+", "a/", true},
		{"a", "a/", false},
		{"a/", "a", false},
	} {
		if got := (Subscription{Topic: c.filter}).Matches(c.topic); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.filter, c.topic, got, c.want)
		}
	}
}
