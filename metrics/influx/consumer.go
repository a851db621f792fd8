package influx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	influxdb "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// Name is that of the consumer's cursor, and of the sink in metrics.
const Name = "influxdb"

// Sessions finds sessions in the ledger.
type Sessions interface {
	// Session fails with ledger.ErrNotFound where there is none.
	Session(ctx context.Context, id string) (session.Session, error)
}

// Rejects keeps the lines that InfluxDB refused for good.
type Rejects interface {
	// SaveSinkRejects keeps all of the lines, or none.
	SaveSinkRejects(ctx context.Context, sink, reason string, lines []string) error
}

// Options say where to write, and what is needed for it.
type Options struct {
	URL    string // http:// or https://
	Org    string // InfluxDB 1.8 passes it over
	Bucket string // InfluxDB 1.8: database, or database/retention-policy
	// Token is asked at each request, so that a new one in its file needs no
	// restart. InfluxDB 1.8: "user:password". nil, or "", for none.
	Token   func() (string, error)
	Timeout time.Duration // of one request; 0: 30 s
	Estate  string        // a tag of every point
	// Settings gives those that were in force before an entry: what waited keeps
	// the building that it had, whatever the registry says by now. nil for none.
	Settings func(ctx context.Context, at ledger.Seq) (session.Settings, error)
	Sessions Sessions
	Rejects  Rejects
	Log      *slog.Logger
}

// Consumer writes the journal to InfluxDB. Consume is for one goroutine.
type Consumer struct {
	opts     Options
	log      *slog.Logger
	address  string // without a password
	client   influxdb.Client
	write    api.WriteAPIBlocking
	http     *doer
	packer   *packer
	batch    *batch
	next     ledger.Seq // the first entry that is not in a batch yet
	answered bool       // InfluxDB did, since Consume was called
	settings session.Settings
	latest   place
	refused  atomic.Uint64
	badLines quiet
	tooOld   quiet
}

// New makes the consumer and connects to nothing. It fails when the address or
// the bucket is missing.
func New(o Options) (*Consumer, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("influxdb.url is not an address: expected one like http://127.0.0.1:8086")
	case o.Bucket == "":
		return nil, errors.New("influxdb.bucket is missing: give the bucket to write to; for InfluxDB 1.8 the database")
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	h := newDoer(o.Timeout, o.Token)
	lib := influxdb.DefaultOptions().SetUseGZip(false).SetPrecision(time.Nanosecond).SetApplicationName("pilewatch")
	lib.HTTPOptions().SetHTTPDoer(brief{h})
	client := influxdb.NewClientWithOptions(strings.TrimSuffix(o.URL, "/"), "", lib)
	return &Consumer{
		opts: o, log: o.Log.With("sink", Name), address: u.Redacted(), client: client, write: client.WriteAPIBlocking(o.Org, o.Bucket), http: h, packer: newPacker(),
		batch:    newBatch(o.Estate),
		badLines: quiet{most: 3}, tooOld: quiet{most: 1},
	}, nil
}

// Name is that of the cursor.
func (c *Consumer) Name() string { return Name }

// Refused counts the lines that InfluxDB refused for good, since the start.
func (c *Consumer) Refused() uint64 { return c.refused.Load() }

// Close lets go of the connections. Nothing is lost by it: what was not
// delivered is in the journal.
func (c *Consumer) Close() {
	c.client.Close()
	c.http.close()
}

// Clock is what InfluxDB's last answer says the time is; zero where it does not.
// It is for who calls Check, not beside Consume.
func (c *Consumer) Clock() time.Time { return c.http.clock }

// Check tries whether InfluxDB would take points, without writing one. The error
// says what to do.
func (c *Consumer) Check(ctx context.Context) error {
	_, err := c.post(ctx, probe) // refused or not: who reads lines has let us in
	var setup *setupError
	switch {
	case errors.As(err, &setup):
		err = fmt.Errorf("%w; %s", err, setup.hint)
	case errors.Is(err, syscall.ECONNREFUSED):
		err = fmt.Errorf("%w; start InfluxDB, or correct influxdb.url; what it has not had waits in the ledger", err)
	}
	return err
}

// Consume writes a block's points, 5,000 in a request. Its errors are for the
// runner: InfluxDB is away, busy or set up wrongly. Given the same block again
// it goes on where it stopped.
func (c *Consumer) Consume(ctx context.Context, b ledger.Block) error {
	c.answered = false
	err := c.consume(ctx, b)
	if err != nil && c.answered {
		return partly{err}
	}
	return err
}

// partly is a failure before which InfluxDB took something, or said what it does not take.
type partly struct{ error }

func (e partly) Unwrap() error { return e.error }
func (partly) Progress() bool  { return true }

func (c *Consumer) consume(ctx context.Context, b ledger.Block) error {
	if err := c.begin(ctx, b.First); err != nil {
		return err
	}
	c.next = max(c.next, b.First)
	for ; c.next < b.Next(); c.next++ {
		if c.batch.full() {
			if err := c.send(ctx); err != nil {
				return err
			}
		}
		if err := c.add(ctx, c.next, &b.Entries[c.next-b.First]); err != nil {
			return err
		}
	}
	return c.send(ctx)
}

// begin fetches what the first block stands on.
func (c *Consumer) begin(ctx context.Context, at ledger.Seq) error {
	if c.next > 0 || c.opts.Settings == nil {
		return nil
	}
	s, err := c.opts.Settings(ctx, at)
	if err != nil {
		return fmt.Errorf("the settings of the time of entry %d: %w", at, err)
	}
	c.settings = s
	return nil
}

// add puts an entry's point into the batch. What can't be written as line
// protocol is refused here; other errors are the ledger's.
func (c *Consumer) add(ctx context.Context, seq ledger.Seq, e *ledger.Entry) error {
	var ended *session.Session
	switch e.Kind {
	case ledger.KindSettings:
		c.settings, c.latest = *e.Settings, place{}
		return nil
	case ledger.KindSession:
		var err error
		if ended, err = c.closed(ctx, e); ended == nil || err != nil {
			return err
		}
	case ledger.KindFlag:
		if e.Cleared || e.Flag.Rose == "" {
			break
		}
		if bad := c.batch.add(func(enc *encoder) { enc.flagLeft(e.Flag) }); bad != nil {
			return c.refuse(ctx, seq, e, bad)
		}
	}
	if bad := c.batch.add(func(enc *encoder) { c.point(enc, e, ended) }); bad != nil {
		return c.refuse(ctx, seq, e, bad)
	}
	return nil
}

// refuse keeps what can't be written as line protocol.
func (c *Consumer) refuse(ctx context.Context, seq ledger.Seq, e *ledger.Entry, bad error) error {
	return c.keep(ctx, fmt.Errorf("%w: %w", errNoLine, bad).Error(), describe(seq, e))
}

// point writes an entry that has a point; ended is the session of a session entry.
func (c *Consumer) point(enc *encoder, e *ledger.Entry, ended *session.Session) {
	switch e.Kind {
	case ledger.KindReading:
		enc.reading(&e.Reading, c.building(e.Reading.Pile))
	case ledger.KindStatus:
		enc.status(e.Status, c.building(e.Status.Pile))
	case ledger.KindFlag:
		enc.flag(e.Flag, e.Cleared)
	case ledger.KindSession:
		enc.session(ended)
	}
}

// place is a pile and its building.
type place struct{ pile, building string }

// building gives the building of a pile; most often it is that of the reading before.
func (c *Consumer) building(pile string) string {
	if c.latest.pile != pile {
		c.latest = place{pile, c.settings.Piles[pile].Building}
	}
	return c.latest.building
}

// closed gives the session to write for a change: it has ended, or was amended
// afterwards, and then the ledger has the whole of it; nil for none.
func (c *Consumer) closed(ctx context.Context, e *ledger.Entry) (*session.Session, error) {
	switch e.Change {
	case session.Closed:
		return e.Session, nil
	case session.Settled:
		s, err := c.opts.Sessions.Session(ctx, e.Session.ID)
		switch {
		case errors.Is(err, ledger.ErrNotFound) || err == nil && s.Open:
			return nil, nil // there is nothing to amend, or it will close again
		case err != nil:
			return nil, fmt.Errorf("the settled session %s: %w", e.Session.ID, err)
		}
		return &s, nil
	}
	return nil, nil
}
