package influx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// doer sends the library's requests. It compresses them (the library's own gzip
// costs five times as much, more than all else that a point costs), adds the
// token, follows no redirect (that would turn a write into a read of some page,
// and its 200 into a success), and does not take somebody's web page for a
// success. It is for one goroutine.
type doer struct {
	client *http.Client
	token  func() (string, error)
	zip    *gzip.Writer
	read   []byte    // what is compressed next
	packed int       // bytes of the last request
	clock  time.Time // what the server's last answer says it is; zero where it does not
}

func newDoer(timeout time.Duration, token func() (string, error)) *doer {
	zip, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a good one
	return &doer{
		token: token,
		zip:   zip,
		read:  make([]byte, 64<<10),
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
	if err := d.compress(req); err != nil {
		return nil, err
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

// compress puts the body's gzip in its place. The memory is the request's own:
// the transport may still read it when a failed request has returned.
func (d *doer) compress(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	var b bytes.Buffer
	b.Grow(d.packed + d.packed/8)
	d.zip.Reset(&b)
	// Without this, the text would be copied as a whole: neither side has the other's kind of call.
	_, err := io.CopyBuffer(d.zip, struct{ io.Reader }{req.Body}, d.read)
	if err = errors.Join(err, d.zip.Close(), req.Body.Close()); err != nil {
		return fmt.Errorf("compressing a request: %w", err)
	}
	d.packed = b.Len()
	req.Header.Set("Content-Encoding", "gzip")
	req.ContentLength = int64(b.Len())
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	req.Body, err = req.GetBody()
	return err
}
