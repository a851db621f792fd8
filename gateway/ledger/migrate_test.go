package ledger

import (
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pilewatch/gateway/session"
)

// version1 unpacks the ledger of a program with schema version 1: three sessions
// on each of two ports, and what the rules said of them.
func version1(t testing.TB, dir string) string {
	t.Helper()
	f, err := os.Open("testdata/version1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, File)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// query gives all rows of a query over a database file.
func query(t testing.TB, path, q string) (out [][]any) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(cols))
		into := make([]any, len(cols))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// tables of version 1, which every later version must carry over.
var tables1 = []string{"journal", "journal_hour", "session", "flag", "checkpoint", "cursor", "reject", "sink_reject"}

func content(t testing.TB, path string) map[string][][]any {
	t.Helper()
	c := map[string][][]any{}
	for _, table := range tables1 {
		c[table] = query(t, path, "SELECT * FROM "+table)
	}
	return c
}

func version(t testing.TB, path string) int64 {
	t.Helper()
	return query(t, path, "PRAGMA user_version")[0][0].(int64)
}

// steps gives the released schema with more files after it.
func steps(t testing.TB, more ...string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	released, err := migrations(schemaFiles)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range append(released, more...) {
		files[fmt.Sprintf("schema/%03d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return files
}

func TestAnUpgradeMigratesForwardAfterACopy(t *testing.T) {
	dir := t.TempDir()
	path := version1(t, dir)
	before := content(t, path)
	if len(before["session"]) != 6 || len(before["flag"]) == 0 {
		t.Fatalf("%d sessions, %d flags in the ledger of version 1", len(before["session"]), len(before["flag"]))
	}
	l := open(t, dir)
	if rep := verify(t, l); rep.Sessions != 6 || len(rep.Differences) != 0 {
		t.Errorf("after the upgrade: %+v", rep)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if after := content(t, path); !reflect.DeepEqual(before, after) {
		t.Error("the upgrade changed what was there")
	}
	if v := version(t, path); v < 2 {
		t.Errorf("version %d", v)
	}
	kept := path + ".v1"
	if v := version(t, kept); v != 1 || !reflect.DeepEqual(before, content(t, kept)) {
		t.Errorf("the copy has version %d, or another content", v)
	}
	if v := query(t, kept, "PRAGMA integrity_check")[0][0]; v != "ok" {
		t.Errorf("the copy: %v", v)
	}
}

func TestMigrationsAreAppliedOnceAndInOrder(t *testing.T) {
	dir := t.TempDir()
	path := version1(t, dir)
	released, err := migrations(schemaFiles)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	more := []string{"CREATE TABLE extra (a); INSERT INTO extra VALUES (1)", "INSERT INTO extra SELECT a + 1 FROM extra"}
	for n := range 3 { // none, one, two more
		for range 2 {
			l, err := openWith(t.Context(), dir, log, steps(t, more[:n]...))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := query(t, path, "SELECT a FROM extra"); len(got) != 2 || got[1][0].(int64) != 2 {
		t.Errorf("extra holds %v", got)
	}
	newest := len(released) + 2
	if v := version(t, path); v != int64(newest) {
		t.Errorf("version %d, want %d", v, newest)
	}
	copies, err := filepath.Glob(path + ".v*")
	want := []string{fmt.Sprint(path, ".v", newest-2), fmt.Sprint(path, ".v", newest-1)}
	if err != nil || !slices.Equal(copies, want) {
		t.Errorf("copies %q, want %q", copies, want)
	}
	if _, err := openWith(t.Context(), dir, log, steps(t)); err == nil || !strings.Contains(err.Error(), "run the newer program") {
		t.Errorf("an older program: %v", err)
	}
}

func TestAnOlderProgramRefusesANewerLedgerForReadingToo(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if err := errors.Join(l.exec(t.Context(), "PRAGMA user_version = 99"), l.Close()); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(context.Context, string, *slog.Logger) (*Ledger, error){Open, OpenRead} {
		var v *VersionError
		if _, err := open(t.Context(), dir, slog.New(slog.DiscardHandler)); !errors.As(err, &v) || v.Has != 99 || !strings.Contains(err.Error(), "newer program") {
			t.Errorf("error %v", err)
		}
	}
	version1(t, dir)
	if _, err := OpenRead(t.Context(), dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "pilewatch run") {
		t.Errorf("an older ledger, for reading: %v", err)
	}
}

func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := version1(t, dir)
	before := content(t, path)
	_, err := openWith(t.Context(), dir, slog.New(slog.DiscardHandler), steps(t, "DELETE FROM session", "INSERT INTO nowhere VALUES (1)"))
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
	if v := version(t, path); v != 1 || !reflect.DeepEqual(before, content(t, path)) {
		t.Errorf("version %d, or another content", v)
	}
	open(t, dir) // the next program does it
}

func TestMigrationNumbersAreGivenOnce(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("SELECT 1")}
	for _, names := range [][]string{
		{"schema/001_a.sql", "schema/001_b.sql"}, {"schema/001_a.sql", "schema/003_c.sql"}, {"schema/002_a.sql"}, {"schema/1_a.sql"},
	} {
		files := fstest.MapFS{}
		for _, n := range names {
			files[n] = file
		}
		if _, err := migrations(files); err == nil {
			t.Errorf("%q were taken", names)
		}
	}
}

// slowStep works for many seconds, and writes much.
const slowStep = `UPDATE session SET household = 'half';
	CREATE TABLE big AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT i, randomblob(1000) AS b FROM n`

// childFolder names the environment variable of the process that is killed.
const childFolder = "PILEWATCH_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		files := fstest.MapFS{}
		released, err := migrations(schemaFiles)
		for i, s := range append(released, slowStep) {
			files[fmt.Sprintf("schema/%03d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(s)}
		}
		if err == nil {
			_, err = openWith(context.Background(), dir, slog.Default(), files)
		}
		fmt.Fprintln(os.Stderr, "the migration came to its end:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestAMigrationThatIsKilledChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := version1(t, dir)
	before := content(t, path)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; { // until it has written some of it
		if fi, err := os.Stat(path + "-wal"); err == nil && fi.Size() > 1<<20 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("it writes nothing")
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if v := version(t, path); v != 1 || !maps.EqualFunc(before, content(t, path), func(a, b [][]any) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("version %d, or another content", v)
	}
	l := open(t, dir) // and upgrades it
	if rep := verify(t, l); rep.Sessions != 6 || len(rep.Differences) != 0 {
		t.Errorf("after the next start: %+v", rep)
	}
	if s, _, err := l.Sessions(t.Context(), Filter{}); err != nil || slices.ContainsFunc(s, func(s session.Session) bool { return s.Household == "half" }) {
		t.Errorf("sessions %+v, %v", s, err)
	}
	if v := version(t, path+".v1"); v != 1 {
		t.Errorf("the copy has version %d", v)
	}
}
