package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pilewatch/devices"
	"pilewatch/gateway/tariff"
)

// scalar gives the text of a single value that has one of the tags.
func (n node) scalar(what string, tags ...string) (string, bool) {
	if n.yaml.Kind != yaml.ScalarNode || !slices.Contains(tags, n.yaml.ShortTag()) {
		n.expected(what)
		return "", false
	}
	return n.yaml.Value, true
}

// str gives text. Numbers and dates are text too, as they are written: a user
// name may be 1001.
func (n node) str(what string) (string, bool) {
	return n.scalar(what, "!!str", "!!int", "!!float", "!!timestamp")
}

// text reads any text.
func text(dst *string) func(node) { return checked(dst, nil) }

// texts reads a list of texts, each accepted by check; nil accepts all.
func texts(dst *[]string, check func(string) error) func(node) {
	return list(func(n node) {
		var s string
		checked(&s, check)(n)
		*dst = append(*dst, s)
	})
}

// checked reads text that check accepts: its error says what was expected.
func checked(dst *string, check func(string) error) func(node) {
	return func(n node) {
		s, ok := n.str("text")
		if !ok {
			return
		}
		if check != nil {
			if err := check(s); err != nil {
				n.bad("%v", err)
				return
			}
		}
		*dst = s
	}
}

// choice reads one of a few words.
func choice(dst *string, words ...string) func(node) { return checked(dst, among(words)) }

func among(words []string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q: expected %s", s, oneOf(words))
		}
		return nil
	}
}

// file reads a path, relative to the folder of the configuration; "" is none.
func file(dst *string) func(node) {
	return func(n node) {
		s, ok := n.str("a path")
		switch {
		case !ok:
		case s == "", filepath.IsAbs(s):
			*dst = s
		default:
			*dst = filepath.Join(n.doc.dir, s)
		}
	}
}

// number reads a decimal from low to high.
func (n node) number(low, high float64) (float64, bool) {
	s, ok := n.scalar("a number", "!!int", "!!float")
	if !ok {
		return 0, false
	}
	var x float64
	if err := n.yaml.Decode(&x); err != nil || math.IsNaN(x) || x < low || x > high {
		n.bad("%s: expected a number from %s to %s", s, decimal(low), decimal(high))
		return 0, false
	}
	return x, true
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// watts reads watts into milliwatts, from low watts up to what is an error of measurement.
func watts(dst *int64, low float64) func(node) {
	return func(n node) {
		if x, ok := n.number(low, devices.MaxPowerMW/1000); ok {
			*dst, _ = devices.Milli(x) // within the bounds it fits
		}
	}
}

var withDays = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// parseDuration reads what Go does, and days: 90s, 15m, 6h, 400d, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if m := withDays.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1]) // the form holds digits only
		if days, s = time.Duration(n)*24*time.Hour, m[2]; s == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(s)
	return days + d, err
}

// duration reads a length of time over 0.
func duration(dst *time.Duration) func(node) {
	return func(n node) {
		s, ok := n.scalar("a duration such as 90s, 15m, 6h or 400d", "!!str", "!!int", "!!float")
		if !ok {
			return
		}
		d, err := parseDuration(s)
		if err != nil || d <= 0 {
			n.bad("%q: expected a duration over 0 such as 90s, 15m, 6h or 400d", s)
			return
		}
		*dst = d
	}
}

var clockForm = regexp.MustCompile(`^(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)$`)

// clock reads a time of the day into its minute; 24:00 is 1440.
func clock(dst *int) func(node) {
	return func(n node) {
		s, ok := n.str("a time of the day such as \"06:00\"")
		if !ok {
			return
		}
		m := clockForm.FindStringSubmatch(s)
		if m == nil {
			n.bad("%q: expected a time of the day from \"00:00\" to \"24:00\"", s)
			return
		}
		if *dst = 24 * 60; m[1] != "" {
			hour, _ := strconv.Atoi(m[1]) // the form holds digits only
			minute, _ := strconv.Atoi(m[2])
			*dst = hour*60 + minute
		}
	}
}

// price reads yuan, as text or as a number, by the digits as they are written.
func price(dst *tariff.Micro) func(node) {
	return func(n node) {
		s, ok := n.str("yuan as a decimal such as \"0.641\"")
		if !ok {
			return
		}
		m, err := tariff.ParsePrice(s)
		if err != nil {
			n.bad("%v", err)
			return
		}
		*dst = m
	}
}

// listen reads the host:port of a listener.
func listen(dst *string) func(node) {
	return checked(dst, func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return fmt.Errorf("%q: expected host:port such as 127.0.0.1:8080", s)
		}
		if !isPort(port, 0) {
			return fmt.Errorf("%q: expected a port from 0 to 65535", s)
		}
		return nil
	})
}

func isPort(s string, low int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= low && n <= 65535 && !strings.ContainsAny(s, "+-")
}

// address reads a URL of one of the schemes. Errors do not quote it: people
// put passwords there.
func address(dst *string, schemes ...string) func(node) {
	return checked(dst, func(s string) error { return checkURL(s, schemes, false) })
}

// checkURL holds that s is a URL of one of the schemes (of any, when there are none) with a host.
func checkURL(s string, schemes []string, password bool) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("expected a URL such as %s://host:port", append(slices.Clone(schemes), "scheme")[0])
	}
	switch {
	case len(schemes) > 0 && !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("scheme %q: expected %s", u.Scheme, oneOf(schemes))
	case len(schemes) > 0 && u.Hostname() == "":
		return fmt.Errorf("no host: expected a URL such as %s://host:port", u.Scheme)
	case u.Port() != "" && !isPort(u.Port(), 1):
		return fmt.Errorf("port %s: expected 1 to 65535", u.Port())
	case u.User != nil && !password:
		return fmt.Errorf("a user or password in the URL: expected them under keys of their own")
	}
	return nil
}
