package influx

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// doer sends the library's requests. It adds the token, follows no redirect
// (that would turn a write into a read of some page, and its 200 into a
// success), and does not take somebody's web page for a success.
type doer struct {
	client *http.Client
	token  func() (string, error)
}

func newDoer(timeout time.Duration, token func() (string, error)) *doer {
	return &doer{
		token: token,
		client: &http.Client{
			Timeout: timeout,
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
				MaxIdleConns:        2,
				IdleConnTimeout:     30 * time.Second, // before a proxy between closes it
				ForceAttemptHTTP2:   true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (d *doer) close() { d.client.CloseIdleConnections() }

// Do sends a request with the token of now.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	if d.token != nil {
		token, err := d.token()
		if err != nil {
			return nil, &setupError{fmt.Errorf("the token: %w", err), "write InfluxDB's token where influxdb.token_file says"}
		}
		if token = strings.TrimSpace(token); token != "" {
			req.Header.Set("Authorization", "Token "+token)
		}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode < 300 && kind == "text/html" {
		resp.StatusCode = http.StatusMisdirectedRequest
	}
	return resp, nil
}
