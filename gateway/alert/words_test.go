package alert

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

var update = flag.Bool("update", false, "write the goldens anew")

// golden compares a message with a file of its words.
func golden(t *testing.T, name string, m channel.Message) {
	t.Helper()
	got := fmt.Sprintf("kind: %s\nseverity: %s\nat: %s\nlink: %s\ntitle: %s\n\n%s\n", m.Kind, m.Severity, m.At.Format(time.RFC3339), m.Link, m.Title, m.Text)
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", path, got, want)
	}
}

var afternoon = devices.MillisOf(time.Date(2026, 11, 26, 15, 4, 0, 0, shanghai))

func minutes(n int) devices.Millis { return afternoon + devices.Millis(n)*60_000 }

// told makes the draft of steps of flags.
func told(steps map[string][]*ledger.Flag, order ...string) *draft {
	d := &draft{id: "0123456789abcdef01234567"}
	for _, step := range order {
		for _, f := range steps[step] {
			d.notices = append(d.notices, ledger.Notice{Delivery: ledger.Delivery{FlagID: f.ID, Step: step, At: minutes(12)}, Flag: *f})
		}
	}
	return d
}

func one(step string, fs ...*ledger.Flag) *draft {
	return told(map[string][]*ledger.Flag{step: fs}, step)
}

func sample(edit ...func(*ledger.Flag)) *ledger.Flag {
	return newFlag("second_load-P03-2-20261126T070400Z", append([]func(*ledger.Flag){func(f *ledger.Flag) { f.RaisedAt = afternoon }}, edit...)...)
}

func id(s string) func(*ledger.Flag) { return func(f *ledger.Flag) { f.ID = s } }

func over(n int) func(*ledger.Flag) { return func(f *ledger.Flag) { f.ClearedAt = minutes(n) } }

func kettle(f *ledger.Flag) {
	f.ID, f.Rule, f.Severity, f.Suspicion, f.Pile, f.Port, f.Building = "hot_burst-P01-5-20261126T070400Z", "hot_burst", ledger.Critical, "appliance", "P01", 5, "1"
	f.Message = "1号楼 P01 桩 5 号口，11月26日 15:04：功率达到 1850 W。疑似接入了充电器以外的电器，请上门了解情况并提供帮助。"
	f.MessageEN = "Building 1, pile P01, port 5, 26 Nov 15:04: the power reached 1850 W. Something other than a charger is suspected: please visit and offer help."
	f.Advice, f.AdviceEN = "请看看插口上接的是什么，插头和线是否发热。", "See what is plugged in, and whether plug and cable are warm."
}

func cut(f *ledger.Flag) {
	f.ID, f.Rule, f.Suspicion, f.Pile, f.Port, f.Building, f.Household = "pile_offline-estate-0-20261126T070400Z", ruleOffline, "hardware", "", 0, "", ""
	f.Evidence = json.RawMessage(`{"piles":["P01","P03","P09"]}`)
	f.Message = "小区，11月26日 15:04：3 台桩同时失去联系，像是停电或网络中断。疑似设备或线路问题，请尽快到现场查看。"
	f.MessageEN = "The estate, 26 Nov 15:04: 3 piles fell silent together, as in a power cut or a broken network. A fault of the equipment is suspected: please look at it soon."
	f.Advice, f.AdviceEN = "请查看小区供电和网络。", "Look at the estate's power supply and network."
}

func silentBike(f *ledger.Flag) {
	f.ID, f.Rule, f.Severity, f.Suspicion, f.Pile, f.Port = "silent_bike-estate-0-20261126T070400Z", "silent_bike", ledger.Info, "home_charging", "", 0
	f.Message = "3号楼，11月26日 15:04：一辆登记的车 16 天没有来充电，平时约每 4 天一次。可能改在家里充电，请上门了解情况并提供帮助。"
	f.MessageEN = "Building 3, 26 Nov 15:04: a registered bike has not charged for 16 days; it used to every 4. It may be charged at home now: please visit and offer help."
	f.Advice, f.AdviceEN = "请了解为什么不来充电：距离、价格、刷卡、电池太重，还是车已不用。", "Ask why it stopped coming: distance, price, the card, a heavy battery, or the bike is gone."
}

func water(f *ledger.Flag) {
	f.ID, f.Evidence = "device_alarm-water-P03-2-20261126T070400Z", json.RawMessage(`{"alarm":"water"}`)
	f.Advice, f.AdviceEN = "有水时不要触碰，在安全处断电。", "With water touch nothing, and switch the power off from a safe place."
}

func smoke(f *ledger.Flag) {
	f.ID, f.Rule, f.Severity, f.Suspicion, f.Evidence = "device_alarm-smoke-P03-2-20261126T070400Z", ruleAlarm, ledger.Critical, "hardware", json.RawMessage(`{"alarm":"smoke"}`)
	f.Message = "3号楼 P03 桩 2 号口，11月26日 15:04：设备报警：烟雾。疑似设备或线路问题，请尽快到现场查看。"
	f.MessageEN = "Building 3, pile P03, port 2, 26 Nov 15:04: the pile itself raised an alarm: smoke. A fault of the equipment is suspected: please look at it soon."
	f.Advice, f.AdviceEN = "如有明火或浓烟，请远离并立即拨打119。", "With flames or thick smoke keep away and call the fire brigade (119) at once."
}

func writers() map[string]*writer {
	piles := map[string]session.Pile{"P03": {Building: "3", Location: "3号楼北侧"}, "P01": {Building: "1", Location: "东门车棚"}}
	zh := &writer{estate: "复兴小区", url: "http://pilewatch.local:8080", loc: shanghai, piles: piles}
	en := *zh
	en.language, en.estate = english, "Fuxing"
	return map[string]*writer{"zh": zh, "en": &en}
}

func TestEveryMessageIsInWordsThatPeopleCanActOn(t *testing.T) {
	rose := sample(critical, func(f *ledger.Flag) { f.Rose, f.SeverityAt = ledger.Warning, minutes(9) })
	drafts := map[string]*draft{
		"raised":        one("raised/warning", sample()),
		"raised-rose":   one("raised/critical", rose),
		"raised-over":   one("raised/warning", sample(over(3))), // it was over before it could be told
		"raised-pile":   one("raised/warning", sample(), sample(id("b"), at("P03", 4)), sample(id("c"), at("P03", 5), over(6))),
		"raised-cut":    one("raised/warning", sample(cut)),
		"raised-silent": one("raised/warning", sample(id("a"), at("P01", 0), offline), sample(id("b"), at("P03", 0), offline)),
		"raised-visit":  one("raised/info", sample(silentBike)),
		"raised-many": told(map[string][]*ledger.Flag{
			"raised/warning":  {sample(), sample(id("c"), at("P09", 1), over(30)), sample(cut, id("d"), over(200))},
			"raised/critical": {sample(kettle)},
		}, "raised/warning", "raised/critical"),
		"raised-alarm":   one("raised/critical", sample(smoke)),
		"raised-port":    one("raised/critical", sample(), sample(smoke)),
		"cleared":        one("cleared", sample(over(26))),
		"cleared-silent": one("cleared", sample(at("P03", 0), offline, over(26))),
		// It was over before it could be told, and its end waits too.
		"cleared-at-once": told(map[string][]*ledger.Flag{"raised/warning": {sample(over(3))}, "cleared": {sample(over(3))}}, "raised/warning", "cleared"),
		"cleared-many":    one("cleared", sample(over(26)), sample(kettle, over(2000))),
		"repeated":        one("repeated/1", sample(kettle)),
		"repeated-many":   one("repeated/1", sample(kettle), sample(smoke, water), sample(smoke)),
	}
	for lang, w := range writers() {
		for name, d := range drafts {
			m := w.message(d, minutes(12))
			golden(t, name+"."+lang, m)
			if m.Kind != strings.Split(name, "-")[0] {
				t.Errorf("%s is %s", name, m.Kind)
			}
			checkWords(t, name+"."+lang, m)
		}
		night := *w
		night.escalate = 5 * time.Minute
		golden(t, "raised-escalated."+lang, night.message(one("raised/critical", sample(kettle)), minutes(5)))
		golden(t, "raised-escalated-many."+lang, night.message(one("raised/critical", sample(kettle), sample(smoke)), minutes(5)))
		golden(t, "test."+lang, w.test("test-1", afternoon.Time()))
	}
}

// checkWords holds what every message must and must not say.
func checkWords(t *testing.T, name string, m channel.Message) {
	t.Helper()
	if head := []rune(m.Title)[:3]; !strings.ContainsAny(string(head), "【[") || strings.ContainsAny(m.Title, "\n") {
		t.Errorf("%s: title %q", name, m.Title)
	}
	for _, private := range []string{"3-602", "04A1B2C3"} {
		if strings.Contains(m.Title+m.Text, private) {
			t.Errorf("%s names %s", name, private)
		}
	}
	if m.Text == "" || strings.HasSuffix(m.Text, "\n") {
		t.Errorf("%s: text %q", name, m.Text)
	}
}

func offline(f *ledger.Flag) {
	f.Rule, f.Suspicion = ruleOffline, "hardware"
	f.Message, f.MessageEN = f.Pile+" 桩，11月26日 15:04：充电桩已断线。", "Pile "+f.Pile+", 26 Nov 15:04: the pile went off line."
	f.Advice, f.AdviceEN = "请查看该桩的电源和网络信号。", "Look at the pile's power and network."
}

func TestDigestsTellThePeriodInWords(t *testing.T) {
	l, err := ledger.Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := &ledger.Batch{}
	say := func(f *ledger.Flag) {
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindFlag, Cleared: f.ClearedAt != 0, Flag: f})
	}
	due := time.Date(2026, 11, 27, 8, 0, 0, 0, shanghai)
	say(sample())                                                                                          // new, open
	say(sample(kettle))                                                                                    // new, open, critical
	say(sample(silentBike))                                                                                // a visit
	say(sample(id("done"), over(30)))                                                                      // new, resolved
	say(sample(id("old"), at("P09", 0), offline, func(f *ledger.Flag) { f.RaisedAt -= 100 * 86_400_000 })) // open for long
	say(sample(id("past"), over(1), func(f *ledger.Flag) { f.RaisedAt -= 20 * 86_400_000; f.ClearedAt -= 19 * 86_400_000 }))
	say(sample(id("wrong"), func(f *ledger.Flag) { f.Status = ledger.StatusFalseAlarm }))
	say(sample(id("after"), func(f *ledger.Flag) { f.RaisedAt = devices.MillisOf(due) + 1 }))
	for n, mWh := range []int64{1_234_567, 800_000, 5_000_000} {
		s := &session.Session{ID: fmt.Sprint("s", n), Pile: "P03", Port: 1, Building: "3", Start: minutes(-60), End: minutes(n), EnergyMWh: mWh}
		if n == 2 {
			s.End = minutes(-26 * 60)
		}
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindSession, Session: s})
	}
	if _, err := l.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for lang, w := range writers() {
		for _, period := range []string{"daily", "weekly"} {
			c := &courier{policy: policyOf(config.Channel{MinSeverity: ledger.Critical, Digest: period}, &phone{}, shanghai), ledger: l, words: w}
			d := &draft{id: "1", notices: []ledger.Notice{{Delivery: ledger.Delivery{Step: c.digestStep(due), At: devices.MillisOf(due)}}}}
			m, err := c.compose(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "digest-"+period+"."+lang, m)
			checkWords(t, period, m)
			if m.Flags != nil {
				t.Errorf("a digest is about %d flags", len(m.Flags))
			}
		}
		golden(t, "digest-nothing."+lang, w.digest("1", false, &summary{from: due.AddDate(0, 0, -1), to: due}))
	}
}

func TestEveryRuleHasANameInBothLanguages(t *testing.T) {
	for _, rule := range config.RuleIDs {
		if _, ok := bases[rule]; !ok {
			t.Errorf("nothing says what flags of %s stand on", rule)
		}
	}
	for rule := range bases {
		f := &ledger.Flag{Rule: rule, Pile: "P"}
		if chinese.howSure(f) == "" || english.howSure(f) == "" || chinese.ruleName(f) == english.ruleName(f) {
			t.Errorf("%s: %s, %s", rule, chinese.howSure(f), english.ruleName(f))
		}
	}
}
