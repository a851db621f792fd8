package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"pilewatch/devices"
	"pilewatch/gateway/safety"
)

var update = flag.Bool("update", false, "write the dashboards anew")

func TestFilesAreThoseThatTheDescriptionGives(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for name, b := range files {
			if err := os.WriteFile(filepath.Join("dashboards", name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob("dashboards/*")
	if err != nil || len(there) != len(files) {
		t.Errorf("dashboards/ holds %v, want %v (%v)", there, slices.Sorted(maps.Keys(files)), err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join("dashboards", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("dashboards/%s is not what the description gives (%v): run `go test ./deploy/grafana -run TestFiles -update` and look at the difference", name, err)
		}
	}
}

// checkedIn reads the dashboards' files by the schema of Grafana: a field that it
// does not know, or that has another type, fails the test.
func checkedIn(t *testing.T) []dashboard.Dashboard {
	t.Helper()
	known := cog.NewRuntime()
	for _, p := range []variants.PanelcfgConfig{
		bargauge.VariantConfig(), stat.VariantConfig(), statetimeline.VariantConfig(), table.VariantConfig(), timeseries.VariantConfig(),
	} {
		known.RegisterPanelcfgVariant(p)
	}
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	known.RegisterDataqueryVariant(variants.DataqueryConfig{Identifier: influxType, StrictDataqueryUnmarshaler: strictInflux})
	var all []dashboard.Dashboard
	for _, p := range pages() {
		b, err := os.ReadFile(filepath.Join("dashboards", p.uid+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(b); err != nil {
			t.Fatalf("%s: %v", p.uid, err)
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", p.uid, err)
		}
		all = append(all, d)
	}
	return all
}

func strictInflux(raw []byte) (variants.Dataquery, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var q influxQuery
	if err := d.Decode(&q); err != nil {
		return nil, err
	}
	return q, q.Validate()
}

func TestSchemaFindsFault(t *testing.T) {
	checkedIn(t)
	b, err := os.ReadFile("dashboards/" + overviewUID + ".json")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		`"gridPos"`: `"gridpos"`, `"rawQuery": true`: `"raw": true`, `"graphMode": "none"`: `"graphMode": 1`, `"expr": "sum`: `"query": "sum`,
	} {
		broken := bytes.ReplaceAll(b, []byte(from), []byte(to))
		if bytes.Equal(b, broken) {
			t.Fatalf("%s is not in the file", from)
		}
		if err := new(dashboard.Dashboard).UnmarshalJSONStrict(broken); err == nil {
			t.Errorf("%s instead of %s passed", to, from)
		}
	}
}

// The SDK takes a list that is null; Grafana does not. Only the first threshold
// has no value.
func TestNothingIsNull(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		for i, line := range strings.Split(string(b), "\n") {
			if strings.Contains(line, ": null") && strings.TrimSpace(line) != `"value": null,` && strings.TrimSpace(line) != `"value": null` {
				t.Errorf("%s:%d: %s", name, i+1, line)
			}
		}
	}
}

var chinese = regexp.MustCompile(`\p{Han}`)

func TestPanelsAreWhatManagersCanRead(t *testing.T) {
	titles := map[string]string{
		overviewUID: "小区总览", pileUID: "充电桩", safetyUID: "安全", billingUID: "用电与账单", gatewayUID: "网关健康",
	}
	for _, d := range checkedIn(t) {
		if *d.Title != titles[*d.Uid] || *d.Timezone != zone || len(d.Links) != len(titles) {
			t.Errorf("%s: title %q, time zone %q, %d links", *d.Uid, *d.Title, *d.Timezone, len(d.Links))
		}
		seen, taken := map[uint32]bool{}, map[[2]uint32]string{}
		for _, p := range panels(d) {
			if seen[*p.Id] {
				t.Errorf("%s: two panels have the number %d", *d.Title, *p.Id)
			}
			seen[*p.Id] = true
			if !chinese.MatchString(*p.Title) || *p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %q has no Chinese title, no description or no query", *d.Title, *p.Title)
			}
			if uid := *p.Datasource.Uid; uid != influxUID && uid != promUID {
				t.Errorf("%s/%s: data source %q is not provisioned", *d.Title, *p.Title, uid)
			}
			g := p.GridPos
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]uint32{x, y}]; other != "" || x >= 24 {
						t.Errorf("%s: %q lies over %q or beyond the edge", *d.Title, *p.Title, other)
					}
					taken[[2]uint32{x, y}] = *p.Title
				}
			}
		}
	}
}

func panels(d dashboard.Dashboard) (all []dashboard.Panel) {
	for _, p := range d.Panels {
		all = append(all, *p.Panel)
	}
	return all
}

var address = regexp.MustCompile(`/d/([\w-]+)`)

func TestLinksLeadToDashboardsThatAreThere(t *testing.T) {
	there := map[string]bool{}
	for _, p := range pages() {
		there[p.uid] = true
	}
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		links := address.FindAllStringSubmatch(string(b), -1)
		if len(links) < len(there) {
			t.Errorf("%s has %d links", name, len(links))
		}
		for _, l := range links {
			if !there[l[1]] {
				t.Errorf("%s leads to %s, which is not there", name, l[0])
			}
		}
	}
}

// A value without a word would stand there in English.
func TestEveryNameOfTheContractHasAWord(t *testing.T) {
	var states []string
	for s := devices.StateNone + 1; s <= devices.StateUnknown; s++ {
		states = append(states, s.String())
	}
	rules := slices.Sorted(maps.Keys(safety.Keys()))
	for _, c := range []struct {
		words []word
		want  []string
	}{{stateWords(), states}, {reasonWords(), devices.StopReasons}, {ruleWords(), rules}} {
		var got []string
		for _, w := range c.words {
			got = append(got, w.value)
			if !chinese.MatchString(w.text) {
				t.Errorf("%s is %q", w.value, w.text)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(c.want))
		if !slices.Equal(got, want) {
			t.Errorf("words for %v, want %v", got, want)
		}
	}
	for _, r := range strings.Split(visitRules, "|") {
		if !slices.Contains(rules, r) {
			t.Errorf("the visit list asks for the rule %s, which is none", r)
		}
	}
}

func TestRoomsAreMasked(t *testing.T) {
	for household, want := range map[string]string{
		"3-502": "3号楼*02室", "3-1502": "3号楼*02室", "1-5": "1号楼*室", "东-05": "东号楼*5室", "502": "（已隐去）",
	} {
		if got := mappedText(masked(), household); got != want {
			t.Errorf("%s is shown as %s, want %s", household, got, want)
		}
	}
}

// mappedText is what Grafana shows for a value: the first mapping that matches,
// with $1 in the text put in; "" where none does.
func mappedText(mappings []dashboard.ValueMapping, value string) string {
	for _, m := range mappings {
		if m.ValueMap != nil {
			if r, ok := m.ValueMap.Options[value]; ok {
				return *r.Text
			}
		}
		if m.RegexMap != nil {
			re := regexp.MustCompile(strings.Trim(m.RegexMap.Options.Pattern, "/"))
			if re.MatchString(value) {
				template := regexp.MustCompile(`\$(\d)`).ReplaceAllString(*m.RegexMap.Options.Result.Text, `$${$1}`)
				return re.ReplaceAllString(value, template)
			}
		}
	}
	return ""
}
