// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
)

// modulePath is the path of the root module. The lab's path is this one with its folder appended, so a folder of the
// repository and the import path of the package in it differ by this prefix only.
const modulePath = "github.com/talos-rebound/rebound"

// sourceFile is one Go file of the repository. The zero value is not usable.
type sourceFile struct {
	fset *token.FileSet
	ast  *ast.File
	name string // slash-separated, relative to the top of the repository
	test bool
}

// at names the place of a node the way compilers do.
func (f sourceFile) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.fset.Position(node.Pos()).Line)
}

// sourcePackage is a folder with Go files: a package and its tests. All build constraints count as met.
type sourcePackage struct {
	dir   string // slash-separated, relative to the top of the repository
	files []sourceFile
}

// code returns the files that are built into the package, without its tests.
func (p sourcePackage) code() []sourceFile {
	return slices.DeleteFunc(slices.Clone(p.files), func(f sourceFile) bool { return f.test })
}

// importGraph maps an import path to the import paths that its code, without tests, imports.
type importGraph map[string][]string

// under tells whether dir is one of the folders or lies below one.
func under(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}

// parseTree reads every package of every module below the top of a repository, except what the go command ignores too.
func parseTree(repo fs.FS) ([]sourcePackage, error) {
	var packages []sourcePackage

	fset := token.NewFileSet()

	err := fs.WalkDir(repo, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && ignoredDir(name):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}

		source, err := fs.ReadFile(repo, name)
		if err != nil {
			return err
		}

		syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}

		dir := path.Dir(name)

		// WalkDir visits the files of a folder around those of its subfolders.
		i := slices.IndexFunc(packages, func(p sourcePackage) bool { return p.dir == dir })
		if i < 0 {
			i = len(packages)
			packages = append(packages, sourcePackage{dir: dir})
		}

		packages[i].files = append(packages[i].files, sourceFile{
			fset: fset,
			ast:  syntax,
			name: name,
			test: strings.HasSuffix(name, "_test.go"),
		})

		return nil
	})

	return packages, err
}

func ignoredDir(name string) bool {
	base := path.Base(name)

	return name == "build" || base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

// listedPackage is what the go command says of one package.
type listedPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string // without the path, without tests
	Imports    []string
}

// listImports asks the go command for everything that the packages of the module in dir reach.
func listImports(dir string) (importGraph, error) {
	output, err := run(dir, nil, "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	if err != nil {
		return nil, err
	}

	listed, err := readList(output)

	return graphOf(listed), err
}

// readList reads what go list -json prints: one object after the other.
func readList(output []byte) ([]listedPackage, error) {
	var packages []listedPackage

	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var listed listedPackage

		switch err := decoder.Decode(&listed); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("failed to read the output of go list: %w", err)
		}

		packages = append(packages, listed)
	}
}

func graphOf(packages []listedPackage) importGraph {
	graph := importGraph{}

	for _, p := range packages {
		graph[p.ImportPath] = p.Imports
	}

	return graph
}

// listModules returns the build list of the module in dir, one "path version" for each module.
func listModules(dir string) ([]string, error) {
	output, err := run(dir, nil, "go", "list", "-m", "all")
	if err != nil {
		return nil, err
	}

	return strings.Split(strings.TrimSpace(string(output)), "\n"), nil
}

// listTracked returns the names of all files that git tracks below dir.
func listTracked(dir string) ([]string, error) {
	// A checkout that belongs to somebody else, as in a container, is as good as any for reading names.
	output, err := run(dir, nil, "git", "-c", "safe.directory=*", "ls-files", "-z")
	if err != nil {
		return nil, err
	}

	return strings.Split(strings.Trim(string(output), "\x00"), "\x00"), nil
}

// run returns what a command prints, even if it fails. The command gets the additional variables in its environment; the
// settings of the person who runs the tests do not reach the go command.
func run(dir string, env []string, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer

	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off"), env...)
	cmd.Stderr = &stderr

	output, err := cmd.Output()
	if err != nil {
		return output, fmt.Errorf("failed to run %q: %w: %s", cmd, err, stderr.Bytes())
	}

	return output, nil
}

// importedPath returns what an import declaration imports.
func importedPath(spec *ast.ImportSpec) string {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}

	return imported
}

// localNames returns the names under which a file refers to an imported package: one, or none if it does not import it.
// A dot import has the name ".".
func localNames(file sourceFile, imported string) []string {
	var names []string

	for _, spec := range file.ast.Imports {
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
