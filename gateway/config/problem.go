package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File         string // "" when there is no file
	Line, Column int    // from 1; 0 when the file does not say it
	Key          string // its path, such as mqtt.subscriptions[1].topic; "" for the file as a whole
	Text         string // what is wrong and what was expected, in one line
}

// Error gives file:line:column, key and text in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

type position struct{ line, column int }

type problems []*Problem

// err joins the problems in the order of the file; nil when there are none.
func (ps problems) err() error {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	var errs []error
	for _, p := range ps {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// problem places what is wrong with a key: where it stands in the file, or the
// part of it that does, when it was left to its default.
func (c *Config) problem(key, text string) *Problem {
	p := &Problem{File: c.File, Key: key, Text: text}
	for {
		if at, ok := c.positions[key]; ok {
			p.Line, p.Column = at.line, at.column
			return p
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return p
		}
		key = key[:i]
	}
}

// Problemf makes a problem of what another package finds wrong with the value
// of a key, such as safety.rules.over_power: it says where the key stands.
func (c *Config) Problemf(key, format string, a ...any) *Problem {
	return c.problem(key, fmt.Sprintf(format, a...))
}
