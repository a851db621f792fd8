package web

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// plain is the text of a page, with a space for each tag.
func plain(page string) string {
	text := regexp.MustCompile(`(?s)<[^>]*>`).ReplaceAllString(page, " ")
	return html.UnescapeString(strings.Join(strings.Fields(text), " "))
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in: %s", w, text)
		}
	}
}

func TestPageTellsHowTheEstateIsInBothLanguages(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())

	a := ask(t, "GET", base+"/")
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.body, `<html lang="zh-CN">`) {
		t.Fatalf("%d %v", a.status, a.header)
	}
	text := plain(a.body)
	contains(t, text,
		"复兴小区 充电桩", "更新于 20:15:30",
		"正在使用 2 共 8 个插口",     // of 4 + 2 + 1 registered and 1 heard of
		"当前功率 320 W 2 个桩离线",  // 221.5 + 98; P03 with 40 W is off
		"今日用电 0.5 度",         // 305.5 + 145.25 + 0.01 Wh
		"今日充电 3 次 其中 2 次正在充", //
		"待处理提醒 2 条 其中严重 1 条", //
		"1号楼 P01 1号楼东侧车棚 在线 32 °C 1 空闲 2 222 W 充电中 ⚠ 有提醒 3 无数据 4 无数据",
		"3号楼 P03 3号楼北侧 离线 最后收到 13:45 1 无数据 2 离线",
		"10号楼 P10 离线 从未收到数据",
		"未登记的充电桩 <b>'x 在线 7 98 W 充电中",
		"严重 3号楼 · P03 · 整桩 19:45 起 已有人跟进 <i>烟雾</i> 警告 1号楼 · P01 · 2号插口 户号 1-402 19:55 起 疑似接了排插 建议 请上门查看并提供帮助", // the gravest first
		"最近 24 小时已解除的提醒 (1) 严重 1号楼 · P01 · 1号插口 11月22日 18:15 – 18:15 疑似接了电水壶",
		"17:15 1号楼 · P01 · 1号插口 1-603 2:30 0.31 度 160 W ¥0.29 拔出",
		"19:30 1号楼 · P01 · 2号插口 1-402 0:40 0.15 度 222 W – 正在充电",
	)
	contains(t, a.body, `<a class="language" href="?lang=en" lang="en">English</a>`)
	if strings.Index(text, "3号楼 P03") > strings.Index(text, "10号楼 P10") {
		t.Error("building 10 stands before 3")
	}

	a = ask(t, "GET", base+"/?lang=en")
	text = plain(a.body)
	contains(t, a.body, `<html lang="en">`, `href="?lang=zh-CN"`)
	contains(t, text,
		"In use 2 of 8 ports", "Power now 320 W piles offline: 2", "Energy today 0.5 kWh", "Sessions today 3 still going on: 2", "Open flags 2 critical: 1",
		"Critical Building 3 · P03 · whole pile since 19:45 acknowledged smoke", "Household 1-402 since 19:55 a power strip is suspected Advice please visit and offer help",
		"Building 1 P01 1号楼东侧车棚 Online 32 °C 1 Free 2 222 W Charging ⚠ flagged", "22 Nov 18:15 – 18:15 a kettle is suspected", "¥0.29 Unplugged",
	)
	own := strings.NewReplacer("复兴小区", "", "1号楼东侧车棚", "", "3号楼北侧", "", "中文", "").Replace(text) // names, and the way back
	if left := regexp.MustCompile(`\p{Han}+`).FindAllString(own, -1); left != nil {
		t.Errorf("the English page says %q", left)
	}
}

func TestLanguageIsThatOfTheConfigurationUnlessAsked(t *testing.T) {
	c := newWorld(t).config()
	c.Language = "en"
	base := serve(t, c)
	for path, want := range map[string]string{"/": "en", "/?lang=zh-CN": "zh-CN", "/?lang=zh": "zh-CN", "/?lang=en": "en", "/?lang=%3Cscript%3E": "zh-CN"} {
		if a := ask(t, "GET", base+path); !strings.Contains(a.body, `<html lang="`+want+`">`) {
			t.Errorf("%s is not in %s", path, want)
		}
	}
}

func TestNamesFromOutsideAreTextAndNotMarkup(t *testing.T) {
	w := newWorld(t)
	w.live()
	w.say(reading(`"><script>alert(1)</script>`, 1, 1, 90_000, 0, devices.StateCharging, `<img src=x onerror=alert(2)>`))
	w.flag(ledger.Flag{ID: "x", Rule: "x", Severity: `"><svg onload=alert(3)>`, Building: "<u>", Pile: "</li><form>", Status: "open", Message: "<a href=javascript:alert(4)>", RaisedAt: evening})
	c := w.config()
	c.Name = "<title>"
	base := serve(t, c)
	for _, lang := range []string{"zh-CN", "en"} {
		body := ask(t, "GET", base+"/?lang="+lang).body
		for _, bad := range []string{"<script>alert", "<img", "<svg", "<u>", "<form", "<a href=javascript", "<b>'x", "<i>烟雾", "<title><title>"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s", lang, bad)
			}
		}
		contains(t, body, "&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;svg onload=alert(3)&gt;")
	}
	for _, list := range []string{"piles", "ports", "sessions", "flags", "rejects"} {
		if a := ask(t, "GET", base+"/api/v1/"+list); strings.ContainsAny(a.body, "<>") {
			t.Errorf("%s: %s", list, a.body)
		}
	}
}

// The policy lets no inline code or style run, and nothing comes from elsewhere.
func TestPageIsWholeWithoutInlineCodeOrOtherSites(t *testing.T) {
	w := newWorld(t)
	w.live()
	body := ask(t, "GET", serve(t, w.config())+"/").body
	for _, bad := range []string{`<script>`, `<style`, ` style=`, ` onclick=`, ` onload=`, `http://`, `https://`, `src="//`} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	css, js := string(pageCSS), string(pageJS)
	if strings.Contains(css+js, "://") || strings.Contains(css, "@import") || strings.Contains(js, "innerHTML") || strings.Contains(js, "eval") {
		t.Error("style or script reach outside, or write markup")
	}
	contains(t, body, `<noscript><meta http-equiv="refresh" content="60"></noscript>`) // fresh without a script, too
}

func TestEmptyEstateHasAPageToo(t *testing.T) {
	w := newWorld(t)
	st, err := session.NewState(session.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	w.state = st
	contains(t, plain(ask(t, "GET", serve(t, w.config())+"/").body),
		"正在使用 0 共 0 个插口", "目前没有需要处理的提醒。", "还没有充电桩", "还没有充电记录。")
}

func TestTroubleIsSaidOnThePageAndTheRestIsThere(t *testing.T) {
	w := newWorld(t)
	w.live()
	c := w.config()
	c.Ledger = broken{w.ledger}
	c.Checks = map[string]func() error{"mqtt": func() error { return errors.New("not connected") }, "ledger": func() error { return nil }}
	a := ask(t, "GET", serve(t, c)+"/")
	contains(t, plain(a.body), "网关有故障，数据可能不是最新的: mqtt: not connected", "账本暂时读不到", "P01 1号楼东侧车棚 在线")
	if strings.Contains(a.body, "secret") {
		t.Error("the page shows where the disk is")
	}
}

func TestFlagsThatPeopleAreDoneWithAreNotListed(t *testing.T) {
	w := newWorld(t)
	for i, st := range []string{ledger.StatusOpen, ledger.StatusConfirmed, ledger.StatusFalseAlarm, ledger.StatusResolved} {
		w.flag(ledger.Flag{ID: fmt.Sprint(i), Severity: ledger.Info, Pile: "P01", RaisedAt: evening, Status: st, Message: "状态" + st})
	}
	text := plain(ask(t, "GET", serve(t, w.config())+"/").body)
	contains(t, text, "待处理提醒 2 条 其中严重 0 条", "状态open", "已核实 状态confirmed")
	if strings.Contains(text, "状态false_alarm") || strings.Contains(text, "状态resolved") {
		t.Error(text)
	}
}

func TestManyFlagsAreCountedAndTheGravestListed(t *testing.T) {
	w := newWorld(t)
	var b ledger.Batch
	for i := range listedFlags + 9 {
		b.Entries = append(b.Entries, ledger.Entry{Kind: ledger.KindFlag, Flag: &ledger.Flag{
			ID: fmt.Sprint(i), Severity: ledger.Info, Pile: "P01", RaisedAt: evening.Add(time.Duration(i) * time.Second), Status: ledger.StatusOpen, Message: "小事"}})
	}
	b.Entries[0].Flag.Severity, b.Entries[0].Flag.Message = ledger.Critical, "大事" // the oldest
	w.append(&b)
	text := plain(ask(t, "GET", serve(t, w.config())+"/").body)
	contains(t, text, "大事", "另有 9 条未列出")
	if n := strings.Count(text, "小事"); n != listedFlags-1 {
		t.Errorf("%d are listed", n)
	}
}

func TestExportsOfTwoMonthsAreOffered(t *testing.T) {
	c := newWorld(t).config()
	c.Export = http.NotFoundHandler()
	c.Now = func() time.Time { return time.Date(2026, 12, 31, 16, 30, 0, 0, time.UTC) } // already the new year there
	body := ask(t, "GET", serve(t, c)+"/").body
	contains(t, body, `href="/export/sessions.csv?month=2027-01"`, `href="/export/sessions.csv?month=2026-12"`)
}

// Each word that is asked for is there, and each that is there is asked for.
func TestWordsAreThereAndUsed(t *testing.T) {
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`word "(\w+)"`).FindAllStringSubmatch(pageHTML, -1) {
		used[m[1]] = true
	}
	sources, err := filepath.Glob("page*.go")
	if err != nil || len(sources) < 2 {
		t.Fatal(sources, err)
	}
	for _, path := range sources {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "say" {
				if lit, ok := call.Args[0].(*ast.BasicLit); ok {
					key, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					used[key] = true
				}
			}
			return true
		})
	}
	for _, r := range devices.StopReasons {
		used["reason_"+r] = true
	}
	for s := devices.StateIdle; s <= devices.StateUnknown; s++ {
		used["state_"+s.String()] = true
	}
	for _, s := range ledger.VerdictStatuses() {
		used[s], used["say_"+s] = true, true
	}
	for _, k := range []string{"state_waiting", "state_sent", "state_refused", "state_dropped", "step_raised", "step_cleared", "step_repeated"} {
		used[k] = true
	}
	for _, k := range []string{"state_none", ledger.Info, ledger.Warning, ledger.Critical} {
		used[k] = true
	}
	for k := range used {
		if w, ok := words[k]; !ok || w[chinese] == "" || w[english] == "" && k != "times" && k != "flags_unit" {
			t.Errorf("there is no word %q", k)
		}
	}
	for k := range words {
		if !used[k] {
			t.Errorf("nobody says %q", k)
		}
	}
}

func TestNumbersAreRoundedAsPeopleDo(t *testing.T) {
	for _, c := range []struct {
		v, unit int64
		places  int
		want    string
	}{
		{0, 100, 2, "0.00"}, {5, 100, 2, "0.05"}, {29, 100, 2, "0.29"}, {1234, 100, 2, "12.34"}, {152_499, 1000, 0, "152"}, {152_500, 1000, 0, "153"},
		{-71_500, 1000, 0, "-72"}, {305_500, 1_000_000, 2, "0.31"}, {49_999, 1_000_000, 1, "0.0"}, {50_000, 1_000_000, 1, "0.1"}, {12_345_678, 1_000_000, 1, "12.3"},
	} {
		if got := decimal(c.v, c.unit, c.places); got != c.want {
			t.Errorf("decimal(%d, %d, %d) = %s, want %s", c.v, c.unit, c.places, got, c.want)
		}
	}
	for mW, want := range map[int64]string{0: "0 W", 999_400: "999 W", 1_000_000: "1.00 kW", 3_456_000: "3.46 kW"} {
		if v, unit := kilo(mW); v+" "+unit != want {
			t.Errorf("kilo(%d) = %s %s, want %s", mW, v, unit, want)
		}
	}
}

func TestBuildingsStandInTheOrderOfPeople(t *testing.T) {
	in := []string{"10", "", "2", "会所", "1"}
	order := map[string]int{"1": 0, "2": 1, "10": 2, "会所": 3, "": 4}
	for _, a := range in {
		for _, b := range in {
			if got, want := compareBuildings(a, b), order[a]-order[b]; got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}

func TestAPileWithAnOfflineFlagIsShownOffline(t *testing.T) {
	w := newWorld(t)
	w.live()
	base := serve(t, w.config())
	before := strings.Count(ask(t, "GET", base+"/").body, "离线")
	w.flag(ledger.Flag{ID: "o", Rule: "pile_offline", Severity: ledger.Warning, Pile: "P01", RaisedAt: evening, Status: ledger.StatusOpen, Message: "没有消息"})
	if after := strings.Count(ask(t, "GET", base+"/").body, "离线"); after <= before {
		t.Errorf("离线 stands %d times with the flag, %d without", after, before)
	}
}
