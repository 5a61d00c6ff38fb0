// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// Module is the module that is embedded.
const Module = "github.com/talos-rebound/rebound"

// talosModule is the module that it is embedded in.
const talosModule = "github.com/siderolabs/talos"

const (
	controllersName = "reboundctrl"
	resourcesName   = "reboundres"

	controllersImport = controllersName + ` "` + Module + `/pkg/controllers/recovery"`
	resourcesImport   = resourcesName + ` "` + Module + `/pkg/resources/recovery"`

	// clusterCheck and diagnosticCheck are functions in the files that are added.
	clusterCheck    = "daemonSetPodsRecovered"
	diagnosticCheck = "daemonSetRecovery"
)

// Folders of Talos in which something is edited.
const (
	runtimeFolder     = "internal/app/machined/pkg/runtime/v1alpha2"
	checkFolder       = "pkg/cluster/check"
	runtimeCtrlFolder = "internal/app/machined/pkg/controllers/runtime"
	diagnosticsFolder = runtimeCtrlFolder + "/internal/diagnostics"
)

// list is a list in a Go file of Talos to which something is added.
type list struct {
	path, what string

	// The list is the only one in the function whose elements have this type, as the file calls it.
	function, element string

	// first puts the elements before all others.
	first    bool
	elements []string
	// imported is what the elements need; empty if they need nothing.
	imported string

	// diagnostics is whether this is part of the diagnostics, which are added on request.
	diagnostics bool
}

// controllers is the list of all controllers that machined registers.
var controllers = list{
	path: runtimeFolder + "/v1alpha2_controller.go", what: "register the controller",
	function: "Run", element: "controller.Controller",
	elements: []string{"&" + controllersName + ".DaemonSetRecoveryController{}"},
	imported: controllersImport,
}

var lists = []list{
	controllers,
	{
		path: runtimeFolder + "/v1alpha2_state.go", what: "register the resource definitions",
		function: "NewState", element: "meta.ResourceWithRD",
		elements: []string{"&" + resourcesName + ".RecoveryStatus{}", "&" + resourcesName + ".DaemonSetRecovery{}"},
		imported: resourcesImport,
	},
	{
		path: checkFolder + "/default.go", what: "check before the nodes, kube-proxy and coredns are waited for",
		function: "DefaultClusterChecks", element: "ClusterCheck",
		first:    true,
		elements: []string{clusterCheck},
	},
	{
		path: diagnosticsFolder + "/diagnostic.go", what: "add the diagnostic",
		function: "Checks", element: "CheckDescription",
		elements:    []string{diagnosticCheck + "()"},
		diagnostics: true,
	},
	{
		path: runtimeCtrlFolder + "/diagnostics.go", what: "let the diagnostics read the recovery status",
		function: "Inputs", element: "controller.Input",
		elements: []string{"{Namespace: " + resourcesName + ".NamespaceName, Type: " + resourcesName + ".RecoveryStatusType, Kind: controller.InputWeak}"},
		imported: resourcesImport, diagnostics: true,
	},
}

// source is a Go file of Talos.
type source struct {
	text []byte
	fset *token.FileSet
	file *ast.File
}

func parse(path string, text []byte) (*source, error) {
	s := &source{text: text, fset: token.NewFileSet()}

	var err error

	if s.file, err = parser.ParseFile(s.fset, path, text, parser.SkipObjectResolution); err != nil {
		return nil, fmt.Errorf("failed to parse it: %w", err)
	}

	return s, nil
}

func (s *source) position(pos token.Pos) token.Position { return s.fset.PositionFor(pos, false) }

// words are a node as it is written.
func (s *source) words(node ast.Node) string {
	return string(s.text[s.position(node.Pos()).Offset:s.position(node.End()).Offset])
}

// insert returns the file with the elements and the import on lines of their own. gofmt aligns and sorts those; a file in
// which it does more than that is refused.
func (l list) insert(text []byte, _ Options) ([]byte, error) {
	if text == nil {
		return nil, errors.New("this file is missing")
	}

	s, err := parse(l.path, text)
	if err != nil {
		return nil, err
	}

	literal, err := l.find(s)
	if err != nil {
		return nil, err
	}

	lines := strings.SplitAfter(string(text), "\n")
	opened, closed := s.position(literal.Lbrace), s.position(literal.Rbrace)

	if strings.TrimSpace(lines[opened.Line-1][opened.Column:])+strings.TrimSpace(lines[closed.Line-1][:closed.Column-1]) != "" {
		return nil, fmt.Errorf("line %d: the list of type []%s has elements or comments on the lines of its braces", opened.Line, l.element)
	}

	at := closed.Line - 1
	if l.first {
		at = opened.Line
	}

	for i, element := range l.elements {
		lines = slices.Insert(lines, at+i, element+", // "+marker+"\n")
	}

	if l.imported != "" {
		above := s.thirdPartyImport()
		if above == 0 {
			return nil, errors.New("it imports nothing of a third party, with which rebound could stand")
		}

		lines = slices.Insert(lines, above, l.imported+" // "+marker+"\n")
	}

	inserted, err := format.Source([]byte(strings.Join(lines, "")))
	if err != nil {
		return nil, errNotExact
	}

	return checkExact(text, inserted)
}

// find finds the list.
func (l list) find(s *source) (*ast.CompositeLit, error) {
	var found []*ast.CompositeLit

	ast.Inspect(s.file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			return node.Name.Name == l.function
		case *ast.CompositeLit:
			if node.Type != nil && s.words(node.Type) == "[]"+l.element {
				found = append(found, node)
			}
		}

		return true
	})

	if len(found) != 1 {
		return nil, fmt.Errorf("it has %d lists of type []%s in function %s where one is expected", len(found), l.element, l.function)
	}

	return found[0], nil
}

// thirdPartyImport is the line of an import that is neither the standard library's nor the tree's own; zero if there is
// none.
func (s *source) thirdPartyImport() int {
	for _, spec := range s.file.Imports {
		host, _, _ := strings.Cut(importPath(spec), "/")

		if strings.Contains(host, ".") && !strings.HasPrefix(importPath(spec), talosModule+"/") {
			return s.position(spec.End()).Line
		}
	}

	return 0
}

func importPath(spec *ast.ImportSpec) string {
	unquoted, _ := strconv.Unquote(spec.Path.Value) // the parser has read it

	return unquoted
}
