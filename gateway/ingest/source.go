// Package ingest takes messages from a source, decodes them, folds them into
// sessions and commits the outcome to the ledger. A message is acknowledged
// only after the commit that holds what it said.
//
// There is one path: [Batcher] turns messages into the ledger's batches, in
// order, with no clock of its own. [Pipeline] runs it in life, with group
// commit; replay and demo run the same Batcher over recorded messages.
package ingest

import (
	"context"
	"fmt"
	"strings"

	"pilewatch/devices"
)

// Delivery is one message of a source.
type Delivery struct {
	devices.Input
	// Done is called once: with nil after the commit that holds what the message
	// said, else with why it is not kept. It may be nil, and must not block.
	Done func(error)
}

// Source brings messages, from a broker of somebody else's or from our own.
type Source interface {
	// Run delivers until ctx is done, and passes on acknowledgements until
	// drained is closed. What is not done by then stays unacknowledged.
	Run(ctx context.Context, drained <-chan struct{}) error
	// Connected says why messages can't come now; nil when they can.
	Connected() error
}

// Sink takes deliveries: the pipeline's side of a source.
type Sink interface {
	// Put hands a delivery over without blocking. It is false when there is no
	// room, which with a source that waits for acknowledgements can't happen.
	Put(Delivery) bool
	// Submit hands a delivery over and waits for room; it fails with ctx's error.
	Submit(ctx context.Context, d Delivery) error
}

// Route says which decoder reads the topics of an MQTT filter.
type Route struct {
	Filter  string // MQTT topic filter; a shared subscription's prefix is passed over
	Name    string // of the decoder
	Decoder devices.Decoder
}

// CheckFilter says what is wrong with an MQTT topic filter; nil when nothing is.
func CheckFilter(filter string) error {
	levels := strings.Split(unshared(filter), "/")
	for i, l := range levels {
		switch {
		case filter == "" || len(filter) > 65535 || strings.ContainsRune(filter, 0):
			return fmt.Errorf("topic filter %q: expected 1 to 65535 bytes", filter)
		case l == "#" && i < len(levels)-1:
			return fmt.Errorf("topic filter %q: # stands for the rest and must be last", filter)
		case l != "#" && l != "+" && strings.ContainsAny(l, "#+"):
			// Piles in the field have topics such as status/switch:0, and a filter
			// switch:+ is meant for them; MQTT knows + for whole levels only.
			if strings.Contains(l, "#") || strings.Count(l, "+") > 1 || !strings.HasSuffix(l, "+") {
				return fmt.Errorf("topic filter %q: + stands for one whole level, or for the end of one", filter)
			}
		}
	}
	return nil
}

// BrokerFilter is the filter as it is sent to a broker: MQTT knows + for whole
// levels only, so a level that ends in + is widened, and matched here.
func BrokerFilter(filter string) string {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if len(l) > 1 && strings.HasSuffix(l, "+") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// unshared takes the prefix of a shared subscription off a filter.
func unshared(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		if _, f, ok := strings.Cut(rest, "/"); ok {
			return f
		}
	}
	return filter
}

// matches reports whether an MQTT topic falls under a filter.
func matches(filter, topic string) bool {
	for {
		level, restFilter, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return !strings.HasPrefix(topic, "$")
		}
		name, restTopic, moreTopic := strings.Cut(topic, "/")
		if prefix, ok := strings.CutSuffix(level, "+"); ok && (prefix != "" || !strings.HasPrefix(name, "$")) {
			if !strings.HasPrefix(name, prefix) {
				return false
			}
		} else if level != name {
			return false
		}
		switch {
		case !moreFilter && !moreTopic:
			return true
		case moreFilter && !moreTopic:
			return restFilter == "#" // a/# includes a itself
		case !moreFilter:
			return false
		}
		filter, topic = restFilter, restTopic
	}
}
