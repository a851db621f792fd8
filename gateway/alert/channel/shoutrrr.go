package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"regexp"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"pilewatch/gateway/config"
)

// shoutrrrLimit is what the narrowest services take, in bytes (Telegram; Discord
// and others divide by themselves).
const shoutrrrLimit = 4000

// longTail sends by any service that the library has a URL for. The library has
// no context, and connections of its own: a service that does not answer is left
// alone with its message, and gets no other until it has let go.
type longTail struct {
	service types.Service
	words   words
	busy    chan struct{} // holds one while the service is at work
}

func newLongTail(c config.Channel, url string) (*longTail, error) {
	r, err := router.New(log.New(io.Discard, "", 0))
	if err != nil {
		return nil, err
	}
	service, err := r.Locate(url)
	if err != nil {
		return nil, fmt.Errorf("url: %s; see https://shoutrrr.nickfedor.com/services/overview", withoutURLs(err))
	}
	return &longTail{service: service, words: wordsIn(c.Language), busy: make(chan struct{}, 1)}, nil
}

func (t *longTail) Send(ctx context.Context, m Message) (string, error) {
	select {
	case t.busy <- struct{}{}:
	default:
		return "", errors.New("the service still has not answered for the message before")
	}
	done := make(chan error, 1)
	text := t.text(m)
	go func() {
		defer func() { <-t.busy }()
		done <- t.service.Send(text, &types.Params{})
	}()
	select {
	case err := <-done:
		if err != nil {
			return "", refusedByService(err)
		}
		return "taken by " + t.service.GetID(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// text has the title in it: not every service knows titles.
func (t *longTail) text(m Message) string {
	head, tail := oneLine(m.Title, maxTitle)+"\n", ""
	if m.Link != "" {
		tail = "\n" + t.words.at + m.Link
	}
	return head + fit(strings.Trim(m.Text, "\n"), t.words.cut, shoutrrrLimit, func(text string) int {
		return len(head) + len(text) + len(tail)
	}) + tail
}

// refusedByService keeps of an error what the library makes of it; there are too
// many services to know what is final.
func refusedByService(err error) error {
	plain := unreached(err)
	if !errors.Is(plain, err) { // the network
		return plain
	}
	return errors.New("the service refused: " + withoutURLs(err))
}

var urls = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// withoutURLs is an error's text without addresses: the library builds its own out
// of the secrets in ours.
func withoutURLs(err error) string { return urls.ReplaceAllString(err.Error(), "***") }
