package ingest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// gateway/stack_test.go has those that a real broker can be brought to.
func TestWhyThereIsNoBrokerComesWithWhatToDo(t *testing.T) {
	day := 24 * time.Hour
	cert := func(from, to time.Duration) error {
		return x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}}
	}
	for _, c := range []struct {
		err  error
		want string // "": nothing is added
	}{
		{cert(day, 2*day), "set the clock (timedatectl set-ntp true), or, if it is right"},
		{cert(-2*day, -day), "deploy/setup renew"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Cert: &x509.Certificate{}}, ""},
		{packets.ErrorRefusedBadUsernameOrPassword, "mqtt.password"},
		{packets.ErrorRefusedIDRejected, "mqtt.client_id"},
		{&net.DNSError{Err: "no such host", Name: "mosquitto"}, "nobody knows this name"},
		{errors.New("something else"), ""},
	} {
		wrapped := fmt.Errorf("network Error : %w", c.err)
		got := Explain(wrapped)
		if !errors.Is(got, c.err) && got.Error() != wrapped.Error() {
			t.Errorf("%v is lost in %v", c.err, got)
		}
		if added := strings.TrimPrefix(got.Error(), wrapped.Error()); !strings.Contains(added, c.want) || c.want == "" && added != "" {
			t.Errorf("%v: %q is added, want %q", c.err, added, c.want)
		}
	}
}
