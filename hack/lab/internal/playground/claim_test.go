// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package playground_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/internal/playground"
)

func TestFolderHasOneLab(t *testing.T) {
	t.Parallel()

	folder := filepath.Join(t.TempDir(), "a", "b")

	first, err := playground.OpenClaim(folder)
	require.NoError(t, err)

	_, err = playground.OpenClaim(folder)
	require.ErrorContains(t, err, "has a lab up in")
	require.ErrorContains(t, err, "choose another folder with --out")
	require.FileExists(t, filepath.Join(folder, "lab.json"), "the one that is refused takes nothing away")

	require.NoError(t, first.Release())
	assert.NoDirExists(t, folder)
}

func TestLabThatHasDiedIsReplaced(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()

	dead, err := playground.OpenClaim(folder)
	require.NoError(t, err)
	require.NoError(t, dead.Describe("/nowhere/control.sock"))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "kubeconfig"), nil, 0o600))
	require.NoError(t, dead.Drop())

	err = playground.Reboot(t.Context(), playground.RebootOptions{Node: "worker-a", Out: folder}, io.Discard)
	require.ErrorContains(t, err, "no lab is up in")

	alive, err := playground.OpenClaim(folder)
	require.NoError(t, err)

	content, err := os.ReadFile(filepath.Join(folder, "lab.json"))
	require.NoError(t, err)
	assert.NotContains(t, string(content), "/nowhere")

	require.NoError(t, alive.Release())

	left, err := os.ReadDir(folder)
	require.NoError(t, err, "the folder was there before")
	assert.Empty(t, left)
}

func TestFolderKeepsWhatIsNotTheLabs(t *testing.T) {
	t.Parallel()

	folder := filepath.Join(t.TempDir(), "out")

	claim, err := playground.OpenClaim(folder)
	require.NoError(t, err)

	note := filepath.Join(folder, "note")
	require.NoError(t, os.WriteFile(note, nil, 0o600))
	require.NoError(t, claim.Release())

	assert.FileExists(t, note)
	assert.NoFileExists(t, filepath.Join(folder, "lab.json"))
}

func TestRebootSaysWhyThereIsNoLab(t *testing.T) {
	t.Parallel()

	empty, starting := t.TempDir(), t.TempDir()

	claim, err := playground.OpenClaim(starting)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, claim.Release()) })

	for folder, says := range map[string]string{
		empty:    "start one with 'lab up'",
		starting: "is not up yet: try again when it says how to use it",
	} {
		assert.ErrorContains(t, playground.Reboot(t.Context(), playground.RebootOptions{Node: "worker-a", Out: folder}, io.Discard), says)
	}
}

func TestUpRefusesBadOptionsBeforeItStartsAnything(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, tc := range []struct {
		name    string
		options playground.Options
		says    string
	}{
		{"no nodes", playground.Options{}, "--workers, --agents and --stock are 0: a lab needs a node"},
		{"fewer than no nodes", playground.Options{Workers: -1}, "--workers is -1: it has to be from 0 to 26"},
		{"more nodes than letters", playground.Options{Stock: 27}, "--stock is 27: it has to be from 0 to 26"},
		{"fewer than no agents", playground.Options{Agents: -1}, "--agents is -1: it has to be from 0 to 26"},
		{"no agent to run", playground.Options{Agents: 1, Rebound: file}, "permission denied: build it with 'go build -C cmd/rebound -o " + file + " .', or name it with --rebound"},
		{"a file in the place of the folder", playground.Options{Workers: 1, Out: file}, "failed to create folder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			assert.ErrorContains(t, playground.Up(t.Context(), tc.options, io.Discard), tc.says)
		})
	}
}

func TestPathsAreOneWordForAShell(t *testing.T) {
	t.Parallel()

	for path, word := range map[string]string{
		"/home/me/lab.json": "/home/me/lab.json",
		"/home/my lab":      "'/home/my lab'",
		"/home/me's":        `'/home/me'\''s'`,
	} {
		assert.Equal(t, word, playground.Quote(path))
	}
}
