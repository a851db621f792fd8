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

// Write writes the head and the parts, and gives the number of bytes. It is done
// with a part when it asks for the next.
func Write[T any](w io.Writer, head any, parts iter.Seq[T]) (int64, error) {
	c := counter{w: w}
	e := json.NewEncoder(&c)
	if err := e.Encode(head); err != nil {
		return c.n, err
	}
	for p := range parts {
		if err := e.Encode(p); err != nil {
			return c.n, err
		}
	}
	return c.n, nil
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Read reads what Write wrote: head is a pointer to what was the head, and part is
// given each part, which it may keep. The error names the line.
func Read[T any](r io.Reader, head any, part func(*T)) (n int64, err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	var line []byte
	for i := 0; ; i++ {
		line, err = readLine(b, line[:0])
		n += int64(len(line))
		if text := bytes.TrimSpace(line); len(text) > 0 {
			var bad error
			if i == 0 {
				bad = json.Unmarshal(text, head)
				line = nil // it may be many times as long as the others
			} else {
				p := new(T)
				if bad = json.Unmarshal(text, p); bad == nil {
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

// readLine reads a line into the room that buf has.
func readLine(b *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := b.ReadSlice('\n')
		if buf = append(buf, part...); !errors.Is(err, bufio.ErrBufferFull) {
			return buf, err
		}
	}
}

// Texts keeps one copy of each text, for a state in which many parts have the same.
type Texts map[string]string

// One gives the copy of a text.
func (t Texts) One(s string) string {
	kept, ok := t[s]
	if !ok {
		t[s], kept = s, s
	}
	return kept
}
