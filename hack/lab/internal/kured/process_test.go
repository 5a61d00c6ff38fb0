// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kured_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/internal/kured"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// account is the files of a service account. The test is skipped where the user may not make namespaces.
func account(t *testing.T) string {
	t.Helper()

	if err := kured.CheckNamespaces(t.Context()); err != nil {
		t.Skip(err)
	}

	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "token"), []byte("secret\n"), 0o600))

	return folder
}

func TestProgramFindsWhatAPodHas(t *testing.T) {
	t.Parallel()

	folder := account(t)
	log := filepath.Join(folder, "log")

	var lines []string

	process, err := kured.Start(folder, []string{"KURED_NODE_ID=worker-a"}, log, func(line string) { lines = append(lines, line) }, "sh", "-c",
		`cat /var/run/secrets/kubernetes.io/serviceaccount/token
echo "$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT $KURED_NODE_ID"
/usr/bin/nsenter -m/proc/1/ns/mnt -- ls /var/run >&2`)
	require.NoError(t, err)

	<-process.Ended()

	want := []string{"secret", "127.0.0.1:6443 worker-a", "secrets"}
	assert.Equal(t, want, lines)

	written, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Equal(t, strings.Join(want, "\n")+"\n", string(written))

	outside, err := os.ReadDir("/var/run/secrets/kubernetes.io")
	assert.True(t, os.IsNotExist(err) || len(outside) == 0, "nothing of it may be seen outside")
}

func TestProgramEndsWithAllThatItHasStarted(t *testing.T) {
	t.Parallel()

	folder := account(t)
	started := make(chan string, 1)

	process, err := kured.Start(folder, nil, filepath.Join(folder, "log"), func(line string) { started <- line }, "sh", "-c", "sleep 600 & echo started; wait")
	require.NoError(t, err)

	assert.Equal(t, "started", <-started)
	require.NoError(t, process.Kill())

	// The program's output ends only when nobody has it open any more, so it has ended by now.
	select {
	case <-process.Ended():
	default:
		assert.Fail(t, "it has not ended")
	}
}

func TestFolderWithoutKuredIsRefusedBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()

	assert.ErrorContains(t, kured.Check(t.Context(), t.TempDir()), "no checkout of kured")
}

// checkout is a repository that looks like kured's, as far as a build goes.
func TestBuildNamesTheVersionOfTheCheckout(t *testing.T) {
	t.Parallel()

	checkout := t.TempDir()

	for name, content := range map[string]string{
		"go.mod":            "module example.org/kured\n",
		"cmd/kured/main.go": "package main\n\nfunc main() {}\n",
	} {
		path := filepath.Join(checkout, name)

		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}

	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "."},
		{"-c", "user.name=kured", "-c", "user.email=kured@example.org", "commit", "--quiet", "--message=kured"},
		{"tag", "1.2.3"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = checkout
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}

	program, err := kured.Build(t.Context(), checkout, t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, "1.2.3", program.Version)
	assert.FileExists(t, program.Path)

	require.NoError(t, os.WriteFile(filepath.Join(checkout, "cmd", "kured", "main.go"), []byte("nonsense"), 0o600))

	_, err = kured.Build(t.Context(), checkout, t.TempDir())
	assert.ErrorContains(t, err, "failed to build kured: exit status 1: cmd/kured/main.go:1:1: expected 'package'")
}
