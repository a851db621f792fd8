package realserver

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// writeLines puts line protocol into a bucket through the v2 API and gives the status.
func writeLines(t *testing.T, s *InfluxServer, bucket, token, lines string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v2/write?bucket="+bucket, strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestInfluxGivesBackWhatWasWrittenAfterARestart(t *testing.T) {
	s := Influx(t)
	s.CreateDatabase("pilewatch")
	const lines = "port_power,pile=a power_w=152.4,n=9007199254740993i 1700000000000000001\n" +
		"port_power,pile=b power_w=1 1700000000000000002\n"
	if code := writeLines(t, s, "pilewatch", "", lines); code != http.StatusNoContent {
		t.Fatalf("write: status %d", code)
	}
	s.Stop()
	s.Start()
	got := s.Query("pilewatch", `SELECT power_w, n FROM port_power GROUP BY pile`)
	want := []Row{
		{"pile": "a", "time": json.Number("1700000000000000001"), "power_w": json.Number("152.4"), "n": json.Number("9007199254740993")},
		{"pile": "b", "time": json.Number("1700000000000000002"), "power_w": json.Number("1"), "n": nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

func TestInfluxWithPasswordRefusesOthers(t *testing.T) {
	s := InfluxWithPassword(t, "gateway", "secret")
	s.CreateDatabase("pilewatch")
	for token, want := range map[string]int{"gateway:secret": 204, "gateway:wrong": 401, "": 401} {
		if got := writeLines(t, s, "pilewatch", token, "m f=1"); got != want {
			t.Errorf("token %q: status %d, want %d", token, got, want)
		}
	}
	if rows := s.Query("pilewatch", "SELECT f FROM m"); len(rows) != 1 {
		t.Errorf("%d rows, want 1", len(rows))
	}
}
