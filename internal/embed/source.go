// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is a parsed Go file and the text that it was parsed from. Positions are byte offsets into the text.
type source struct {
	name string
	text []byte
	file *ast.File
	fset *token.FileSet
}

func parseSource(name string, text []byte) (*source, error) {
	fset := token.NewFileSet()

	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("failed to parse it: %w", err)
	}

	return &source{name: name, text: text, file: file, fset: fset}, nil
}

func (s *source) offset(pos token.Pos) int { return s.fset.PositionFor(pos, false).Offset }

func (s *source) line(pos token.Pos) int { return s.fset.PositionFor(pos, false).Line }

// lineStart is where the line with an offset begins.
func (s *source) lineStart(offset int) int { return bytes.LastIndexByte(s.text[:offset], '\n') + 1 }

// lineEnd is where the line after the one with an offset begins, or the end of the text.
func (s *source) lineEnd(offset int) int {
	if i := bytes.IndexByte(s.text[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}

	return len(s.text)
}

// indent is the white space that the line with an offset begins with.
func (s *source) indent(offset int) string {
	line := s.text[s.lineStart(offset):offset]

	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// insert returns the text with something inserted at an offset.
func (s *source) insert(offset int, text string) []byte {
	return slices.Concat(s.text[:offset], []byte(text), s.text[offset:])
}

// cut returns the text without the bytes in [start, end).
func (s *source) cut(start, end int) []byte {
	return slices.Concat(s.text[:start], s.text[end:])
}

// formatted tells whether gofmt would leave the text alone.
func (s *source) formatted() bool {
	formatted, err := format.Source(s.text)

	return err == nil && bytes.Equal(formatted, s.text)
}

// importName is the name under which the file imports a package; empty if it does not.
func (s *source) importName(imported string) string {
	for _, spec := range s.file.Imports {
		if importPath(spec) == imported {
			if spec.Name != nil {
				return spec.Name.Name
			}

			return path.Base(imported)
		}
	}

	return ""
}

func importPath(spec *ast.ImportSpec) string {
	unquoted, _ := strconv.Unquote(spec.Path.Value) // the parser has read it

	return unquoted
}

// listOf finds the one list of a type in a function. The type is that of the elements: a package's path and name, or
// only a name for one of the file's own package.
func (s *source) listOf(function, imported, name string) (*ast.CompositeLit, error) {
	qualifier := ""

	if imported != "" {
		if qualifier = s.importName(imported); qualifier == "" {
			return nil, fmt.Errorf("it does not import %q", imported)
		}
	}

	var body *ast.BlockStmt

	for _, decl := range s.file.Decls {
		if declared, ok := decl.(*ast.FuncDecl); ok && declared.Name.Name == function {
			body = declared.Body
		}
	}

	if body == nil {
		return nil, fmt.Errorf("it has no function %s", function)
	}

	want := strings.TrimPrefix(qualifier+"."+name, ".")

	var lists []*ast.CompositeLit

	ast.Inspect(body, func(node ast.Node) bool {
		list, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}

		array, ok := list.Type.(*ast.ArrayType)
		if ok && array.Len == nil && typeName(array.Elt) == want {
			lists = append(lists, list)
		}

		return true
	})

	if len(lists) != 1 {
		return nil, fmt.Errorf("function %s has %d lists of type []%s where one is expected", function, len(lists), want)
	}

	if len(lists[0].Elts) == 0 {
		return nil, fmt.Errorf("line %d: the list of type []%s in function %s is empty", s.line(lists[0].Pos()), want, function)
	}

	return lists[0], nil
}

func typeName(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.Ident:
		return expr.Name
	case *ast.SelectorExpr:
		if x, ok := expr.X.(*ast.Ident); ok {
			return x.Name + "." + expr.Sel.Name
		}
	}

	return ""
}

// withElements returns the text with elements added to a list, as its first or as its last. An element may have more
// than one line.
func (s *source) withElements(list *ast.CompositeLit, first bool, elements []string) []byte {
	head, last := list.Elts[0], list.Elts[len(list.Elts)-1]

	if first {
		if s.line(list.Lbrace) == s.line(head.Pos()) {
			return s.insert(s.offset(head.Pos()), strings.Join(elements, ", ")+", ")
		}

		return s.insert(s.lineEnd(s.offset(list.Lbrace)), lines(elements, s.indent(s.offset(head.Pos()))))
	}

	if s.line(list.Rbrace) == s.line(last.End()) {
		return s.insert(s.offset(last.End()), ", "+strings.Join(elements, ", "))
	}

	return s.insert(s.lineEnd(s.offset(last.End())), lines(elements, s.indent(s.offset(last.End()))))
}

// lines gives every element lines of its own.
func lines(elements []string, indent string) string {
	var text strings.Builder

	for _, element := range elements {
		for line := range strings.Lines(element + ",\n") {
			text.WriteString(indent + line)
		}
	}

	return text.String()
}

// withoutElements returns the text without those elements of its lists that read like one of these. It undoes
// withElements.
func (s *source) withoutElements(elements []string) ([]byte, error) {
	for {
		start, end, found := s.findElement(elements)
		if !found {
			return s.text, nil
		}

		next, err := parseSource(s.name, s.cut(start, end))
		if err != nil {
			return nil, err
		}

		s = next
	}
}

// findElement returns the span of the first element that reads like one of these: its lines if it has them for itself,
// else the element with the comma that goes with it.
func (s *source) findElement(elements []string) (start, end int, found bool) {
	ast.Inspect(s.file, func(node ast.Node) bool {
		list, ok := node.(*ast.CompositeLit)
		if !ok || found {
			return !found
		}

		if _, ok = list.Type.(*ast.ArrayType); !ok {
			return true
		}

		for i, element := range list.Elts {
			if text := string(s.text[s.offset(element.Pos()):s.offset(element.End())]); !slices.ContainsFunc(elements, func(ours string) bool {
				return slices.Equal(strings.Fields(text), strings.Fields(ours))
			}) {
				continue
			}

			start, end, found = s.offset(element.Pos()), s.offset(element.End()), true

			switch lineStart, lineEnd := s.lineStart(start), s.lineEnd(end); {
			case string(s.text[lineStart:start]) == s.indent(start) && strings.TrimSpace(string(s.text[end:lineEnd])) == ",":
				start, end = lineStart, lineEnd
			case i > 0:
				start = s.offset(list.Elts[i-1].End())
			case len(list.Elts) > 1:
				end = s.offset(list.Elts[1].Pos())
			}

			return false
		}

		return true
	})

	return start, end, found
}

// mention returns the line of the first identifier with one of the names; zero if there is none.
func (s *source) mention(names map[string]bool) int {
	line := 0

	ast.Inspect(s.file, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && line == 0 && names[ident.Name] {
			line = s.line(ident.Pos())
		}

		return line == 0
	})

	return line
}

// withImport returns the text with one more import, in the group of what is not the tree's own.
func (s *source) withImport(name, imported string) ([]byte, error) {
	spec := fmt.Sprintf("%s %q", name, imported)

	var block *ast.GenDecl

	for _, decl := range s.file.Decls {
		if imports, ok := decl.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			block = imports

			if block.Lparen.IsValid() {
				break
			}
		}
	}

	switch {
	case block == nil:
		return nil, fmt.Errorf("it has no imports to which to add %q", imported)
	case !block.Lparen.IsValid():
		return s.insert(s.lineEnd(s.offset(block.End())), "import "+spec+"\n"), nil
	case len(block.Specs) == 0:
		return nil, fmt.Errorf("it has no imports to which to add %q", imported)
	}

	return s.insertImport(block, imported, "\t"+spec+"\n"), nil
}

func (s *source) insertImport(block *ast.GenDecl, imported, line string) []byte {
	group := s.thirdParty(block)

	if len(group) == 0 {
		for _, spec := range block.Specs {
			if strings.HasPrefix(importPath(spec.(*ast.ImportSpec)), talosModule) {
				return s.insert(s.lineStart(s.offset(startOf(spec.(*ast.ImportSpec)))), line+"\n")
			}
		}

		return s.insert(s.lineStart(s.offset(block.Rparen)), "\n"+line)
	}

	// gofmt sorts a group by path.
	i, _ := slices.BinarySearchFunc(group, imported, func(spec *ast.ImportSpec, path string) int {
		return cmp.Compare(importPath(spec), path)
	})
	if i < len(group) {
		return s.insert(s.lineStart(s.offset(startOf(group[i]))), line)
	}

	return s.insert(s.lineEnd(s.offset(group[len(group)-1].End())), line)
}

// startOf is where a spec begins, its comment included.
func startOf(spec *ast.ImportSpec) token.Pos {
	if spec.Doc != nil {
		return spec.Doc.Pos()
	}

	return spec.Pos()
}

// thirdParty returns the last group of imports with one that is neither the standard library's nor the tree's own.
func (s *source) thirdParty(block *ast.GenDecl) []*ast.ImportSpec {
	for _, group := range slices.Backward(s.groups(block)) {
		if slices.ContainsFunc(group, func(spec *ast.ImportSpec) bool {
			host, _, _ := strings.Cut(importPath(spec), "/")

			return strings.Contains(host, ".") && !strings.HasPrefix(importPath(spec), talosModule)
		}) {
			return group
		}
	}

	return nil
}

// groups are the imports that blank lines set apart.
func (s *source) groups(block *ast.GenDecl) [][]*ast.ImportSpec {
	var groups [][]*ast.ImportSpec

	last := -1

	for _, spec := range block.Specs {
		spec := spec.(*ast.ImportSpec)

		if len(groups) == 0 || s.line(startOf(spec)) > last+1 {
			groups = append(groups, nil)
		}

		groups[len(groups)-1] = append(groups[len(groups)-1], spec)
		last = s.line(spec.End())
	}

	return groups
}

// withoutImport returns the text without an import. It undoes withImport: if the import has a group for itself, the blank
// line that sets the group apart goes with it.
func (s *source) withoutImport(name, imported string) []byte {
	for _, spec := range s.file.Imports {
		if importPath(spec) != imported || spec.Name == nil || spec.Name.Name != name {
			continue
		}

		start, end := s.lineStart(s.offset(spec.Pos())), s.lineEnd(s.offset(spec.End()))

		if strings.HasPrefix(string(s.text[start:end]), "import") {
			return s.cut(start, end) // it has no parentheses
		}

		before := strings.TrimSpace(string(s.text[s.lineStart(max(start-1, 0)):start]))
		after := strings.TrimSpace(string(s.text[end:s.lineEnd(end)]))

		switch {
		case before == "" && after == ")":
			start = s.lineStart(start - 1)
		case (before == "" || before == "import (") && after == "":
			end = s.lineEnd(end)
		}

		return s.cut(start, end)
	}

	return s.text
}

// ours tells whether a package is rebound's.
func ours(imported string) bool {
	return imported == Module || strings.HasPrefix(imported, Module+"/")
}
