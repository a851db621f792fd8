package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pilewatch/gateway/config"
	"pilewatch/gateway/realserver"
	"pilewatch/gateway/view"
)

// The tests here hold what is in deploy/ against the programs that read it.

// rule is a recording or an alerting rule.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, file := range files(t, "prometheus/rules/*.yml") {
		var f struct{ Groups []struct{ Rules []rule } }
		unmarshal(t, file, &f)
		for _, g := range f.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

// files gives those of a pattern; one that matches nothing would prove nothing.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: no file (%v)", pattern, err)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unmarshal(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestPrometheusTakesItsConfigurationAndRules(t *testing.T) {
	t.Parallel()
	out := realserver.Promtool(t, "check", "config", "prometheus/prometheus.yml")
	if n := len(files(t, "prometheus/rules/*.yml")); strings.Count(out, "Checking ") != n+1 {
		t.Errorf("promtool did not look at %d rule files:\n%s", n, out)
	}
}

func TestEveryRuleSpeaksWhenItShould(t *testing.T) {
	t.Parallel()
	realserver.Promtool(t, append([]string{"test", "rules"}, files(t, "prometheus/tests/*.yml")...)...)
}

// TestEveryRuleHasAUnitTest wants of each alert a case in which it fires and one in
// which it does not, and of each recorded series a value.
func TestEveryRuleHasAUnitTest(t *testing.T) {
	type expectation struct {
		Alertname string
		ExpAlerts []yaml.Node `yaml:"exp_alerts"`
	}
	fires, silent, valued := map[string]bool{}, map[string]bool{}, ""
	for _, file := range files(t, "prometheus/tests/*.yml") {
		var f struct {
			Tests []struct {
				Alerts  []expectation           `yaml:"alert_rule_test"`
				Queries []struct{ Expr string } `yaml:"promql_expr_test"`
			}
		}
		unmarshal(t, file, &f)
		for _, test := range f.Tests {
			for _, e := range test.Alerts {
				fires[e.Alertname] = fires[e.Alertname] || len(e.ExpAlerts) > 0
				silent[e.Alertname] = silent[e.Alertname] || len(e.ExpAlerts) == 0
			}
			for _, q := range test.Queries {
				valued += q.Expr + "\n"
			}
		}
	}
	for _, r := range rules(t) {
		switch {
		case r.Record != "" && !strings.Contains(valued, r.Record):
			t.Errorf("no unit test gives a value of %s", r.Record)
		case r.Alert != "" && (!fires[r.Alert] || !silent[r.Alert]):
			t.Errorf("%s: a unit test in which it fires: %v, in which it is silent: %v", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

// TestAlertsSpeakBothLanguages wants words for people on each alert, and labels to route by.
func TestAlertsSpeakBothLanguages(t *testing.T) {
	chinese := regexp.MustCompile(`\p{Han}`)
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		for _, key := range []string{"summary", "description"} {
			if zh, en := r.Annotations[key], r.Annotations[key+"_en"]; !chinese.MatchString(zh) || en == "" || chinese.MatchString(en) {
				t.Errorf("%s: %s is %q, in English %q", r.Alert, key, zh, en)
			}
		}
		if c := r.Labels["component"]; c != "safety" && !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) ||
			!slices.Contains([]string{"gateway", "pile", "safety"}, c) {
			t.Errorf("%s: labels %v", r.Alert, r.Labels)
		}
	}
}

var (
	metricName = regexp.MustCompile(`[a-z]*:?pilewatch[_:][a-z0-9_]+(?::[a-z0-9_]+)*`)
	selector   = regexp.MustCompile(`(pilewatch_[a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// metrics are the gateway's, each with its labels: the golden list, which metrics/ holds against the program.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(pilewatch_\w+)\{(.*)\} (\w+)$`).FindAllStringSubmatch(read(t, "../metrics/testdata/metrics.golden"), -1) {
		labels := append(strings.Split(m[2], ","), "job", "instance")
		known[m[1]] = labels
		if m[3] == "histogram" {
			known[m[1]+"_bucket"], known[m[1]+"_sum"], known[m[1]+"_count"] = append(labels, "le"), labels, labels
		}
	}
	if len(known) < 20 {
		t.Fatalf("%d metrics known: the list was not read", len(known))
	}
	return known
}

func TestRulesAskForMetricsAndLabelsThatTheGatewayHas(t *testing.T) {
	known := metrics(t)
	text := ""
	for _, r := range rules(t) {
		text += r.Expr + "\n"
		if r.Record != "" {
			known[r.Record] = nil
		}
	}
	for _, name := range metricName.FindAllString(text, -1) {
		if _, ok := known[name]; !ok {
			t.Errorf("a rule asks for %s, which nobody gives", name)
		}
	}
	for _, file := range files(t, "prometheus/tests/*.yml") {
		for _, m := range selector.FindAllStringSubmatch(read(t, file), -1) {
			text += m[0] + "\n"
			if known[m[1]] == nil {
				t.Errorf("%s: %s, which nobody gives", file, m[1])
			}
		}
	}
	for _, m := range selector.FindAllStringSubmatch(text, -1) {
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(known[m[1]], l[1]) {
				t.Errorf("%s has no label %s: it has %v", m[1], l[1], known[m[1]])
			}
		}
	}
}

func TestEveryRuleHasTheGatewaysNameInAlerts(t *testing.T) {
	var named []string
	for _, r := range rules(t) {
		if r.Record != "pilewatch:rule_name" {
			continue
		}
		named = append(named, r.Labels["rule"])
		if name, _ := view.RuleName(r.Labels["rule"]); r.Labels["name"] != name {
			t.Errorf("%s is called %s here and %s by the gateway", r.Labels["rule"], r.Labels["name"], name)
		}
	}
	want := slices.Clone(config.RuleIDs)
	slices.Sort(want)
	slices.Sort(named)
	if !slices.Equal(named, want) {
		t.Errorf("named: %v\nthe gateway's: %v", named, want)
	}
}

func TestAlertsReachWhoIsToActOnThem(t *testing.T) {
	t.Parallel()
	const file = "alertmanager/alertmanager.yml"
	realserver.Amtool(t, "check-config", file)
	for labels, want := range map[string]string{
		"component=safety severity=critical rule=hot_burst":    "committee",
		"component=safety severity=warning rule=second_load":   "office",
		"component=pile severity=warning alertname=P":          "office",
		"component=pile severity=info alertname=P":             "office",
		"component=gateway severity=critical alertname=P":      "operator",
		"component=gateway severity=warning channel=committee": "operator",
		"severity=critical alertname=SomethingElse":            "operator",
	} {
		args := append([]string{"config", "routes", "test", "--config.file=" + file, "--verify.receivers=" + want}, strings.Fields(labels)...)
		realserver.Amtool(t, args...)
	}
	alerts := map[string]bool{}
	for _, r := range rules(t) {
		alerts[r.Alert] = true
	}
	for _, name := range regexp.MustCompile(`Pilewatch\w+`).FindAllString(read(t, file), -1) {
		if !alerts[name] {
			t.Errorf("%s speaks of %s, which no rule raises", file, name)
		}
	}
}
