package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server that keeps what it takes.
type mailServer struct {
	addr  string
	roots *x509.CertPool

	mu     sync.Mutex
	mails  []received
	rcpt   map[string]*smtp.SMTPError // addresses that it refuses
	data   *smtp.SMTPError            // what it says of every content
	hangUp int                        // it closes the connection at this mail, from 1
	silent chan struct{}              // closed: it never answers
}

type received struct {
	from, to, mail string
	tls, auth      bool
}

// mailSession is a conversation with it.
type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	got    received
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "pile@example.org" || password != "hunter2-mail" {
			return smtp.ErrAuthFailed
		}
		s.got.auth = true
		return nil
	}), nil
}
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error { s.got.from = from; return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.got.to = to
	if e := s.server.rcpt[to]; e != nil {
		return e
	}
	return nil
}
func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.data != nil {
		return s.server.data
	}
	if s.server.hangUp == len(s.server.mails)+1 {
		return s.conn.Close()
	}
	s.got.mail = string(b)
	_, s.got.tls = s.conn.TLSConnectionState()
	s.server.mails = append(s.server.mails, s.got)
	return nil
}
func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

// serveMail starts one: with TLS from the first byte, by STARTTLS, or without any.
func serveMail(t *testing.T, how string) *mailServer {
	t.Helper()
	authority := httptest.NewUnstartedServer(nil) // for its certificate of 127.0.0.1
	authority.StartTLS()
	t.Cleanup(authority.Close)
	m := &mailServer{roots: x509.NewCertPool(), rcpt: map[string]*smtp.SMTPError{}}
	m.roots.AddCert(authority.Certificate())
	config := &tls.Config{Certificates: authority.TLS.Certificates}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		if m.silent != nil {
			<-m.silent
		}
		return &mailSession{server: m, conn: c}, nil
	}))
	server.Domain, server.EnableSMTPUTF8 = "mail.example.org", true
	switch how {
	case "smtps":
		l = tls.NewListener(l, config)
	case "starttls":
		server.TLSConfig = config
	default:
		server.AllowInsecureAuth = true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return m
}

// mailbox is the channel of a server.
func mailbox(t *testing.T, m *mailServer, address string, to ...string) Sender {
	t.Helper()
	o := live(nil)
	o.RootCAs = m.roots
	if to == nil {
		to = []string{"wuye@example.org"}
	}
	return open(t, fmt.Sprintf("{type: email, to: [%s], smtp: '%s'}", strings.Join(to, ", "), strings.ReplaceAll(address, "HOST", m.addr)), o)
}

const asPile = "pile%40example.org:hunter2-mail@HOST"

func TestMailGoesOverTLSToEachAddress(t *testing.T) {
	for _, how := range []string{"starttls", "smtps"} {
		m := serveMail(t, how)
		address := map[string]string{"starttls": "smtp://", "smtps": "smtps://"}[how] + asPile
		s := mailbox(t, m, address, "wuye@example.org", "zhuren@example.org")
		answer, err := s.Send(t.Context(), message(Raised, "zh-CN"))
		if err != nil || !strings.HasPrefix(answer, "taken for 2 of 2 addresses") {
			t.Fatalf("%s: %q, %v", how, answer, err)
		}
		if len(m.mails) != 2 || m.mails[1].to != "zhuren@example.org" {
			t.Fatalf("%s: %+v", how, m.mails)
		}
		for _, got := range m.mails {
			if !got.tls || !got.auth || got.from != "pile@example.org" {
				t.Errorf("%s: TLS %v, authenticated %v, from %s", how, got.tls, got.auth, got.from)
			}
			if text := readable(t, got.mail); !strings.Contains(text, "Subject: 【严重】3号楼 北侧 P03桩 2口：疑似电热电器\n") ||
				!strings.Contains(text, "Message-Id: <d-0042@example.org>") || strings.Count(text, "请上门了解情况并提供帮助") != 2 {
				t.Errorf("%s: %s", how, text)
			}
		}
	}
}

func TestMailNeedsNoPasswordAndThenNoTLS(t *testing.T) {
	for _, how := range []string{"plain", "starttls"} {
		m := serveMail(t, how)
		if _, err := mailbox(t, m, "smtp://HOST?from=alarm@example.org").Send(t.Context(), message(Test, "en")); err != nil {
			t.Fatal(err)
		}
		if got := m.mails[0]; got.tls != (how == "starttls") || got.from != "alarm@example.org" {
			t.Errorf("%s: %+v", how, got)
		}
	}
}

func TestMailFaultsSayWhatToDo(t *testing.T) {
	wrong := strings.Replace(asPile, "hunter2", "hunter3", 1)
	for _, c := range []struct {
		how, address string
		change       func(*mailServer)
		want, says   string
	}{
		{"plain", "smtp://" + asPile, nil, "after 5m0s", "no STARTTLS"},
		{"starttls", "smtp://" + wrong, nil, "after 5m0s", "authorisation code"},
		{"starttls", "smtp://" + asPile, func(m *mailServer) { m.roots = x509.NewCertPool() }, "again", "TLS: the server's certificate is of an authority"},
		{"smtps", "smtps://" + asPile, func(m *mailServer) { m.roots = x509.NewCertPool() }, "again", "TLS: the server's certificate is of an authority"},
		{"starttls", "smtps://" + asPile, nil, "again", "does not speak TLS"},
		{"smtps", "smtp://" + asPile, nil, "again", "write smtps://"},
		{"starttls", "smtp://" + asPile, func(m *mailServer) { m.addr = "127.0.0.1:1" }, "again", "connection refused"},
		{"starttls", "smtp://" + asPile, func(m *mailServer) { m.data = &smtp.SMTPError{Code: 451, Message: "greylisted"} }, "again", "greylisted"},
		{"starttls", "smtp://" + asPile, func(m *mailServer) { m.data = &smtp.SMTPError{Code: 554, Message: "spam"} }, "never", "spam"},
		{"starttls", "smtp://" + asPile, func(m *mailServer) {
			m.rcpt["wuye@example.org"] = &smtp.SMTPError{Code: 550, Message: "no such user"}
		}, "after 5m0s", "address 1 under to: the mail server refused"},
	} {
		m := serveMail(t, c.how)
		if c.change != nil {
			c.change(m)
		}
		s := mailbox(t, m, c.address)
		if c.how == "smtps" && strings.HasPrefix(c.address, "smtp:") {
			s.(*guard).timeout = 100 * time.Millisecond // each waits for the other to begin
		}
		_, err := s.Send(t.Context(), message(Raised, "zh-CN"))
		wants(t, err, c.want, c.says)
		if len(m.mails) != 0 || err != nil && (strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "wuye@")) {
			t.Errorf("%s: %v, %d mails", c.address, err, len(m.mails))
		}
	}
}

// One wrong address keeps nobody else from reading, and who has the mail gets it
// no second time when it is repeated for another.
func TestOneAddressDelaysNoOther(t *testing.T) {
	m := serveMail(t, "starttls")
	m.rcpt["gone@example.org"] = &smtp.SMTPError{Code: 550, Message: "no such user"}
	m.rcpt["full@example.org"] = &smtp.SMTPError{Code: 452, Message: "mailbox full"}
	s := mailbox(t, m, "smtp://"+asPile, "wuye@example.org", "gone@example.org", "full@example.org")
	_, err := s.Send(t.Context(), message(Raised, "zh-CN"))
	wants(t, err, "again", "mailbox full")
	delete(m.rcpt, "full@example.org")
	answer, err := s.Send(t.Context(), message(Raised, "zh-CN"))
	if err != nil || !strings.Contains(answer, "2 of 3") || !strings.Contains(answer, "address 2 under to") || !strings.Contains(answer, "no such user") {
		t.Errorf("%q, %v", answer, err)
	}
	if len(m.mails) != 2 || m.mails[0].to != "wuye@example.org" || m.mails[1].to != "full@example.org" {
		t.Errorf("%+v", m.mails)
	}
}

func TestMailGoesOnWhereAConnectionBroke(t *testing.T) {
	m := serveMail(t, "starttls")
	m.hangUp = 2
	s := mailbox(t, m, "smtp://"+asPile, "a@example.org", "b@example.org", "c@example.org")
	_, err := s.Send(t.Context(), message(Raised, "zh-CN"))
	wants(t, err, "again", "address 2 under to: the conversation ended")
	m.hangUp = 0
	if answer, err := s.Send(t.Context(), message(Raised, "zh-CN")); err != nil || !strings.HasPrefix(answer, "taken for 3 of 3") {
		t.Errorf("%q, %v", answer, err)
	}
	var to []string
	for _, got := range m.mails {
		to = append(to, got.to)
	}
	if strings.Join(to, " ") != "a@example.org b@example.org c@example.org" {
		t.Errorf("mails went to %v", to)
	}
}

func TestMailEndsWithTheCaller(t *testing.T) {
	m := serveMail(t, "starttls")
	m.silent = make(chan struct{})
	defer close(m.silent)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the gateway stops")
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	_, err := mailbox(t, m, "smtp://"+asPile).Send(ctx, message(Raised, "zh-CN"))
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
