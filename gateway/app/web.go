package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"pilewatch/gateway/billing"
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
		Metrics: a.metrics.handler(), Export: http.HandlerFunc(a.export), Bills: a.book, Log: a.log,
		Judged: func(v ledger.Verdict) {
			a.safety.Judged(v)
			a.alerts.Judged()
		},
		TooCoarse: a.safety.TooCoarse,
		Channels:  a.alertChannels,
	}), nil
}

// book opens the book of bills on the running ledger.
func (a *App) book(ctx context.Context) (*billing.Book, error) {
	return billing.OpenBook(ctx, a.ledger, billingConfig(a.cfg))
}

// export answers GET /export/{what}.{format} with the same file as the command.
func (a *App) export(w http.ResponseWriter, r *http.Request) {
	what, format, _ := strings.Cut(r.PathValue("file"), ".")
	q, ok := web.Parameters(w, r, "month", "from", "to", "building", "household", "language", "basis")
	if !ok {
		return
	}
	plus := func(v string) string { return strings.Replace(v, " ", "+", 1) } // one that nobody encoded arrives as a space
	req := ExportRequest{
		What: what, Format: format, Month: q["month"], From: plus(q["from"]), To: plus(q["to"]), Building: q["building"], Household: q["household"],
		Basis: q["basis"] == "true", Language: q["language"],
	}
	x, err := req.request(a.cfg)
	if err == nil && q["basis"] != "" && !req.Basis {
		err = fmt.Errorf("basis %q: expected true, or leave it out", q["basis"])
	}
	if err != nil {
		web.Problem(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "--", ""))
		return
	}
	book, err := a.book(r.Context())
	if err != nil {
		a.log.Error("an export could not begin", "error", err)
		web.Problem(w, http.StatusInternalServerError, "the ledger could not be read: try again, and look into the gateway's log")
		return
	}
	w.Header().Set("Content-Type", contentTypes[format])
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(req)}))
	if r.Method == http.MethodHead {
		return
	}
	out := &counted{w: w}
	_, err = book.Export(r.Context(), x, out)
	if err == nil || r.Context().Err() != nil {
		return
	}
	a.log.Error("an export broke off", "error", err)
	if out.n > 0 {
		panic(http.ErrAbortHandler) // the reader must not take the half for the whole
	}
	w.Header().Del("Content-Disposition")
	web.Problem(w, http.StatusInternalServerError, "the export could not be made: try again, and look into the gateway's log")
}

// counted counts what was written.
type counted struct {
	w io.Writer
	n int64
}

// Write passes p on.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

var contentTypes = map[string]string{
	"csv": "text/csv; charset=utf-8", "json": "application/json", "html": "text/html; charset=utf-8",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

func fileName(r ExportRequest) string {
	parts := []string{r.What}
	if r.Basis {
		parts = append(parts, "basis")
	}
	for _, p := range []string{r.Month, r.From, r.To, r.Building, r.Household} {
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
