// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// linkedPackages are the packages that machined imports: those that internal/embed writes into its sources.
var linkedPackages = []string{
	modulePath + "/pkg/check",
	modulePath + "/pkg/controllers/recovery",
	modulePath + "/pkg/resources/recovery",
}

// linkedBuild is how Talos builds machined, as far as it decides which packages are linked. Without grpcnotrace grpc
// itself reaches html/template, through golang.org/x/net/trace.
var linkedBuild = struct {
	tags    string
	env     []string
	modfile string // from the top
}{
	tags: "grpcnotrace",
	env:  []string{"CGO_ENABLED=0", "GOOS=linux"},
	// The versions count: the go-openapi/swag of go.mod, for example, imports packages that the one in Talos does not.
	modfile: "hack/compat/talos-1.13.mod",
}

// machinedList holds the packages that machined links already. It says how it was made.
const machinedList = "testdata/machined-1.13.9.txt"

// TestLinkedByMachined runs over everything that machined links with our packages the guards that look further than our
// own sources.
func TestLinkedByMachined(t *testing.T) {
	t.Parallel()

	touchSources(t)

	list, err := os.ReadFile(filepath.FromSlash(machinedList))
	require.NoError(t, err)

	machined := readMachined(list)
	require.Contains(t, machined, "github.com/cosi-project/runtime/pkg/controller/runtime", "this is not machined")

	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()

			packages, err := listLinked(top, arch)
			require.NoError(t, err)

			graph := graphOf(packages)
			for _, root := range linkedPackages {
				require.Contains(t, graph, root, "nothing to guard: have linkedPackages been moved?")
			}

			assertNone(t, checkLinkedFolders(packages))
			assertNone(t, checkAdded(packages, machined))
			assertNone(t, checkTemplates(graph))

			sources, err := parseLookups(packages)
			require.NoError(t, err)
			assert.NotEmpty(t, sources, "nothing to guard: protobuf at least looks methods up")
			assertNone(t, checkMethodNames(sources))
		})
	}
}

// listLinked asks the go command for everything that machined links with our packages.
func listLinked(dir, arch string) ([]listedPackage, error) {
	args := []string{
		"list", "-deps", "-json=ImportPath,Dir,Standard,GoFiles,Imports", "-tags", linkedBuild.tags, "-modfile", linkedBuild.modfile,
	}

	output, err := run(dir, append(slices.Clone(linkedBuild.env), "GOARCH="+arch), "go", append(args, linkedPackages...)...)
	if err != nil {
		return nil, err
	}

	return readList(output)
}

// readMachined reads a list of import paths, one on each line, with comments.
func readMachined(list []byte) map[string]bool {
	machined := map[string]bool{}

	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			machined[line] = true
		}
	}

	return machined
}

// parseLookups parses those files outside of the standard library that say MethodByName at all. A few among thousands.
func parseLookups(packages []listedPackage) ([]sourceFile, error) {
	var files []sourceFile

	fset := token.NewFileSet()

	for _, p := range packages {
		if p.Standard {
			continue
		}

		for _, name := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}

			if !bytes.Contains(source, []byte("MethodByName")) {
				continue
			}

			syntax, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}

			files = append(files, sourceFile{fset: fset, ast: syntax, name: p.ImportPath + "/" + name})
		}
	}

	return files, nil
}

// checkLinkedFolders reports packages of ours that machined links and that the guards of the linked folders do not see.
func checkLinkedFolders(packages []listedPackage) []string {
	var violations []string

	for _, p := range packages {
		dir, ours := strings.CutPrefix(p.ImportPath, modulePath+"/")
		if ours && !under(dir, linkedFolders...) {
			violations = append(violations, fmt.Sprintf("machined links %s: add it to linkedFolders in internal/archtest and "+
				"to dead-code-elimination in .golangci.yml", dir))
		}
	}

	return violations
}

// checkAdded reports packages of other people that machined would link for us alone. The standard library is left out:
// its packages change with the Go release, and machined has nearly all of it.
func checkAdded(packages []listedPackage, machined map[string]bool) []string {
	known := map[string]bool{}
	for _, p := range packages {
		known[p.ImportPath] = p.Standard || under(p.ImportPath, modulePath) || machined[p.ImportPath]
	}

	added := func(imported string) bool { return !known[imported] }

	return reached(graphOf(packages), added, "machined of Talos v1.13.9 does not link it yet, and every node would carry it; "+
		"do without, or with what "+machinedList+" lists")
}

// checkTemplates reports the packages of the standard library that look methods up by a name that nobody knows when
// machined is linked. That others bring them into machined too is no licence: the linker minds only what can be called, and
// for one such call Talos builds with a fork of containerd (https://github.com/siderolabs/talos/issues/11296).
func checkTemplates(graph importGraph) []string {
	templates := func(imported string) bool { return imported == "text/template" || imported == "html/template" }

	return reached(graph, templates, "in machined it switches dead-code elimination off; import something smaller")
}

// reached says once for each unwanted package how the linked packages get there.
func reached(graph importGraph, unwanted func(string) bool, advice string) []string {
	var violations []string

	seen := map[string]bool{}

	for _, root := range linkedPackages {
		for _, way := range waysTo(graph, root, unwanted) {
			if last := way[len(way)-1]; !seen[last] {
				seen[last] = true

				violations = append(violations, fmt.Sprintf("machined links %s (%s): %s", last, strings.Join(way, " -> "), advice))
			}
		}
	}

	return violations
}

// checkMethodNames reports code that looks a method up by a name that is not written there. The linker keeps the methods
// of the names that it can read, which costs little, and every exported method as soon as it cannot read one.
//
// This is for the code of other people; to our own checkMethodLookup grants nothing at all.
func checkMethodNames(files []sourceFile) []string {
	var violations []string

	for _, file := range files {
		readable := map[ast.Node]bool{}

		ast.Inspect(file.ast, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.CallExpr: // comes before what it calls
				if len(node.Args) == 1 {
					_, readable[node.Fun] = node.Args[0].(*ast.BasicLit)
				}
			case *ast.SelectorExpr:
				if node.Sel.Name == "MethodByName" && !readable[node] {
					violations = append(violations, fmt.Sprintf("%s: looks a method up by a name that is known at run time only: "+
						"in machined it switches dead-code elimination off; do without this package", file.at(node)))
				}
			}

			return true
		})
	}

	return violations
}
