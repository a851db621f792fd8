package deploy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"pilewatch/gateway/realserver"
)

// emptySecret makes a file into which a person then writes a secret.
var emptySecret = regexp.MustCompile(`install .* /dev/null (/etc/pilewatch/secrets/\S+)$`)

// walk makes one script of the guides: their configurations, registries and commands
// in order, as they stand.
func walk(t *testing.T) string {
	t.Helper()
	var script strings.Builder
	sections := map[string]yaml.Node{}
	for _, file := range guides(t) {
		for _, f := range fences(t, file) {
			switch {
			case f.aside:
			case f.language == "yaml":
				if err := yaml.Unmarshal([]byte(f.text), &sections); err != nil {
					t.Fatalf("%s: %v", f.at(), err)
				}
				whole, err := yaml.Marshal(sections)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&script, "cat >/etc/pilewatch/pilewatch.yaml <<'END-OF-FILE'\n%sEND-OF-FILE\n", whole)
			case f.language == "csv":
				fmt.Fprintf(&script, "cat >%s.csv <<'END-OF-FILE'\n%sEND-OF-FILE\n", registryOf(f.text), f.text)
			case f.language == "sh":
				for line := range strings.SplitSeq(strings.TrimSpace(f.text), "\n") {
					if strings.Contains(line, " explain ") { // the first that asks for a session
						script.WriteString("a_month_passes\n")
					}
					fmt.Fprintf(&script, "says '%s: %s'\n%s </root/answers || die 'it failed'\n", f.at(), strings.ReplaceAll(line, "'", ""), line)
					if m := emptySecret.FindStringSubmatch(line); m != nil {
						fmt.Fprintf(&script, "cat /root/%s >%s\n", filepath.Base(m[1]), m[1])
					}
				}
			}
		}
		fmt.Fprintf(&script, "after_%s\n", strings.TrimSuffix(filepath.Base(file), ".md")[:1])
	}
	return script.String()
}

// newcomer is what the walk stands on, and what there must be after each guide.
const newcomer = `
set -u
says() { echo "== $*"; }
die() { echo "BROKEN: $*"; exit 1; }
cd /root
mkdir -p /root/bin /etc/pilewatch
PATH=/root/bin:$PATH
echo 'a long password' >/root/answers

# There is no init here, and root needs no sudo.
cat >/root/bin/sudo <<'END'
#!/bin/bash
[ "$1" != -u ] || exec runuser -u "$2" -- "${@:3}"
exec "$@"
END
cat >/root/bin/systemctl <<'END'
#!/bin/bash
stop() {
  [ -e /root/pid ] || return 0
  kill "$(cat /root/pid)"
  while kill -0 "$(cat /root/pid)" 2>/dev/null; do sleep 0.1; done
  rm /root/pid
}
start() {
  setsid setpriv --reuid pilewatch --regid pilewatch --clear-groups /usr/bin/pilewatch run --config /etc/pilewatch/pilewatch.yaml </dev/null >>/root/log 2>&1 &
  echo $! >/root/pid
  for _ in $(seq 300); do
    curl -fs -o /dev/null http://127.0.0.1:8080/readyz && return 0
    kill -0 "$(cat /root/pid)" 2>/dev/null || break
    sleep 0.1
  done
  tail /root/log
  return 1
}
case $1 in
  start | stop) $1 ;;
  restart) stop; start ;;
  status) kill -0 "$(cat /root/pid)" ;;
  *) exit 1 ;;
esac
END
chmod +x /root/bin/*
trap '/root/bin/systemctl stop' EXIT

page() { curl -fsS -u 'office:a long password' "http://127.0.0.1:8080$1" || die "the page: $1"; }
has() { case $1 in *"$2"*) ;; *) die "no $2 in $1" ;; esac; }

a_month_passes() {
  systemctl stop
  runuser -u pilewatch -- pilewatch replay --config /etc/pilewatch/pilewatch.yaml - </root/month.ndjson || die replay
  systemctl start || die start
}
after_1() { page / | grep -q '复兴小区' || die 'the page does not name the estate'; }
after_2() {
  local seen pile
  for _ in $(seq 100); do
    seen=$(page /api/v1/piles)
    case $seen in *P12*) break ;; esac
    sleep 0.1
  done
  for pile in P01 P07 P03 P04 P09 P11 P12; do has "$seen" "\"$pile\""; done
  [ "$(page /api/v1/rejects)" = '{"items":[]}' ] || die "rejects: $(page /api/v1/rejects)"
}
after_3() { has "$(page /)" '1号楼东侧车棚'; }
after_4() {
  local f
  has "$(cat statements.html)" '1号楼 603室'
  has "$(cat statements.html)" '0.94 元'
  has "$(cat statements.html)" '021-5555 0000'
  grep -q '尚未关账' statements.html && die 'the month is not closed'
  has "$(cat notice.html)" '1号楼'
  for f in sessions.xlsx reconciliation.xlsx; do [ "$(head -c 2 $f)" = PK ] || die "$f is no workbook"; done
  for f in statements.html notice.html sessions.xlsx reconciliation.xlsx; do
    page "/export/$f?month=2026-10" | cmp - $f || die "the page and the command give another $f"
  done
}
after_5() { has "$(page /readyz)" committee; }
after_6() { [ -s /var/lib/pilewatch/before-restore/ledger.db ] || die 'the former ledger is gone'; has "$(page '/export/statements.html?month=2026-10')" '0.94 元'; }
after_7() { case $(cat /var/lib/pilewatch/users.yaml) in *wang*) die 'wang is still there' ;; esac; }
after_R() { says 'all guides followed'; }
`

// robots stands for the robots of WeCom and DingTalk, and gives their addresses'
// secrets as files, and what they were told.
func robots(t *testing.T) (secrets map[string]string, told func() string) {
	t.Helper()
	var mu sync.Mutex
	var all strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&all, "%s %s\n", r.URL.Path, body)
		fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	t.Cleanup(server.Close)
	secrets = map[string]string{}
	dir := t.TempDir()
	for name, secret := range map[string]string{
		"wecom": server.URL + "/wecom?key=k", "ding": server.URL + "/ding?access_token=k", "ding_sign": "SECk",
		"mqtt": "k", "smtp": "smtp://user:k@127.0.0.1:9",
	} {
		secrets[name] = filepath.Join(dir, name)
		if err := os.WriteFile(secrets[name], []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return secrets, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// TestTheGuidesLeadFromAnEmptyBoxToABillAndBack follows the guides as they stand.
// What the office would type by hand beside commands, the robots' secrets, is given.
func TestTheGuidesLeadFromAnEmptyBoxToABillAndBack(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root on Linux can make the copy of the machine to install into")
	}
	realserver.Need(t, "mosquitto_pub", "mosquitto-clients")
	realserver.Need(t, "curl", "curl")
	realserver.Need(t, "ss", "iproute2")
	ended := time.Now().AddDate(0, 0, -time.Now().Day()).Format("2006-01")
	month := filepath.Join(t.TempDir(), "month.ndjson")
	var lines strings.Builder
	for m := range 60 { // 18:00 to 18:59 in Shanghai, 1 kWh
		fmt.Fprintf(&lines, `{"topic":"pilewatch/v1/fuxing/P01/telemetry","received":"2026-10-10T10:%02d:01Z","payload":"{\"ts\":\"2026-10-10T10:%02d:00Z\",\"ports\":[{\"port\":3,\"state\":\"%s\",\"w\":%d,\"wh\":%d,\"card\":\"04A1B2C3\"}]}"}`+"\n",
			m, m, []string{"charging", "idle"}[m/59], 1000-1000*(m/59), 1000*m/59)
	}
	broker := strconv.Itoa(realserver.Port(t))
	adapt := strings.NewReplacer("2026-10", ended, "20261010", strings.ReplaceAll(ended, "-", "")+"10", "_amd64.deb", "_"+runtime.GOARCH+".deb",
		// Several may follow the guides on one machine.
		"127.0.0.1:1883", "127.0.0.1:"+broker, "mosquitto_pub -h 127.0.0.1", "mosquitto_pub -p "+broker, "8080", strconv.Itoa(realserver.Port(t)))
	if err := os.WriteFile(month, []byte(adapt.Replace(lines.String())), 0o600); err != nil {
		t.Fatal(err)
	}
	deb := released(t, "pilewatch_*_"+runtime.GOARCH+".deb")
	give, told := robots(t)
	give[filepath.Base(deb)], give["month.ndjson"] = deb, month
	realserver.InACopyOfThisMachine(t, adapt.Replace(newcomer+walk(t)), give)
	for _, want := range []string{"/wecom ", "/ding "} {
		if !strings.Contains(told(), want) || !strings.Contains(told(), "【测试】") {
			t.Errorf("no test message to %s among %q", want, told())
		}
	}
}
