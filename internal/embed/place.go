// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Module is the module that is embedded.
const Module = "github.com/talos-rebound/rebound"

// talosModule is the module that it is embedded in.
const talosModule = "github.com/siderolabs/talos"

const (
	controllersPackage = Module + "/pkg/controllers/recovery"
	resourcesPackage   = Module + "/pkg/resources/recovery"

	controllersName = "reboundctrl"
	resourcesName   = "reboundres"

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

// place is a list in a Go file of Talos to which something is added.
type place struct {
	path string
	what string // what is added, for people

	// The list is the only one of its type in the function. The type of its elements is a package's path and a name, or
	// only a name for one of the file's own package.
	function, typePath, typeName string

	// first puts the elements before all others.
	first    bool
	elements []string
	// importName and importPath are what the elements need; empty if they need nothing.
	importName, importPath string

	// diagnostics is whether this is part of the diagnostics, which are added on request.
	diagnostics bool
}

// controllers is the list of all controllers that machined registers.
var controllers = place{
	path: runtimeFolder + "/v1alpha2_controller.go", what: "register the controller",
	function: "Run", typePath: "github.com/cosi-project/runtime/pkg/controller", typeName: "Controller",
	elements:   []string{"&" + controllersName + ".DaemonSetRecoveryController{}"},
	importName: controllersName, importPath: controllersPackage,
}

var places = []place{
	controllers,
	{
		path: runtimeFolder + "/v1alpha2_state.go", what: "register the resource definitions",
		function: "NewState", typePath: "github.com/cosi-project/runtime/pkg/resource/meta", typeName: "ResourceWithRD",
		elements:   []string{"&" + resourcesName + ".RecoveryStatus{}", "&" + resourcesName + ".DaemonSetRecovery{}"},
		importName: resourcesName, importPath: resourcesPackage,
	},
	{
		path: checkFolder + "/default.go", what: "check before the nodes, kube-proxy and coredns are waited for",
		function: "DefaultClusterChecks", typeName: "ClusterCheck",
		first:    true,
		elements: []string{clusterCheck},
	},
	{
		path: diagnosticsFolder + "/diagnostic.go", what: "add the diagnostic",
		function: "Checks", typeName: "CheckDescription",
		elements:    []string{diagnosticCheck + "()"},
		diagnostics: true,
	},
	{
		path: runtimeCtrlFolder + "/diagnostics.go", what: "let the diagnostics read the recovery status",
		function: "Inputs", typePath: "github.com/cosi-project/runtime/pkg/controller", typeName: "Input",
		elements: []string{`{
	Namespace: ` + resourcesName + `.NamespaceName,
	Type:      ` + resourcesName + `.RecoveryStatusType,
	Kind:      controller.InputWeak,
}`},
		importName: resourcesName, importPath: resourcesPackage,
		diagnostics: true,
	},
}

// add returns a file of Talos with the elements of a place.
func (p place) add(text []byte) ([]byte, error) {
	original, err := parseSource(p.path, text)
	if err != nil {
		return nil, err
	}

	list, err := original.listOf(p.function, p.typePath, p.typeName)
	if err != nil {
		return nil, err
	}

	changed, err := parseSource(p.path, original.withElements(list, p.first, p.localElements(original)))
	if err != nil {
		return nil, err
	}

	if p.importPath != "" {
		with, err := changed.withImport(p.importName, p.importPath)
		if err != nil {
			return nil, err
		}

		if changed, err = parseSource(p.path, with); err != nil {
			return nil, err
		}
	}

	return changed.text, p.check(original, changed)
}

// localElements are the elements in terms of the names that the file has for packages.
func (p place) localElements(s *source) []string {
	if p.typePath == "" {
		return p.elements
	}

	local := s.importName(p.typePath)
	elements := slices.Clone(p.elements)

	for i, element := range elements {
		elements[i] = strings.ReplaceAll(element, "controller.InputWeak", local+".InputWeak")
	}

	return elements
}

// check makes sure that an edit can be taken back, and that gofmt has nothing against it if it had nothing before.
func (p place) check(original, changed *source) error {
	restored, err := p.remove(changed.text)
	if err != nil {
		return err
	}

	if !bytes.Equal(restored, original.text) {
		return errors.New("it is laid out in a way in which an edit could not be taken back byte for byte; format it with gofmt")
	}

	if original.formatted() && !changed.formatted() {
		return errors.New("it is laid out in a way in which an edit would not be clean for gofmt")
	}

	return nil
}

// remove returns a file of Talos without what add adds. It refuses one in which rebound is used in another way: what
// somebody has written is for them to take out.
func (p place) remove(text []byte) ([]byte, error) {
	s, err := parseSource(p.path, text)
	if err != nil {
		return nil, err
	}

	without, err := s.withoutElements(p.localElements(s))
	if err != nil {
		return nil, err
	}

	if s, err = parseSource(p.path, without); err != nil {
		return nil, err
	}

	if s, err = parseSource(p.path, s.withoutImport(p.importName, p.importPath)); err != nil {
		return nil, err
	}

	names := map[string]bool{controllersName: true, resourcesName: true, clusterCheck: true, diagnosticCheck: true}
	line := s.mention(names)

	for _, spec := range s.file.Imports {
		if ours(importPath(spec)) && line == 0 {
			line = s.line(spec.Pos())
		}
	}

	if line != 0 {
		return nil, fmt.Errorf("line %d: rebound embed did not write this about rebound; take it out by hand", line)
	}

	return s.text, nil
}
