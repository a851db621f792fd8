package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// parse gives the package's own files. One that does not parse is left to the compiler.
func parse(t *testing.T, paths []string) (*token.FileSet, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if f, err := parser.ParseFile(fset, path, nil, 0); err == nil {
			files = append(files, f)
		}
	}
	return fset, files
}

func TestNothingGlobalChanges(t *testing.T) {
	for _, p := range packages(t) {
		for _, fault := range globalFaults(parse(t, p.files())) {
			t.Error(fault)
		}
	}
}

// globalFaults finds init functions, package-level variables that are made to be
// changed (an empty map, a lock, an atomic), and changes to any.
func globalFaults(fset *token.FileSet, files []*ast.File) (faults []string) {
	report := func(n ast.Node, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), fmt.Sprintf(format, args...)))
	}
	globals := map[string]bool{}
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, spec := range g.Specs {
					v := spec.(*ast.ValueSpec)
					for _, name := range v.Names {
						globals[name.Name] = name.Name != "_"
					}
					if madeToChange(v) {
						report(v, "%s is state of the whole package: give it to a value that has an owner", v.Names[0].Name)
					}
				}
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				report(fn, "func init: say it where it is used")
			}
			for _, name := range changed(fn, globals) {
				report(name, "%s is changed here, and it is the whole package's", name.Name)
			}
		}
	}
	return faults
}

// madeToChange reports whether a variable can only be there to be changed.
func madeToChange(v *ast.ValueSpec) bool {
	if sel, ok := v.Type.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
			return true
		}
	}
	if _, ok := v.Type.(*ast.MapType); ok && len(v.Values) == 0 {
		return true
	}
	return slices.ContainsFunc(v.Values, func(value ast.Expr) bool {
		switch e := value.(type) {
		case *ast.CompositeLit:
			_, isMap := e.Type.(*ast.MapType)
			return isMap && len(e.Elts) == 0
		case *ast.CallExpr:
			f, ok := e.Fun.(*ast.Ident)
			return ok && f.Name == "make"
		}
		return false
	})
}

// changed gives the places in a function where a package-level variable, or
// something in it, is assigned, counted or deleted from.
func changed(fn *ast.FuncDecl, globals map[string]bool) (names []*ast.Ident) {
	local := locals(fn)
	note := func(e ast.Expr) {
		if id := rootOf(e); id != nil && globals[id.Name] && !local[id.Name] {
			names = append(names, id)
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					note(e)
				}
			}
		case *ast.IncDecStmt:
			note(n.X)
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
				note(n.Args[0])
			}
		}
		return true
	})
	return names
}

// locals are the names that a function declares anywhere in it, which may hide
// the package's.
func locals(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field: // parameters, results and the receiver among them
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok {
						names[id.Name] = true
					}
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok {
					names[id.Name] = true
				}
			}
		}
		return true
	})
	return names
}

// rootOf gives x of x, x[i], x.f and *x; nil for anything else.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// usesOf gives the places where a package uses one of the names of another.
func usesOf(t *testing.T, p pkg, path string, names ...string) (uses []string) {
	t.Helper()
	fset, files := parse(t, p.files())
	for _, f := range files {
		as := importedAs(f, path)
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == as && slices.Contains(names, sel.Sel.Name) {
				uses = append(uses, fmt.Sprintf("%s: %s.%s", fset.Position(sel.Pos()), as, sel.Sel.Name))
			}
			return true
		})
	}
	return uses
}

// importedAs gives the name under which a file imports a package, "" if it does not.
func importedAs(f *ast.File, path string) string {
	for _, spec := range f.Imports {
		if got, err := strconv.Unquote(spec.Path.Value); err != nil || got != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path
	}
	return ""
}

func TestGlobalFaultsAreSeen(t *testing.T) {
	const head = "package p\nvar table = map[string]int{\"a\": 1}\nvar names = []string{\"a\"}\nvar n int\n"
	for _, c := range []struct {
		code string
		want int
	}{
		{"func f() int { return table[names[0]] + n }", 0},
		{"func f() { n := 0; n++; n = 2 }", 0},
		{"func f(n int, table map[string]int) { n = 1; table[\"b\"] = n }", 0},
		{"var _ any = n\nfunc f() { _ = n }", 0},
		{"func init() {}", 1},
		{"type t struct{}\nfunc (t) init() {}", 0},
		{"var seen = map[string]bool{}", 1},
		{"var seen map[string]bool", 1},
		{"var seen = make(map[string]bool)", 1},
		{"var mu sync.Mutex", 1},
		{"var count atomic.Int64", 1},
		{"func f() { n++ }", 1},
		{"func f() { n = 1 }", 1},
		{"func f() { table[\"b\"] = 2 }", 1},
		{"func f() { delete(table, \"a\") }", 1},
		{"func f() { names[0] = \"b\" }", 1},
		{"func f() { names = append(names, \"b\") }", 1},
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "p.go", head+c.code, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := globalFaults(fset, []*ast.File{f}); len(got) != c.want {
			t.Errorf("%s\nfound %q, want %d", c.code, got, c.want)
		}
	}
}
