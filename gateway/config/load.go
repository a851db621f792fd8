package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile is the largest configuration that is read, in bytes.
const maxFile = 1 << 20

// Load reads a configuration. Keys that it does not give keep their defaults;
// an empty file is all defaults. The error joins every [Problem].
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; give another with --config, or none for the defaults", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(path, data)
}

func parse(path string, data []byte) (*Config, error) {
	doc := &document{file: path, dir: filepath.Dir(path), positions: map[string]position{}}
	c := defaults(doc.dir)
	c.File, c.positions = path, doc.positions
	if root := doc.parse(data); root != nil {
		c.read(node{doc: doc, yaml: root, at: position{root.Line, root.Column}})
	}
	if err := doc.bad.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) read(n node) {
	c.MQTT.ClientID = ""
	n.object(fields{
		"language": choice(&c.Language, "zh-CN", "en"),
		"estate":   c.readEstate,
		"data_dir": func(n node) {
			if file(&c.DataDir)(n); c.DataDir == "" {
				n.bad("no path: expected a folder for the ledger, such as ./data")
			}
		},
		"mqtt":     c.readMQTT,
		"influxdb": c.readInfluxDB,
		"http": func(n node) {
			n.object(fields{"listen": listen(&c.HTTP.Listen), "users_file": file(&c.HTTP.UsersFile)})
		},
		"registry": func(n node) {
			n.object(fields{"piles": file(&c.Registry.Piles), "cards": file(&c.Registry.Cards)})
		},
		"session": c.readSession,
		"ledger":  func(n node) { n.object(fields{"keep_readings": duration(&c.Ledger.KeepReadings)}) },
		"tariffs": c.readTariffs,
		"billing": c.readBilling,
		"safety":  func(n node) { n.object(fields{"rules": c.readRules, "holidays": list(c.readHoliday)}) },
		"alerts":  c.readAlerts,
	})
	c.inherit()
}

// inherit fills what follows from other keys, now that all are read.
func (c *Config) inherit() {
	if c.MQTT.ClientID == "" {
		c.MQTT.ClientID = "pilewatch-" + c.Estate.ID
	}
	if c.InfluxDB != nil && c.InfluxDB.Org == "" {
		c.InfluxDB.Org = c.Estate.ID
	}
	for i := range c.Alerts.Channels {
		c.Alerts.Channels[i].inherit(c)
	}
}

func (c *Config) readEstate(n node) {
	n.object(fields{
		"id":   checked(&c.Estate.ID, checkID),
		"name": text(&c.Estate.Name),
		"timezone": func(n node) {
			s, ok := n.str("a time zone such as Asia/Shanghai")
			if !ok {
				return
			}
			loc, err := time.LoadLocation(s)
			if err != nil || s == "" || s == "Local" {
				n.bad("%q: expected a time zone such as Asia/Shanghai", s)
				return
			}
			c.Estate.Location = loc
		},
	})
}

var idForm = regexp.MustCompile(`^[^\s/+#\pC]{1,64}$`)

// checkID holds that an estate's id can stand in a topic and in a label.
func checkID(s string) error {
	if !idForm.MatchString(s) {
		return fmt.Errorf("%q: expected 1 to 64 characters without spaces, /, + and #", s)
	}
	return nil
}

func (c *Config) readInfluxDB(n node) {
	db := &InfluxDB{URL: "http://127.0.0.1:8086", Bucket: "pilewatch"}
	db.Token.called("influxdb.token", "influxdb", "token")
	n.object(fields{
		"url": address(&db.URL, "http", "https"), "org": text(&db.Org),
		"bucket": checked(&db.Bucket, func(s string) error {
			if s == "" {
				return errors.New("no name: expected a bucket, for InfluxDB 1.8 database or database/policy")
			}
			return nil
		}),
	}.secret("token", &db.Token, nil))
	c.InfluxDB = db
}

func (c *Config) readSession(n node) {
	s := &c.Session
	n.object(fields{
		"start_w": watts(&s.StartMW, 0.001), "idle_w": watts(&s.IdleMW, 0), "idle_for": duration(&s.IdleFor),
		"max_gap": duration(&s.MaxGap), "lost_after": duration(&s.LostAfter),
	})
	if s.IdleMW > s.StartMW {
		n.below("idle_w").bad("over start_w, so that a session would close as it opens: expected it to be lower")
	}
}

// parse gives the first value of the file; nil when it is empty or cannot be read.
func (d *document) parse(data []byte) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if len(data) > maxFile {
		d.reject(0, 0, fmt.Sprintf("over %d MB: expected a configuration", maxFile>>20))
		return nil
	}
	if !d.checkText(data) {
		return nil
	}
	var first, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = dec.Decode(&second); err == nil {
			d.reject(second.Line, second.Column, "a second document (---): expected one")
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		d.syntax(data, err)
		return nil
	}
	if root := first.Content[0]; root.ShortTag() != "!!null" {
		return root
	}
	return nil
}

func (d *document) reject(line, column int, text string) {
	d.bad = append(d.bad, &Problem{File: d.file, Line: line, Column: column, Text: text})
}

// checkText refuses what is no text in UTF-8, such as a file saved as GBK.
func (d *document) checkText(data []byte) bool {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && !strings.ContainsRune("\t\n\r", r) {
			d.reject(line, column, "not plain text in UTF-8: save the file as UTF-8")
			return false
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		i += size
	}
	return true
}

var unknownAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)

// syntax reports what is no YAML. The library gives a line at best, none for
// the first; what it quotes is left out, because it may be part of a password.
func (d *document) syntax(data []byte, err error) {
	line, text := 1, "not YAML"
	lines := strings.Split(string(data), "\n")
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		line = 1 + strings.Count(string(data[:max(0, bytes.Index(data, []byte("*"+m[1])))]), "\n")
		text = `not YAML: an unknown anchor: put a value that begins with * in ""`
	} else if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		text += ": " + m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = min(n, len(lines))
		}
	}
	indent := len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " "))
	if strings.HasPrefix(lines[line-1][indent:], "\t") {
		text = "a tab: indent with spaces"
	}
	d.reject(line, indent+1, text)
}
