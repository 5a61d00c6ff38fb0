// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// verifyFolder is where the program that registers everything appears to the go command. Nothing is written there.
const verifyFolder = runtimeFolder + "/reboundverify"

// Verify type-checks what was edited in a tree of Talos, and registers all namespaces, resource definitions and
// controllers with a COSI runtime of its own, as machined does when it starts: a conflict there is a boot loop. What it
// does goes to progress. It needs the go command and everything that Talos needs to be built; nothing is written to the
// tree.
func Verify(ctx context.Context, dir string, progress io.Writer) error {
	tree := os.DirFS(dir)

	if _, err := TalosVersion(tree); err != nil {
		return err
	}

	for _, l := range lists {
		if text, err := fs.ReadFile(tree, l.path); err != nil {
			return err
		} else if !l.diagnostics && !bytes.Contains(text, []byte(marker)) {
			return fmt.Errorf("rebound is not embedded: nothing of it is in %s", l.path)
		}
	}

	fmt.Fprintln(progress, "type-checking what was edited")

	if _, err := goCommand(ctx, dir, "build", "-mod=readonly", "./"+runtimeFolder, "./"+checkFolder, "./"+runtimeCtrlFolder+"/..."); err != nil {
		return fmt.Errorf("failed to type-check the edited packages: %w", err)
	}

	if runtime.GOOS != "linux" {
		return fmt.Errorf("failed to register the controllers: they run on linux, not on %s", runtime.GOOS)
	}

	fmt.Fprintln(progress, "registering namespaces, resource definitions and controllers")

	out, err := register(ctx, dir)
	if err != nil {
		return err
	}

	_, err = progress.Write(out)

	return err
}

func register(ctx context.Context, dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, controllers.path))
	if err != nil {
		return nil, err
	}

	program, err := registration(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", controllers.path, err)
	}

	temporary, err := os.MkdirTemp("", "rebound-embed-")
	if err != nil {
		return nil, fmt.Errorf("failed to create a temporary folder: %w", err)
	}

	defer os.RemoveAll(temporary) //nolint:errcheck // it is in the way of nobody

	files := map[string][]byte{"main.go": []byte(mainProgram), "controllers.go": program}
	replace := map[string]string{}

	for name := range files {
		replace[filepath.Join(filepath.FromSlash(verifyFolder), name)] = filepath.Join(temporary, name)
	}

	if files["overlay.json"], err = json.Marshal(map[string]any{"Replace": replace}); err != nil {
		return nil, err
	}

	for name, content := range files {
		if err = os.WriteFile(filepath.Join(temporary, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("failed to write the program that registers everything: %w", err)
		}
	}

	out, err := goCommand(ctx, dir, "run", "-mod=readonly", "-overlay", filepath.Join(temporary, "overlay.json"), "./"+verifyFolder)
	if err != nil {
		return nil, fmt.Errorf("failed to register everything, with this machined would not start: %w", err)
	}

	return out, nil
}

// goCommand runs the go command in a tree and returns what it writes. The error has its words.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second

	// machined is for linux alone.
	cmd.Env = append(os.Environ(), "GOOS=linux")

	out, err := cmd.Output()

	exit, ok := errors.AsType[*exec.ExitError](err)

	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case ok && len(exit.Stderr) > 0:
		// One module that is missing makes hundreds of lines.
		lines := strings.SplitN(strings.TrimSpace(string(exit.Stderr)), "\n", 21)

		return nil, errors.New(strings.Join(lines[:min(len(lines), 20)], "\n"))
	case err != nil:
		return nil, fmt.Errorf("failed to run go %s: %w", args[0], err)
	default:
		return out, nil
	}
}

// registration is the program's list of controllers: those of machined without the values of their fields. Name, inputs and
// outputs, which are what can conflict, do not depend on them.
func registration(text []byte) ([]byte, error) {
	s, err := parse(controllers.path, text)
	if err != nil {
		return nil, err
	}

	literal, err := controllers.find(s)
	if err != nil {
		return nil, err
	}

	var elements, imports strings.Builder

	for _, element := range literal.Elts {
		expression := s.constructor(element)
		if expression == "" {
			return nil, fmt.Errorf("line %d: this controller cannot be made outside of machined: it is neither a pointer to a new struct nor a call of a function",
				s.position(element.Pos()).Line)
		}

		fmt.Fprintf(&elements, "\t%s,\n", expression)
	}

	used := regexp.MustCompile(`\w+\.`).FindAllString(elements.String(), -1)

	for _, spec := range s.file.Imports {
		name := path.Base(importPath(spec))
		if spec.Name != nil {
			name = spec.Name.Name
		}

		if slices.Contains(used, name+".") {
			fmt.Fprintf(&imports, "\t%s %q\n", name, importPath(spec))
		}
	}

	return fmt.Appendf(nil, controllersProgram, imports.String(), elements.String()), nil
}

// constructor is an expression for a controller like that in the list; empty if there is none. A pointer to a new struct
// goes without its fields. A call that needs parts of machined, which is all that is no literal, gives way to a new value
// of the type that it returns; only if that is an interface it is made, without those parts.
func (s *source) constructor(element ast.Expr) string {
	switch element := element.(type) {
	case *ast.UnaryExpr:
		if value, ok := element.X.(*ast.CompositeLit); ok && element.Op == token.AND {
			return "&" + s.words(value.Type) + "{}"
		}
	case *ast.CallExpr:
		if _, ok := element.Fun.(*ast.SelectorExpr); !ok {
			return ""
		}

		function, literal := s.words(element.Fun), true
		args := make([]string, len(element.Args))

		for i, arg := range element.Args {
			args[i] = s.words(arg)

			if _, ok := arg.(*ast.BasicLit); !ok && args[i] != "true" && args[i] != "false" {
				args[i], literal = "nil", false
			}
		}

		call := function + "(" + strings.Join(args, ", ") + ")"
		if !literal {
			call = "made(" + function + ", func() verifycontroller.Controller { return " + call + " })"
		}

		return call
	}

	return ""
}

const controllersProgram = `package main

import (
	verifycontroller "github.com/cosi-project/runtime/pkg/controller"

%s)

var controllers = []verifycontroller.Controller{
%s}
`

const mainProgram = `package main

import (
	"fmt"
	"log"
	"reflect"

	"github.com/cosi-project/runtime/pkg/controller"
	"github.com/cosi-project/runtime/pkg/controller/runtime"
	"go.uber.org/zap"

	"github.com/siderolabs/talos/internal/app/machined/pkg/runtime/v1alpha2"
)

func made(constructor any, call func() controller.Controller) controller.Controller {
	if result := reflect.TypeOf(constructor).Out(0); result.Kind() == reflect.Pointer {
		return reflect.New(result.Elem()).Interface().(controller.Controller)
	}

	return call()
}

func main() {
	log.SetFlags(0)

	state, err := v1alpha2.NewState()
	if err != nil {
		log.Fatalln("the resource definitions conflict:", err)
	}

	registered, err := runtime.NewRuntime(state.Resources(), zap.NewNop())
	if err != nil {
		log.Fatalln(err)
	}

	conflicts := 0

	for _, c := range controllers {
		if err = registered.RegisterController(c); err != nil {
			log.Printf("controller %q conflicts: %v", c.Name(), err)

			conflicts++
		}
	}

	if conflicts > 0 {
		log.Fatalf("%d controllers conflict", conflicts)
	}

	graph, err := registered.GetDependencyGraph()
	if err != nil {
		log.Fatalln(err)
	}

	fmt.Printf("%d controllers registered, %d edges in their graph, no conflicts\n", len(controllers), len(graph.Edges))
}
`
