// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// modulePath is the path of the root module. The paths of the other modules are this one with their folder appended, so
// a folder of the repository and the import path of the package in it differ by this prefix only.
const modulePath = "github.com/talos-rebound/rebound"

// Each file has its .sum next to it.
const (
	talosModfile = "hack/compat/talos-1.13.mod" // the modules of the Talos that we build with
	nextModfile  = "hack/compat/talos-1.14.mod" // and of the one that comes after it
)

// linkedList holds what machined links of what we link. `make linked` writes it.
const linkedList = "hack/compat/talos-1.13.linked"

// linkedPackages are the packages that machined imports: those that internal/embed writes into its sources.
var linkedPackages = []string{
	modulePath + "/pkg/check",
	modulePath + "/pkg/controllers/recovery",
	modulePath + "/pkg/resources/recovery",
}

// repository is what the guards look at. Each of them needs only a few of the fields.
type repository struct {
	dir      string                       // where the files are
	sources  []sourceFile                 // of every module, with tests; all build constraints count as met
	root     []listedPackage              // what the packages of the root module reach
	linked   []listedPackage              // what machined links with ours; twice if on both architectures
	machined []string                     // the lines of linkedList
	modules  []string                     // the build list of the root module, one "path version" for each
	tracked  []string                     // the names of all files that git tracks
	required map[string]map[string]string // of every go.mod and the modfiles: versions by module path
}

// modfiles returns the names of all files that say what a module requires.
func modfiles(t *testing.T, dir string) []string {
	t.Helper()

	names := []string{"go.mod", talosModfile, nextModfile}

	for _, pattern := range []string{"cmd/*/go.mod", "hack/*/go.mod", kubernetesFolder + "/[0-9]*.mod"} {
		found, err := fs.Glob(os.DirFS(dir), pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)

		names = append(names, found...)
	}

	return names
}

// sourceFile is one Go file. Its name is slash-separated and relative to the top of the repository.
type sourceFile struct {
	name string
	ast  *ast.File
}

func (f sourceFile) dir() string { return path.Dir(f.name) }

func (f sourceFile) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// listedPackage is what the go command says of one package.
type listedPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     module   // zero for the standard library
	GoFiles    []string // without the path, without tests
	Imports    []string
	ImportMap  map[string]string // from what the code says to what is meant, where the two differ
}

type module struct{ Path, Version, GoVersion string }

// ours returns the folder of a package of this repository.
func (p listedPackage) ours() (string, bool) { return strings.CutPrefix(p.ImportPath, modulePath+"/") }

// readRepository reads the repository in dir. It reads more than it needs, for the go command's test cache: that does not
// see what the commands read that a test runs.
func readRepository(t *testing.T, dir string) repository {
	t.Helper()

	sources, err := parseTree(os.DirFS(dir))
	require.NoError(t, err)

	modules, err := run(dir, nil, "go", "list", "-m", "all")
	require.NoError(t, err)

	r := repository{
		dir:      dir,
		sources:  sources,
		root:     goList(t, dir, nil, "./..."),
		linked:   slices.Concat(listLinked(t, dir, "amd64"), listLinked(t, dir, "arm64")),
		machined: strings.Split(readFile(t, dir, linkedList), "\n"),
		modules:  strings.Split(modules, "\n"),
		required: map[string]map[string]string{},
	}

	for _, name := range modfiles(t, dir) {
		readFile(t, dir, strings.TrimSuffix(name, ".mod")+".sum")

		parsed, err := modfile.Parse(name, []byte(readFile(t, dir, name)), nil)
		require.NoError(t, err)

		r.required[name] = map[string]string{}
		for _, required := range parsed.Require {
			r.required[name][required.Mod.Path] = required.Mod.Version
		}
	}

	// Without a checkout there is nothing that could have been added to it.
	if _, err := os.Stat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
		// For the test cache too: git writes the index whenever it tracks another file. A work tree has it elsewhere.
		_, _ = os.Stat(filepath.Join(dir, ".git", "index"))

		// A checkout that belongs to somebody else, as in a container, is as good as any for reading names.
		tracked, err := run(dir, nil, "git", "-c", "safe.directory=*", "ls-files", "-z")
		require.NoError(t, err)

		r.tracked = strings.Split(strings.TrimSuffix(tracked, "\x00"), "\x00")
	}

	return r
}

var fset = token.NewFileSet()

// at names the place of a node the way compilers do.
func at(node ast.Node) string {
	position := fset.Position(node.Pos())

	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// parseTree reads the files of every module below the top of a repository, except what the go command ignores too.
func parseTree(repo fs.FS) ([]sourceFile, error) {
	var files []sourceFile

	err := fs.WalkDir(repo, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)

		switch {
		case err != nil:
			return err
		case name != "." && entry.IsDir() && (name == "build" || base == "testdata" || strings.ContainsAny(base[:1], "._")):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}

		source, err := fs.ReadFile(repo, name)
		if err != nil {
			return err
		}

		syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, sourceFile{name: name, ast: syntax})

		return err
	})

	return files, err
}

// listLinked asks the go command for everything that machined links with our packages, when it is built as Talos builds
// it. Without grpcnotrace grpc itself reaches html/template, through golang.org/x/net/trace. The versions count too: the
// go-openapi/swag of go.mod, for example, imports packages that the one in Talos does not.
func listLinked(t *testing.T, dir, arch string) []listedPackage {
	t.Helper()

	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}

	return goList(t, dir, env, append([]string{"-tags", "grpcnotrace", "-modfile", talosModfile}, linkedPackages...)...)
}

// goList asks the go command for packages and everything that they reach, each after what it imports.
func goList(t *testing.T, dir string, env []string, args ...string) []listedPackage {
	t.Helper()

	fields := "-json=ImportPath,Dir,Standard,Module,GoFiles,Imports,ImportMap"
	output, err := run(dir, env, "go", append([]string{"list", "-deps", fields}, args...)...)
	require.NoError(t, err)

	var packages []listedPackage

	for decoder := json.NewDecoder(strings.NewReader(output)); decoder.More(); {
		var listed listedPackage
		require.NoError(t, decoder.Decode(&listed))

		packages = append(packages, listed)
	}

	return packages
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()

	content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	require.NoError(t, err)

	return string(content)
}

// run returns what a command prints to its standard output. The command gets the additional variables in its environment;
// the settings of the person who runs the tests do not reach the go command.
func run(dir string, env []string, name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder

	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{"GOFLAGS=-mod=readonly", "GOWORK=off"}, env)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("failed to run %q: %w\n%s%s", cmd, err, &stdout, &stderr)
	}

	return stdout.String(), nil
}

// waysTo walks breadth first from a package to each unwanted one, and does not look behind an unwanted package: what that
// one imports is its own matter.
func waysTo(packages []listedPackage, from string, unwanted func(string) bool) [][]string {
	var found [][]string

	imports := map[string][]string{}
	for _, p := range packages {
		imports[p.ImportPath] = append(imports[p.ImportPath], p.Imports...)
	}

	seen := map[string]bool{from: true}

	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		way := queue[0]

		for _, next := range imports[way[len(way)-1]] {
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

// under tells whether dir is one of the folders or lies below one.
func under(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}

// importedPath returns what an import declaration imports.
func importedPath(spec *ast.ImportSpec) string { return strings.Trim(spec.Path.Value, "\"`") }

// localNames returns the names under which a file refers to an imported package: one, or none if it does not import it.
// A dot import has the name ".".
func localNames(file *ast.File, imported string) []string {
	var names []string

	for _, spec := range file.Imports {
		switch {
		case importedPath(spec) != imported:
		case spec.Name != nil:
			names = append(names, spec.Name.Name)
		default:
			names = append(names, path.Base(imported))
		}
	}

	return names
}
