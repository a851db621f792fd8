package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pilewatch/gateway/ledger"
)

// channels are one that works and one that does not.
func channels() []Channel {
	return []Channel{
		{Name: "office", Type: "dingtalk", Sent: evening.Add(-time.Hour)},
		{Name: "night", Type: "feishu", Waiting: 3, Failing: evening.Add(-5 * time.Minute), Error: "HTTP 500", Refused: 1, LastRefusal: "19022: <ip>"},
	}
}

func TestAChannelThatFailsIsToldAndMakesNothingUnready(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Checks, c.Channels = map[string]func() error{"ledger": func() error { return nil }}, channels
	base := serve(t, c)
	a := ask(t, "GET", base+"/readyz")
	if a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
	golden(t, "ready_alerts", a.body)
	contains(t, plain(ask(t, "GET", base+"/").body), "通知渠道 office 正常 最近送达 19:15 night 发送失败 自 20:10 HTTP 500 待发送 3 条 被拒收 1 条: 19022: <ip>")
	contains(t, plain(ask(t, "GET", base+"/?lang=en").body), "Channels of alerts office OK last sent 19:15 night failing since 20:10 HTTP 500 waiting: 3 refused: 1: 19022: <ip>")
}

func TestAFlagHasAPageWithItsAuditTrail(t *testing.T) {
	w := newWorld(t)
	w.live()
	if _, err := w.ledger.Judge(t.Context(), &ledger.Verdict{FlagID: "f-1", Status: ledger.StatusAcknowledged, By: "wang", Note: "在路上", At: evening}); err != nil {
		t.Fatal(err)
	}
	if err := w.ledger.Announce(t.Context(),
		ledger.Delivery{Channel: "office", FlagID: "f-1", Step: "raised/warning", State: ledger.DeliverySent, Message: "abc", Attempts: 2, At: evening - 2000, DoneAt: evening - 1000},
		ledger.Delivery{Channel: "night", FlagID: "f-1", Step: "raised/warning", State: ledger.DeliveryWaiting, Attempts: 1, At: evening, Error: "HTTP 500"},
	); err != nil {
		t.Fatal(err)
	}
	base := serve(t, w.config())
	a := ask(t, "GET", base+"/flags/f-1")
	text := plain(a.body)
	contains(t, text, "1号楼 · P01 · 2号插口", "疑似接了排插", "处理记录 20:15 已有人跟进 wang 在路上", "通知记录 20:15 office 新提醒 · 已送达 20:15 night 新提醒 · 待发送 HTTP 500")
	contains(t, a.body, `<button type="button" data-flag="f-1" data-status="false_alarm">是误报</button>`)
	if strings.Contains(a.body, `data-status="acknowledged"`) {
		t.Error("what was said already is offered again")
	}
	contains(t, plain(ask(t, "GET", base+"/flags/f-1?lang=en").body), "Who did what 20:15 acknowledged wang", "Who was told 20:15 office raised · sent")
	golden(t, "flag_trail", ask(t, "GET", base+"/api/v1/flags/f-1").body)
	if a := ask(t, "GET", base+"/flags/none"); a.status != http.StatusNotFound {
		t.Errorf("a flag that is none: %d", a.status)
	}
	contains(t, ask(t, "GET", base+"/").body, `<a href="/flags/f-1">`)
}

func TestButtonsAreForThoseWhoMayPressThem(t *testing.T) {
	w := newWorld(t)
	w.live()
	users := threeUsers(t)
	s := serverOf(w, func(c *Config) { c.Users = users })
	for user, want := range map[string][2]int{"boss": {1, 4}, "aunt": {1, 1}, "guest": {0, 0}} {
		for i, path := range []string{"/", "/flags/f-1"} {
			r := here(httptest.NewRequest(http.MethodGet, path, nil))
			r.SetBasicAuth(user, "correct horse")
			got := httptest.NewRecorder()
			s.ServeHTTP(got, r)
			if n := strings.Count(got.Body.String(), "<button"); got.Code != 200 || n != want[i] {
				t.Errorf("%s on %s: %d, %d buttons, want %d", user, path, got.Code, n, want[i])
			}
		}
	}
}
