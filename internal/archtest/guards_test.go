// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"
)

// arrows is the picture of the imports: what a folder's code may import of ours besides itself, and with each of those
// everything that it may import in turn. A folder that is not in it has no place in the repository.
var arrows = map[string][]string{
	"cmd/rebound": {"internal/cli"},
	"internal/cli": {
		"internal/agent", "internal/embed", "internal/kubebackoff", "internal/kubecheck", "internal/kubereboot", "internal/plainlog",
		"internal/talosconfig",
		"pkg/check", "pkg/controllers",
	},
	"internal/embed":    nil,
	"pkg/check":         {"internal/recovery", "pkg/resources"},
	"pkg/controllers":   {"internal/recovery", "internal/kube"},
	"internal/kube":     {"internal/recovery", "pkg/resources"},
	"internal/recovery": {"internal/backoff", "pkg/resources/recovery/specs"},
	// It is apart from pkg/check because machined links that.
	"internal/kubecheck": {"internal/kube", "internal/kubeconfig", "pkg/check"},
	// The objects of coordinated reboots, for people.
	"internal/kubereboot": {"internal/kube", "internal/kubeconfig", "pkg/apis"},
	// The back-off of DaemonSet controllers, for people.
	"internal/kubebackoff": {"internal/kube", "internal/kubeconfig"},
	"internal/kubeconfig":  {"pkg/check"},
	"pkg/resources":        nil,

	// What machined links may not lead to the agent: it does for a node that cannot be rebuilt what machined does for
	// the others, and only it needs clients of D-Bus, Prometheus and inotify.
	"internal/agent": {"pkg/controllers", "pkg/apis", "internal/talosapi"},

	// Whatever is tried again waits in the same way.
	"internal/backoff": nil,

	// Whoever logs keeps what others say from steering a terminal.
	"internal/plainlog": {"pkg/resources/recovery/specs"},

	// Whoever asks Talos connects to it in the same way.
	"internal/talosconfig": nil,

	// The coordinator is a module of its own. Its core takes facts, as internal/recovery does, and knows no API types. It says
	// what a Talos API has answered in the words of pkg/check.
	"cmd/rebound-coordinator": {
		"internal/kube", "internal/plainlog", "internal/reboot", "internal/talosconfig", "pkg/apis", "pkg/check",
	},
	"internal/reboot": {"internal/backoff"},
	"pkg/apis":        {"pkg/resources/recovery/specs"},

	// An agent serves its resources as machined does.
	"internal/talosapi": nil,

	// Nothing that is shipped may need these.
	"internal/archtest": nil,
	"internal/ctest":    {"internal/talosapi", "pkg/apis", "pkg/check", "pkg/controllers"},
	"hack/lab":          {"internal/cli", "internal/ctest", "internal/reboot", "internal/talosapi", "pkg/apis"},
	"hack/mutants":      nil,
	"hack/release":      nil,

	// It is built from versions of Kubernetes that rebound is not.
	kubernetesFolder: nil,
}

// others says for folders that may not import just anything what they may import of other people, besides the standard
// library.
var others = map[string][]string{
	"pkg/apis": {"k8s.io/apimachinery"}, // whoever uses the types gets nothing else with them
}

// picture is where the arrows are drawn. There is no code next to it.
const picture = "internal/doc.go"

// kubernetesFolder has the programs of Kubernetes, a module of its own.
const kubernetesFolder = "hack/kubernetes"

// pureFolders hold the decisions and the data that they are about.
var pureFolders = []string{"internal/backoff", "internal/recovery", "internal/reboot", "pkg/resources/recovery/specs"}

// impure is what the pure folders must not reach, however indirectly, with what is below. Package net is another one, but
// net/netip is not.
var impure = []string{
	"context", "log", "net/http", "os/exec", "math/rand",
	"k8s.io", "sigs.k8s.io", "github.com/cosi-project", "github.com/siderolabs", "go.uber.org/zap", "google.golang.org",
}

// clockFunctions are the functions of package time that read or wait for the clock.
var clockFunctions = []string{
	"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until",
}

// elsewhere are modules that the root module must not require, with the reason and the place for what needs them.
var elsewhere = map[string]string{
	"k8s.io/kubernetes": "whoever imports us would need its replace lines; keep what needs it in hack/kubernetes",
	"sigs.k8s.io/controller-runtime": "whoever builds Talos with us would get its requirements; keep what needs it in " +
		"cmd/rebound-coordinator",
}

// topLevel is what may lie at the top of the repository, besides names that begin with a dot.
var topLevel = []string{
	"pkg", "internal", "cmd", "hack", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
}

// refuseFunc takes a violation. It says what to do about it.
type refuseFunc func(format string, args ...any)

// checkImportDirection reports packages without a place in the arrows, imports against the arrows, and imports of other
// people's packages where those are counted. Tests may import what they like.
func checkImportDirection(_ *testing.T, r repository, refuse refuseFunc) {
	for _, file := range r.sources {
		folder, ok := folderOf(file.dir())
		if !ok && file.name != picture {
			refuse("%s has no place in the arrows: put the code where it is used, "+
				"or add the folder to arrows in internal/archtest and to the picture in %s", file.dir(), picture)
		}

		if !ok || file.test() {
			continue
		}

		for _, spec := range file.ast.Imports {
			if allowed, ok := mayImport(folder, importedPath(spec)); !ok {
				refuse("%s: imports %s against the arrows, which lead to %q; "+
					"move what it needs there, or let its caller pass it in", at(spec), importedPath(spec), allowed)
			}
		}
	}
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

// mayImport tells whether code of a folder may import a package, and if not, what it may import.
func mayImport(folder, imported string) ([]string, bool) {
	if dir, ours := strings.CutPrefix(imported, modulePath+"/"); ours {
		return arrows[folder], leads(folder, dir)
	}

	allowed, counted := others[folder]
	domain, _, _ := strings.Cut(imported, "/")

	return allowed, !counted || !strings.Contains(domain, ".") || under(imported, allowed...)
}

// leads tells whether the arrows lead from a folder to dir.
func leads(folder, dir string) bool {
	return under(dir, folder) || slices.ContainsFunc(arrows[folder], func(next string) bool { return leads(next, dir) })
}

// checkPackageComments reports packages that do not have a package comment in exactly one file of their code, and
// comments that say nothing.
func checkPackageComments(_ *testing.T, r repository, refuse refuseFunc) {
	commented := map[string][]string{}

	for _, file := range r.sources {
		// Text leaves out directives.
		comment := file.ast.Doc.Text()
		names := commented[file.dir()]

		switch {
		case file.test() || comment == "":
		case strings.HasPrefix(comment, "This Source Code Form"):
			refuse("%s: the licence header stands as the package comment: "+
				"put an empty line between it and the package clause", file.name)
		default:
			names = append(names, path.Base(file.name))

			// A sentence is more than "Package x" and "Package x implements x".
			if len(strings.Fields(comment)) < 6 {
				refuse("%s: the package comment is hardly more than a name: "+
					"say what the package is and what it is not", file.name)
			}
		}

		commented[file.dir()] = names
	}

	for dir, names := range commented {
		switch len(names) {
		case 0:
			refuse("%s has no package comment: "+
				"add one in doc.go that says what the package is and what it is not", dir)
		case 1:
		default:
			refuse("%s has package comments in %s: keep one", dir,
				strings.Join(names, " and "))
		}
	}
}

// checkPureImports reports what the pure folders reach and must not, with the shortest way that leads there.
func checkPureImports(_ *testing.T, r repository, refuse refuseFunc) {
	for _, p := range r.root {
		dir, ours := p.ours()
		if !ours || !under(dir, pureFolders...) {
			continue
		}

		for _, way := range waysTo(r.root, p.ImportPath, isImpure) {
			refuse("%s: the core turns facts and a point in time into a plan; move this to internal/kube or to the controller "+
				"and hand the core its result", strings.Join(way, " -> "))
		}
	}
}

func isImpure(imported string) bool { return imported == "net" || under(imported, impure...) }

// checkPureSource reports code in the pure folders that reads the clock or does more than one thing at a time.
func checkPureSource(_ *testing.T, r repository, refuse refuseFunc) {
	for _, file := range r.sources {
		if file.test() || !under(file.dir(), pureFolders...) {
			continue
		}

		times := localNames(file.ast, "time")

		if slices.Contains(times, ".") {
			refuse("%s imports package time under the name \".\": "+
				"import it under its own name", file.name)
		}

		for node := range ast.Preorder(file.ast) {
			if found := impurity(node, times); found != "" {
				refuse("%s: %s", at(node), found)
			}
		}
	}
}

// impurity says what is wrong with a node, or nothing.
func impurity(node ast.Node, times []string) string {
	const sequential = "more than one thing at a time: the core decides and returns; what waits belongs to the controller"

	switch node := node.(type) {
	case *ast.SelectorExpr:
		if x, ok := node.X.(*ast.Ident); ok && slices.Contains(times, x.Name) && slices.Contains(clockFunctions, node.Sel.Name) {
			return fmt.Sprintf("time.%s depends on the clock: take now as an argument", node.Sel.Name)
		}
	case *ast.GoStmt, *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
		return sequential
	case *ast.UnaryExpr:
		if node.Op == token.ARROW {
			return sequential
		}
	}

	return ""
}

// checkModules reports modules in the build list that have their place elsewhere.
func checkModules(_ *testing.T, r repository, refuse refuseFunc) {
	for _, module := range r.modules {
		name, _, _ := strings.Cut(module, " ")
		if reason, ok := elsewhere[name]; ok {
			refuse("the root module requires %s: %s", module, reason)
		}
	}
}

// checkKubernetes reports modules besides the one for it that require Kubernetes, and what that one requires of ours.
func checkKubernetes(_ *testing.T, r repository, refuse refuseFunc) {
	for _, name := range slices.Sorted(maps.Keys(r.required)) {
		for _, module := range slices.Sorted(maps.Keys(r.required[name])) {
			switch within := path.Dir(name) == kubernetesFolder; {
			case !within && module == "k8s.io/kubernetes":
				refuse("%s requires %s: everything that links it takes minutes to build; keep what needs it in %s", name, module, kubernetesFolder)
			case within && under(module, modulePath):
				refuse("%s requires %s: what rebound requires would have a say in the versions; keep the two apart", name, module)
			}
		}
	}
}

// checkNotOlder reports modules that go.mod requires in newer versions than a modfile, which has those of a Talos.
func checkNotOlder(_ *testing.T, r repository, refuse refuseFunc) {
	for _, name := range []string{talosModfile, nextModfile} {
		for module, version := range r.required[name] {
			if ours := r.required["go.mod"][module]; semver.Compare(ours, version) > 0 {
				refuse("go.mod requires %s %s, but %s %s: Talos would have to take ours; "+
					"lower go.mod, or raise %s once Talos has", module, ours, name, version, name)
			}
		}
	}
}

// checkTopLevel reports what lies at the top of the repository and should not.
func checkTopLevel(_ *testing.T, r repository, refuse refuseFunc) {
	for _, file := range r.tracked {
		if top, _, _ := strings.Cut(file, "/"); !strings.HasPrefix(top, ".") && !slices.Contains(topLevel, top) {
			refuse("%s does not belong at the top of the repository: only names that begin with a dot and %q do", top, topLevel)
		}
	}
}

// checkAdded reports packages of other people that machined would link for us alone. The standard library is left out:
// its packages change with the Go release, and machined has nearly all of it.
//
// What machined links, it links with everything behind it. So two things are compared: the packages that ours import
// themselves, and of every module that they come to the version, since another version can import other packages.
func checkAdded(_ *testing.T, r repository, refuse refuseFunc) {
	direct, added := map[string]bool{}, map[string]bool{}

	for _, p := range r.linked {
		if _, ours := p.ours(); ours {
			for _, imported := range p.Imports {
				direct[imported] = true
			}
		}
	}

	unlisted := func(line string) bool { return !slices.Contains(r.machined, line) }

	for _, p := range r.linked {
		if _, ours := p.ours(); !ours && !p.Standard {
			added[p.ImportPath] = direct[p.ImportPath] && unlisted(p.ImportPath) || unlisted(p.Module.Path+" "+p.Module.Version)
		}
	}

	refuseReached(r.linked, added, refuse, "machined does not link it yet, or not in this version, and every node would carry it; "+
		"do without, or run make linked if Talos has it")
}

// refuseReached refuses the unwanted packages among those that machined links, and says how it gets there.
func refuseReached(linked []listedPackage, unwanted map[string]bool, refuse refuseFunc, advice string) {
	linked = append(slices.Clone(linked), listedPackage{ImportPath: "machined", Imports: linkedPackages})

	for _, way := range waysTo(linked, "machined", func(imported string) bool { return unwanted[imported] }) {
		refuse("%s: %s", strings.Join(way, " -> "), advice)
	}
}

// checkDeadCode reports what makes the linker keep every exported method of everything in machined: code that looks
// methods up at run time by a name that the linker cannot read, or by a number. In the standard library the templates do.
// That others bring them into machined too is no licence: the linker minds only what can be called, and for one such
// call Talos builds with a fork of containerd (https://github.com/siderolabs/talos/issues/11296).
func checkDeadCode(t *testing.T, r repository, refuse refuseFunc) {
	t.Helper()

	const cost = "in machined it switches dead-code elimination off; "

	templates := map[string]bool{"text/template": true, "html/template": true}
	refuseReached(r.linked, templates, refuse, cost+"import something smaller")

	for _, p := range r.linked {
		if p.Standard {
			continue
		}

		_, ours := p.ours()

		for _, name := range p.GoFiles {
			source := readFile(t, p.Dir, name)
			name = p.ImportPath + "/" + name

			// Of other people's files few among thousands are worth parsing.
			if !ours && !strings.Contains(source, "MethodByName") {
				continue
			}

			file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
			require.NoError(t, err)

			for _, lookup := range lookups(file, ours) {
				refuse("%s: looks a method up at run time: %suse an interface or a switch, or "+
					"do without this package", at(lookup), cost)
			}
		}
	}
}

// lookups returns where a file looks methods up at run time. Other people's code may use a name that is written there,
// which costs little, and may have methods of the name Method. Ours may do neither where it uses reflection.
func lookups(file *ast.File, ours bool) []ast.Node {
	var found []ast.Node

	numbered := ours && len(localNames(file, "reflect")) > 0
	readable := map[ast.Node]bool{}

	for node := range ast.Preorder(file) {
		switch node := node.(type) {
		case *ast.CallExpr: // comes before what it calls
			if len(node.Args) == 1 && !ours {
				_, readable[node.Fun] = node.Args[0].(*ast.BasicLit)
			}
		case *ast.SelectorExpr:
			if node.Sel.Name == "MethodByName" && !readable[node] || node.Sel.Name == "Method" && numbered {
				found = append(found, node)
			}
		}
	}

	return found
}

// checkCompiles reports what the compiler would not accept in what machined links of ours, with the modules of its Talos
// and for the other one of its architectures. It asks the type checker, which needs only the declarations of other
// people's code. A build would compile all of that once more, and Talos does so itself.
func checkCompiles(t *testing.T, r repository, refuse refuseFunc) {
	t.Helper()

	done := map[string]*types.Package{"unsafe": types.Unsafe}

	for _, p := range listLinked(t, r.dir, "arm64") {
		if done[p.ImportPath] != nil {
			continue
		}

		var files []*ast.File

		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, p.ImportPath+"/"+name, readFile(t, p.Dir, name), parser.SkipObjectResolution)
			require.NoError(t, err)

			files = append(files, file)
		}

		_, ours := p.ours()
		config := types.Config{
			IgnoreFuncBodies: !ours,
			Sizes:            types.SizesFor("gc", "arm64"),
			Error:            func(err error) { refuse("%s", err) },
			Importer: importer(func(imported string) *types.Package {
				return done[cmp.Or(p.ImportMap[imported], imported)]
			}),
		}

		if p.Module.GoVersion != "" {
			config.GoVersion = "go" + p.Module.GoVersion
		}

		done[p.ImportPath], _ = config.Check(p.ImportPath, fset, files, nil) // Error has its errors
	}
}

type importer func(string) *types.Package

func (i importer) Import(imported string) (*types.Package, error) { return i(imported), nil }

// checkNextTalos reports tests of what machined links of ours that fail with the modules of the next Talos. The pure
// packages reach none of those.
func checkNextTalos(t *testing.T, r repository, refuse refuseFunc) {
	t.Helper()

	// Vet would look at every package below too, and has looked at ours in their own tests. What runs once is not worth
	// optimising, except for the standard library: the tests of the lab have that compiled already.
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-timeout", "5m", "-modfile", nextModfile}
	for _, domain := range []string{"github.com", "go.uber.org", "golang.org", "google.golang.org", "k8s.io", "sigs.k8s.io"} {
		args = append(args, "-gcflags="+domain+"/...=-N -l -dwarf=false")
	}

	for _, p := range r.linked {
		if dir, ours := p.ours(); ours && !under(dir, pureFolders...) && !slices.Contains(args, p.ImportPath) {
			args = append(args, p.ImportPath)
		}
	}

	if _, err := run(r.dir, nil, "go", args...); err != nil {
		refuse("%s", err)
	}
}
