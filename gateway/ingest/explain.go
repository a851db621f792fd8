package ingest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Explain adds to the reason why a broker cannot be had what to do about it,
// where that is known.
func Explain(err error) error {
	if todo := remedy(err); todo != "" {
		return fmt.Errorf("%w; %s", err, todo)
	}
	return err
}

func remedy(err error) string {
	var (
		plain *tls.RecordHeaderError
		name  *net.DNSError
	)
	if todo := certificateRemedy(err); todo != "" {
		return todo
	}
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return "the broker does not let this user in with this password: correct mqtt.username and mqtt.password, or the broker's password file"
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return "give another mqtt.client_id"
	case errors.As(err, &plain):
		return "this port of the broker does not speak TLS: use tcp:// in mqtt.broker, or the port that does"
	case errors.As(err, &name):
		return "nobody knows this name: correct mqtt.broker, or give the address in figures"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the broker, or correct mqtt.broker"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to this address: look at the network of this machine, or correct mqtt.broker"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker closed the connection: in mqtt.broker use ssl:// where the port speaks TLS, tcp:// where it does not; else look into the broker's log"
	}
	return ""
}

// certificateRemedy says what to do about a certificate that is not believed.
func certificateRemedy(err error) string {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		other   x509.HostnameError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		const day = "2006-01-02 15:04"
		from, to := invalid.Cert.NotBefore.Local(), invalid.Cert.NotAfter.Local()
		span := fmt.Sprintf("its certificate holds from %s to %s and the clock here says %s", from.Format(day), to.Format(day), time.Now().Format(day))
		if time.Now().Before(from) {
			return span + ": set the clock (timedatectl set-ntp true), or, if it is right, give the broker a certificate that holds now"
		}
		return span + ": give the broker a new certificate (deploy/setup renew) and restart it, or set the clock if that is wrong"
	case errors.As(err, &unknown):
		return "give the authority that signed the broker's certificate in mqtt.ca_file"
	case errors.As(err, &other):
		names := other.Certificate.DNSNames
		for _, ip := range other.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		return fmt.Sprintf("use one of the certificate's names in mqtt.broker (%s), or give the broker one for %s", strings.Join(names, ", "), other.Host)
	}
	return ""
}
