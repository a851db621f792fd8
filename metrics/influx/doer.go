package influx

import (
	"bytes"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// doer sends the library's requests. It says that what they carry is compressed,
// adds the token, follows no redirect (that would turn a write into a read of some
// page, and its 200 into a success), and does not take somebody's web page for a
// success. It is for one goroutine.
type doer struct {
	client *http.Client
	token  func() (string, error)
	clock  time.Time // what the server's last answer says it is; zero where it does not
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
	if req.Body != nil {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	d.clock, _ = http.ParseTime(resp.Header.Get("Date"))
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode < 300 && kind == "text/html" {
		resp.StatusCode = http.StatusMisdirectedRequest
	}
	return resp, nil
}

// packer compresses the text of a request. The library's own gzip costs five times
// as much, more than all else that a point costs. It is for one goroutine.
type packer struct {
	zip *gzip.Writer
	out bytes.Buffer
}

func newPacker() *packer {
	zip, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a good one
	return &packer{zip: zip}
}

// pack gives the gzip of text, in memory of its own: the transport may still read it
// when a failed request has returned.
func (p *packer) pack(text []byte) string {
	p.out.Reset()
	p.zip.Reset(&p.out)
	_, _ = p.zip.Write(text) // into memory: neither fails
	_ = p.zip.Close()
	return p.out.String()
}
