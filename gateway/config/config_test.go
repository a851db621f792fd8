package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pilewatch/gateway/tariff"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestSampleBeginsWithTheSharedExample: it goes on with the keys that the example
// leaves out.
func TestSampleBeginsWithTheSharedExample(t *testing.T) {
	shared, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "examples", "pilewatch.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared examples are not here")
	}
	if err != nil || !strings.HasPrefix(Sample(), string(shared)) {
		t.Errorf("the sample differs from the shared example (%v)", err)
	}
}

func TestSampleSaysAllThis(t *testing.T) {
	c, err := Load("sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mapping := map[string]string{"pile": "topic[1]", "each": "data.sockets", "port": "id", "time": "data.t", "power_w": "p / 10",
		"energy_wh": "kwh * 1000", "state": `st == 1 ? "charging" : "idle"`, "card": "uid"}
	for name, got := range map[string][2]any{
		"language": {c.Language, "zh-CN"},
		"estate":   {fmt.Sprint(c.Estate.ID, c.Estate.Name, c.Estate.Location), "fuxing复兴小区Asia/Shanghai"},
		"data_dir": {c.DataDir, "data"},
		"broker":   {c.MQTT.Broker, "tcp://127.0.0.1:1883"},
		"listen":   {c.MQTT.Listen, "127.0.0.1:1883"},
		"client":   {c.MQTT.ClientID, "pilewatch-fuxing"},
		"username": {c.MQTT.Username, "gateway"},
		"password": {c.MQTT.Password.file, "/run/secrets/mqtt"},
		"ca":       {c.MQTT.CAFile, ""},
		"subscriptions": {c.MQTT.Subscriptions, []Subscription{{"pilewatch/v1/+/+/#", "native", nil}, {"tele/+/SENSOR", "tasmota", nil},
			{"+/status/switch:+", "shelly", nil}, {"acme/+/up", "mapping", mapping}}},
		"influxdb": {[]string{c.InfluxDB.URL, c.InfluxDB.Org, c.InfluxDB.Bucket, c.InfluxDB.Token.file},
			[]string{"http://127.0.0.1:8086", "fuxing", "pilewatch", "/run/secrets/influx"}},
		"http": {c.HTTP, HTTP{"127.0.0.1:8080", "users.yaml"}},
		"billing": {c.Billing, Billing{Phone: "021-5555 0000", NoticeMinHouseholds: 1, GridBills: []GridBill{
			{Month: "2026-11", EnergyMWh: 1_820_500_000, Amount: 1_166_940_000}, {Month: "2026-11", Building: "3", EnergyMWh: 212_300_000}}}},
		"registry": {c.Registry, Registry{"piles.csv", "cards.csv"}},
		"session":  {c.Session, Session{10_000, 5_000, 10 * time.Minute, 15 * time.Minute, 6 * time.Hour}},
		"ledger":   {c.Ledger.KeepReadings, 9600 * time.Hour},
		"tariffs": {c.Tariffs, []tariff.Tariff{
			{Name: "2026-合表", ValidFrom: "2026-01-01", Bands: []tariff.Band{{Name: "flat", From: 0, To: 1440, Price: 641_000}}, PerKWh: 300_000},
			{Name: "2026-07-分时", ValidFrom: "2026-07-01",
				Bands: []tariff.Band{{Name: "峰", From: 360, To: 1320, Price: 617_000}, {Name: "谷", From: 1320, To: 360, Price: 307_000}},
				Tiers: []tariff.Tier{{UpToMW: 200_000, PerHour: 250_000}, {UpToMW: 400_000, PerHour: 500_000}, {UpToMW: 800_000, PerHour: 1_000_000}}},
		}},
		"rules": {c.Safety.Rules, map[string]Rule{"excess_energy": {Values: map[string]float64{"warn_kwh": 3.2, "critical_kwh": 5}},
			"over_power": {Values: map[string]float64{"warn_w": 600, "critical_w": 1000}}}},
		"page":  {c.Alerts.PublicURL, "http://pilewatch.local:8080"},
		"quiet": {c.Alerts.QuietHours, Hours{23 * 60, 7 * 60}},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %+v, want %+v", name, got[0], got[1])
		}
	}
	checkSampleChannels(t, c.Alerts.Channels)
}

func checkSampleChannels(t *testing.T, got []Channel) {
	t.Helper()
	night := Hours{23 * 60, 7 * 60}
	want := []Channel{
		{Name: "committee", Type: "wecom", MinSeverity: "critical", Digest: "daily"},
		{Name: "office", Type: "dingtalk", MinSeverity: "warning"},
		{Name: "night", Type: "feishu", MinSeverity: "warning", EscalateAfter: 5 * time.Minute},
		{Name: "mail", Type: "email", MinSeverity: "warning", To: []string{"wuye@example.org"}},
		{Name: "am", Type: "alertmanager", MinSeverity: "warning"},
		{Name: "hook", Type: "webhook", MinSeverity: "warning"},
	}
	urls := []string{"/run/secrets/wecom", "/run/secrets/ding", "/run/secrets/feishu", "", "http://127.0.0.1:9093", "http://127.0.0.1:9999/hook"}
	if len(got) != len(want) {
		t.Fatalf("%d channels, want %d", len(got), len(want))
	}
	for i, ch := range got {
		url, err := ch.URL.Resolve()
		if err != nil { // it stands in a file that is not here
			url = ch.URL.file
		}
		if url != urls[i] {
			t.Errorf("channel %s: url %q, want %q", ch.Name, url, urls[i])
		}
		ch.URL, ch.Secret, ch.SMTP = Secret{}, Secret{}, Secret{}
		want[i].Language, want[i].QuietHours = "zh-CN", night // from the whole
		if !reflect.DeepEqual(ch, want[i]) {
			t.Errorf("channel %+v, want %+v", ch, want[i])
		}
	}
	if got[1].Secret.file != "/run/secrets/ding_sign" {
		t.Errorf("the secret of office is in %q", got[1].Secret.file)
	}
	if smtp, err := got[3].SMTP.Resolve(); smtp != "smtp://mail.example.org:587" || err != nil {
		t.Errorf("smtp %q, %v", smtp, err)
	}
}

func TestTheManualOfAlertsNamesEveryKeyAndItsExampleLoads(t *testing.T) {
	manual, err := os.ReadFile("../../deploy/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(manual), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	file := filepath.Join(t.TempDir(), "pilewatch.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil || len(c.Alerts.Channels) != len(ChannelTypes) {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, word := range append([]string{"name", "url", "secret", "to", "smtp", "min_severity", "rules", "buildings", "language", "quiet_hours", "cool_down", "escalate_after",
		"digest", "template"}, ChannelTypes...) {
		if !strings.Contains(string(manual), "`"+word+"`") {
			t.Errorf("%s is not in the manual", word)
		}
	}
}

func TestAChannelMayHaveNoQuietHoursWhereAllOthersDo(t *testing.T) {
	c := load(t, `alerts:
  quiet_hours: {from: "23:00", to: "07:00"}
  channels:
    - {name: a, type: webhook, url: "http://127.0.0.1/"}
    - {name: b, type: webhook, url: "http://127.0.0.1/", quiet_hours: {from: "00:00", to: "00:00"}}
    - {name: c, type: webhook, url: "http://127.0.0.1/", quiet_hours: {from: "12:00", to: "14:00"}}`)
	for i, want := range []Hours{{23 * 60, 7 * 60}, noHours, {12 * 60, 14 * 60}} {
		if got := c.Alerts.Channels[i].QuietHours; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestDefaultsRunWithoutAFile(t *testing.T) {
	c := Default()
	for name, got := range map[string][2]any{
		"estate":        {fmt.Sprint(c.Estate.ID, c.Estate.Name, c.Estate.Location, c.Language), "fuxing复兴小区Asia/Shanghaizh-CN"},
		"paths":         {[]string{c.DataDir, c.HTTP.UsersFile, c.Registry.Piles, c.Registry.Cards}, []string{"data", "users.yaml", "", ""}},
		"embedded":      {[]string{c.MQTT.Broker, c.MQTT.Listen, c.HTTP.Listen}, []string{"", "127.0.0.1:1883", "127.0.0.1:8080"}},
		"subscriptions": {c.MQTT.Subscriptions, []Subscription{{Topic: "pilewatch/v1/+/+/#", Decoder: "native"}}},
		"session":       {c.Session, Session{10_000, 5_000, 10 * time.Minute, 15 * time.Minute, 6 * time.Hour}},
		"ledger":        {c.Ledger.KeepReadings, 400 * 24 * time.Hour},
		"off":           {c.InfluxDB == nil && c.Tariffs == nil && len(c.Safety.Rules) == 0 && c.Alerts.Channels == nil, true},
		"exposure":      {c.CheckExposure(0), error(nil)},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %+v, want %+v", name, got[0], got[1])
		}
	}
}

// An empty file, one of comments and one of empty sections say what no file says.
func TestNothingSaidIsTheDefault(t *testing.T) {
	want := Default()
	for _, text := range []string{"", "\n", "\ufeff", "# nothing\n", "---\n", "~\n", "{}\n", "estate:\nmqtt:\ninfluxdb:\nalerts:\n  channels:\n",
		"estate: {id: ~}\r\nmqtt: {broker: '', subscriptions: []}\r\n"} {
		got, err := parse("pilewatch.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got.File, got.positions = "", nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse(filepath.Join("etc", "pilewatch.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c := load(t, "data_dir: ledger\nregistry: {piles: ../piles.csv, cards: /srv/cards.csv}\nmqtt: {ca_file: ca.pem, password_file: secrets/mqtt}\n")
	got := []string{c.DataDir, c.Registry.Piles, c.Registry.Cards, c.MQTT.CAFile, c.MQTT.Password.file, c.HTTP.UsersFile}
	want := []string{"etc/ledger", "piles.csv", "/srv/cards.csv", "etc/ca.pem", "etc/secrets/mqtt", "etc/users.yaml"}
	for i := range want {
		if filepath.ToSlash(got[i]) != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

func TestWhatFollowsFromOtherKeys(t *testing.T) {
	c := load(t, "influxdb: {}\nlanguage: en\nestate: {id: hongkou}\nalerts:\n  cool_down: 1h\n  channels:\n"+
		"    - {type: webhook, url: 'http://127.0.0.1/a'}\n    - {name: b, type: webhook, url: 'http://127.0.0.1/b', language: zh-CN, cool_down: 5m}\n")
	a, b := c.Alerts.Channels[0], c.Alerts.Channels[1]
	got := []any{c.MQTT.ClientID, c.InfluxDB.Org, c.InfluxDB.URL, c.InfluxDB.Bucket, a.Name, a.Language, a.CoolDown, b.Language, b.CoolDown}
	want := []any{"pilewatch-hongkou", "hongkou", "http://127.0.0.1:8086", "pilewatch", "webhook", "en", time.Hour, "zh-CN", 5 * time.Minute}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDurationsTakeDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "400d": 9600 * time.Hour, "9600h": 9600 * time.Hour,
		"1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute} {
		if c := load(t, "ledger: {keep_readings: "+text+"}"); c.Ledger.KeepReadings != want {
			t.Errorf("%s is %s, want %s", text, c.Ledger.KeepReadings, want)
		}
	}
}

func TestNumbersAreTextWhereTextIsWanted(t *testing.T) {
	c := load(t, "mqtt: {username: 1001, password: 0012}\ntariffs: [{name: 2026, valid_from: 2026-01-01, electricity: [{price: 0.6410}]}]\n"+
		"alerts: {channels: [{type: webhook, url: 'http://h', buildings: [1, 3]}]}")
	password, _ := c.MQTT.Password.Resolve()
	got := []any{c.MQTT.Username, password, c.Tariffs[0].Name, c.Tariffs[0].Bands[0].Price, c.Alerts.Channels[0].Buildings}
	if want := []any{"1001", "0012", "2026", tariff.Micro(641_000), []string{"1", "3"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTariffsFillWhatIsLeftOut(t *testing.T) {
	c := load(t, "tariffs:\n  - valid_from: 2026-01-01\n    electricity: [{from: 6:00, to: 24:00, price: '0.6'}, {from: '00:00', to: '06:00', price: '0.3'}]\n")
	want := tariff.Tariff{Name: "2026-01-01", ValidFrom: "2026-01-01", Bands: []tariff.Band{
		{Name: "06:00-24:00", From: 360, To: 1440, Price: 600_000}, {Name: "00:00-06:00", From: 0, To: 360, Price: 300_000}}}
	if !reflect.DeepEqual(c.Tariffs, []tariff.Tariff{want}) {
		t.Errorf("got %+v, want %+v", c.Tariffs, want)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	c := load(t, `
alerts:
  channels:
    - &base {name: a, type: webhook, url: "http://127.0.0.1/a", min_severity: critical, digest: daily}
    - {<<: *base, name: b, digest: weekly}
    - <<: [{name: c, min_severity: info}, *base]
session: {idle_for: &t 20m, max_gap: *t}
`)
	var got []string
	for _, ch := range c.Alerts.Channels {
		got = append(got, ch.Name+" "+ch.MinSeverity+" "+ch.Digest)
	}
	want := []string{"a critical daily", "b critical weekly", "c info daily"}
	if !reflect.DeepEqual(got, want) || c.Session.IdleFor != 20*time.Minute || c.Session.MaxGap != 20*time.Minute {
		t.Errorf("got %v and %+v, want %v", got, c.Session, want)
	}
}

func TestRulesAreReadWithTheirThresholds(t *testing.T) {
	c := load(t, "safety: {rules: {over_time: {enabled: false}, second_load: {enabled: true, step_w: 80, hold_min: 10}}}")
	off, on := c.Safety.Rules["over_time"].Enabled, c.Safety.Rules["second_load"].Enabled
	if off == nil || *off || on == nil || !*on {
		t.Errorf("over_time enabled %v, second_load %v", off, on)
	}
	if got, want := c.Safety.Rules["second_load"].Values, map[string]float64{"step_w": 80, "hold_min": 10}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := c.CheckRules(map[string][]string{"second_load": {"step_w", "hold_min"}}); err != nil {
		t.Error(err)
	}
}

func TestProblemsOfOthersSayWhereTheKeyStands(t *testing.T) {
	c := load(t, "safety:\n  rules:\n    over_power:\n      warn_w: 7\n")
	for key, want := range map[string]string{
		"safety.rules.over_power.warn_w": "4:15", "safety.rules.over_power": "3:5", "safety.rules.over_time": "2:3", "mqtt.listen": "",
	} {
		got := c.Problemf(key, "bad %d", 1).Error()
		place := filepath.Join("etc", "pilewatch.yaml")
		if want != "" {
			place += ":" + want
		}
		if want := place + ": " + key + ": bad 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExposureIsRefusedOnlyWhereOthersCanReach(t *testing.T) {
	for _, c := range []struct {
		http, mqtt, broker, passwords string
		users, problems               int
	}{
		{"127.0.0.1:8080", "127.0.0.1:1883", "", "", 0, 0},
		{"localhost:8080", "[::1]:1883", "", "", 0, 0},
		{"127.8.8.8:80", "[::ffff:127.0.0.1]:1883", "", "", 0, 0},
		{"0.0.0.0:8080", "127.0.0.1:1883", "", "", 0, 1},
		{"0.0.0.0:8080", "127.0.0.1:1883", "", "", 1, 0},
		{":8080", ":1883", "", "", 0, 2},
		{"192.168.1.2:8080", "pilewatch.local:1883", "", "", 0, 2},
		{"127.0.0.1:8080", ":1883", "", "piles.txt", 0, 0},
		{"127.0.0.1:8080", ":1883", "tcp://10.0.0.1:1883", "", 0, 0},
	} {
		cfg := Default()
		cfg.HTTP.Listen, cfg.MQTT.Listen, cfg.MQTT.Broker, cfg.MQTT.PasswordsFile = c.http, c.mqtt, c.broker, c.passwords
		got := 0
		if err := cfg.CheckExposure(c.users); err != nil {
			got = len(strings.Split(err.Error(), "\n"))
		}
		if got != c.problems {
			t.Errorf("%+v: %d problems", c, got)
		}
	}
}

func TestBillingIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pilewatch.yaml")
	if err := os.WriteFile(file, []byte("billing:\n  phone: 021-5555 0000\n  notice_households: true\n  notice_min_households: 5\n  grid_bills:\n    - {month: 2026-11, kwh: \"1820.5\", amount: \"1166.94\"}\n    - {month: 2026-11, building: \"3\", kwh: \"200\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Billing{Phone: "021-5555 0000", NoticeHouseholds: true, NoticeMinHouseholds: 5, GridBills: []GridBill{
		{Month: "2026-11", EnergyMWh: 1_820_500_000, Amount: 1_166_940_000}, {Month: "2026-11", Building: "3", EnergyMWh: 200_000_000},
	}}
	if !reflect.DeepEqual(c.Billing, want) {
		t.Errorf("%+v, want %+v", c.Billing, want)
	}
}
