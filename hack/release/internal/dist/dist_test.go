// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/release/internal/dist"
	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

// top is the top of the repository.
var top = filepath.Join("..", "..", "..", "..")

var released = revision.Revision{
	Version: "v0.1.0+dirty", Commit: strings.Repeat("0123456789", 4), Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
}

// standIn is a source that builds in a moment and answers like rebound and its coordinator.
var standIn = map[string]string{
	"go.mod":                  "module github.com/talos-rebound/rebound\n\ngo 1.26\n",
	"internal/cli/version.go": "package cli\n\nvar version, commit string\n\nfunc Version() string { return \"rebound \" + version + \"\\ncommit \" + commit }\n",
	"cmd/rebound/main.go": `package main

import (
	"os"

	"github.com/talos-rebound/rebound/internal/cli"
)

func main() {
	if os.Args[1] == "version" {
		say(cli.Version())
	}

	for _, arg := range os.Args[1:] {
		say(arg)
	}
}

func say(line string) { os.Stdout.WriteString(line + "\n") }
`,
	"cmd/rebound-coordinator/go.mod":                              "module github.com/talos-rebound/rebound/cmd/rebound-coordinator\n\ngo 1.26\n",
	"cmd/rebound-coordinator/main.go":                             coordinatorMain,
	"cmd/rebound-coordinator/deploy/base/kustomization.yaml":      "resources: [crds, pod.yaml]\n",
	"cmd/rebound-coordinator/deploy/base/crds/kustomization.yaml": "resources: [crd.yaml]\n",
	"cmd/rebound-coordinator/deploy/base/crds/crd.yaml":           "apiVersion: v1\nkind: CRD\nmetadata: {name: crd}\n",
	"cmd/rebound-coordinator/deploy/base/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: coordinator}\n" +
		"spec: {containers: [{name: coordinator, image: ghcr.io/talos-rebound/rebound-coordinator}]}\n",
	"cmd/rebound-coordinator/deploy/examples/talos/kustomization.yaml": "resources: [../../base]\nnamePrefix: talos-\n",
}

const coordinatorMain = `package main

import "os"

var version, commit string

func main() { os.Stdout.WriteString("rebound-coordinator " + version + "\ncommit " + commit + "\n") }
`

// TestRelease writes a release twice, from two folders to two others.
func TestRelease(t *testing.T) {
	t.Parallel()

	first, second := newOptions(t, nil), newOptions(t, nil)

	var log bytes.Buffer

	require.NoError(t, dist.Write(t.Context(), first, &log))
	require.NoError(t, dist.Write(t.Context(), second, io.Discard))

	files := readFolder(t, first.Out)

	assert.ElementsMatch(t, append([]string{
		"Dockerfile", "SHA256SUMS", "rebound-image.tar", "rebound-image-amd64.tar", "rebound-image-arm64.tar",
		"rebound-k3s.yaml", "rebound-kubeadm.yaml", "rebound-rke2.yaml", "rebound-talos.yaml", "rebound.service",
		"coordinator.Dockerfile", "rebound-crds.yaml", "rebound-coordinator.yaml", "rebound-coordinator-talos.yaml", "rebound-coordinator-image.tar",
		"rebound-coordinator-image-amd64.tar", "rebound-coordinator-image-arm64.tar",
	}, binaries(first.Targets)...), slices.Collect(maps.Keys(files)))

	again := readFolder(t, second.Out)

	for name, content := range files {
		assert.True(t, content == again[name], "%s differs", name)
		assert.NotContains(t, content, first.Source, name)

		if name != "SHA256SUMS" {
			assert.Contains(t, log.String(), name)
		}
	}

	assertChecksums(t, files)
	assertStatic(t, first.Out)

	assert.Equal(t, "manifest\n--platform\nk3s\n--image\nexample.com/rebound:v0.1.0-dirty\n", files["rebound-k3s.yaml"])
	assert.Equal(t, "manifest\n--platform\nsystemd\n", files["rebound.service"])

	const (
		crd = "apiVersion: v1\nkind: CRD\nmetadata:\n  name: %s\n"
		pod = "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\nspec:\n  containers:\n" +
			"  - image: example.com/rebound-coordinator:v0.1.0-dirty\n    name: coordinator\n"
	)

	assert.Equal(t, fmt.Sprintf(crd, "crd"), files["rebound-crds.yaml"])
	assert.Equal(t, fmt.Sprintf(crd+pod, "crd", "coordinator"), files["rebound-coordinator.yaml"])
	assert.Equal(t, fmt.Sprintf(crd+pod, "talos-crd", "talos-coordinator"), files["rebound-coordinator-talos.yaml"])
}

// TestDockerfile checks that who builds the image with it gets the same.
func TestDockerfile(t *testing.T) {
	t.Parallel()

	options := newOptions(t, nil)
	require.NoError(t, dist.Write(t.Context(), options, io.Discard))

	for name, program := range map[string]string{"Dockerfile": "rebound", "coordinator.Dockerfile": "rebound-coordinator"} {
		t.Run(program, func(t *testing.T) { assertDockerfile(t, options.Out, name, program) })
	}
}

func assertDockerfile(t *testing.T, folder, name, program string) {
	t.Helper()

	dockerfile := readFolder(t, folder)[name]

	image, err := crane.Load(filepath.Join(folder, program+"-image-amd64.tar"))
	require.NoError(t, err)

	config, err := image.ConfigFile()
	require.NoError(t, err)

	assert.Contains(t, dockerfile, "\nFROM scratch\n")
	assert.Equal(t, []string{"/" + program}, config.Config.Entrypoint)
	assert.Contains(t, dockerfile, "\nCOPY --chmod=0755 "+program+"-${TARGETOS}-${TARGETARCH} /"+program+"\n")
	assert.Contains(t, dockerfile, "\nENTRYPOINT [\""+config.Config.Entrypoint[0]+"\"]\n")
	assert.Contains(t, dockerfile, "\nUSER "+config.Config.User+"\n")
	assert.Contains(t, dockerfile, "\nWORKDIR "+config.Config.WorkingDir+"\n")

	// The order of the lines counts: an argument is set before it is used.
	arguments, used, _ := strings.Cut(dockerfile, "LABEL ")
	expanded := strings.NewReplacer(
		"${VERSION}", argument(t, arguments, "VERSION"), "${REVISION}", argument(t, arguments, "REVISION")).Replace(used)
	labels := map[string]string{}

	for _, match := range regexp.MustCompile(`(org\.opencontainers\.image\.\w+)="([^"]*)"`).FindAllStringSubmatch(expanded, -1) {
		labels[match[1]] = match[2]
	}

	assert.Equal(t, config.Config.Labels, labels)
}

// TestReplaces keeps an older release until the new one is complete, and takes nothing else for one.
func TestReplaces(t *testing.T) {
	t.Parallel()

	options := newOptions(t, nil)
	require.NoError(t, os.MkdirAll(options.Out, 0o700))

	keep := filepath.Join(options.Out, "keep")
	require.NoError(t, os.WriteFile(keep, nil, 0o600))

	require.ErrorContains(t, dist.Write(t.Context(), options, io.Discard), "has something in it that is no release")
	assert.FileExists(t, keep)

	require.NoError(t, os.WriteFile(filepath.Join(options.Out, "SHA256SUMS"), nil, 0o600))

	stopped, stop := context.WithCancel(t.Context())
	stop()

	require.ErrorIs(t, dist.Write(stopped, options, io.Discard), context.Canceled)
	assert.FileExists(t, keep)
	assertClean(t, options)

	require.NoError(t, dist.Write(t.Context(), options, io.Discard))
	assert.NoFileExists(t, keep)
	assertClean(t, options)
}

func TestFails(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		source   map[string]string
		change   func(options *dist.Options)
		expected string
	}{
		"a source that does not compile": {
			source:   map[string]string{"cmd/rebound/main.go": "package main\n\nfunc main() { away() }\n"},
			expected: "undefined: away",
		},
		"variables that have moved": {
			source: map[string]string{
				"internal/cli/version.go": "package cli\n\nfunc Version() string { return \"rebound (devel)\" }\n",
			},
			expected: `version does not say "rebound v0.1.0+dirty": have the variables in`,
		},
		"variables of the coordinator that have moved": {
			source: map[string]string{
				"cmd/rebound-coordinator/main.go": strings.Replace(coordinatorMain, "version, commit", "release, commit, version", 1) +
					"\nfunc init() { version = release }\n",
			},
			expected: `version does not say "rebound-coordinator v0.1.0+dirty": have the variables in main moved?`,
		},
		"no base": {
			source:   map[string]string{"cmd/rebound-coordinator/deploy/base/kustomization.yaml": "resources: [away.yaml]\n"},
			expected: "failed to render base",
		},
		"another image": {
			source: map[string]string{
				"cmd/rebound-coordinator/deploy/base/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: coordinator}\n" +
					"spec: {containers: [{name: coordinator, image: example.com/other}]}\n",
			},
			expected: `failed to render base: it has no image "ghcr.io/talos-rebound/rebound-coordinator" to replace`,
		},
		"no such manifest": {
			source: map[string]string{
				"cmd/rebound/main.go": strings.Replace(standIn["cmd/rebound/main.go"], "for _, arg", "if os.Args[1] == \"manifest\" {\n"+
					"os.Stderr.WriteString(\"unknown command\")\nos.Exit(2)\n}\nfor _, arg", 1),
			},
			expected: "failed to render the manifest for talos: exit status 2\nunknown command",
		},
		"a machine that cannot run it": {
			change: func(options *dist.Options) {
				options.Targets = []dist.Target{{OS: "plan9", Arch: "amd64"}}
			},
			expected: "cannot run what is built here",
		},
		"no name of an image": {
			change:   func(options *dist.Options) { options.Repository = "Example" },
			expected: "failed to name the image",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			options := newOptions(t, test.source)
			if test.change != nil {
				test.change(&options)
			}

			require.ErrorContains(t, dist.Write(t.Context(), options, io.Discard), test.expected)
			assert.NoDirExists(t, options.Out)
			assertClean(t, options)
		})
	}
}

// TestVariablesExist looks in the real source for the variables that the linker sets: it does not tell if there are none.
func TestVariablesExist(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"internal/cli/version.go", "cmd/rebound-coordinator/version.go"} {
		assert.Subset(t, stringVariables(t, filepath.Join(top, filepath.FromSlash(path))), []string{"version", "commit"}, path)
	}
}

// stringVariables are those of a file that have no value.
func stringVariables(t *testing.T, path string) []string {
	t.Helper()

	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)

	var found []string

	for _, declaration := range file.Decls {
		if variables, ok := declaration.(*ast.GenDecl); ok && variables.Tok == token.VAR {
			for _, spec := range variables.Specs {
				value := spec.(*ast.ValueSpec)

				if kind, ok := value.Type.(*ast.Ident); ok && kind.Name == "string" && value.Values == nil {
					for _, name := range value.Names {
						found = append(found, name.Name)
					}
				}
			}
		}
	}

	return found
}

// newOptions are those for a stand-in, with other files in place of its own, in a folder of its own.
func newOptions(t *testing.T, changed map[string]string) dist.Options {
	t.Helper()

	folder := t.TempDir()
	files := maps.Clone(standIn)
	maps.Copy(files, changed)

	for name, content := range files {
		file := filepath.Join(folder, "source", filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}

	targets := []dist.Target{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
	if host := (dist.Target{OS: runtime.GOOS, Arch: runtime.GOARCH}); !slices.Contains(targets, host) {
		targets = append(targets, host)
	}

	return dist.Options{
		Source: filepath.Join(folder, "source"), Out: filepath.Join(folder, "build", "release"),
		Revision: released, Repository: "example.com/rebound", Dockerfiles: os.DirFS(filepath.Join("..", "..")), Targets: targets,
	}
}

func binaries(targets []dist.Target) []string {
	names := make([]string, 0, 2*len(targets))

	for _, target := range targets {
		for _, program := range []string{"rebound", "rebound-coordinator"} {
			names = append(names, program+"-"+target.OS+"-"+target.Arch)
		}
	}

	return names
}

func readFolder(t *testing.T, folder string) map[string]string {
	t.Helper()

	entries, err := os.ReadDir(folder)
	require.NoError(t, err)

	files := map[string]string{}

	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		require.NoError(t, err)

		files[entry.Name()] = string(content)
	}

	return files
}

// assertChecksums does what sha256sum --check does, and asks for every file.
func assertChecksums(t *testing.T, files map[string]string) {
	t.Helper()

	sums := map[string]string{}

	for line := range strings.Lines(files["SHA256SUMS"]) {
		sum, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		require.True(t, found, line)

		sums[name] = sum
	}

	for name, content := range files {
		if name == "SHA256SUMS" {
			assert.NotContains(t, sums, name)

			continue
		}

		sum := sha256.Sum256([]byte(content))
		assert.Equal(t, hex.EncodeToString(sum[:]), sums[name], name)
	}
}

// assertStatic checks that the Linux binaries start where there is nothing else, and on the right machine.
func assertStatic(t *testing.T, folder string) {
	t.Helper()

	for name, machine := range map[string]elf.Machine{
		"rebound-linux-amd64": elf.EM_X86_64, "rebound-linux-arm64": elf.EM_AARCH64,
		"rebound-coordinator-linux-amd64": elf.EM_X86_64, "rebound-coordinator-linux-arm64": elf.EM_AARCH64,
	} {
		info, err := os.Stat(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o111), info.Mode().Perm()&0o111, name)

		binary, err := elf.Open(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.Equal(t, machine, binary.Machine)

		for _, program := range binary.Progs {
			assert.NotEqual(t, elf.PT_INTERP, program.Type, "%s is linked dynamically", name)
		}

		require.NoError(t, binary.Close())
	}
}

// assertClean checks that nothing unfinished is left beside the release.
func assertClean(t *testing.T, options dist.Options) {
	t.Helper()

	entries, err := os.ReadDir(filepath.Dir(options.Out))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}

	for _, entry := range entries {
		assert.Equal(t, filepath.Base(options.Out), entry.Name())
	}
}

// argument is the default of an argument of a Dockerfile.
func argument(t *testing.T, dockerfile, name string) string {
	t.Helper()

	match := regexp.MustCompile(`(?m)^ARG ` + name + `=(.+)$`).FindStringSubmatch(dockerfile)
	require.Len(t, match, 2, "no ARG %s with a value", name)

	return match[1]
}
