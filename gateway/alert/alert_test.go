package alert

import (
	"fmt"
	"testing"
	"time"

	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
)

func TestAFlagIsToldWithinASecondAndItsEndToo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		f := newFlag("f1")
		began := time.Now()
		w.say(f)
		wait(time.Second)
		want(t, p, "raised f1")
		if d := p.nth(0).at.Sub(began); d > time.Second {
			t.Errorf("it took %v", d)
		}
		wait(10 * time.Minute)
		w.say(cleared(f))
		wait(time.Second)
		want(t, p, "raised f1", "cleared f1")
	})
}

func TestARiseInSeverityIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p, committee := &phone{}, &phone{}
		w.start(channelOf("office", p), channelOf("committee", committee, func(c *config.Channel) { c.MinSeverity = ledger.Critical }))
		f := newFlag("f1")
		w.say(f)
		wait(time.Second)
		critical(f)
		f.Rose = ledger.Warning
		w.say(f)
		wait(time.Second)
		w.say(cleared(f))
		wait(time.Second)
		want(t, p, "raised f1", "raised f1", "cleared f1")
		want(t, committee, "raised f1", "cleared f1")
		if a, b := p.nth(0).DeliveryID, p.nth(1).DeliveryID; a == b {
			t.Errorf("both have the delivery id %s", a)
		}
	})
}

func TestAChannelIsToldOnlyWhatItAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		rules, buildings, all := &phone{}, &phone{}, &phone{}
		w.start(
			channelOf("rules", rules, func(c *config.Channel) { c.Rules = []string{"hot_burst"} }),
			channelOf("buildings", buildings, func(c *config.Channel) { c.Buildings = []string{"5"} }),
			channelOf("all", all, func(c *config.Channel) { c.MinSeverity = ledger.Info }))
		a, b := newFlag("a"), newFlag("b", at("P09", 1), func(f *ledger.Flag) { f.Building, f.Rule = "5", "hot_burst" })
		c := newFlag("c", at("P08", 1), func(f *ledger.Flag) { f.Severity = ledger.Info })
		cut := newFlag("cut", at("", 0), func(f *ledger.Flag) { f.Building, f.Rule = "", "pile_offline" })
		for _, f := range []*ledger.Flag{a, b, c, cut} {
			w.say(f)
			wait(2 * time.Second)
			w.say(cleared(f))
			wait(2 * time.Second)
		}
		want(t, rules, "raised b", "cleared b")
		want(t, buildings, "raised b", "cleared b", "raised cut", "cleared cut")
		if n := len(all.told()); n != 6 { // six a minute; the rest waits
			t.Errorf("all: %d messages: %q", n, all.told())
		}
		wait(2 * time.Minute)
		if n := len(all.told()); n < 7 || n > 8 {
			t.Errorf("all, later: %q", all.told())
		}
	})
}

func TestSeveralPortsOfAPileAreOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		a, b, c := newFlag("a", at("P03", 1)), newFlag("b", at("P03", 2)), newFlag("c", at("P01", 5))
		w.say(a)
		wait(300 * time.Millisecond)
		w.say(b, c)
		wait(2 * time.Second)
		want(t, p, "raised a b", "raised c")
		w.say(cleared(a), cleared(b))
		wait(2 * time.Second)
		want(t, p, "raised a b", "raised c", "cleared a b")
	})
}

func TestPilesThatFallSilentTogetherAreOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		offline := func(f *ledger.Flag) { f.Rule, f.Port = "pile_offline", 0 }
		w.say(newFlag("a", at("P01", 0), offline), newFlag("b", at("P02", 0), offline), newFlag("c", at("P03", 0), offline), newFlag("d", at("P04", 0), offline), newFlag("e", at("P05", 0), offline))
		wait(2 * time.Second)
		want(t, p, "raised a b c d e")
	})
}

func TestManyAtOnceAreOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		w.say(newFlag("a", at("P01", 1)), newFlag("b", at("P02", 1)), newFlag("c", at("P03", 1), critical), newFlag("d", at("P04", 1)))
		wait(2 * time.Second)
		want(t, p, "raised c a b d")
	})
}

func TestQuietHoursLetCriticalOnesPassAndTellTheRestAsOneAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p, func(c *config.Channel) { c.QuietHours = config.Hours{From: 23 * 60, To: 7 * 60}; c.Digest = "daily" }))
		wait(9 * time.Hour) // 00:04
		a, b, c := newFlag("a", at("P01", 1)), newFlag("b", at("P03", 2)), newFlag("c", at("P03", 7), critical)
		w.say(a)
		wait(time.Minute)
		w.say(b, c)
		wait(time.Minute)
		want(t, p, "raised c")
		w.judge("c", ledger.StatusAcknowledged)
		w.say(cleared(a), cleared(c))
		wait(time.Minute)
		want(t, p, "raised c", "cleared c")
		wait(6*time.Hour + 50*time.Minute) // 06:57
		want(t, p, "raised c", "cleared c")
		wait(5 * time.Minute)
		want(t, p, "raised c", "cleared c", "raised b a")
		if got := p.nth(2).at.In(shanghai).Format("15:04:05"); got != "07:00:00" {
			t.Errorf("told at %s", got)
		}
		wait(time.Hour)
		want(t, p, "raised c", "cleared c", "raised b a", "digest")
	})
}

func TestWhatIsToldAgainAndAgainIsToldOnceACoolDown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p, func(c *config.Channel) { c.CoolDown = 30 * time.Minute }))
		a, b, c := newFlag("a"), newFlag("b"), newFlag("c")
		for _, f := range []*ledger.Flag{a, b, c} {
			w.say(f)
			wait(time.Minute)
			w.say(cleared(f))
			wait(time.Minute)
		}
		want(t, p, "raised a", "cleared a")
		wait(30 * time.Minute)
		want(t, p, "raised a", "cleared a", "cleared b c")
		wait(time.Minute)
		w.say(newFlag("d", critical)) // graver than what was told
		wait(time.Second)
		want(t, p, "raised a", "cleared a", "cleared b c", "raised d")
	})
}

func TestACriticalFlagThatNobodyAcknowledgesIsToldAgainAndEscalates(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		office, night := &phone{}, &phone{}
		w.start(channelOf("office", office), channelOf("night", night, func(c *config.Channel) { c.EscalateAfter = 5 * time.Minute }))
		w.say(newFlag("f1", critical), newFlag("f2", at("P01", 1)))
		wait(4 * time.Minute)
		want(t, office, "raised f1", "raised f2")
		want(t, night)
		wait(2 * time.Minute)
		want(t, office, "raised f1", "raised f2", "repeated f1")
		want(t, night, "raised f1")
		wait(11 * time.Minute)
		want(t, office, "raised f1", "raised f2", "repeated f1", "repeated f1")
		w.judge("f1", ledger.StatusAcknowledged)
		wait(48 * time.Hour)
		want(t, night, "raised f1", "repeated f1")
		want(t, office, "raised f1", "raised f2", "repeated f1", "repeated f1")
	})
}

func TestAcknowledgingStopsTheEscalation(t *testing.T) {
	for _, status := range ledger.VerdictStatuses() {
		bubble(t, func(t *testing.T, w *world) {
			night := &phone{}
			w.start(channelOf("night", night, func(c *config.Channel) { c.EscalateAfter = 5 * time.Minute }))
			f := newFlag("f1", critical)
			w.say(f)
			wait(4 * time.Minute)
			w.judge("f1", status)
			wait(time.Hour)
			w.say(cleared(f))
			wait(time.Hour)
			want(t, night)
			if n := w.alerts.States()[0].Waiting; n != 0 {
				t.Errorf("%s: %d wait", status, n)
			}
		})
	}
}

func TestWhatWasOverBeforeItEscalatedIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		night := &phone{}
		w.start(channelOf("night", night, func(c *config.Channel) { c.EscalateAfter = 5 * time.Minute }))
		f := newFlag("f1", critical)
		w.say(f)
		wait(time.Minute)
		w.say(cleared(f))
		wait(time.Hour)
		want(t, night)
	})
}

func TestWhatIsToldAgainIsToldTogether(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		for n := range 8 {
			w.say(newFlag(fmt.Sprint("f", n), at(fmt.Sprint("P", n), 1), critical))
			wait(7 * time.Minute)
		}
		wait(24 * time.Hour)
		if n := len(p.told()); n > 45 { // alone they would be told 200 times
			t.Errorf("%d messages in a day about 8 flags: %q", n, p.told())
		}
	})
}

func TestRepetitionEndsAfterADay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		w.say(newFlag("f1", critical))
		wait(7 * 24 * time.Hour)
		if n := len(p.told()); n < 20 || n > 30 {
			t.Errorf("%d messages in a week", n)
		}
		if last := p.nth(len(p.told()) - 1).at; last.After(p.nth(0).at.Add(25 * time.Hour)) {
			t.Errorf("told last at %v", last)
		}
	})
}

func TestANewChannelIsToldOfWhatStandsAndNotOfThePast(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old, standing := newFlag("old"), newFlag("s1", at("P01", 1))
		w.say(old, standing, newFlag("s2", at("P03", 3), critical), newFlag("s3", at("P04", 1)), newFlag("s4", at("P05", 1)), newFlag("info", func(f *ledger.Flag) { f.Severity = ledger.Info }))
		w.say(cleared(old))
		wait(time.Hour)
		p := &phone{}
		w.start(channelOf("office", p, func(c *config.Channel) { c.Digest = "daily" }))
		wait(time.Minute)
		want(t, p, "raised s2 s1 s3 s4")
		w.say(cleared(standing))
		wait(time.Second)
		want(t, p, "raised s2 s1 s3 s4", "cleared s1")
		w.stop()
		w.start(channelOf("office", p), channelOf("other", &phone{}))
		wait(time.Second)
		want(t, p, "raised s2 s1 s3 s4", "cleared s1")
	})
}

func TestAChannelThatWasAwayForMonthsIsToldOfWhatStands(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		told := newFlag("told")
		w.say(told)
		wait(time.Second)
		w.stop()
		for n := range 60 {
			f := newFlag(fmt.Sprint("f", n), at(fmt.Sprint("P", n), 1))
			w.say(f)
			wait(24 * time.Hour)
			if n != 30 {
				w.say(cleared(f))
			}
		}
		w.say(cleared(told))
		wait(time.Second)
		w.start(channelOf("office", p))
		wait(10 * time.Minute)
		want(t, p, "raised told", "raised f30 told f53 f54 f55 f56 f57 f58 f59")
	})
}

func TestDigestsComeOnceAtTheirHourAndSurviveRestarts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		daily, weekly := &phone{}, &phone{}
		channels := []Channel{
			channelOf("daily", daily, func(c *config.Channel) { c.Digest = "daily" }),
			channelOf("weekly", weekly, func(c *config.Channel) { c.Digest = "weekly" }),
		}
		w.start(channels...)
		wait(16 * time.Hour) // 07:04
		want(t, daily)
		w.stop()
		wait(3 * time.Hour) // off at 08:00
		w.start(channels...)
		wait(time.Second)
		want(t, daily, "digest")
		w.stop()
		w.start(channels...)
		wait(4 * 24 * time.Hour) // Tuesday
		want(t, daily, "digest", "digest", "digest", "digest", "digest")
		want(t, weekly, "digest")
		if got := weekly.nth(0).at.In(shanghai).Format("Monday 15:04:05"); got != "Monday 08:00:00" {
			t.Errorf("the weekly one came on %s", got)
		}
	})
}

func TestAStateIsShownAgainBeforeItExpires(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		b := &board{every: time.Minute}
		w.say(newFlag("f0", at("P01", 1)))
		w.start(channelOf("am", b, func(c *config.Channel) { c.QuietHours = config.Hours{From: 0, To: 24*60 - 1} }))
		f := newFlag("f1", critical)
		w.say(f)
		wait(150 * time.Second)
		want(t, &b.phone, "raised f0", "raised f1") // no quiet hours, no repetition: it has its own
		w.judge("f0", ledger.StatusFalseAlarm)
		w.say(cleared(f))
		wait(time.Minute)
		want(t, &b.phone, "raised f0", "raised f1", "cleared f1")
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(b.shown); n < 3 || b.shown[1] != "f0 f1" && b.shown[1] != "f1 f0" || b.shown[n-1] != "" {
			t.Errorf("shown %q", b.shown)
		}
	})
}
