package mapping

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// scope is what expressions see of one message, and of one element at a time.
type scope struct {
	names map[string]bool
	msg   map[string]any // the message's part
	env   map[string]any // the element's part over it
}

func newScope(r *rules, msg gjson.Result, topic string) *scope {
	s := &scope{names: r.names, msg: map[string]any{}, env: map[string]any{}}
	s.fields(msg, s.msg)
	if s.names["msg"] {
		s.msg["msg"] = value(msg, deepest)
	}
	s.msg["topic"] = strings.Split(topic, "/")
	return s
}

// enter makes the element at place i the one that expressions see.
func (s *scope) enter(i int, element gjson.Result) {
	clear(s.env)
	for name, v := range s.msg {
		s.env[name] = v
	}
	s.fields(element, s.env)
	s.env["topic"], s.env["index"] = s.msg["topic"], i
	if s.names["it"] {
		s.env["it"] = value(element, deepest)
	}
	if s.names["msg"] {
		s.env["msg"] = s.msg["msg"]
	}
}

// fields adds the fields of an object that the expressions ask for.
func (s *scope) fields(object gjson.Result, to map[string]any) {
	if !object.IsObject() {
		return
	}
	object.ForEach(func(key, v gjson.Result) bool {
		if s.names[key.Str] {
			to[key.Str] = value(v, deepest)
		}
		return true
	})
}

// missing reports whether a field that e uses is not there, or is null.
func (e *expression) missing(s *scope) bool {
	for _, path := range e.paths {
		var v any = s.env
		for _, step := range path {
			v = member(v, step)
		}
		if v == nil {
			return true
		}
	}
	return false
}

func member(of, step any) any {
	switch of := of.(type) {
	case map[string]any:
		if name, ok := step.(string); ok {
			return of[name]
		}
	case []any:
		if i, ok := step.(int); ok && i >= 0 && i < len(of) {
			return of[i]
		}
	case []string:
		if i, ok := step.(int); ok && i >= 0 && i < len(of) {
			return of[i]
		}
	}
	return nil
}

// deepest is how many levels of arrays and objects expressions see: each costs
// another pass over what is inside.
const deepest = 16

// value gives a JSON value as expressions see it, levels deep.
func value(r gjson.Result, levels int) any {
	switch {
	case r.Type == gjson.Number:
		return number(r)
	case r.Type == gjson.String:
		return r.Str
	case r.IsBool():
		return r.Bool()
	case levels == 0:
		return nil
	case r.IsArray():
		list := []any{}
		r.ForEach(func(_, v gjson.Result) bool { list = append(list, value(v, levels-1)); return true })
		return list
	case r.IsObject():
		object := map[string]any{}
		r.ForEach(func(key, v gjson.Result) bool { object[key.Str] = value(v, levels-1); return true })
		return object
	}
	return nil
}

// number gives an int for a whole number that is small enough to multiply, else a
// float64, and the digits themselves where no float64 is exact: a card's number.
func number(r gjson.Result) any {
	const small = 1 << (strconv.IntSize/2 - 1)
	if strings.ContainsAny(r.Raw, ".eE") {
		return r.Num
	}
	if n, err := strconv.Atoi(r.Raw); err == nil && n > -small && n < small {
		return n
	}
	if r.Num > 1<<53 || r.Num < -1<<53 {
		return r.Raw
	}
	return r.Num
}
