package channel

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"text/template"
	"time"

	"pilewatch/gateway/view"
)

// The headers of a webhook's request.
const (
	HeaderDelivery  = "X-Pilewatch-Delivery"  // the delivery id: the same on a repeat
	HeaderTimestamp = "X-Pilewatch-Timestamp" // Unix seconds when it was sent
	HeaderSignature = "X-Pilewatch-Signature" // sha256=<hex HMAC-SHA256 of "<timestamp>.<body>"> with the channel's secret
)

// webhook posts what the package comment says.
type webhook struct {
	*poster
	url, secret string
	location    *time.Location
	data        func(Message) templateData
	template    *template.Template // nil: JSON
	json        bool               // the template gives JSON
}

type envelope struct {
	DeliveryID string      `json:"delivery_id"`
	Kind       string      `json:"kind"`
	Title      string      `json:"title"`
	Text       string      `json:"text"`
	Link       string      `json:"link"`
	At         view.Stamp  `json:"at"`
	Estate     string      `json:"estate"`
	Flags      []view.Flag `json:"flags"`
}

type aboutFlag struct {
	envelope
	view.Flag
}

type aboutNone struct {
	envelope
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

// newWebhook takes the template over, for a body is not a text; tried is what it
// made of specimens.
func newWebhook(address, secret string, p *poster, o Options, g *guard, tried []string) *webhook {
	w := &webhook{poster: p, url: address, secret: secret, location: o.Location, data: g.data, template: g.text, json: true}
	for _, body := range tried {
		w.json = w.json && json.Valid([]byte(body))
	}
	return w
}

func (w *webhook) Send(ctx context.Context, m Message) (string, error) {
	body, err := w.body(m)
	if err != nil {
		return "", err
	}
	header := http.Header{HeaderDelivery: {idPart(m.DeliveryID)}}
	if w.template != nil && !w.json {
		header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	header.Set(HeaderTimestamp, stamp)
	if w.secret != "" {
		mac := hmac.New(sha256.New, []byte(w.secret))
		mac.Write([]byte(stamp + "."))
		mac.Write(body)
		header.Set(HeaderSignature, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	reply, err := w.post(ctx, w.url, header, body)
	if err != nil {
		return "", err
	}
	return httpAnswer(reply), w.taken(reply)
}

func httpAnswer(r reply) string { return fmt.Sprintf("HTTP %d %s", r.status, r.body) }

func (w *webhook) body(m Message) ([]byte, error) {
	if w.template != nil {
		var b bytes.Buffer
		if err := w.template.Execute(&b, w.data(m)); err != nil {
			return nil, slowly(fmt.Errorf("template: %w", err))
		}
		if w.json && !json.Valid(b.Bytes()) {
			return nil, slowly(fmt.Errorf("template: what it makes of this message is not JSON: write {{json .Text}} for texts, without quotes around it"))
		}
		return b.Bytes(), nil
	}
	e := envelope{
		DeliveryID: m.DeliveryID, Kind: m.Kind, Title: m.Title, Text: m.Text, Link: m.Link,
		At: view.Stamp{Time: m.At.In(w.location)}, Estate: w.data(m).Estate, Flags: []view.Flag{},
	}
	for i := range m.Flags {
		e.Flags = append(e.Flags, view.FlagOf(&m.Flags[i], w.location))
	}
	var body []byte
	var err error
	if len(e.Flags) > 0 {
		body, err = compact(aboutFlag{e, e.Flags[0]})
	} else {
		body, err = compact(aboutNone{e, m.Severity, m.Text})
	}
	if err != nil {
		return nil, never(err) // evidence that is no JSON
	}
	return body, nil
}
