package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"pilewatch/devices"
)

// rules is a mapping that was checked. An expression is nil where it was left out.
type rules struct {
	each                                                  string
	pile, port, time, power, state, card, order, sequence *expression
	quantities                                            []quantity
	names                                                 map[string]bool // what the expressions ask for
}

type quantity struct {
	what devices.Fields
	*expression
}

// expression is the value of one key.
type expression struct {
	key     string
	program *vm.Program
	paths   [][]any // the fields it uses, each by names and places
	asks    bool    // it says itself what to do without a field
}

// compile checks a mapping. The error is one line that names every wrong key.
func compile(mapping map[string]string) (rules, error) {
	c := compiler{mapping: mapping, known: []string{"each"}, names: map[string]bool{}}
	r := rules{
		each: mapping["each"], names: c.names,
		pile: c.required("pile"), power: c.required("power_w"),
		port: c.optional("port"), time: c.optional("time"), state: c.optional("state"),
		card: c.optional("card"), order: c.optional("order"), sequence: c.optional("seq"),
	}
	c.quantity(&r, "energy_wh", devices.HasEnergy)
	c.quantity(&r, "order_wh", devices.HasOrderEnergy)
	c.quantity(&r, "voltage_v", devices.HasVoltage)
	c.quantity(&r, "current_a", devices.HasCurrent)
	c.quantity(&r, "power_factor", devices.HasPowerFactor)
	c.quantity(&r, "temperature_c", devices.HasTemperature)
	c.unknownKeys()
	if len(c.wrong) > 0 {
		return rules{}, errors.New("mapping: " + strings.Join(c.wrong, "; "))
	}
	return r, nil
}

// compiler compiles the expressions of a mapping and gathers what is wrong.
type compiler struct {
	mapping map[string]string
	known   []string
	wrong   []string
	names   map[string]bool
}

func (c *compiler) refuse(format string, a ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, a...))
}

func (c *compiler) required(key string) *expression {
	e := c.optional(key)
	if _, given := c.mapping[key]; !given {
		c.refuse("%s is missing; give an expression for it", key)
	}
	return e
}

func (c *compiler) quantity(r *rules, key string, what devices.Fields) {
	if e := c.optional(key); e != nil {
		r.quantities = append(r.quantities, quantity{what, e})
	}
}

func (c *compiler) optional(key string) *expression {
	c.known = append(c.known, key)
	source, given := c.mapping[key]
	if !given {
		return nil
	}
	u := &uses{}
	options := []expr.Option{
		expr.Env(map[string]any{"topic": []string(nil), "index": 0}), expr.AllowUndefinedVariables(),
		expr.DisableAllBuiltins(), expr.MaxNodes(500), expr.Patch(u),
	}
	for _, name := range functions() {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source, options...)
	if err == nil && u.wrong != "" {
		err = errors.New(u.wrong)
	}
	if err != nil {
		c.refuse("%s: %q does not compile: %s", key, source, oneLine(err))
		return nil
	}
	e := &expression{key: key, program: program, paths: u.fields(), asks: u.asks}
	for _, path := range e.paths {
		c.names[path[0].(string)] = true
	}
	return e
}

func (c *compiler) unknownKeys() {
	slices.Sort(c.known)
	for _, key := range slices.Sorted(maps.Keys(c.mapping)) {
		if !slices.Contains(c.known, key) {
			c.refuse("unknown key %q, expected one of %s", key, strings.Join(c.known, " "))
		}
	}
}

// functions are what an expression may call: none walks an array with code of its
// own, makes text longer than it was, or reads a clock.
func functions() []string {
	return []string{"abs", "ceil", "first", "float", "floor", "get", "hasPrefix", "hasSuffix", "indexOf", "int", "last",
		"lastIndexOf", "len", "lower", "max", "min", "round", "split", "string", "trim", "trimPrefix", "trimSuffix", "upper"}
}

// oneLine gives an expression's error without the picture of the place.
func oneLine(err error) string {
	var e *file.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s (at character %d)", e.Message, e.Column+1)
	}
	return err.Error()
}

// uses gathers the fields of an expression, and refuses what has no bounded cost.
type uses struct {
	paths    [][]any
	declared []string
	asks     bool
	wrong    string
}

// Visit implements ast.Visitor.
func (u *uses) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		u.wrong = noFunction(n.Callee.String())
	case *ast.BuiltinNode: // those that may take code of their own cannot be disabled
		if !slices.Contains(functions(), n.Name) {
			u.wrong = noFunction(n.Name)
		}
	case *ast.PredicateNode, *ast.PointerNode:
		u.wrong = "loops over arrays are not there; take apart the array with each"
	case *ast.VariableDeclaratorNode:
		u.declared = append(u.declared, n.Name)
	case *ast.NilNode, *ast.ChainNode:
		u.asks = true
	case *ast.BinaryNode:
		u.asks = u.asks || n.Operator == "??"
	case *ast.IdentifierNode, *ast.MemberNode:
		path, ok := pathOf(n)
		if ok {
			u.paths = append(u.paths, path)
		}
		if ok && path[0] == "$env" {
			u.wrong = "$env is not there; take it or msg"
		}
	}
}

func noFunction(name string) string {
	return fmt.Sprintf("no function %s; there are %s", name, strings.Join(functions(), " "))
}

// fields gives the fields, without the variables that the expression declares.
func (u *uses) fields() [][]any {
	return slices.DeleteFunc(u.paths, func(path []any) bool { return slices.Contains(u.declared, path[0].(string)) })
}

// pathOf gives the field that node stands for, if it is one by fixed names and places.
func pathOf(node ast.Node) (path []any, ok bool) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return []any{n.Value}, true
	case *ast.ChainNode:
		return pathOf(n.Node)
	case *ast.MemberNode:
		path, ok = pathOf(n.Node)
		switch p := n.Property.(type) {
		case *ast.StringNode:
			return append(path, p.Value), ok
		case *ast.IntegerNode:
			return append(path, p.Value), ok
		}
	}
	return nil, false
}
