package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"pilewatch/gateway/config"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/web"
)

// webServer makes the page, the API and the probes.
func (a *App) webServer() (*web.Server, error) {
	users, err := web.OpenUsers(a.cfg.HTTP.UsersFile, a.log)
	if err != nil {
		return nil, err
	}
	n, err := countUsers(a.cfg)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.CheckExposure(n); err != nil {
		return nil, err
	}
	return web.NewServer(web.Config{
		Estate: a.cfg.Estate.ID, Name: a.cfg.Estate.Name, Language: a.cfg.Language, Location: a.cfg.Estate.Location,
		Ledger: a.ledger, Live: a.batcher, Users: users,
		Checks:  map[string]func() error{"ledger": a.ledger.Writable, "mqtt": a.source.Connected},
		Metrics: a.metrics.handler(), Export: http.HandlerFunc(a.export), Log: a.log,
		Judged: func(v ledger.Verdict) { a.safety.Judged(v) },
	}), nil
}

// export answers GET /export/{what}.{format} with the same file as the command.
func (a *App) export(w http.ResponseWriter, r *http.Request) {
	what, format, _ := strings.Cut(r.PathValue("file"), ".")
	q := r.URL.Query()
	req := ExportRequest{
		What: what, Format: format, Month: q.Get("month"), From: q.Get("from"), To: q.Get("to"), Building: q.Get("building"), Household: q.Get("household"),
	}
	x, err := exportOf(a.cfg, req)
	if err != nil {
		web.Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", contentTypes[format])
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fileName(req)))
	if _, err := x.Sessions(r.Context(), a.ledger, format, w); err != nil && r.Context().Err() == nil {
		a.log.Error("an export broke off", "error", err)
		panic(http.ErrAbortHandler) // the reader must not take the half for the whole
	}
}

var contentTypes = map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json"}

func fileName(r ExportRequest) string {
	parts := []string{r.What}
	for _, p := range []string{r.Month, r.Building, r.Household} {
		if p != "" {
			parts = append(parts, strings.Map(plain, p))
		}
	}
	return strings.Join(parts, "-") + "." + r.Format
}

// plain keeps what may stand in a file name.
func plain(r rune) rune {
	if strings.ContainsRune("/\\\"'<>:|?*", r) || r < ' ' {
		return '_'
	}
	return r
}

func countUsers(cfg *config.Config) (int, error) {
	users, err := web.ListUsers(cfg.HTTP.UsersFile)
	return len(users), err
}

// AddUser adds a user of the page, or changes one.
func AddUser(cfg *config.Config, name, role, password string) error {
	if password == "" {
		return Usage(errors.New("no password: type it, or send it to standard input"))
	}
	return web.AddUser(cfg.HTTP.UsersFile, name, web.Role(role), password)
}

// RemoveUser removes a user of the page.
func RemoveUser(cfg *config.Config, name string) error {
	return web.RemoveUser(cfg.HTTP.UsersFile, name)
}

// ListUsers prints the users of the page, a line each.
func ListUsers(cfg *config.Config, w io.Writer) error {
	users, err := web.ListUsers(cfg.HTTP.UsersFile)
	if err != nil {
		return err
	}
	for _, u := range users {
		if _, err := fmt.Fprintf(w, "%-20s %s\n", u.Name, u.Role); err != nil {
			return err
		}
	}
	return nil
}
