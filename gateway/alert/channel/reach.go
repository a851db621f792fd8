package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// unreached says in a line why a server gave no answer, and what to look at. It
// names neither the server nor its URL.
func unreached(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok { // it begins with the URL
		err = e.Err
	}
	if said := tlsFault(err); said != "" {
		return errors.New("TLS: " + said)
	}
	op, _ := errors.AsType[*net.OpError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	timeout, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case op != nil && op.Op == "proxyconnect":
		return errors.New("the proxy does not answer: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
	case dns:
		return errors.New("the server's name is not known: check the host in the address, and this machine's DNS")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there; check host and port in the address")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return errors.New("no way to the server: check this machine's network")
	case timeout != nil && timeout.Timeout():
		return errors.New("no answer in time: is a network or a proxy in the way?")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server closed the connection without an answer")
	}
	return fmt.Errorf("no answer: %w", err)
}

// tlsFault says what is wrong with a server's certificate or TLS; "" where it is
// something else.
func tlsFault(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is of an authority that this machine does not know: install its CA certificate here, or look for a proxy in between"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is for another name: check the host in the address"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "the server's certificate has expired or is not valid yet: renew it, and check this machine's clock"
		}
		return "the server's certificate is not valid: " + invalid.Error()
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if record || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "the server does not speak TLS there: check scheme and port of the address"
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return "the server refused: " + alert.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not valid: " + e.Err.Error()
	}
	return ""
}
