package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pilewatch/devices"
	"pilewatch/devices/catalog"
)

// MQTT is where messages come from: a broker of the estate's own, or the
// embedded one.
type MQTT struct {
	Broker        string // tcp://, ssl://, ws:// or wss://; "" starts the embedded broker
	Listen        string // the embedded broker's host:port
	ClientID      string // fixed, because the broker keeps our messages by it
	Username      string
	Password      Secret
	CAFile        string // PEM, besides the system's; "" for the system's alone
	CertFile      string // PEM, with KeyFile: our certificate for the broker
	KeyFile       string // PEM
	PasswordsFile string // the embedded broker's: a line `pile:bcrypt hash` for each pile; "" asks for none
	Subscriptions []Subscription
}

// Subscription says which topics are read by which decoder.
type Subscription struct {
	Topic   string            // see Filter and Matches
	Decoder string            // a name of the catalog
	Mapping map[string]string // for the decoder mapping
}

func (c *Config) readMQTT(n node) {
	m := &c.MQTT
	given := n.object(fields{
		"broker":         checked(&m.Broker, checkBroker),
		"listen":         listen(&m.Listen),
		"client_id":      checked(&m.ClientID, checkClientID),
		"username":       text(&m.Username),
		"ca_file":        file(&m.CAFile),
		"cert_file":      file(&m.CertFile),
		"key_file":       file(&m.KeyFile),
		"passwords_file": file(&m.PasswordsFile),
		"subscriptions":  c.readSubscriptions,
	}.secret("password", &m.Password, nil))
	if given["cert_file"] && !given["key_file"] {
		n.below("cert_file").bad("no key_file for it: expected both, or neither")
	}
	if given["key_file"] && !given["cert_file"] {
		n.below("key_file").bad("no cert_file for it: expected both, or neither")
	}
}

var brokerSchemes = []string{"tcp", "ssl", "ws", "wss"}

func checkBroker(s string) error {
	if s == "" { // as good as left out
		return nil
	}
	if err := checkURL(s, brokerSchemes, false); err != nil {
		return err
	}
	if u, err := url.Parse(s); err == nil && u.Port() == "" && !strings.HasPrefix(u.Scheme, "ws") {
		return fmt.Errorf("no port: expected one such as %s://%s:1883", u.Scheme, u.Hostname())
	}
	return nil
}

func checkClientID(s string) error {
	if s == "" || len(s) > 128 {
		return fmt.Errorf("%d characters: expected 1 to 128", len(s))
	}
	return nil
}

func (c *Config) readSubscriptions(n node) {
	var subs []Subscription
	first := map[string]string{}
	list(func(n node) {
		s := c.readSubscription(n)
		if key, twice := first[s.Topic]; twice && s.Topic != "" {
			n.bad("topic %q stands twice (first in %s): remove one", s.Topic, key)
		}
		first[s.Topic] = n.key
		subs = append(subs, s)
	})(n)
	if len(subs) > 0 {
		c.MQTT.Subscriptions = subs
	}
}

func (c *Config) readSubscription(n node) Subscription {
	var s Subscription
	mapping := n
	given := n.object(fields{
		"topic":   checked(&s.Topic, checkTopic),
		"decoder": choice(&s.Decoder, catalog.Names()...),
		"mapping": func(n node) { mapping, s.Mapping = n, readMapping(n) },
	})
	switch {
	case given == nil:
	case !given["topic"]:
		n.bad("no topic: expected a topic filter such as pilewatch/v1/+/+/#")
	case !given["decoder"]:
		n.bad("no decoder: expected %s", oneOf(catalog.Names()))
	case s.Decoder == "": // an unknown one, reported
	case given["mapping"] && s.Decoder != mappingDecoder:
		mapping.bad("decoder %s takes no mapping: expected decoder mapping", s.Decoder)
	case s.Decoder == mappingDecoder && !given["mapping"]:
		n.bad("no mapping: expected one that says where pile and power_w stand")
	default:
		c.build(mapping, s)
	}
	return s
}

// build tries the decoder of s. A mapping is tried key by key first, beside
// the two that it needs, so that each mistake is shown where it stands.
func (c *Config) build(n node, s Subscription) {
	try := func(at node, mapping map[string]string) bool {
		_, err := catalog.New(s.Decoder, devices.Options{Location: c.Estate.Location, Mapping: mapping})
		if err != nil {
			at.bad("%s", strings.ReplaceAll(err.Error(), "\n", " "))
		}
		return err == nil
	}
	good := true
	for _, key := range slices.Sorted(maps.Keys(s.Mapping)) {
		alone := map[string]string{"pile": "topic[0]", "power_w": "0"}
		alone[key] = s.Mapping[key]
		good = try(n.below(key), alone) && good
	}
	if good {
		try(n, s.Mapping)
	}
}

// mappingDecoder is the one decoder that is configured by expressions.
const mappingDecoder = "mapping"

func readMapping(n node) map[string]string {
	m := map[string]string{}
	if n.yaml.Kind != yaml.MappingNode {
		n.expected("a mapping of keys to expressions")
		return m
	}
	for _, e := range n.entries() {
		if s, ok := e.value.str("an expression"); ok {
			m[e.name] = s
		}
	}
	return m
}
