package influx

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// refusal is InfluxDB's word on lines that it will never take.
type refusal struct {
	reason  string
	sure    bool // it says plainly that it read the lines
	dropped int  // how many of the request's lines, as far as it says; 0 unknown
	tooOld  bool // the bucket does not keep points so long: the others were taken
}

// setupError is a state that lasts until a person changes something.
type setupError struct {
	err  error
	hint string
}

func (e *setupError) Error() string             { return e.err.Error() }
func (e *setupError) Unwrap() error             { return e.err }
func (e *setupError) Hint() string              { return e.hint }
func (e *setupError) RetryAfter() time.Duration { return time.Minute }

// busyError is InfluxDB asking for patience.
type busyError struct {
	error
	after time.Duration
	slow  bool // it, or a proxy before it, gave up waiting
}

func (e *busyError) Unwrap() error             { return e.error }
func (e *busyError) Timeout() bool             { return e.slow }
func (e *busyError) RetryAfter() time.Duration { return e.after }

// maxAnswer is how much of an answer is read. InfluxDB's refusals are a few kB;
// the library reads, and keeps, all that is sent.
const maxAnswer = 256 << 10

// brief cuts answers short.
type brief struct{ *doer }

func (b brief) Do(req *http.Request) (*http.Response, error) {
	resp, err := b.doer.Do(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// judge tells what a failed write means: lines that are bad for ever (a
// refusal), or a state of the server, of the way to it or of the configuration
// that will pass (an error).
func (c *Consumer) judge(err error) (*refusal, error) {
	var e *influxhttp.Error
	if !errors.As(err, &e) || e.StatusCode == 0 {
		return nil, fmt.Errorf("writing to InfluxDB: %w", err)
	}
	why := message(e)
	failed := c.failure(e.StatusCode, why)
	switch {
	case refuses(e, why):
		sure := e.StatusCode != http.StatusBadRequest || aboutLines.MatchString(why)
		return &refusal{reason: why, sure: sure, dropped: dropped(why), tooOld: tooOld(why)}, nil
	case !passing(e.StatusCode) || strings.Contains(why, "retention policy not found"):
		return nil, &setupError{failed, c.hint(e)}
	}
	return nil, &busyError{failed, retryAfter(e), e.StatusCode == http.StatusRequestTimeout || e.StatusCode == http.StatusGatewayTimeout}
}

func (c *Consumer) failure(status int, why string) error {
	return fmt.Errorf("writing to InfluxDB at %s: status %d: %s", c.address, status, cut(why, 500))
}

// message is why the server refused. The library has what 2.x says as Message,
// and of what 1.8 says only a header's worth; Err is a body that it could not read.
func message(e *influxhttp.Error) string {
	for _, s := range []string{e.Message, e.Header.Get("X-Influxdb-Error"), e.Code} {
		if s = strings.TrimSpace(s); s != "" {
			return s
		}
	}
	return http.StatusText(e.StatusCode)
}

// aboutLines finds what only a server says that has read the lines.
var aboutLines = regexp.MustCompile(`(?i)partial write|unable to parse|field type conflict|points? (beyond|outside) retention|line protocol`)

// refuses reports whether an answer is about the lines. A 400 may also come from
// something else that listens at the address (a TLS port that was spoken to in
// the clear, a proxy): no line is given up for that.
func refuses(e *influxhttp.Error, why string) bool {
	switch e.StatusCode {
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	case http.StatusBadRequest:
		return aboutLines.MatchString(why) || fromInflux(e.Header)
	case http.StatusInternalServerError: // 2.0 said so of partial writes
		return strings.Contains(why, "partial write")
	}
	return false
}

func fromInflux(h http.Header) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "application/json" || h.Get("X-Influxdb-Version") != "" || h.Get("X-Platform-Error-Code") != ""
}

// passing reports whether a status is one that waiting may end.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func tooOld(why string) bool {
	return strings.Contains(why, "beyond retention policy") || strings.Contains(why, "outside retention policy")
}

var droppedCount = regexp.MustCompile(`dropped=(\d+)\s*$`)

// dropped is how many lines a partial write left out.
func dropped(why string) int {
	m := droppedCount.FindStringSubmatch(why)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// retryAfter is what the server asks for, in seconds or as a date; 0 for nothing.
func retryAfter(e *influxhttp.Error) time.Duration {
	if e.RetryAfter > 0 {
		return time.Duration(e.RetryAfter) * time.Second
	}
	if at, err := http.ParseTime(e.Header.Get("Retry-After")); err == nil {
		return time.Until(at)
	}
	return 0
}

const hintAddress = "check influxdb.url (the address of InfluxDB itself, with https:// where it uses TLS), influxdb.org and influxdb.bucket"

// hint says what to do about an answer that waiting does not change.
func (c *Consumer) hint(e *influxhttp.Error) string {
	switch e.StatusCode {
	case http.StatusUnauthorized:
		return "check influxdb.token; InfluxDB 1.8 takes user:password"
	case http.StatusForbidden:
		return fmt.Sprintf("give the token the right to write to bucket %q", c.opts.Bucket)
	case http.StatusNotFound:
		return fmt.Sprintf("create bucket %q in organisation %q (InfluxDB 1.8: the database), or correct influxdb.bucket, influxdb.org and influxdb.url", c.opts.Bucket, c.opts.Org)
	case http.StatusInternalServerError:
		return fmt.Sprintf("create the retention policy that %q names, or correct influxdb.bucket", c.opts.Bucket)
	}
	if to := e.Header.Get("Location"); to != "" {
		return fmt.Sprintf("influxdb.url leads on to %s: give the final address", cut(to, 200))
	}
	return hintAddress
}
