package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to look into ledgers, and to damage them

	"pilewatch/gateway/realserver"
)

var damageDay = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// embedded writes a configuration with the embedded broker, and gives its addresses.
func embedded(t testing.TB, data string) (cfg, addr, url string) {
	t.Helper()
	addr, mqttAddr := freeAddr(t), freeAddr(t)
	cfg = write(t, t.TempDir(), "pilewatch.yaml", fmt.Sprintf("mqtt: {listen: %q}\nhttp: {listen: %q}\ndata_dir: %q\n", mqttAddr, addr, data))
	return cfg, addr, "tcp://" + mqttAddr
}

// scan asks a ledger's file for one value.
func scan[T any](t testing.TB, data, query string) (v T) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// copyFolder copies the files of a folder.
func copyFolder(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// checkAll publishes everything again, as a broker or a pile does that was not
// told, and compares the sessions with the truth.
func checkAll(t *testing.T, g *gateway, cfg, url string, charges []*charge, reports []portReport) {
	t.Helper()
	publishAll(t, url, reports)
	closedAll(t, g, len(charges))
	checkSessions(t, g, charges)
	g.stop()
	out := must(t, "verify", "--config", cfg)
	if !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
}

func closedAll(t testing.TB, g *gateway, n int) {
	t.Helper()
	await(t, "all sessions", func() error {
		if closed := closedSessions(g); closed != n {
			return fmt.Errorf("%d of %d are closed", closed, n)
		}
		return nil
	})
}

func closedSessions(g *gateway) (n int) {
	for _, s := range list[struct{ State string }](g, "/api/v1/sessions") {
		if s.State == "closed" {
			n++
		}
	}
	return n
}

// TestATornEndOfTheLogIsHealedWithoutAPerson damages what a power cut may leave: the
// end of the write-ahead log, and its index.
func TestATornEndOfTheLogIsHealedWithoutAPerson(t *testing.T) {
	charges, reports := shortCharges(damageDay, 1, 4, 40)
	crashed := t.TempDir()
	cfg, addr, url := embedded(t, crashed)
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, url, reports[:len(reports)/2])
	g.kill()
	wal := filepath.Join(crashed, "ledger.db-wal")
	log, err := os.ReadFile(wal)
	if err != nil || len(log) < 10*4096 {
		t.Fatalf("the log of %d bytes, %v", len(log), err)
	}
	committed := entries(t, copyFolder(t, crashed))
	zero := func(n int) []byte { return append(bytes.Clone(log[:len(log)-n]), make([]byte, n)...) }
	flipped := bytes.Clone(log)
	flipped[len(flipped)-2000] ^= 4
	for name, c := range map[string]struct {
		log   []byte
		whole bool // nothing that was committed is touched
	}{
		"a frame that was begun":  {append(bytes.Clone(log), log[len(log)-3000:]...), true},
		"zeros behind the end":    {append(bytes.Clone(log), make([]byte, 9000)...), true},
		"no index":                {log, true},
		"the last frame torn":     {log[:len(log)-1000], false},
		"a bit of the last frame": {flipped, false},
		"zeros over the end":      {zero(3 * 4096), false},
	} {
		t.Run(name, func(t *testing.T) {
			data := copyFolder(t, crashed)
			if err := os.WriteFile(filepath.Join(data, "ledger.db-wal"), c.log, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(data, "ledger.db-shm")); err != nil {
				t.Fatal(err)
			}
			cfg, addr, url := embedded(t, data)
			g := start(t, addr, "run", "--config", cfg)
			g.stop()
			if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
				t.Errorf("verify: %s", out)
			}
			if n := entries(t, data); n == 0 || n > committed || c.whole != (n == committed) {
				t.Errorf("%d entries of %d stand in the journal", n, committed)
			}
			g = start(t, addr, "run", "--config", cfg)
			checkAll(t, g, cfg, url, charges, reports)
		})
	}
}

func entries(t testing.TB, data string) int64 {
	t.Helper()
	return scan[int64](t, data, "SELECT sum(count) FROM journal")
}

// TestADamagedBlockIsNamedAndTheGatewayGoesOnWithoutIt damages a block that the next start needs.
func TestADamagedBlockIsNamedAndTheGatewayGoesOnWithoutIt(t *testing.T) {
	charges, reports := shortCharges(damageDay, 2, 4, 60)
	data := t.TempDir()
	cfg, addr, url := embedded(t, data)
	g := start(t, addr, "run", "--config", cfg)
	half := len(reports) / 2
	publishAll(t, url, reports[:half-1])
	publishAll(t, url, reports[half-1:half]) // a commit of its own: the hole is no longer than a missed report
	if _, errs, status := pilewatch(t, "repair", "--config", cfg); status != 1 || !strings.Contains(errs, "in use by process") {
		t.Errorf("repair beside the gateway: status %d: %s", status, errs)
	}
	g.kill()
	seq := scan[int64](t, data, "SELECT max(seq) FROM journal")
	last := time.UnixMilli(scan[int64](t, data, "SELECT last_time FROM journal ORDER BY seq DESC LIMIT 1")).UTC().Format(time.RFC3339)
	scan[int64](t, data, "UPDATE journal SET block = CAST(substr(block, 1, 20) || x'7a7a' || substr(block, 23) AS BLOB) WHERE seq = (SELECT max(seq) FROM journal) RETURNING seq")

	_, errs, status := pilewatch(t, "run", "--config", cfg)
	if status != 1 || strings.Count(errs, "pilewatch:") != 1 {
		t.Fatalf("a start over a damaged block: status %d: %s", status, errs)
	}
	for _, want := range []string{fmt.Sprintf("journal block %d (", seq), last, "pilewatch repair", "restore a backup"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is missing in: %s", want, errs)
		}
	}
	out, _, status := pilewatch(t, "verify", "--config", cfg)
	if status != 1 || !strings.Contains(out, fmt.Sprintf("journal block %d (", seq)) {
		t.Errorf("verify: status %d: %s", status, out)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, errs, status := pilewatch(t, "backup", "--config", cfg, backup); status != 1 || !strings.Contains(errs, "1 damaged") {
		t.Errorf("backup: status %d: %s", status, errs)
	}
	out = must(t, "repair", "--config", cfg)
	if !strings.Contains(out, fmt.Sprintf("set aside: entries %d to ", seq)) || !strings.Contains(out, "before-repair-1") {
		t.Errorf("repair: %s", out)
	}
	g = start(t, addr, "run", "--config", cfg)
	publishAll(t, url, reports[half:])
	closedAll(t, g, len(charges))
	checkSessions(t, g, charges) // registers go on over the hole
	g.stop()
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") || !strings.Contains(out, "set aside by repair: entries") {
		t.Errorf("verify: %s", out)
	}
	if out := must(t, "repair", "--config", cfg); !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second repair: %s", out)
	}
}

// charged gives a ledger with four sessions, and no gateway on it.
func charged(t *testing.T) (charges []*charge, data, cfg, addr string) {
	t.Helper()
	charges, reports := shortCharges(damageDay, 1, 4, 30)
	data = t.TempDir()
	cfg, addr, url := embedded(t, data)
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, url, reports)
	closedAll(t, g, len(charges))
	g.stop()
	return charges, data, cfg, addr
}

// TestVerifyNamesASessionWhoseRowWasChanged changes a bill by a milliwatt-hour.
func TestVerifyNamesASessionWhoseRowWasChanged(t *testing.T) {
	_, data, cfg, _ := charged(t)
	must(t, "verify", "--config", cfg)
	id := scan[string](t, data, "UPDATE session SET energy_mwh = energy_mwh + 1 WHERE port = 3 RETURNING id")
	if out, _, status := pilewatch(t, "verify", "--config", cfg); status != 1 || !strings.Contains(out, id) || !strings.Contains(out, " 1 differences") {
		t.Errorf("verify of a changed session %s: status %d: %s", id, status, out)
	}
}

// TestADamagedBlockOfLongAgoIsNamedAfterTheStart damages a block that no start needs.
func TestADamagedBlockOfLongAgoIsNamedAfterTheStart(t *testing.T) {
	charges, data, cfg, addr := charged(t)
	const second = "(SELECT seq FROM journal ORDER BY seq LIMIT 1 OFFSET 1)"
	seq := scan[int64](t, data, "UPDATE journal SET sum = sum + 1 WHERE seq = "+second+" RETURNING seq")
	g := start(t, addr, "run", "--config", cfg)
	await(t, "a line of the log", func() error {
		if !strings.Contains(g.log.String(), fmt.Sprintf("journal block %d (", seq)) {
			return fmt.Errorf("the log: %s", g.log)
		}
		return nil
	})
	checkSessions(t, g, charges)
	g.stop()
	must(t, "repair", "--config", cfg)
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify: %s", out)
	}
}

func TestADamagedDatabaseFileSaysThatABackupIsNeeded(t *testing.T) {
	data := t.TempDir()
	cfg, addr, url := embedded(t, data)
	_, reports := shortCharges(damageDay, 1, 4, 20)
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, url, reports)
	g.stop()
	path := filepath.Join(data, "ledger.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]int{"header": 0, "pages": 4096} {
		bad := bytes.Clone(good)
		for i := page; i < len(bad) && (page > 0 || i < 4096); i++ {
			bad[i] ^= 0x5a
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"run", "verify", "repair", "check"} {
			out, errs, status := pilewatch(t, command, "--config", cfg)
			if said := out + errs; status != 1 || !strings.Contains(said, "pilewatch backup") || strings.Contains(said, "panic") || strings.Contains(said, "goroutine") {
				t.Errorf("%s damaged, %s: status %d: %s", name, command, status, said)
			}
		}
	}
}

// TestASecondGatewayIsToldWhoHasTheLedger also copies the folder by hand, kills the
// first, and verifies beside it.
func TestASecondGatewayIsToldWhoHasTheLedger(t *testing.T) {
	charges, reports := shortCharges(damageDay, 1, 4, 60)
	data := t.TempDir()
	cfg, addr, url := embedded(t, data)
	g := start(t, addr, "run", "--config", cfg)
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		publishAll(t, url, reports)
	}()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := embedded(t, data)
	_, errs, status := pilewatch(t, "run", "--config", other)
	want := fmt.Sprintf("in use by process %d on %s: stop that gateway, or choose another data_dir", g.cmd.Process.Pid, host)
	if status != 1 || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
		t.Errorf("status %d: %s, want %s", status, errs, want)
	}
	for range 5 { // while it writes
		if out := must(t, "verify", "--config", other); !strings.Contains(out, " 0 differences") {
			t.Errorf("verify beside it: %s", out)
		}
	}
	if out := must(t, "check", "--config", cfg); !strings.Contains(out, fmt.Sprintf("in use by process %d", g.cmd.Process.Pid)) {
		t.Errorf("check: %s", out)
	}
	// A page's address that the gateway which runs does not have, and somebody else has: here its broker.
	taken := write(t, t.TempDir(), "pilewatch.yaml", fmt.Sprintf("http: {listen: %q}\ndata_dir: %q\n", strings.TrimPrefix(url, "tcp://"), data))
	if out, _, status := pilewatch(t, "check", "--config", taken); status != exitFailed || !strings.Contains(out, "set http.listen to a free address") {
		t.Errorf("check of an address that is taken, beside a gateway: status %d\n%s", status, out)
	}
	<-publishing
	closedAll(t, g, len(charges))
	g.kill() // its lock file stays
	copied := copyFolder(t, data)
	cfgCopied, addrCopied, _ := embedded(t, copied)
	a, b := start(t, addr, "run", "--config", cfg), start(t, addrCopied, "run", "--config", cfgCopied)
	checkSessions(t, a, charges)
	checkSessions(t, b, charges)
	a.stop()
	b.stop()
}

// TestABackupUnderLoadIsRestored copies the ledger of a busy gateway, and goes on
// from the copy as a person does who follows the guide.
func TestABackupUnderLoadIsRestored(t *testing.T) {
	charges, reports := shortCharges(damageDay, 4, 5, 60)
	mosquitto := realserver.Mosquitto(t, realserver.MosquittoOptions{})
	influx := realserver.Influx(t)
	influx.CreateDatabase("pilewatch")
	dir, addr := t.TempDir(), freeAddr(t)
	cfg := settingsFile(t, dir, mosquitto.URL, addr, fmt.Sprintf("influxdb: {url: %q, bucket: pilewatch}", influx.URL))
	g := start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, reports[:len(reports)/3])
	await(t, "InfluxDB to have some", func() error {
		if n := scan[int64](t, filepath.Join(dir, "data"), "SELECT coalesce(max(seq), 1) FROM cursor WHERE name = 'influxdb'"); n <= 1 {
			return fmt.Errorf("its cursor is at %d", n)
		}
		return nil
	})
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		publishAll(t, mosquitto.URL, reports[len(reports)/3:])
	}()
	backup := filepath.Join(dir, "backup.db")
	out := must(t, "backup", "--config", cfg, backup)
	if !strings.Contains(out, " MB, checked, ") || !strings.Contains(out, " 0 of them damaged") {
		t.Errorf("backup: %s", out)
	}
	if _, errs, status := pilewatch(t, "backup", "--config", cfg, backup); status != 1 || !strings.Contains(errs, "exists") {
		t.Errorf("a second backup to the same name: status %d: %s", status, errs)
	}
	<-publishing
	g.stop()

	data, old := filepath.Join(dir, "data"), filepath.Join(dir, "old")
	b, err := os.ReadFile(backup)
	if err == nil {
		err = os.Rename(data, old)
	}
	if err == nil {
		err = os.Mkdir(data, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(data, "ledger.db"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify of the copy: %s", out)
	}
	at := scan[int64](t, data, "SELECT seq FROM cursor WHERE name = 'influxdb'")
	if now := scan[int64](t, old, "SELECT seq FROM cursor WHERE name = 'influxdb'"); at <= 1 || at > now {
		t.Errorf("the copy's cursor is at %d, the other's at %d", at, now)
	}
	g = start(t, addr, "run", "--config", cfg)
	publishAll(t, mosquitto.URL, reports)
	checkInflux(t, influx, charges, len(reports))
	checkAll(t, g, cfg, mosquitto.URL, charges, reports)
}

// TestAnUpgradeKeepsACopyAndEverySession runs this program on a ledger of the first.
func TestAnUpgradeKeepsACopyAndEverySession(t *testing.T) {
	data := t.TempDir()
	unpackVersion1(t, data)
	cfg, addr, _ := embedded(t, data)
	_, errs, status := pilewatch(t, "verify", "--config", cfg)
	if status != 1 || !strings.Contains(errs, "pilewatch run") {
		t.Errorf("verify before the upgrade: status %d: %s", status, errs)
	}
	if out := must(t, "check", "--config", cfg); !strings.Contains(out, "schema version 1: the next start upgrades it") {
		t.Errorf("check: %s", out)
	}
	if v := scan[int64](t, data, "PRAGMA user_version"); v != 1 {
		t.Errorf("looking at it made it version %d", v)
	}
	g := start(t, addr, "run", "--config", cfg)
	if n := len(list[struct{}](g, "/api/v1/sessions")); n != 6 {
		t.Errorf("%d sessions", n)
	}
	g.stop()
	if out := must(t, "verify", "--config", cfg); !strings.Contains(out, "6 sessions derived again, 0 differences") {
		t.Errorf("verify: %s", out)
	}
	if _, err := os.Stat(filepath.Join(data, "ledger.db.v1")); err != nil {
		t.Error(err)
	}
	newer := copyFolder(t, data)
	db, err := sql.Open("sqlite", filepath.Join(newer, "ledger.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), "PRAGMA user_version = 99")
		db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"run", "verify", "repair"} {
		if _, errs, status := pilewatch(t, command, "--data", newer); status != 1 || !strings.Contains(errs, "run the newer program") {
			t.Errorf("%s on a newer ledger: status %d: %s", command, status, errs)
		}
	}
}

// unpackVersion1 puts a ledger that the first version wrote into a folder.
func unpackVersion1(t testing.TB, data string) {
	t.Helper()
	f, err := os.Open("ledger/testdata/version1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = os.WriteFile(filepath.Join(data, "ledger.db"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
