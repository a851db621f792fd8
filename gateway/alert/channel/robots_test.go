package channel

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// robotFake is a robot of a group as its documentation says it behaves: key,
// signature, size and number of messages, in that order.
type robotFake struct {
	secret string
	limits map[int]time.Duration // so many messages in a span
	check  func(r *http.Request, body []byte) (text, refusal string)
	tooOft string // the answer to one message too many

	mu    sync.Mutex
	times []time.Time
	texts []string // of the messages taken
	sizes []int    // of their bodies
}

func (f *robotFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || !utf8.Valid(body) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	text, refusal := f.check(r, body)
	if refusal != "" {
		fmt.Fprint(w, refusal)
		return
	}
	now := time.Now()
	for n, span := range f.limits {
		if len(f.times) >= n && now.Sub(f.times[len(f.times)-n]) < span {
			fmt.Fprint(w, f.tooOft)
			return
		}
	}
	f.times, f.texts, f.sizes = append(f.times, now), append(f.texts, text), append(f.sizes, len(body))
	fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
}

// RoundTrip lets a channel talk to the fake without a network.
func (f *robotFake) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result(), nil
}

// hmacSHA256 is the definition (RFC 2104), not the library that the channels use.
func hmacSHA256(key, text string) string {
	var inner, outer [64]byte
	k := []byte(key)
	if len(k) > 64 {
		sum := sha256.Sum256(k)
		k = sum[:]
	}
	copy(inner[:], k)
	copy(outer[:], k)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum := sha256.Sum256(append(inner[:], text...))
	sum = sha256.Sum256(append(outer[:], sum[:]...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func markdown(body []byte, field string) string {
	var m struct {
		Type     string `json:"msgtype"`
		Markdown map[string]string
	}
	if json.Unmarshal(body, &m) != nil || m.Type != "markdown" {
		return ""
	}
	return m.Markdown[field]
}

func fakeWeCom() *robotFake {
	f := &robotFake{limits: map[int]time.Duration{20: time.Minute}, tooOft: `{"errcode":45009,"errmsg":"api freq out of limit, hint: [1], from ip: 203.0.113.7"}`}
	f.check = func(r *http.Request, body []byte) (string, string) {
		content := markdown(body, "content")
		switch {
		case r.URL.Query().Get("key") != "key-0001":
			return "", `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1], from ip: 203.0.113.7"}`
		case content == "":
			return "", `{"errcode":44004,"errmsg":"empty content"}`
		case len(content) > 4096:
			return "", `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`
		}
		return content, ""
	}
	return f
}

func fakeDingTalk() *robotFake {
	f := &robotFake{secret: "SEC-0001", limits: map[int]time.Duration{20: time.Minute}, tooOft: `{"errcode":410100,"errmsg":"send too fast"}`}
	f.check = func(r *http.Request, body []byte) (string, string) {
		q := r.URL.Query() // percent-decoded, as the server does
		ms, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
		age := time.Since(time.UnixMilli(ms))
		switch text := markdown(body, "text"); {
		case q.Get("access_token") != "token-0001":
			return "", `{"errcode":300005,"errmsg":"token is not exist"}`
		case err != nil || age > time.Hour || age < -time.Hour:
			return "", `{"errcode":310000,"errmsg":"invalid timestamp"}`
		case q.Get("sign") != hmacSHA256(f.secret, q.Get("timestamp")+"\n"+f.secret):
			return "", `{"errcode":310000,"errmsg":"sign not match"}`
		case len(body) > 20000:
			return "", `{"errcode":460101,"errmsg":"message too long"}`
		case text == "" || markdown(body, "title") == "":
			return "", `{"errcode":40035,"errmsg":"lack of json"}`
		default:
			return text, ""
		}
	}
	return f
}

func fakeFeishu() *robotFake {
	f := &robotFake{secret: "feishu-0001", limits: map[int]time.Duration{100: time.Minute, 5: time.Second}, tooOft: `{"code":11232,"msg":"frequency limited psm[x]appID[1500]","data":{}}`}
	f.check = func(r *http.Request, body []byte) (string, string) {
		var m struct {
			Timestamp, Sign string
			Type            string `json:"msg_type"`
			Content         struct{ Text string }
		}
		err := json.Unmarshal(body, &m)
		s, _ := strconv.ParseInt(m.Timestamp, 10, 64)
		age := time.Since(time.Unix(s, 0))
		switch {
		case r.URL.Path != "/open-apis/bot/v2/hook/hook-0001":
			return "", `{"code":19001,"msg":"param invalid: incoming webhook access token invalid","data":{}}`
		case age > time.Hour || age < -time.Hour || m.Sign != hmacSHA256(m.Timestamp+"\n"+f.secret, ""):
			return "", `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time","data":{}}`
		case err != nil || m.Type != "text" || m.Content.Text == "" || len(body) > 20<<10:
			return "", `{"code":9499,"msg":"Bad Request","data":{}}`
		}
		return m.Content.Text, ""
	}
	return f
}

// robots are the three with their configuration, and their limit in bytes.
func robots() map[string]struct {
	fake  *robotFake
	line  string
	limit int
} {
	type robot = struct {
		fake  *robotFake
		line  string
		limit int
	}
	return map[string]robot{
		"wecom":    {fakeWeCom(), "type: wecom, url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=key-0001'", 4096},
		"dingtalk": {fakeDingTalk(), "type: dingtalk, url: 'https://oapi.dingtalk.com/robot/send?access_token=token-0001', secret: SEC-0001", 20_000},
		"feishu":   {fakeFeishu(), "type: feishu, url: 'https://open.feishu.cn/open-apis/bot/v2/hook/hook-0001', secret: feishu-0001", 20_000},
	}
}

// live are the options with a transport, on the clock that runs.
func live(transport http.RoundTripper) Options {
	o := options()
	o.Transport, o.Now = transport, nil
	return o
}

// The vectors are of other people's programs: Python's hmac, and node:crypto.
func TestSignaturesAreWhatOthersCompute(t *testing.T) {
	got := dingtalkURL("https://oapi.dingtalk.com/robot/send?access_token=x", "SEC0123", time.UnixMilli(1795436131000))
	if want := "sign=27ydNO8uXLrVKuS%2Bmsxv8vZOGWsTBqBdOohGCxRt5e8%3D&timestamp=1795436131000"; !strings.HasSuffix(got, want) {
		t.Errorf("DingTalk: %s, want ...%s", got, want)
	}
	r := newFeishu(read(t, "{type: feishu, url: 'https://h'}"), "https://h", "orbit-test-secret", &poster{now: func() time.Time { return time.Unix(1756800000, 0) }})
	_, body := r.request(Message{})
	if b := body.(feishuBody); b.Sign != "sN+9ZKa5w6BQmKyxCaxNA1DWEgtEnZaOcfEOCqZ26fg=" || b.Timestamp != "1756800000" {
		t.Errorf("Feishu: %+v", b)
	}
}

func TestRobotsTakeSignedMessages(t *testing.T) {
	for name, r := range robots() {
		for _, kind := range kinds {
			answer, err := open(t, "{"+r.line+"}", live(r.fake)).Send(t.Context(), message(kind, "zh-CN"))
			if err != nil || !strings.HasPrefix(answer, "code 0") {
				t.Errorf("%s, %s: %q, %v", name, kind, answer, err)
			}
		}
		if len(r.fake.texts) != len(kinds) || !strings.Contains(r.fake.texts[0], "【严重】3号楼 北侧 P03桩 2口") {
			t.Errorf("%s took %q", name, r.fake.texts)
		}
	}
}

// A whole night of alarms at once: each robot gets all of it, and never more in
// any span than it takes.
func TestFloodKeepsToTheRobotsPace(t *testing.T) {
	for name, r := range robots() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, "{"+r.line+"}", live(r.fake))
				start := time.Now()
				for i := range 205 {
					m := message(Raised, "zh-CN")
					m.DeliveryID = strconv.Itoa(i)
					if _, err := s.Send(t.Context(), m); err != nil {
						t.Fatalf("message %d, after %v: %v", i, time.Since(start), err)
					}
				}
				most := 11 * time.Minute // 20 a minute
				if name == "feishu" {
					most = 3 * time.Minute
				}
				if took := time.Since(start); took > most {
					t.Errorf("it took %v of the clock, want at most %v", took, most)
				}
			})
		})
	}
}

func TestWaitingForATurnEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1, time.Hour)
		if err := p.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.wait(ctx); err == nil {
			t.Error("it did not wait")
		}
	})
}

func TestLongTextIsCutBetweenCharactersAndKeepsItsLink(t *testing.T) {
	for name, r := range robots() {
		r.fake.limits = nil // each has a channel of its own here
		for language, mark := range map[string]string{"zh-CN": "…（余下见页面）", "en": "… (the rest is on the page)"} {
			for pad := range 4 { // the limit falls on each byte of a character
				m := message(Raised, language)
				m.Text = strings.Repeat("x", pad) + strings.Repeat("桩\"\n", 9000)
				if _, err := open(t, "{"+r.line+", language: "+language+"}", live(r.fake)).Send(t.Context(), m); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				text := r.fake.texts[len(r.fake.texts)-1]
				if !strings.Contains(text, mark) || !strings.Contains(text, m.Link) || !utf8.ValidString(text) {
					t.Errorf("%s: mark or link is missing at the end of %q", name, text[len(text)-200:])
				}
				size := r.fake.sizes[len(r.fake.sizes)-1]
				if name == "wecom" {
					size = len(text)
				}
				if size > r.limit || size < r.limit-8 {
					t.Errorf("%s: %d bytes of %d", name, size, r.limit)
				}
			}
		}
	}
}

func TestTextMakesNoMarkupAndCallsNobody(t *testing.T) {
	evil := "<@all> <at user_id=\"all\">x</at> @所有人 [click](http://evil.example) ![x](http://evil.example/i.png) **bold** `code` <font color=\"warning\">x</font>\n# heading\n  > quote\r\n\x00\x1bend"
	for name, r := range robots() {
		m := message(Raised, "zh-CN")
		m.Title, m.Text, m.Link = "[严重] "+evil, evil, "http://pilewatch.local/#a) [x](http://evil.example"
		if _, err := open(t, "{"+r.line+"}", live(r.fake)).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		text := r.fake.texts[0]
		links, bold := 1, 2
		if name == "feishu" {
			links, bold = 0, 0
		}
		if strings.Count(text, "](") != links || strings.Count(text, "**") != bold || strings.ContainsAny(text, "<`@\x00\x1b\r") {
			t.Errorf("%s: %s", name, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(strings.TrimSpace(line), ">") {
				t.Errorf("%s: line %q", name, line)
			}
		}
		if !strings.Contains(text, "[严重]") || !strings.Contains(text, "end") {
			t.Errorf("%s lost words: %s", name, text)
		}
	}
}

// wrong key, signature and clock are the fakes' own answers; a wrong secret loses nothing.
func TestWrongKeyOrSecretIsTriedAgainSlowly(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, says string
		clock          time.Duration
	}{
		"wecom key":       {"key-0001", "key-0002", "copy the robot's webhook address", 0},
		"dingtalk token":  {"token-0001", "token-0002", "copy the robot's webhook address", 0},
		"dingtalk secret": {"SEC-0001", "SEC-0002", "signature does not fit", 0},
		"dingtalk clock":  {"", "", "clock", 2 * time.Hour},
		"feishu hook":     {"hook-0001", "hook-0002", "copy the robot's webhook address", 0},
		"feishu secret":   {"feishu-0001", "feishu-0002", "signature does not fit", 0},
		"feishu clock":    {"", "", "clock", 2 * time.Hour},
	} {
		r := robots()[strings.Fields(name)[0]]
		o := live(r.fake)
		o.Now = func() time.Time { return time.Now().Add(c.clock) }
		_, err := open(t, "{"+strings.Replace(r.line, c.from, c.to, 1)+"}", o).Send(t.Context(), message(Raised, "zh-CN"))
		wants(t, err, "after 5m0s", c.says)
		if err != nil && strings.Contains(err.Error(), "203.0.113.7") {
			t.Errorf("it tells our address: %v", err)
		}
	}
}

// The codes as the robots document them, each in an HTTP 200.
func TestErrorInsideASuccessIsAFailure(t *testing.T) {
	for _, c := range []struct{ robot, answer, want, says string }{
		{"wecom", `{"errcode":45009,"errmsg":"api freq out of limit"}`, "after 1m0s", "20 messages a minute"},
		{"wecom", `{"errcode":-1,"errmsg":"system busy"}`, "again", "busy"},
		{"wecom", `{"errcode":93004,"errmsg":"robot disabled"}`, "after 5m0s", "enable it"},
		{"wecom", `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`, "never", "content"},
		{"wecom", `{"errcode":12345,"errmsg":"new"}`, "after 5m0s", "12345 (new)"},
		{"wecom", `{}`, "after 5m0s", "not a robot's"},
		{"wecom", `<html>log in</html>`, "after 5m0s", "not a robot's"},
		{"wecom", ``, "after 5m0s", "not a robot's"},
		{"dingtalk", `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`, "after 10m0s", "20 messages a minute"},
		{"dingtalk", `{"errcode":410100,"errmsg":"x"}`, "after 10m0s", "20 messages a minute"},
		{"dingtalk", `{"errcode":310000,"errmsg":"keywords not in content, more: [https://x]"}`, "after 5m0s", "keyword"},
		{"dingtalk", `{"errcode":310000,"errmsg":"ip 1.2.3.4 not in whitelist"}`, "after 5m0s", "security settings"},
		{"dingtalk", `{"errcode":400102,"errmsg":"x"}`, "after 5m0s", "disabled"},
		{"dingtalk", `{"errcode":430102,"errmsg":"x"}`, "never", "unfit"},
		{"feishu", `{"code":11232,"msg":"frequency limited psm[x]"}`, "after 1m0s", "too many"},
		{"feishu", `{"code":9499,"msg":"too many request"}`, "after 1m0s", "too many"},
		{"feishu", `{"code":9499,"msg":"Bad Request"}`, "never", "does not take"},
		{"feishu", `{"code":19024,"msg":"Key Words Not Found"}`, "after 5m0s", "keyword"},
		{"feishu", `{"code":19022,"msg":"Ip Not Allowed"}`, "after 5m0s", "security settings"},
		{"feishu", `{"Extra":null,"StatusCode":0,"StatusMessage":"success"}`, "taken", ""}, // as it was once
		{"feishu", `{"StatusCode":9499,"StatusMessage":"Bad Request"}`, "never", ""},
	} {
		s := open(t, "{"+robots()[c.robot].line+"}", live(&recorder{answer: c.answer}))
		_, err := s.Send(t.Context(), message(Raised, "zh-CN"))
		wants(t, err, c.want, c.says)
	}
}
