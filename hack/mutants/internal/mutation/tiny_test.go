// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tiny unpacks testdata/tiny.txtar to a work tree in which nothing was committed.
func tiny(t *testing.T) string {
	t.Helper()

	dir := t.TempDir()

	archive, err := txtar.ParseFile("testdata/tiny.txtar")
	require.NoError(t, err)
	require.NoError(t, txtar.Write(archive, dir))
	git(t, dir, "init", "--quiet")

	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir

	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// knock is a row whose mutant does something in TestAKnock.
func knock(what string) mutation.Row {
	return mutation.Row{
		Name: "knock", File: "door/door.go", Old: "func Knock() {\n", New: "func Knock() {\n" + what + "\n", Test: "TestAKnock",
	}
}

// door is a row whose mutant lets in whom it says.
func door(condition, test string) mutation.Row {
	return mutation.Row{Name: "door", File: "door/door.go", Old: "inside < 3", New: condition, Test: test}
}

// runner runs a mutant at a time.
func runner(source string) *mutation.Runner {
	return &mutation.Runner{Source: source, Workers: 1, Limit: time.Minute, Note: func(mutation.Result) {}}
}

// files is everything below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()

	found := map[string]string{}

	require.NoError(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		content, err := os.ReadFile(name)
		found[name] = string(content)

		return err
	}))

	return found
}
