package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"pilewatch/gateway/config"
)

// CheckReady asks the gateway that runs with this configuration whether it does
// its work: what /readyz says.
func CheckReady(ctx context.Context, cfg *config.Config, out io.Writer) error {
	host, port, err := net.SplitHostPort(cfg.HTTP.Listen)
	if err != nil {
		return Usage(err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens there too
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return Usage(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no gateway answers: %w; start it, or look into its log", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the gateway runs and is not ready: %s; see `pilewatch check` and its log", strings.TrimSpace(string(said)))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "ready")
	return err
}
