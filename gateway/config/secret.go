package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
)

// Secret is a password, a token or a URL that is one. It is given as key x in
// the file, as x_file that names a file, or in the environment as
// PILEWATCH_<SECTION>_<X>, which goes before the others. It never prints.
type Secret struct {
	value *string // a pointer, so that no verb of fmt reaches the text
	file  string
	env   string
	key   string
}

// Given reports whether there is a secret; it reads no file.
func (s Secret) Given() bool {
	return s.value != nil || s.file != "" || s.fromEnv() != ""
}

func (s Secret) fromEnv() string {
	if s.env == "" {
		return ""
	}
	return os.Getenv(s.env)
}

// maxSecret is the longest secret in bytes.
const maxSecret = 64 << 10

// Resolve gives the secret, "" when none was given. A file is read now, and
// one line break at its end is not part of the secret. The error names key and file.
func (s Secret) Resolve() (string, error) {
	switch env := s.fromEnv(); {
	case env != "":
		return env, nil
	case s.value != nil:
		return *s.value, nil
	case s.file == "":
		return "", nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return "", fmt.Errorf("%s_file: %w; write the secret there, or change the key", s.key, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s_file: %w", s.key, err)
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s_file: %s is over %d KB: expected a secret alone", s.key, s.file, maxSecret>>10)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("%s_file: %s is empty: write the secret there", s.key, s.file)
	}
	return secret, nil
}

// String hides the secret: "***", or "" when there is none.
func (s Secret) String() string {
	if s.Given() {
		return "***"
	}
	return ""
}

// GoString hides the secret.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret, in JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secret adds the two keys of a secret to those of a mapping.
func (f fields) secret(name string, dst *Secret, check func(string) error) fields {
	f[name] = func(n node) {
		s, ok := n.str("text")
		switch {
		case !ok || s == "":
		case dst.file != "":
			n.bad("%s and %s_file: expected one of them", name, name)
		case check != nil && check(s) != nil:
			n.bad("%v", check(s))
		default:
			dst.value = &s
		}
	}
	f[name+"_file"] = func(n node) {
		var path string
		file(&path)(n)
		if path != "" && dst.value != nil {
			n.bad("%s and %s_file: expected one of them", name, name)
			return
		}
		dst.file = path
	}
	return f
}

var notInEnv = regexp.MustCompile(`[^A-Z0-9]+`)

// called gives a secret its key, and the name of its environment variable by
// the words of it: mqtt, password is PILEWATCH_MQTT_PASSWORD. Words in Chinese
// have no such name.
func (s *Secret) called(key string, words ...string) {
	s.key, s.env = key, "PILEWATCH"
	for _, w := range words {
		w = strings.Trim(notInEnv.ReplaceAllString(strings.ToUpper(w), "_"), "_")
		if w == "" {
			s.env = ""
			return
		}
		s.env += "_" + w
	}
}
