package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The YAML library can refuse unknown keys itself, but says neither the column,
// nor the path, nor what was expected. So a file is read as nodes, by tables of
// the keys that may stand in each place.

// maxValues bounds the work on a file whose aliases multiply.
const maxValues = 100_000

// document is a file while it is read.
type document struct {
	file      string
	dir       string // what its paths are relative to
	bad       problems
	positions map[string]position
	values    int
}

// node is one value of a document.
type node struct {
	doc  *document
	yaml *yaml.Node
	key  string // its path
	at   position
}

// fields says how each key that may stand in a mapping is read.
type fields map[string]func(node)

func (n node) bad(format string, a ...any) {
	n.doc.bad = append(n.doc.bad, &Problem{
		File: n.doc.file, Line: n.at.line, Column: n.at.column, Key: n.key, Text: fmt.Sprintf(format, a...),
	})
}

// expected reports a value of another type.
func (n node) expected(what string) { n.bad("found %s: expected %s", n.kind(), what) }

// kind names what stands there.
func (n node) kind() string {
	switch n.yaml.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := n.yaml.ShortTag(); tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!str":
		return "text"
	case "!!timestamp":
		return "a date"
	default:
		return "a value tagged " + strconv.Quote(tag)
	}
}

// child is the value at a key below n. Aliases are followed. A single value
// stands where it is written; a mapping or a list, where its key is.
func (n node) child(key string, keyNode, value *yaml.Node) node {
	if n.doc.values++; n.doc.values == maxValues {
		n.bad("more than %d values: expected fewer, are there aliases of aliases?", maxValues)
	}
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	n.key += key
	n.yaml = value
	n.at = position{keyNode.Line, keyNode.Column}
	if value.Kind == yaml.ScalarNode {
		n.at = position{value.Line, value.Column}
	}
	n.doc.positions[n.key] = n.at
	return n
}

// below is the place of a key that n holds, for what is found wrong with it afterwards.
func (n node) below(key string) node {
	n.key += segment(n.key, key)
	if at, ok := n.doc.positions[n.key]; ok {
		n.at = at
	}
	return n
}

// object reads a mapping. It returns the keys that were given: a key with
// nothing behind it is as good as none. It returns nil when there is no mapping.
func (n node) object(known fields) (given map[string]bool) {
	if n.yaml.Kind != yaml.MappingNode {
		n.expected("a mapping of keys")
		return nil
	}
	given = map[string]bool{}
	for _, e := range n.entries() {
		read, ok := known[e.name]
		switch {
		case !ok:
			e.keyNode.bad("unknown key: expected %s", oneOf(slices.Sorted(maps.Keys(known))))
		case e.value.yaml.ShortTag() != "!!null":
			given[e.name] = true
			read(e.value)
		}
	}
	return given
}

// entry is a key of a mapping and its value.
type entry struct {
	name    string
	keyNode node
	value   node
}

// entries gives what stands in a mapping, by the order of the file, merged
// mappings (<<) after its own keys; nothing when it is none.
func (n node) entries() []entry {
	return n.collect(n.yaml, map[string]bool{}, 0)
}

const maxMerges = 8 // how deep merged mappings may themselves merge

func (n node) collect(mapping *yaml.Node, taken map[string]bool, depth int) (es []entry) {
	own := map[string]int{} // to the line
	var merges []*yaml.Node
	for i := 0; i+1 < len(mapping.Content) && n.doc.values < maxValues; i += 2 {
		k, v := mapping.Content[i], mapping.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		key := n.child(segment(n.key, k.Value), k, k)
		if k.Kind != yaml.ScalarNode {
			key.key = n.key
			key.expected("a key")
			continue
		}
		if line, twice := own[k.Value]; twice {
			key.bad("stands twice (first in line %d): remove one", line)
			continue
		}
		own[k.Value] = k.Line
		if !taken[k.Value] {
			taken[k.Value] = true
			es = append(es, entry{k.Value, key, n.child(segment(n.key, k.Value), k, v)})
		}
	}
	for _, m := range merges {
		es = append(es, n.merged(m, taken, depth+1)...)
	}
	return es
}

// merged gives what a << brings in: a mapping, or a list of them.
func (n node) merged(y *yaml.Node, taken map[string]bool, depth int) (es []entry) {
	source := n.child(segment(n.key, "<<"), y, y)
	switch {
	case depth > maxMerges:
		source.bad("merged into itself, or too deep: expected at most %d levels", maxMerges)
	case source.yaml.Kind == yaml.MappingNode:
		return n.collect(source.yaml, taken, depth)
	case source.yaml.Kind == yaml.SequenceNode:
		for _, item := range source.yaml.Content {
			if n.doc.values >= maxValues {
				break
			}
			es = append(es, n.merged(item, taken, depth+1)...)
		}
	default:
		source.expected("a mapping to merge, or a list of them")
	}
	return es
}

// list reads a list with a function for its items.
func list(read func(node)) func(node) {
	return func(n node) {
		if n.yaml.Kind != yaml.SequenceNode {
			n.expected("a list")
			return
		}
		for i, y := range n.yaml.Content {
			if n.doc.values >= maxValues {
				return
			}
			read(n.child("["+strconv.Itoa(i)+"]", y, y))
		}
	}
}

var plainKey = regexp.MustCompile(`^(?:[\pL\pN_-]+|<<)$`)

// segment is what a key adds to the path of the mapping it stands in.
func segment(path, key string) string {
	if !plainKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return "." + key
}

// oneOf lists choices as a sentence does.
func oneOf(choices []string) string {
	if len(choices) < 2 {
		return strings.Join(choices, "")
	}
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}
