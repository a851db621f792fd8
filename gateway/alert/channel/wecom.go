package channel

import (
	"time"

	"pilewatch/gateway/config"
)

// WeCom (企业微信) group robot, markdown: 4,096 bytes of content, 20 messages a minute.
// https://developer.work.weixin.qq.com/document/path/91770
const wecomLimit = 4096

type wecomBody struct {
	Type     string `json:"msgtype"`
	Markdown struct {
		Content string `json:"content"`
	} `json:"markdown"`
}

func newWeCom(c config.Channel, url string, p *poster) *robot {
	w := wordsIn(c.Language)
	content := func(m Message) string {
		text := "**" + m.Title + "**"
		if m.Text != "" {
			text += "\n" + m.Text
		}
		if m.Link != "" {
			text += "\n[" + w.link + "](" + m.Link + ")"
		}
		return text
	}
	return &robot{
		poster: p, limit: wecomLimit, words: w,
		size: func(m Message) int { return len(content(m)) },
		request: func(m Message) (string, any) {
			b := wecomBody{Type: "markdown"}
			b.Markdown.Content = content(m)
			return url, b
		},
		refused: func(code int, said string) error { return explain(wecomCodes, code, said) },
	}
}

// https://developer.work.weixin.qq.com/document/path/90313
var wecomCodes = map[int]meaning{
	-1:    {"WeCom is busy", nil},
	40008: {"WeCom does not take this kind of message", never},
	40058: {"WeCom does not take this content", never},
	44004: {"the message is empty", never},
	45002: {"the message is too long for WeCom", never},
	45009: {"more than 20 messages a minute: does something else use this robot?", after(time.Minute)},
	45033: {"too many at once: does something else use this robot?", after(time.Minute)},
	93000: {"the key in url is wrong, or the robot was removed: copy the robot's webhook address from the group again", slowly},
	93004: {"the robot is disabled: enable it in the group", slowly},
	93008: {"the robot is not in the group: add it again, and copy its webhook address", slowly},
}
