package influx

import (
	"errors"
	"fmt"

	"pilewatch/gateway/ledger"
)

// The bounds of one request.
const (
	maxLines = 5000
	maxBytes = 4 << 20
)

// batch holds the lines that InfluxDB has not had yet. Its memory is used again.
type batch struct {
	enc  *encoder
	ends []int // of each line in the encoder's buffer
	sent int   // lines that are done with: taken, or refused for good
	size int   // lines of the next request
}

func newBatch(estate string) *batch {
	return &batch{enc: newEncoder(estate), ends: make([]int, 0, maxLines), size: maxLines}
}

func (b *batch) full() bool { return len(b.ends) >= maxLines || len(b.enc.lines) >= maxBytes }

func (b *batch) reset() {
	b.enc.lines = b.enc.lines[:0]
	b.ends, b.sent = b.ends[:0], 0
}

// add writes what an entry has to say as one line, or none. It fails where that
// can't be written as line protocol, and then adds nothing.
func (b *batch) add(write func(*encoder)) error {
	write(b.enc)
	if err := b.enc.take(); err != nil {
		return err
	}
	if n := len(b.enc.lines); n > b.start(len(b.ends)) {
		b.ends = append(b.ends, n)
	}
	return nil
}

func (b *batch) start(line int) int {
	if line == 0 {
		return 0
	}
	return b.ends[line-1]
}

// text gives the lines from i to j, until the next is added.
func (b *batch) text(i, j int) []byte { return b.enc.lines[b.start(i):b.start(j)] }

var errNoLine = errors.New("it can't be written as line protocol")

// describe stands in for a line that could not be written.
func describe(seq ledger.Seq, e *ledger.Entry) string {
	switch e.Kind {
	case ledger.KindReading:
		return fmt.Sprintf("# journal entry %d: reading of pile %q, port %d at %s", seq, e.Reading.Pile, e.Reading.Port, e.Reading.Time.Time())
	case ledger.KindStatus:
		return fmt.Sprintf("# journal entry %d: status of pile %q at %s", seq, e.Status.Pile, e.Status.Time.Time())
	case ledger.KindSession:
		return fmt.Sprintf("# journal entry %d: session %q", seq, e.Session.ID)
	case ledger.KindFlag:
		return fmt.Sprintf("# journal entry %d: flag %q", seq, e.Flag.ID)
	}
	return fmt.Sprintf("# journal entry %d", seq)
}
