package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// MailServer is what an smtp:// or smtps:// address says.
type MailServer struct {
	Host           string
	Port           int  // 587, or 465 with TLS, where the address has none
	TLS            bool // from the first byte (smtps); else by STARTTLS
	User, Password string
	From           string // the sender: ?from=, or the user where that is a mail address, or pilewatch at the host
}

// ParseSMTP reads such an address: smtps://user:password@host:port?from=address.
// The error has no part of the address in it that may be secret.
func ParseSMTP(s string) (MailServer, error) {
	if err := checkURL(s, []string{"smtp", "smtps"}, true); err != nil {
		return MailServer{}, err
	}
	u, err := url.Parse(s)
	if err != nil {
		return MailServer{}, fmt.Errorf("expected a URL such as smtp://user:password@host:587")
	}
	m := MailServer{Host: u.Hostname(), TLS: u.Scheme == "smtps", Port: 587, User: u.User.Username()}
	if m.TLS {
		m.Port = 465
	}
	if p := u.Port(); p != "" {
		if m.Port, err = strconv.Atoi(p); err != nil {
			return MailServer{}, fmt.Errorf("port: expected 1 to 65535")
		}
	}
	var given bool
	m.Password, given = u.User.Password()
	query, err := url.ParseQuery(u.RawQuery)
	m.From = query.Get("from")
	query.Del("from")
	switch {
	case u.User != nil && (m.User == "" || !given || m.Password == ""):
		return MailServer{}, fmt.Errorf("a user without a password, or the other way round: expected smtp://user:password@host:587, with %%40 for an @ in the user")
	case strings.Trim(u.Path, "/") != "" || u.Fragment != "":
		return MailServer{}, fmt.Errorf("something behind the port: expected smtp://user:password@host:587")
	case err != nil || len(query) > 0:
		return MailServer{}, fmt.Errorf("something behind the question mark: expected nothing but from=, such as ?from=pilewatch@example.org")
	case m.From != "":
		if err := checkMail(m.From); err != nil {
			return MailServer{}, fmt.Errorf("from: %w", err)
		}
	case checkMail(m.User) == nil:
		m.From = m.User
	case net.ParseIP(m.Host) != nil:
		m.From = "pilewatch@localhost"
	default:
		m.From = "pilewatch@" + m.Host
	}
	return m, nil
}

func checkSMTP(s string) error {
	_, err := ParseSMTP(s)
	return err
}
