// Package lines writes and reads a large state as JSON lines: one that says what
// holds for all, then one for each part. So the state of a city never stands in
// memory a second time as text. A document of one line, with its parts in it, as
// older programs wrote them, reads as a head without parts.
package lines

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/goccy/go-json" // three times as fast as the standard library, at both
)

// Write writes the head and the parts, and gives the number of bytes.
func Write[T any](w io.Writer, head any, parts iter.Seq[T]) (n int64, err error) {
	put := func(v any) bool {
		line, marshal := json.Marshal(v)
		if err = marshal; err != nil {
			return false
		}
		var k int
		k, err = w.Write(append(line, '\n'))
		n += int64(k)
		return err == nil
	}
	if put(head) {
		for p := range parts {
			if !put(p) {
				break
			}
		}
	}
	return n, err
}

// Read reads what Write wrote: head is a pointer to what was the head, and part is
// given each part, which it may keep. The error names the line.
func Read[T any](r io.Reader, head any, part func(*T)) (n int64, err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	for i := 0; ; i++ {
		line, err := b.ReadBytes('\n')
		n += int64(len(line))
		if line = bytes.TrimSpace(line); len(line) > 0 {
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
		case err == io.EOF && n == 0:
			return 0, io.ErrUnexpectedEOF
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
