package app

import (
	"context"
	"errors"
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
	status, said, err := ask(ctx, cfg.HTTP.Listen, "/readyz")
	if err != nil {
		return fmt.Errorf("no gateway answers: %w; start it, or look into its log", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("the gateway runs and is not ready: %s; see `pilewatch check` and its log", strings.TrimSpace(said))
	}
	_, err = fmt.Fprintln(out, "ready")
	return err
}

// answers reports whether a gateway listens at an address; one that is too busy
// to answer in time is taken for one.
func answers(ctx context.Context, listen string) bool {
	status, said, err := ask(ctx, listen, "/healthz")
	return errors.Is(err, context.DeadlineExceeded) || err == nil && status == http.StatusOK && said == "ok\n"
}

// ask gets a path from who listens at an address of this machine.
func ask(ctx context.Context, listen, path string) (status int, said string, err error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return 0, "", Usage(err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens there too
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return 0, "", Usage(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, string(b), err
}
