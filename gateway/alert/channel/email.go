package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"pilewatch/gateway/config"
)

// mailTimeout is for a whole conversation: many servers let a sender wait before
// they take a message.
const mailTimeout = 30 * time.Second

// mailer sends a mail to each address by itself: a wrong one keeps nobody else
// from reading, and nobody sees who else does.
//
// With smtp:// and a password STARTTLS is required; without a password, where
// there is nothing to steal, it is used if the server has it.
type mailer struct {
	server config.MailServer
	tls    *tls.Config
	to     []string
	estate string
	words  words
	now    func() time.Time

	mu    sync.Mutex // a conversation at a time
	id    string     // of the message that was sent last
	taken map[string]bool
}

func newMailer(c config.Channel, server config.MailServer, roots *x509.CertPool, estate string, now func() time.Time) *mailer {
	return &mailer{
		server: server, tls: &tls.Config{ServerName: server.Host, RootCAs: roots, MinVersion: tls.VersionTLS12},
		to: c.To, estate: estate, words: wordsIn(c.Language), now: now,
	}
}

// Send succeeds when the server took the mail for one address at least, and will
// not take it for the others. When some must wait, those that have it already get
// it no second time when the message is repeated.
func (s *mailer) Send(ctx context.Context, m Message) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != m.DeliveryID || s.taken == nil {
		s.id, s.taken = m.DeliveryID, map[string]bool{}
	}
	var mails []*mail.Msg
	var wanted []int // which address each is for
	for i, to := range s.to {
		if s.taken[to] {
			continue
		}
		msg, err := s.compose(m, to)
		if err != nil {
			return "", slowly(fmt.Errorf("address %d under to: %w", i+1, err))
		}
		mails, wanted = append(mails, msg), append(wanted, i)
	}
	if err := s.deliver(ctx, mails); err != nil {
		return "", err
	}
	var said string
	var refused, later []error
	for i, msg := range mails {
		if msg.IsDelivered() {
			s.taken[s.to[wanted[i]]], said = true, msg.ServerResponse()
			continue
		}
		err := fmt.Errorf("address %d under to: %w", wanted[i]+1, smtpRefused(msg.SendError()))
		if final(err) {
			refused = append(refused, err)
		} else {
			later = append(later, err)
		}
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return s.outcome(said, refused, later)
}

// final reports whether only a person, or nothing, can change an error.
func final(err error) bool {
	_, slow := errors.AsType[*RetryError](err)
	_, never := errors.AsType[*PermanentError](err)
	return slow || never
}

// outcome weighs what became of the mails.
func (s *mailer) outcome(said string, refused, later []error) (string, error) {
	if len(later) > 0 {
		return "", later[0]
	}
	if len(s.taken) == 0 {
		return "", refused[0]
	}
	answer := fmt.Sprintf("taken for %d of %d addresses", len(s.taken), len(s.to))
	if said != "" {
		answer += ": " + said
	}
	if len(refused) > 0 {
		answer += "; " + refused[0].Error()
	}
	return answer, nil
}

// deliver holds one conversation. An error says that there was none; what became
// of each mail is in the mails.
func (s *mailer) deliver(ctx context.Context, mails []*mail.Msg) error {
	policy := mail.TLSOpportunistic
	line := &lineTo{ctx: ctx}
	defer line.let()
	options := []mail.Option{
		mail.WithPort(s.server.Port), mail.WithTimeout(mailTimeout), mail.WithTLSConfig(s.tls), mail.WithDialContextFunc(line.dial),
	}
	if s.server.Password != "" {
		policy = mail.TLSMandatory
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.server.User), mail.WithPassword(s.server.Password))
	}
	if s.server.TLS {
		policy, line.tls = mail.NoTLS, s.tls // it has TLS already
		options = append(options, mail.WithSSL())
		if s.server.Password != "" {
			options = append(options, mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthCramMD5, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
		}
	}
	client, err := mail.NewClient(s.server.Host, append(options, mail.WithTLSPolicy(policy))...)
	if err != nil {
		return slowly(fmt.Errorf("smtp: %w", err))
	}
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.noConversation(ctx, err)
	}
	_ = client.SendWithSMTPClient(conversation, mails...) // each mail has its own error
	_ = client.CloseWithSMTPClient(conversation)          // what was taken is taken
	return nil
}

// lineTo is a connection that ends with ctx: go-mail minds its context only until
// there is one.
type lineTo struct {
	ctx  context.Context
	tls  *tls.Config // from the first byte; nil: none
	stop func() bool
}

func (l *lineTo) dial(_ context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(l.ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.stop = context.AfterFunc(l.ctx, func() { _ = conn.Close() }) // whoever waits on it gets an error
	if l.tls == nil {
		return conn, nil
	}
	over := tls.Client(conn, l.tls)
	if err := over.HandshakeContext(l.ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return over, nil
}

// let lets go of ctx.
func (l *lineTo) let() {
	if l.stop != nil {
		l.stop()
	}
}

// noConversation is why a conversation did not begin.
func (s *mailer) noConversation(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !s.server.TLS {
		return errors.New("the mail server says nothing: where its port is for TLS from the first byte (465), write smtps://")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	said, ok := errors.AsType[*textproto.Error](err)
	switch {
	case ok && said.Code/100 == 4:
		return fmt.Errorf("the mail server asks for patience: %w", said)
	case ok && (said.Code == 535 || said.Code == 534 || said.Code == 530 || said.Code == 538):
		return slowly(fmt.Errorf("the mail server does not know user and password: %w; many providers want an authorisation code (授权码) as the password", said))
	case ok:
		return slowly(fmt.Errorf("the mail server refused: %w", said))
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return slowly(errors.New("the mail server has no STARTTLS, and a password is not sent without: use smtps://, or another port"))
	case strings.Contains(err.Error(), "does not support SMTP AUTH"), errors.Is(err, mail.ErrNoSupportedAuthDiscovered):
		return slowly(errors.New("the mail server asks for no password that can be given: check its port, or take user and password out of smtp"))
	}
	return unreached(err)
}

// smtpRefused is what became of one mail. What the server finds wrong with the
// content it will never take; an address or a sender is mended by a person.
func smtpRefused(err error) error {
	e, ok := errors.AsType[*mail.SendError](err)
	if !ok {
		return errors.New("not sent: the conversation ended before")
	}
	text, _, _ := strings.Cut(err.Error(), ", affected ") // addresses are people's
	said := errors.New("the mail server refused: " + text)
	switch code := e.ErrorCode(); {
	case code == 0:
		return errors.New("the conversation ended: " + text)
	case code/100 == 4:
		return said
	case e.Reason == mail.ErrSMTPRcptTo:
		return slowly(fmt.Errorf("%w; check the address", said))
	case e.Reason == mail.ErrSMTPMailFrom:
		return slowly(fmt.Errorf("%w; it may want another sender: put ?from=address behind smtp", said))
	case code == 552 || code == 554:
		return never(said)
	}
	return slowly(said)
}

// compose writes the mail. Its Message-ID is made of the delivery id, so that a
// repeat is known as one.
func (s *mailer) compose(m Message, to string) (*mail.Msg, error) {
	msg := mail.NewMsg()
	err := errors.Join(msg.FromFormat(s.estate, s.server.From), msg.To(to))
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(s.server.From, "@")
	msg.SetMessageIDWithValue(idPart(m.DeliveryID) + "@" + domain)
	msg.SetDateWithValue(s.now())
	msg.SetUserAgent("pilewatch")
	msg.Subject(oneLine(m.Title, maxTitle))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers
	msg.SetGenHeader("X-Pilewatch-Delivery", idPart(m.DeliveryID))
	if m.Severity == "critical" && m.Kind != Cleared && m.Kind != Digest {
		msg.SetImportance(mail.ImportanceHigh)
	}
	text := strings.Trim(m.Text, "\n")
	if m.Link != "" {
		text += "\n\n" + s.words.at + m.Link
	}
	msg.SetBodyString(mail.TypeTextPlain, strings.ReplaceAll(oneLine(m.Title, maxTitle)+"\n\n"+text+"\n", "\n", "\r\n"))
	var html strings.Builder
	if err := mailHTML.Execute(&html, struct {
		Message
		Lines []string
		Words string
	}{m, strings.Split(strings.Trim(m.Text, "\n"), "\n"), s.words.link}); err != nil {
		return nil, err
	}
	msg.AddAlternativeString(mail.TypeTextHTML, html.String())
	return msg, nil
}

// idPart keeps what a Message-ID and a header may hold.
func idPart(id string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`<>()[]\,;:"@`, r) {
			return r
		}
		return '-'
	}, id)
}

var mailHTML = template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html><body style="font:16px/1.6 sans-serif">
<p style="font-size:1.2em"><b>{{.Title}}</b></p>
<p>{{range $i, $line := .Lines}}{{if $i}}<br>
{{end}}{{$line}}{{end}}</p>
{{with .Link}}<p><a href="{{.}}">{{$.Words}}</a></p>
{{end}}</body></html>
`))
