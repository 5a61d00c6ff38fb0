// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// arrows is the picture of the imports: what a folder's code may import of ours besides itself, and with each of those
// everything that it may import in turn. A folder that is not in it has no place in the repository.
var arrows = map[string][]string{
	"cmd/rebound":       {"internal/cli"},
	"internal/cli":      {"internal/agent", "internal/embed", "pkg/check", "pkg/controllers"},
	"internal/embed":    nil,
	"pkg/check":         {"internal/recovery", "pkg/resources"},
	"pkg/controllers":   {"internal/recovery", "internal/kube"},
	"internal/kube":     {"internal/recovery", "pkg/resources"},
	"internal/recovery": {"pkg/resources/recovery/specs"},
	"pkg/resources":     nil,

	// Nodes that cannot be rebuilt, and reboots that never get stuck: what they are made of has its place already.
	"internal/agent":          {"pkg/controllers"},
	"cmd/rebound-coordinator": {"internal/reboot", "pkg/apis"},
	"internal/reboot":         {"pkg/apis"},
	"pkg/apis":                nil,

	// Nothing that is shipped may need these.
	"internal/archtest": nil,
	"internal/talosapi": nil,
	"internal/ctest":    {"internal/talosapi", "pkg/check", "pkg/controllers"},
	"hack/lab":          {"internal/cli", "internal/ctest", "internal/talosapi"},
	"hack/release":      nil,
}

// picture is where the arrows are drawn, in a single file.
const picture = "internal"

// pureFolders hold the decision and the data that it is about.
var pureFolders = []string{"internal/recovery", "pkg/resources/recovery/specs"}

// impure is what the pure folders must not reach, however indirectly. A trailing "/..." takes in what is below.
var impure = []string{
	"context", "log", "log/slog", "net", "net/http/...", "os/exec", "math/rand/...",
	"k8s.io/...", "sigs.k8s.io/...", "github.com/cosi-project/...", "github.com/siderolabs/...", "go.uber.org/zap/...",
	"google.golang.org/...",
}

// clockFunctions are the functions of package time that read or wait for the clock.
var clockFunctions = []string{
	"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until",
}

// linkedFolders hold what machined links.
var linkedFolders = []string{"pkg", "internal/recovery", "internal/kube"}

// topLevel is what may lie at the top of the repository, besides names that begin with a dot.
var topLevel = []string{
	"pkg", "internal", "cmd", "hack", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
}

// checkImportDirection reports packages without a place in the arrows and imports against the arrows. Tests may import
// what they like.
func checkImportDirection(packages []sourcePackage) []string {
	var violations []string

	for _, p := range packages {
		if p.dir == picture && len(p.code()) == 1 {
			continue
		}

		folder, ok := folderOf(p.dir)
		if !ok {
			violations = append(violations, fmt.Sprintf("%s has no place in the arrows: put the code where it is used, "+
				"or add the folder to arrows in internal/archtest and to the picture in internal/doc.go", p.dir))

			continue
		}

		allowed := reachable(folder)

		for _, file := range p.code() {
			for _, spec := range file.ast.Imports {
				imported, ours := strings.CutPrefix(importedPath(spec), modulePath+"/")
				if !ours || under(imported, folder) || under(imported, allowed...) {
					continue
				}

				violations = append(violations, fmt.Sprintf("%s: %s imports %s, against the arrows: of ours it may import %s; "+
					"move what it needs there, or let its caller pass it in", file.at(spec), p.dir, imported, list(allowed)))
			}
		}
	}

	return violations
}

// folderOf returns the folder of the arrows that dir belongs to. They do not overlap.
func folderOf(dir string) (string, bool) {
	for folder := range arrows {
		if under(dir, folder) {
			return folder, true
		}
	}

	return "", false
}

// reachable returns all folders that the arrows lead to from a folder, sorted.
func reachable(folder string) []string {
	seen := map[string]bool{}

	var follow func(string)

	follow = func(from string) {
		for _, to := range arrows[from] {
			if !seen[to] {
				seen[to] = true

				follow(to)
			}
		}
	}

	follow(folder)

	return slices.Sorted(maps.Keys(seen))
}

func list(folders []string) string {
	if len(folders) == 0 {
		return "nothing"
	}

	return "only " + strings.Join(folders, ", ")
}

// checkPackageComments reports packages that do not have a package comment in exactly one file of their code, and
// comments that say nothing.
func checkPackageComments(packages []sourcePackage) []string {
	var violations []string

	for _, p := range packages {
		var commented []string

		for _, file := range p.code() {
			// Text leaves out directives.
			comment := file.ast.Doc.Text()

			switch {
			case comment == "":
				continue
			case strings.HasPrefix(comment, "This Source Code Form"):
				violations = append(violations, fmt.Sprintf("%s: the licence header stands as the package comment: "+
					"put an empty line between it and the package clause", file.name))

				continue
			case !saysSomething(comment):
				violations = append(violations, fmt.Sprintf("%s: the package comment is hardly more than a name: "+
					"say what the package is and what it is not", file.name))
			}

			commented = append(commented, path.Base(file.name))
		}

		switch len(commented) {
		case 0:
			violations = append(violations, fmt.Sprintf("%s has no package comment: "+
				"add one in doc.go that says what the package is and what it is not", p.dir))
		case 1:
		default:
			violations = append(violations, fmt.Sprintf("%s has package comments in %s: keep one", p.dir,
				strings.Join(commented, " and ")))
		}
	}

	return violations
}

// saysSomething tells a sentence from "Package x" and "Package x implements x".
func saysSomething(comment string) bool {
	const wordsOfASentence = 6

	return len(strings.Fields(comment)) >= wordsOfASentence
}

// checkPureImports reports what the pure folders reach and must not, with the shortest way that leads there.
func checkPureImports(graph importGraph) []string {
	var violations []string

	for _, from := range slices.Sorted(maps.Keys(graph)) {
		if dir, ours := strings.CutPrefix(from, modulePath+"/"); !ours || !under(dir, pureFolders...) {
			continue
		}

		for _, way := range waysTo(graph, from, isImpure) {
			violations = append(violations, fmt.Sprintf("%s reaches %s (%s): the core turns facts and a point in time into "+
				"a plan; move this to internal/kube or to the controller and hand the core its result",
				strings.TrimPrefix(from, modulePath+"/"), way[len(way)-1], strings.Join(way, " -> ")))
		}
	}

	return violations
}

// waysTo walks the graph breadth first from a package to each unwanted one and does not look behind an unwanted package:
// what that one imports is its own matter.
func waysTo(graph importGraph, from string, unwanted func(string) bool) [][]string {
	var found [][]string

	seen := map[string]bool{from: true}

	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		way := queue[0]

		for _, next := range graph[way[len(way)-1]] {
			if seen[next] {
				continue
			}

			seen[next] = true
			longer := append(slices.Clone(way), next)

			if unwanted(next) {
				found = append(found, longer)
			} else {
				queue = append(queue, longer)
			}
		}
	}

	return found
}

func isImpure(imported string) bool {
	return slices.ContainsFunc(impure, func(pattern string) bool {
		tree, below := strings.CutSuffix(pattern, "/...")

		return imported == tree || below && under(imported, tree)
	})
}

// checkPureSource reports code in the pure folders that reads the clock or does more than one thing at a time.
func checkPureSource(packages []sourcePackage) []string {
	var violations []string

	for _, file := range codeUnder(packages, pureFolders) {
		times := localNames(file, "time")

		if slices.Contains(times, ".") {
			violations = append(violations, fmt.Sprintf("%s imports package time under the name \".\": "+
				"import it under its own name", file.name))
		}

		ast.Inspect(file.ast, func(node ast.Node) bool {
			if found := impurity(node, times); found != "" {
				violations = append(violations, file.at(node)+": "+found)
			}

			return true
		})
	}

	return violations
}

// impurity says what is wrong with a node, or nothing.
func impurity(node ast.Node, times []string) string {
	const sequential = "the core decides and returns; what runs at the same time or waits belongs to the controller"

	switch node := node.(type) {
	case *ast.SelectorExpr:
		if x, ok := node.X.(*ast.Ident); ok && slices.Contains(times, x.Name) && slices.Contains(clockFunctions, node.Sel.Name) {
			return fmt.Sprintf("time.%s depends on the clock: take now as an argument", node.Sel.Name)
		}
	case *ast.GoStmt:
		return "a goroutine: " + sequential
	case *ast.ChanType:
		return "a channel: " + sequential
	case *ast.SendStmt:
		return "a send to a channel: " + sequential
	case *ast.SelectStmt:
		return "a select statement: " + sequential
	case *ast.UnaryExpr:
		if node.Op == token.ARROW {
			return "a receive from a channel: " + sequential
		}
	}

	return ""
}

// checkMethodLookup reports code that looks methods up at run time. One such place in what machined links makes the
// linker keep every exported method of everything in it.
func checkMethodLookup(packages []sourcePackage) []string {
	const cost = "in machined it switches dead-code elimination off"

	var violations []string

	for _, file := range codeUnder(packages, linkedFolders) {
		for _, spec := range file.ast.Imports {
			if imported := importedPath(spec); imported == "text/template" || imported == "html/template" {
				violations = append(violations, fmt.Sprintf("%s: imports %s: %s; build the text with fmt",
					file.at(spec), imported, cost))
			}
		}

		reflects := len(localNames(file, "reflect")) > 0

		ast.Inspect(file.ast, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if ok && (selector.Sel.Name == "MethodByName" || reflects && selector.Sel.Name == "Method") {
				violations = append(violations, fmt.Sprintf("%s: uses %s of package reflect: %s; use an interface or a switch",
					file.at(selector), selector.Sel.Name, cost))
			}

			return true
		})
	}

	return violations
}

// codeUnder returns the files, without tests, of the packages in the folders.
func codeUnder(packages []sourcePackage, folders []string) []sourceFile {
	var files []sourceFile

	for _, p := range packages {
		if under(p.dir, folders...) {
			files = append(files, p.code()...)
		}
	}

	return files
}

// checkModules reports Kubernetes itself in a build list. Its own go.mod replaces 33 modules, and replacements do not
// reach whoever imports us: their build would break.
func checkModules(modules []string) []string {
	var violations []string

	for _, module := range modules {
		if module == "k8s.io/kubernetes" || strings.HasPrefix(module, "k8s.io/kubernetes ") {
			violations = append(violations, fmt.Sprintf("the root module requires %s: whoever imports us would need its "+
				"replace lines; keep what needs it in hack/lab", module))
		}
	}

	return violations
}

// checkTopLevel reports what lies at the top of the repository and should not, given the names of all files.
func checkTopLevel(files []string) []string {
	var violations []string

	for _, file := range files {
		top, _, _ := strings.Cut(file, "/")
		if strings.HasPrefix(top, ".") || slices.Contains(topLevel, top) {
			continue
		}

		violations = append(violations, fmt.Sprintf("%s does not belong at the top of the repository: "+
			"only %s and names that begin with a dot do", top, strings.Join(topLevel, ", ")))
	}

	return slices.Compact(violations)
}
