package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Checkpoint is a consumer's state as it was before entry Seq.
type Checkpoint struct {
	Seq   Seq // 0: the entry after the batch
	State Packed
}

// Packed is a state as the ledger keeps it, compressed. The zero value is none.
type Packed struct {
	body []byte // a zstd frame
	sum  uint32 // CRC-32C of what it holds
	size int    // bytes of what it holds
}

// Pack compresses a state while it writes itself, so that a large one never stands
// in memory as a whole beside itself. It fails when the state does.
func Pack(state io.WriterTo) (Packed, error) {
	var p Packed
	var body bytes.Buffer
	zw, err := zstd.NewWriter(&body, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return p, err
	}
	sum := crc32.New(castagnoli)
	n, err := state.WriteTo(io.MultiWriter(zw, sum))
	if err == nil {
		err = zw.Close()
	}
	return Packed{body: body.Bytes(), sum: sum.Sum32(), size: int(n)}, err
}

// Given reports whether there is a state.
func (p Packed) Given() bool { return len(p.body) > 0 }

// Size is how many bytes the state writes; 0 for one that was loaded.
func (p Packed) Size() int { return p.size }

// Into lets a state read itself. The error is the state's: what it reads is what
// was packed, or LoadCheckpoint had not given it.
func (p Packed) Into(state io.ReaderFrom) error {
	zr, err := p.reader()
	if err != nil {
		return err
	}
	defer zr.Close()
	_, err = state.ReadFrom(zr)
	return err
}

func (p Packed) reader() (*zstd.Decoder, error) {
	return zstd.NewReader(bytes.NewReader(p.body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
}

// whole reports whether it unpacks to what was packed.
func (p Packed) whole() bool {
	zr, err := p.reader()
	if err != nil {
		return false
	}
	defer zr.Close()
	sum := crc32.New(castagnoli)
	_, err = io.Copy(sum, zr)
	return err == nil && sum.Sum32() == p.sum
}

// CheckpointAfter is after how many entries a fold should write its state again,
// when the last one took so many bytes. A small state is written every 200,000
// entries, which a restart reads in a fraction of a second. A large one is written
// less often, so that writing it stays a few hundredths of what the entries
// between cost, and after 6 million at the latest, some seconds of a restart.
func CheckpointAfter(bytes int) int { return max(200_000, min(bytes/4, 6_000_000)) }

func (l *Ledger) putCheckpoint(ctx context.Context, tx *sql.Tx, name string, c Checkpoint) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO checkpoint (name, seq, sum, body) VALUES (?, ?, ?, ?)", name, c.Seq, c.State.sum, nonNil(c.State.body))
	return err
}

// LoadCheckpoint gives the newest state of a name, and the number of the first
// entry that it has not seen; 1 and none when there is none. A damaged one is as
// none: the journal is the truth, and for the sessions the state before its
// beginning.
func (l *Ledger) LoadCheckpoint(ctx context.Context, name string) (Seq, Packed, error) {
	seq, state, err := l.loadCheckpoint(ctx, name)
	if errors.Is(err, errCheckpoint) {
		l.log.Warn("a checkpoint is damaged and was passed over", "checkpoint", name)
		seq, state, err = 1, Packed{}, nil
	}
	if err == nil && !state.Given() && name == SessionCheckpoint {
		return l.loadCheckpoint(ctx, OriginCheckpoint)
	}
	return seq, state, err
}

var errCheckpoint = errors.New("it is damaged")

// loadCheckpoint is LoadCheckpoint for who must not go on without it.
func (l *Ledger) loadCheckpoint(ctx context.Context, name string) (seq Seq, p Packed, err error) {
	err = l.read.QueryRowContext(ctx, "SELECT seq, sum, body FROM checkpoint WHERE name = ?", name).Scan(&seq, &p.sum, &p.body)
	if errors.Is(err, sql.ErrNoRows) {
		return 1, Packed{}, nil
	}
	if err != nil {
		return 0, Packed{}, fmt.Errorf("reading the checkpoint %s: %w", name, err)
	}
	if !p.whole() {
		return 0, Packed{}, fmt.Errorf("the checkpoint %s: %w; restore a backup that has it whole, or stop the gateway and run `pilewatch repair`", name, errCheckpoint)
	}
	return seq, p, nil
}
