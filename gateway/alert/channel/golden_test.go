package channel

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

// recorder answers every request with success, and writes down what it was.
type recorder struct {
	strings.Builder
	answer string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(r, "%s %s\n", req.Method, req.URL)
	var names []string
	for name := range req.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(r, "%s: %s\n", name, req.Header.Get(name))
	}
	fmt.Fprintf(r, "\n%s\n\n", body)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(r.answer)), Request: req}, nil
}

// What is sent is in testdata, a file for each channel and language.
func TestRequestsAreAsTheChannelsDocumentThem(t *testing.T) {
	template := file(t, "body.tmpl", `{"id":{{json .DeliveryID}},"what":{{json .Title}},"estate":{{json .Estate}},"piles":[{{range $i, $f := .Flags}}{{if $i}},{{end}}{"pile":{{json $f.Pile}},"at":"{{time $f.RaisedAt}}"}{{end}}]}`)
	for name, c := range map[string]struct{ line, answer string }{
		"wecom":        {"type: wecom, url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6'", `{"errcode":0,"errmsg":"ok"}`},
		"dingtalk":     {"type: dingtalk, url: 'https://oapi.dingtalk.com/robot/send?access_token=66666', secret: SECabc", `{"errcode":0,"errmsg":"ok"}`},
		"feishu":       {"type: feishu, url: 'https://open.feishu.cn/open-apis/bot/v2/hook/5f4e', secret: demo", `{"code":0,"data":{},"msg":"success"}`},
		"webhook":      {"type: webhook, url: 'https://example.org/hook', secret: s3cret", ``},
		"template":     {"type: webhook, url: 'https://example.org/hook', secret: s3cret, template: '" + template + "'", ``},
		"alertmanager": {"type: alertmanager, url: 'http://127.0.0.1:9093/am/'", ``},
	} {
		for _, language := range []string{"zh-CN", "en"} {
			r := &recorder{answer: c.answer}
			o := options()
			o.Transport = r
			s := open(t, "{"+c.line+", language: "+language+"}", o)
			for _, kind := range kinds {
				fmt.Fprintf(r, "=== %s\n", kind)
				if _, err := s.Send(t.Context(), message(kind, language)); err != nil {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
			}
			golden(t, name+"."+language+".golden", r.String())
		}
	}
}

// A message of several flags, one of which rose.
func TestSeveralFlagsStandInOneBody(t *testing.T) {
	second := burst()
	second.ID, second.Port, second.Severity, second.Rose, second.SeverityAt = "over_power-P03-4-20261123T120000Z", 0, "critical", "warning", second.RaisedAt+1000
	for name, line := range map[string]string{"webhook": "{type: webhook, url: 'https://example.org/hook'}", "alertmanager": "{type: alertmanager, url: 'http://127.0.0.1:9093'}"} {
		r := &recorder{}
		o := options()
		o.Transport = r
		m := message(Raised, "zh-CN")
		m.Flags = append(m.Flags, second)
		if _, err := open(t, line, o).Send(t.Context(), m); err != nil {
			t.Error(err)
		}
		golden(t, name+".several.golden", r.String())
	}
}

func TestMailIsAsItIsRead(t *testing.T) {
	for _, language := range []string{"zh-CN", "en"} {
		c := read(t, "{type: email, to: [wuye@example.org], smtp: 'smtp://pile%40example.org:hunter2@mail.example.org', language: "+language+"}")
		var out strings.Builder
		for _, kind := range kinds {
			s, err := New(c, options())
			if err != nil {
				t.Fatal(err)
			}
			msg, err := s.(*guard).sender.(*mailer).compose(message(kind, language), "wuye@example.org")
			if err != nil {
				t.Fatal(err)
			}
			var raw strings.Builder
			if _, err := msg.WriteTo(&raw); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "=== %s\n%s", kind, readable(t, raw.String()))
		}
		golden(t, "email."+language+".golden", out.String())
	}
}

// readable is a mail with its headers and parts decoded, without its boundary.
func readable(t *testing.T, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var names []string
	for name := range m.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		value, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "Content-Type" {
			value = kind
		}
		fmt.Fprintf(&out, "%s: %s\n", name, value)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextPart() // undoes quoted-printable
		if err == io.EOF {
			return strings.ReplaceAll(out.String(), "\r\n", "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "--- %s\n%s", part.Header.Get("Content-Type"), body)
	}
}
