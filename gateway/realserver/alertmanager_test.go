package realserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAlertmanagerKeepsWhatItIsTold(t *testing.T) {
	a := Alertmanager(t)
	if got := a.Alerts(); len(got) != 0 {
		t.Fatalf("it begins with %v", got)
	}
	body := fmt.Sprintf(`[{"labels":{"alertname":"over_power"},"endsAt":%q}]`, time.Now().Add(time.Minute).Format(time.RFC3339))
	resp, err := client().Post(a.URL+"/api/v2/alerts", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := a.Alerts(); resp.StatusCode != http.StatusOK || len(got) != 1 || got[0].Labels["alertname"] != "over_power" {
		t.Errorf("status %d, alerts %v", resp.StatusCode, got)
	}
}
