package config

import (
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"pilewatch/gateway/tariff"
)

// Config is all that can be configured, with defaults where the file is silent.
type Config struct {
	File      string // where it was read; "" for the defaults
	Language  string // zh-CN or en: page, alerts, export headings
	Estate    Estate
	DataDir   string // the ledger and the embedded broker's state
	MQTT      MQTT
	InfluxDB  *InfluxDB // nil: everything stays in the ledger
	HTTP      HTTP
	Registry  Registry
	Session   Session
	Ledger    Ledger
	Tariffs   []tariff.Tariff // valid, and no two on one day
	Billing   Billing
	Safety    Safety
	Alerts    Alerts
	positions map[string]position // of every key in the file, by path
}

// Estate is the estate (小区) that the gateway serves.
type Estate struct {
	ID       string // as in topics and labels
	Name     string
	Location *time.Location // days, months and tariff bands
}

// HTTP is the page, the API and the metrics.
type HTTP struct {
	Listen    string // host:port
	UsersFile string // written by `pilewatch user add`; it may not exist
}

// Registry says where piles and cards are listed.
type Registry struct {
	Piles string // CSV file; "" for none
	Cards string // CSV file; "" for none
}

// Session are the thresholds by which readings become sessions.
type Session struct {
	StartMW   int64 // two readings at or over this open a session, mW
	IdleMW    int64 // under this for IdleFor closes it, mW
	IdleFor   time.Duration
	MaxGap    time.Duration // a longer step has no trapezoid
	LostAfter time.Duration // a longer hole closes the session
}

// Ledger says how long readings are kept. Sessions, bills and flags stay.
type Ledger struct {
	KeepReadings time.Duration
}

// Billing is what bills show beside the sessions.
type Billing struct {
	Phone            string // of the office that answers for them; may be empty
	NoticeHouseholds bool   // masked households on the notice board, not buildings
	// NoticeMinHouseholds is how many households a row of the notice board sums
	// up at least; buildings in which fewer charged are put together.
	NoticeMinHouseholds int
	GridBills           []GridBill
}

// GridBill is a bill of the grid company, as somebody typed it in.
type GridBill struct {
	Month     string // 2026-11
	Building  string // "" for the whole estate
	EnergyMWh int64
	Amount    tariff.Micro // yuan; 0 when it was not given
}

// InfluxDB is where sessions and power are written. Version 1.8 takes
// "user:password" as the token and ignores the organisation.
type InfluxDB struct {
	URL    string
	Org    string
	Bucket string
	Token  Secret
}

// KeepRejects is how long messages that could not be read are kept.
const KeepRejects = 7 * 24 * time.Hour

//go:embed sample.yaml
var sample string

// Sample is a complete configuration with a comment for each key.
func Sample() string { return sample }

// Default is what holds without a file. Paths are relative to the working directory.
func Default() *Config { return defaults("") }

// defaults are the defaults for a file in dir.
func defaults(dir string) *Config {
	const defaultZone = "Asia/Shanghai"
	loc, err := time.LoadLocation(defaultZone)
	if err != nil { // a program without time zone data; the clock there has not changed since 1991
		loc = time.FixedZone(defaultZone, 8*60*60)
	}
	c := &Config{
		Language: "zh-CN",
		Estate:   Estate{ID: "fuxing", Name: "复兴小区", Location: loc},
		DataDir:  filepath.Join(dir, "data"),
		MQTT: MQTT{
			Listen:        "127.0.0.1:1883",
			ClientID:      "pilewatch-fuxing",
			Subscriptions: []Subscription{{Topic: "pilewatch/v1/+/+/#", Decoder: "native"}},
		},
		HTTP: HTTP{Listen: "127.0.0.1:8080", UsersFile: filepath.Join(dir, "users.yaml")},
		Session: Session{
			StartMW: 10_000, IdleMW: 5_000,
			IdleFor: 10 * time.Minute, MaxGap: 15 * time.Minute, LostAfter: 6 * time.Hour,
		},
		Ledger: Ledger{KeepReadings: 400 * 24 * time.Hour},
		Safety: Safety{Rules: map[string]Rule{}},
		// Of a sum of two each would know what the other has used.
		Billing: Billing{NoticeMinHouseholds: 1},
	}
	c.MQTT.Password.called("mqtt.password", "mqtt", "password")
	return c
}

// CheckExposure refuses addresses that others can reach without a password:
// the page's when there are no users, the embedded broker's when there is no
// file of pile passwords. To be asked when the gateway starts, with the number
// of page users; the error has a line for each address.
func (c *Config) CheckExposure(users int) error {
	var bad problems
	if users == 0 && !loopback(c.HTTP.Listen) {
		bad = append(bad, c.problem("http.listen", fmt.Sprintf(
			"%s can be reached by others and there are no users: run `pilewatch user add` first, or listen on 127.0.0.1", c.HTTP.Listen)))
	}
	if c.MQTT.Broker == "" && c.MQTT.PasswordsFile == "" && !loopback(c.MQTT.Listen) {
		bad = append(bad, c.problem("mqtt.listen", fmt.Sprintf(
			"%s can be reached by others without a password: give mqtt.passwords_file, or listen on 127.0.0.1", c.MQTT.Listen)))
	}
	return bad.err()
}

// loopback reports whether only this machine can reach a listening address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
