// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// nextModfile has the modules of the Talos that comes after the one that we build with.
const nextModfile = "hack/compat/talos-1.14.mod"

// linkedTests are the tests, and with them all packages, of what machined links.
var linkedTests = []string{"./pkg/...", "./internal/kube/...", "./internal/recovery/..."}

// TestBuildsIntoMachined compiles what machined links the way Talos does, for the other one of its architectures.
func TestBuildsIntoMachined(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("compiles COSI and client-go once more")
	}

	touchSources(t)

	require.NoError(t, buildLinked(top, linkedPackages))
}

// TestBuildsIntoMachinedCanFail shows that the packages are really compiled, and for the architecture it is about.
func TestBuildsIntoMachinedCanFail(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/linked\n")
	write(t, dir, linkedBuild.modfile, "module example.com/linked\n")
	write(t, dir, "linked.go", "package linked\n")
	write(t, dir, "linked_arm64.go", "package linked\n\nvar days int = \"seven\"\n")

	assert.ErrorContains(t, buildLinked(dir, []string{"."}), "linked_arm64.go:3:")
}

// TestPassesWithNextTalos compiles and tests what machined links with the modules of the next Talos.
func TestPassesWithNextTalos(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("compiles COSI and client-go once more")
	}

	touchSources(t)

	require.NoError(t, testWith(top, nextModfile, linkedTests))
}

// TestPassesWithNextTalosCanFail shows that the tests are really run, and that the modfile counts.
func TestPassesWithNextTalosCanFail(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/linked\n\ngo 1.26\n")
	write(t, dir, "next.mod", "module example.com/linked\n\ngo 1.20\n")
	write(t, dir, "linked.go", "package linked\n\nfunc days() (n int) { return n }\n")
	write(t, dir, "linked_test.go", `package linked

import "testing"

func TestDays(t *testing.T) {
	if days() != 7 {
		t.Error("days are missing")
	}
}
`)

	assert.ErrorContains(t, testWith(dir, "go.mod", []string{"."}), "days are missing")

	write(t, dir, "linked.go", "package linked\n\nfunc days() (n int) {\n\tfor range 7 {\n\t\tn++\n\t}\n\treturn n\n}\n")

	assert.NoError(t, testWith(dir, "go.mod", []string{"."}))
	assert.ErrorContains(t, testWith(dir, "next.mod", []string{"."}), "requires go1.22 or later")
}

// TestModfilesAreNotOlder keeps what the modfiles say of Talos true.
func TestModfilesAreNotOlder(t *testing.T) {
	t.Parallel()

	ours := readModfile(t, "go.mod")

	for _, name := range []string{linkedBuild.modfile, nextModfile} {
		assertNone(t, checkNotOlder(name, ours, readModfile(t, name)))
	}
}

func TestModfilesAreNotOlderCanFail(t *testing.T) {
	t.Parallel()

	ours := map[string]string{"example.com/a": "v1.2.0", "example.com/b": "v1.2.0", "example.com/c": "v1.2.0-rc.1"}

	assert.Empty(t, checkNotOlder("talos.mod", ours, map[string]string{"example.com/a": "v1.2.0", "example.com/c": "v1.2.0"}))
	assert.Equal(t,
		[]string{
			"go.mod requires example.com/a v1.2.0, but talos.mod v1.1.9: Talos would have to take ours; lower go.mod, or raise " +
				"talos.mod once Talos has",
			"go.mod requires example.com/c v1.2.0-rc.1, but talos.mod v1.1.0: Talos would have to take ours; lower go.mod, or raise " +
				"talos.mod once Talos has",
		},
		checkNotOlder("talos.mod", ours,
			map[string]string{"example.com/c": "v1.1.0", "example.com/a": "v1.1.9", "example.com/b": "v1.10.0"}))
}

// checkNotOlder reports modules that go.mod requires in newer versions than the modfile, both given as versions by path.
func checkNotOlder(name string, ours, theirs map[string]string) []string {
	var violations []string

	for module, version := range theirs {
		if semver.Compare(ours[module], version) > 0 {
			violations = append(violations, fmt.Sprintf("go.mod requires %s %s, but %s %s: Talos would have to take ours; "+
				"lower go.mod, or raise %s once Talos has", module, ours[module], name, version, name))
		}
	}

	slices.Sort(violations)

	return violations
}

// buildLinked compiles packages of the module in dir for linux/arm64 and keeps nothing.
func buildLinked(dir string, packages []string) error {
	args := []string{"build", "-tags", linkedBuild.tags, "-modfile", linkedBuild.modfile}

	_, err := run(dir, append(slices.Clone(linkedBuild.env), "GOARCH=arm64"), "go", append(args, packages...)...)

	return err
}

// testWith runs the tests of packages of the module in dir with other modules than those of its go.mod.
func testWith(dir, modfile string, packages []string) error {
	args := []string{"test", "-timeout", "5m", "-modfile", modfile}

	output, err := run(dir, nil, "go", append(args, packages...)...)
	if err != nil {
		return fmt.Errorf("%w%s", err, output)
	}

	return nil
}

// touchSources tells the go command's test cache, which does not see what a go command reads that a test runs, that the
// result depends on every Go file of the repository and on its modules.
func touchSources(t *testing.T) {
	t.Helper()

	_, err := parseTree(os.DirFS(top))
	require.NoError(t, err)

	modules, err := filepath.Glob(filepath.Join(top, "hack", "compat", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, modules)

	for _, name := range append(modules, filepath.Join(top, "go.mod"), filepath.Join(top, "go.sum")) {
		_, err = os.ReadFile(name)
		require.NoError(t, err)
	}
}

// readModfile returns the versions that a file in the form of go.mod requires, by module path.
func readModfile(t *testing.T, name string) map[string]string {
	t.Helper()

	content, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
	require.NoError(t, err)

	parsed, err := modfile.Parse(name, content, nil)
	require.NoError(t, err)

	versions := map[string]string{}
	for _, required := range parsed.Require {
		versions[required.Mod.Path] = required.Mod.Version
	}

	return versions
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()

	name = filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
}
