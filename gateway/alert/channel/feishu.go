package channel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"pilewatch/gateway/config"
)

// Feishu (飞书), or Lark, group robot, text: a body of 20 KB, 100 messages a minute and 5
// a second; it is busy at the full and the half hour.
// https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
const feishuLimit = 20_000

type feishuBody struct {
	Timestamp string `json:"timestamp,omitempty"`
	Sign      string `json:"sign,omitempty"`
	Type      string `json:"msg_type"`
	Content   struct {
		Text string `json:"text"`
	} `json:"content"`
}

func newFeishu(c config.Channel, url, secret string, p *poster) *robot {
	w := wordsIn(c.Language)
	r := &robot{poster: p, limit: feishuLimit, words: w}
	r.size = r.bodySize
	r.request = func(m Message) (string, any) {
		lines := []string{m.Title}
		if m.Text != "" {
			lines = append(lines, m.Text)
		}
		if m.Link != "" {
			lines = append(lines, w.at+m.Link)
		}
		b := feishuBody{Type: "text"}
		b.Content.Text = strings.Join(lines, "\n")
		if secret != "" {
			b.Timestamp = strconv.FormatInt(p.now().Unix(), 10)
			mac := hmac.New(sha256.New, []byte(b.Timestamp+"\n"+secret)) // of nothing, with the text as the key
			b.Sign = base64.StdEncoding.EncodeToString(mac.Sum(nil))
		}
		return url, b
	}
	r.refused = func(code int, said string) error {
		if code == feishuBad && strings.Contains(strings.ToLower(said), "too many") {
			code = feishuBusy // an older name of it
		}
		return explain(feishuCodes, code, said)
	}
	return r
}

const (
	feishuBad  = 9499
	feishuBusy = 11232
)

// https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
var feishuCodes = map[int]meaning{
	feishuBad:  {"Feishu does not take this message", never},
	feishuBusy: {"too many messages, or Feishu is busy: does something else use this robot?", after(time.Minute)},
	11220:      {"too many messages: does something else use this robot?", after(time.Minute)},
	19001:      {"the token in url is wrong: copy the robot's webhook address from the group again", slowly},
	19002:      {"Feishu does not take this kind of message", never},
	19021:      {"the signature does not fit: copy the robot's secret (签名校验) into secret again, and check this machine's clock", slowly},
	19022:      {"the robot takes messages of other addresses only: add this machine's to its security settings, or choose signing (签名校验)", slowly},
	19024:      {"the robot wants a keyword in each message: choose signing (签名校验) in its security settings instead", slowly},
}
