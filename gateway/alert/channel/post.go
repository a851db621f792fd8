package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	httpTimeout = 10 * time.Second
	slowRetry   = 5 * time.Minute // for what a person must mend
	maxAsk      = time.Hour       // the longest wait that a server may ask for
	maxAnswer   = 64 << 10        // bytes of an answer that are read
)

// slowly is for what stays wrong until a person mends it: nothing is lost, and
// nobody is hammered.
func slowly(err error) error { return &RetryError{After: slowRetry, Err: err} }

func never(err error) error { return &PermanentError{Err: err} }

// poster posts bodies to one server.
type poster struct {
	client *http.Client
	now    func() time.Time
	hidden *secrets // hidden before a text is shortened: half a secret is one
}

// reply is what a server said.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post sends a body. It follows no redirect: a POST might become a GET, or go
// where the secrets in it are not meant to be.
func (p *poster) post(ctx context.Context, url string, header http.Header, body []byte) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return reply{}, slowly(unreached(err))
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	req.Header.Set("User-Agent", "pilewatch")
	resp, err := p.client.Do(req)
	if err != nil {
		return reply{}, unreached(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{}, unreached(err)
	}
	return reply{resp.StatusCode, resp.Header, got}, nil
}

// taken gives nil for a status of success, else an error of the kind that the
// status says, with the beginning of the answer.
func (p *poster) taken(r reply) error {
	if r.status/100 == 2 {
		return nil
	}
	said := fmt.Sprintf("HTTP %d %s", r.status, http.StatusText(r.status))
	if body := p.hidden.hide(string(r.body), maxLine/2); body != "" {
		said += ": " + body
	}
	err := errors.New(said)
	asked, ok := p.retryAfter(r.header.Get("Retry-After"))
	switch {
	case r.status == http.StatusTooManyRequests && !ok:
		return &RetryError{After: time.Minute, Err: err}
	case ok && (r.status == http.StatusTooManyRequests || r.status >= 500):
		return &RetryError{After: asked, Err: err}
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		return err
	case r.status/100 == 3:
		return slowly(fmt.Errorf("%w; the address has moved: put the new one into url", err))
	}
	switch r.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return never(err)
	}
	return slowly(fmt.Errorf("%w; check url and secret", err))
}

// retryAfter reads a wait, in seconds or as a date.
func (p *poster) retryAfter(header string) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	d := time.Duration(0)
	if s, err := strconv.ParseInt(header, 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(header); err == nil {
		d = t.Sub(p.now())
	} else {
		return 0, false
	}
	return min(max(d, time.Second), maxAsk), true
}
