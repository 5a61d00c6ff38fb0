// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Check tells what is wrong with the rows, as far as that can be told without running anything: a name that is there twice, a
// text that does not occur exactly once in its file, a file that is no Go any more, a test that does not exist. The error
// names each such row; nil means that the table fits the repository at source.
func Check(source string, rows []Row) error {
	var errs []error

	named := map[string]bool{}
	tests := map[string]*testFiles{}

	for i := range rows {
		row := &rows[i]

		if named[row.Name] {
			errs = append(errs, fmt.Errorf("row %q: there is another row of this name", row.Name))
		}

		named[row.Name] = true

		if _, err := row.mutate(source); err != nil {
			errs = append(errs, fmt.Errorf("row %q: %w", row.Name, err))
		}

		folder := row.Package()
		if tests[folder] == nil {
			files, err := readTests(filepath.Join(source, filepath.FromSlash(folder)))
			if err != nil {
				return err
			}

			tests[folder] = files
		}

		if missing := tests[folder].lacks(row.Test); missing != "" {
			errs = append(errs, fmt.Errorf("row %q: no test in %s is called %q", row.Name, folder, missing))
		}
	}

	return errors.Join(errs...)
}

// mutate returns the row's file as it is after the change.
func (r *Row) mutate(source string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(source, filepath.FromSlash(r.File)))
	if err != nil {
		return nil, err
	}

	switch n := strings.Count(string(content), r.Old); {
	case r.Old == "" || r.Old == r.New:
		return nil, errors.New("it changes nothing")
	case n != 1:
		return nil, fmt.Errorf("the text to change occurs %d times in %s, and not once", n, r.File)
	}

	mutated := strings.Replace(string(content), r.Old, r.New, 1)

	if _, err = parser.ParseFile(token.NewFileSet(), r.File, mutated, parser.SkipObjectResolution); err != nil {
		return nil, fmt.Errorf("after the change it is no Go: %w", err)
	}

	return []byte(mutated), nil
}

// testFiles is what the tests of one package are called.
type testFiles struct {
	functions, texts map[string]bool
}

func readTests(dir string) (*testFiles, error) {
	found := &testFiles{functions: map[string]bool{}, texts: map[string]bool{}}

	names, err := fs.Glob(os.DirFS(dir), "*_test.go")
	if err != nil {
		return nil, err
	}

	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("failed to read tests: %w", err)
		}

		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				found.functions[node.Name.Name] = true
			case *ast.BasicLit:
				if text, err := strconv.Unquote(node.Value); node.Kind == token.STRING && err == nil {
					found.texts[text] = true
				}
			}

			return true
		})
	}

	return found, nil
}

// lacks returns the part of a test's name that no test has; empty if there is none. A subtest has its name from a text.
func (f *testFiles) lacks(test string) string {
	for i, name := range strings.Split(test, "/") {
		if known := i == 0 && f.functions[name] || i > 0 && f.texts[name]; !known {
			return name
		}
	}

	return ""
}
