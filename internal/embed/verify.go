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
	"path/filepath"
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

	packages, err := editedPackages(tree)
	if err != nil {
		return err
	}

	fmt.Fprintf(progress, "type-checking %d packages\n", len(packages))

	if _, err = goCommand(ctx, dir, append([]string{"build", "-mod=readonly"}, packages...)...); err != nil {
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

// editedPackages are the packages in which rebound was embedded.
func editedPackages(tree fs.FS) ([]string, error) {
	var packages, missing []string

	for _, p := range places {
		text, err := fs.ReadFile(tree, p.path)
		if err != nil {
			return nil, err
		}

		original, err := p.remove(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}

		if bytes.Equal(original, text) {
			if !p.diagnostics {
				missing = append(missing, p.path)
			}

			continue
		}

		if folder := "./" + filepath.ToSlash(filepath.Dir(p.path)); !slices.Contains(packages, folder) {
			packages = append(packages, folder)
		}
	}

	if len(missing) > 0 {
		return nil, fmt.Errorf("rebound is not embedded: nothing of it is in %s", strings.Join(missing, ", "))
	}

	return packages, nil
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

	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}

	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(absolute, filepath.FromSlash(verifyFolder), "main.go"): filepath.Join(temporary, "main.go"),
	}})
	if err != nil {
		return nil, err
	}

	for name, content := range map[string][]byte{"main.go": program, "overlay.json": overlay} {
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

	var out, words bytes.Buffer

	cmd.Stdout, cmd.Stderr = &out, &words

	err := cmd.Run()

	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && words.Len() > 0:
		return nil, errors.New(firstLines(strings.TrimSpace(words.String()), wordsOfGo))
	case err != nil:
		return nil, fmt.Errorf("failed to run go %s: %w", args[0], err)
	default:
		return out.Bytes(), nil
	}
}

// wordsOfGo is how many lines of an error of the go command are worth reading: one module that is missing makes hundreds.
const wordsOfGo = 20

func firstLines(text string, most int) string {
	lines := strings.SplitN(text, "\n", most+1)
	if len(lines) > most {
		lines[most] = "…"
	}

	return strings.Join(lines, "\n")
}

// registration is a program that registers what the controller list has, and all that NewState has. The controllers are
// those of machined without the values of their fields: name, inputs and outputs, which are what can conflict, do not
// depend on them.
func registration(text []byte) ([]byte, error) {
	s, err := parseSource(controllers.path, text)
	if err != nil {
		return nil, err
	}

	list, err := s.listOf(controllers.function, controllers.typePath, controllers.typeName)
	if err != nil {
		return nil, err
	}

	var elements strings.Builder

	used := map[string]bool{}

	for _, element := range list.Elts {
		qualifier, expression, err := constructor(element)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.line(element.Pos()), err)
		}

		used[qualifier] = true

		fmt.Fprintf(&elements, "\t\t%s,\n", expression)
	}

	var imports strings.Builder

	for _, spec := range s.file.Imports {
		if name := s.importName(importPath(spec)); used[name] {
			fmt.Fprintf(&imports, "\t%s %q\n", name, importPath(spec))
		}
	}

	return fmt.Appendf(nil, registrationProgram, imports.String(), elements.String()), nil
}

// constructor is an expression for a controller like that in the list, and the name of the package that it is from. A
// pointer to a new struct goes without its fields. A call that needs parts of machined gives way to a new value of the
// type that it returns; only if that is an interface it is made, without those parts.
func constructor(element ast.Expr) (qualifier, expression string, err error) {
	switch element := element.(type) {
	case *ast.UnaryExpr:
		if value, ok := element.X.(*ast.CompositeLit); ok && element.Op == token.AND {
			expression = "&" + typeName(value.Type) + "{}"
			qualifier, _, _ = strings.Cut(typeName(value.Type), ".")
		}
	case *ast.CallExpr:
		args, literal := arguments(element.Args)
		expression = typeName(element.Fun) + "(" + strings.Join(args, ", ") + ")"
		qualifier, _, _ = strings.Cut(typeName(element.Fun), ".")

		if !literal {
			expression = fmt.Sprintf("verifyNew(%s, func() verifycontroller.Controller { return %s })", typeName(element.Fun), expression)
		}
	}

	if qualifier == "" {
		return "", "", errors.New("this controller cannot be made outside of machined: it is neither a pointer to a new struct nor a call of a function")
	}

	return qualifier, expression, nil
}

// arguments are literals as they are, and nil for everything else: parts of machined.
func arguments(args []ast.Expr) (texts []string, literal bool) {
	literal = true

	for _, arg := range args {
		switch arg := arg.(type) {
		case *ast.BasicLit:
			texts = append(texts, arg.Value)
		case *ast.Ident:
			if arg.Name == "true" || arg.Name == "false" {
				texts = append(texts, arg.Name)

				continue
			}

			texts, literal = append(texts, "nil"), false
		default:
			texts, literal = append(texts, "nil"), false
		}
	}

	return texts, literal
}

const registrationProgram = `package main

import (
	verifyfmt "fmt"
	verifyos "os"
	verifyreflect "reflect"

	verifycontroller "github.com/cosi-project/runtime/pkg/controller"
	verifyruntime "github.com/cosi-project/runtime/pkg/controller/runtime"
	verifyzap "go.uber.org/zap"

	verifystate "github.com/siderolabs/talos/internal/app/machined/pkg/runtime/v1alpha2"
%s)

func verifyNew(constructor any, call func() verifycontroller.Controller) verifycontroller.Controller {
	if made := verifyreflect.TypeOf(constructor).Out(0); made.Kind() == verifyreflect.Pointer {
		return verifyreflect.New(made.Elem()).Interface().(verifycontroller.Controller)
	}

	return call()
}

func main() {
	state, err := verifystate.NewState()
	if err != nil {
		verifyfmt.Fprintln(verifyos.Stderr, "the resource definitions conflict:", err)
		verifyos.Exit(1)
	}

	runtime, err := verifyruntime.NewRuntime(state.Resources(), verifyzap.NewNop())
	if err != nil {
		verifyfmt.Fprintln(verifyos.Stderr, err)
		verifyos.Exit(1)
	}

	controllers := []verifycontroller.Controller{
%s	}
	conflicts := 0

	for _, controller := range controllers {
		if err = runtime.RegisterController(controller); err != nil {
			verifyfmt.Fprintf(verifyos.Stderr, "controller %%q conflicts: %%v\n", controller.Name(), err)

			conflicts++
		}
	}

	if conflicts > 0 {
		verifyos.Exit(1)
	}

	graph, err := runtime.GetDependencyGraph()
	if err != nil {
		verifyfmt.Fprintln(verifyos.Stderr, err)
		verifyos.Exit(1)
	}

	verifyfmt.Printf("%%d controllers registered, %%d edges in their graph, no conflicts\n", len(controllers), len(graph.Edges))
}
`
