package channel

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

var discard = log.New(io.Discard, "", 0)

// hunted are the secrets of every channel below; none of them may come out.
var hunted = []string{"hunter2", "h%2Fnter2", "h/nter2"}

// A server that says all that it was told, in every status, and networks that do.
func TestNoSecretIsInAnyErrorOrAnswer(t *testing.T) {
	var status int
	var wrap string
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, wrap, strings.NewReplacer(`"`, `'`, "\r", " ", "\n", " ", `\`, " ").Replace("http://"+r.Host+r.RequestURI+" "+string(said)))
	}))
	defer echo.Close()
	host := strings.TrimPrefix(echo.URL, "http://")
	n := 0
	check := func(what string, texts ...any) {
		t.Helper()
		for _, text := range texts {
			for err, _ := text.(error); err != nil; err = errors.Unwrap(err) {
				texts = append(texts, err.Error(), fmt.Sprintf("%+v %#v", err, err))
			}
		}
		for _, text := range texts {
			n++
			for _, secret := range hunted {
				if strings.Contains(fmt.Sprint(text), secret) {
					t.Errorf("%s: a secret stands in %q", what, text)
				}
			}
		}
	}
	lines := map[string]string{
		"wecom":        "{type: wecom, url: 'http://HOST/cgi-bin/webhook/send?key=hunter2-key'}",
		"dingtalk":     "{type: dingtalk, url: 'http://HOST/robot/send?access_token=hunter2-token', secret: SEChunter2}",
		"feishu":       "{type: feishu, url: 'http://HOST/open-apis/bot/v2/hook/hunter2-hook', secret: 'hunter2 \"quoted\"'}",
		"webhook":      "{type: webhook, url: 'http://user:h%2Fnter2@HOST/hooks/hunter2-path?a=hunter2#hunter2-end', secret: hunter2-secret}",
		"alertmanager": "{type: alertmanager, url: 'http://user:hunter2@HOST/hunter2-prefix'}",
		"shoutrrr":     "{type: shoutrrr, url: 'generic+http://HOST/services/hunter2-service?@authorization=hunter2-header'}",
	}
	for name, line := range lines {
		for _, to := range []string{host, "127.0.0.1:1"} {
			for _, status = range []int{200, 302, 400, 403, 429, 500} {
				for _, wrap = range []string{"%s", `{"errcode":99,"errmsg":"%s"}`, `{"code":0,"msg":"%s"}`} {
					if to != host && status != 200 {
						continue
					}
					s, err := New(read(t, strings.ReplaceAll(line, "HOST", to)), live(nil))
					if err != nil {
						check(name, err)
						continue
					}
					answer, err := s.Send(t.Context(), message(Raised, "en"))
					check(fmt.Sprint(name, " ", to, " ", status), answer, err)
				}
			}
		}
		for what, fault := range map[string]func(*http.Request) error{
			"odd": func(r *http.Request) error { return fmt.Errorf("odd: %s %q %v", r.URL, r.URL, r.Header) },
			"DNS": func(r *http.Request) error { return &net.DNSError{Name: r.URL.String(), Err: "no such host"} },
			"TLS": func(r *http.Request) error {
				return x509.HostnameError{Certificate: &x509.Certificate{}, Host: r.URL.String()}
			},
		} {
			o := live(roundTrip(func(r *http.Request) (*http.Response, error) { return nil, fault(r) }))
			s := open(t, strings.ReplaceAll(line, "HOST", "127.0.0.1:1"), o)
			answer, err := s.Send(t.Context(), message(Raised, "en"))
			check(name+", "+what, answer, err)
			if keep, ok := s.(Keeper); ok {
				check(name+", keep, "+what, keep.Keep(t.Context(), message(Raised, "en").Flags))
			}
		}
	}
	checkMailSecrets(t, check)
	for _, said := range []string{ // the library's own addresses, made of the parts of ours
		`sending: Post "https://api.telegram.org/bot1:hunter2/sendMessage": dial tcp: lookup api.telegram.org`,
		`failed: https://hooks.slack.com/services/T0/B0/hunter2: 404`,
	} {
		check(said, refusedByService(errors.New(said)))
	}
	for _, line := range []string{
		"{type: wecom, url_file: '" + file(t, "f", "ftp://hunter2") + "'}",
		"{type: wecom, url_file: '" + file(t, "f", "http://hunter2\x7f") + "'}",
		"{type: wecom, url_file: '" + file(t, "f", "hunter2") + "'}",
		"{type: shoutrrr, url_file: '" + file(t, "f", "discord://hunter2@") + "'}",
		"{type: shoutrrr, url_file: '" + file(t, "f", "nosuch://hunter2@x") + "'}",
		"{type: shoutrrr, url_file: '" + file(t, "f", "telegram://hunter2@telegram?hunter2=x") + "'}",
		"{type: email, to: [a@example.org], smtp_file: '" + file(t, "f", "smtp://hunter2@h") + "'}",
		"{type: email, to: [a@example.org], smtp_file: '" + file(t, "f", "smtp://u:hunter2@h:99999?x=hunter2") + "'}",
		"{type: email, to: [a@example.org], smtp_file: '" + file(t, "f", "smtp://u:hunter2@h?from=hunter2") + "'}",
		"{type: email, to: [a@example.org], smtp_file: '" + file(t, "f", "smtp://u:hun%ter2@h") + "'}",
	} {
		_, err := New(read(t, line), live(nil))
		if err == nil {
			t.Errorf("%s was taken", line)
		}
		check(line, err)
	}
	if n < 400 {
		t.Errorf("only %d texts were looked at", n)
	}
}

func checkMailSecrets(t *testing.T, check func(string, ...any)) {
	for _, how := range []string{"plain", "starttls", "smtps"} {
		for _, scheme := range []string{"smtp", "smtps"} {
			if how == "smtps" && scheme == "smtp" {
				continue // each waits for the other to begin
			}
			for _, password := range []string{"hunter2-mail", "h%2Fnter2"} {
				for _, roots := range []*x509.CertPool{nil, x509.NewCertPool()} {
					m := serveMail(t, how)
					if roots != nil {
						m.roots = roots
					}
					m.data = &smtp.SMTPError{Code: 554, Message: "refused smtp://pile%40example.org:hunter2-mail@h of pile@example.org, hunter2-mail"}
					answer, err := mailbox(t, m, scheme+"://pile%40example.org:"+password+"@HOST").Send(t.Context(), message(Raised, "en"))
					check("mail", answer, err)
				}
			}
		}
	}
}
