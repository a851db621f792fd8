package channel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pilewatch/gateway/config"
)

// DingTalk (钉钉) group robot, markdown: a body of 20,000 bytes, 20 messages a
// minute; over that it takes nothing for ten minutes.
// https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages
const (
	dingtalkLimit = 20_000
	dingtalkBan   = 10 * time.Minute
)

type dingtalkBody struct {
	Type     string `json:"msgtype"`
	Markdown struct {
		Title string `json:"title"` // in the list of chats
		Text  string `json:"text"`
	} `json:"markdown"`
	At struct {
		All bool `json:"isAtAll"`
	} `json:"at"`
}

func newDingTalk(c config.Channel, address, secret string, p *poster) *robot {
	w := wordsIn(c.Language)
	r := &robot{poster: p, limit: dingtalkLimit, words: w}
	r.size = r.bodySize
	r.request = func(m Message) (string, any) {
		const newLine = "  \n" // a bare one is a space
		lines := "**" + m.Title + "**"
		if m.Text != "" {
			lines += "\n" + m.Text
		}
		if m.Link != "" {
			lines += "\n[" + w.link + "](" + m.Link + ")"
		}
		b := dingtalkBody{Type: "markdown"}
		b.Markdown.Title, b.Markdown.Text = m.Title, strings.ReplaceAll(lines, "\n", newLine)
		return dingtalkURL(address, secret, p.now()), b
	}
	r.refused = func(code int, said string) error {
		if code == dingtalkUnsafe {
			return slowly(fmt.Errorf("code %d (%s): %s", code, said, dingtalkUnsafeMeaning(said)))
		}
		return explain(dingtalkCodes, code, said)
	}
	return r
}

// dingtalkURL signs the address; without a secret it is as it was.
func dingtalkURL(address, secret string, now time.Time) string {
	if secret == "" {
		return address
	}
	ms := strconv.FormatInt(now.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(ms + "\n" + secret))
	joint := "?"
	if strings.Contains(address, "?") {
		joint = "&"
	}
	return address + joint + url.Values{
		"timestamp": {ms}, "sign": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}.Encode()
}

// dingtalkUnsafe is every refusal by the robot's security settings; the words tell which.
const dingtalkUnsafe = 310000

func dingtalkUnsafeMeaning(said string) string {
	said = strings.ToLower(said)
	switch {
	case strings.Contains(said, "sign"):
		return "the signature does not fit: copy the robot's secret (加签, it begins with SEC) into secret again"
	case strings.Contains(said, "timestamp"):
		return "this machine's clock is more than an hour wrong: set it"
	case strings.Contains(said, "keyword"):
		return "the robot wants a keyword in each message: choose signing (加签) in its security settings instead"
	case strings.Contains(said, "ip"):
		return "the robot takes messages of other addresses only: add this machine's to its security settings, or choose signing (加签)"
	}
	return "the robot's security settings refuse it: compare them with secret"
}

// https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages
var dingtalkCodes = map[int]meaning{
	-1:     {"DingTalk is busy", nil},
	40035:  {"DingTalk can't read the message", never},
	43004:  {"DingTalk can't read the message", never},
	130101: {"more than 20 messages a minute: does something else use this robot?", after(dingtalkBan)},
	410100: {"more than 20 messages a minute: does something else use this robot?", after(dingtalkBan)},
	300001: {"the token in url is wrong: copy the robot's webhook address from the group again", slowly},
	300005: {"the token in url is wrong: copy the robot's webhook address from the group again", slowly},
	400013: {"the group was dissolved: make a robot in another one", slowly},
	400101: {"the token in url is wrong: copy the robot's webhook address from the group again", slowly},
	400102: {"the robot is disabled: enable it in the group", slowly},
	400105: {"DingTalk does not take this kind of message", never},
	400106: {"the robot is gone: add one to the group, and copy its webhook address", slowly},
	430101: {"DingTalk takes a link in the message for unsafe: check alerts.public_url", never},
	430102: {"DingTalk takes the words for unfit", never},
	430104: {"DingTalk takes the content for unfit", never},
	460101: {"the message is too long for DingTalk", never},
}
