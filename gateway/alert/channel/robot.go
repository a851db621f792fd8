package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// robot is the robot of a group chat: a body in, and an answer that is a success
// only when the code in it is 0, whatever the HTTP status says.
type robot struct {
	*poster
	limit   int // bytes, of what size gives
	words   words
	size    func(m Message) int // what the limit is about
	request func(m Message) (url string, body any)
	refused func(code int, said string) error
}

func (r *robot) Send(ctx context.Context, m Message) (string, error) {
	url, body := r.request(r.fit(m))
	encoded, err := compact(body)
	if err != nil {
		return "", never(err)
	}
	reply, err := r.post(ctx, url, nil, encoded)
	if err != nil {
		return "", err
	}
	code, said, ok := robotCode(reply.body)
	said = r.hidden.hide(said, maxLine/2)
	switch {
	case reply.status == http.StatusTooManyRequests, !ok && reply.status != http.StatusOK:
		return "", r.taken(reply)
	case !ok:
		return "", slowly(errors.New("the answer is not a robot's: check url, and look for a proxy or a login page in between"))
	case code != 0:
		return "", r.refused(code, said)
	case reply.status/100 != 2:
		return "", r.taken(reply)
	}
	return fmt.Sprintf("code 0 %s", said), nil
}

// fit takes the markup out of a message, and shortens it to the limit.
func (r *robot) fit(m Message) Message {
	m.Title = oneLine(plain(m.Title), maxTitle)
	m.Link = href.Replace(m.Link)
	m.Text = fit(strings.Trim(plain(m.Text), "\n"), r.words.cut, r.limit, func(text string) int {
		with := m
		with.Text = text
		return r.size(with)
	})
	return m
}

// bodySize is the size of the whole body, for robots whose limit is about that.
func (r *robot) bodySize(m Message) int {
	_, body := r.request(m)
	encoded, err := compact(body)
	if err != nil {
		return r.limit + 1
	}
	return len(encoded)
}

// compact is JSON that doesn't write < as six bytes.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// robotCode reads the code of an answer by the names that the robots have for it;
// false where it has none.
func robotCode(body []byte) (code int, said string, ok bool) {
	var a struct {
		ErrCode, Code, StatusCode  *int
		ErrMsg, Msg, StatusMessage string
	}
	if json.Unmarshal(body, &a) != nil {
		return 0, "", false
	}
	for _, c := range []struct {
		code *int
		said string
	}{{a.ErrCode, a.ErrMsg}, {a.Code, a.Msg}, {a.StatusCode, a.StatusMessage}} {
		if c.code != nil {
			said, _, _ = strings.Cut(c.said, ", hint:") // WeCom tells our address behind it
			return *c.code, said, true
		}
	}
	return 0, "", false
}

// meaning is what a robot's code says to a person, and what comes of it.
type meaning struct {
	text string
	make func(error) error // nil: the caller tries again with growing waits
}

// after is for a limit of messages that ends by itself.
func after(d time.Duration) func(error) error {
	return func(err error) error { return &RetryError{After: d, Err: err} }
}

// explain makes the error of a code. What is not in the table may be mended by a
// person who looks it up.
func explain(table map[int]meaning, code int, said string) error {
	m, ok := table[code]
	if !ok {
		m = meaning{"an error that is not known here: look it up in the robot's documentation", slowly}
	}
	err := fmt.Errorf("code %d (%s): %s", code, said, m.text)
	if m.make == nil {
		return err
	}
	return m.make(err)
}
