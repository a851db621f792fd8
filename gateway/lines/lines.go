// Package lines writes and reads a large state as JSON lines: one that says what
// holds for all, then one for each part. So the state of a city never stands in
// memory a second time as text. A document of one line, with its parts in it, as
// older programs wrote them, reads as a head without parts.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/goccy/go-json" // three times as fast as the standard library, at both
)

// Write writes the head and the parts, and gives the number of bytes.
func Write[T any](w io.Writer, head any, parts iter.Seq[T]) (int64, error) {
	to := &counted{w: w}
	enc := json.NewEncoder(to) // it ends each with a newline, in memory that is used again
	if err := enc.Encode(head); err != nil {
		return to.n, err
	}
	for p := range parts {
		if err := enc.Encode(p); err != nil {
			return to.n, err
		}
	}
	return to.n, nil
}

// counted counts what is written to w.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Read reads what Write wrote: head is a pointer to what was the head, and part is
// given each part, which it may keep. The error names the line.
func Read[T any](r io.Reader, head any, part func(*T)) (n int64, err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	var text []byte // of a line
	for i := 0; ; i++ {
		text, err = readLine(b, text[:0])
		n += int64(len(text))
		if line := bytes.TrimSpace(text); len(line) > 0 {
			var bad error
			if i == 0 {
				bad = json.Unmarshal(line, head)
			} else {
				p := new(T)
				if bad = json.Unmarshal(line, p); bad == nil {
					part(p)
				}
			}
			if bad != nil {
				return n, fmt.Errorf("line %d: %w", i+1, bad)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return 0, io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

// readLine appends the next line to text.
func readLine(b *bufio.Reader, text []byte) ([]byte, error) {
	for {
		part, err := b.ReadSlice('\n')
		text = append(text, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, err
		}
	}
}
