// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/talos-rebound/rebound/internal/embed"
)

// TestReleaseGoesInAndOut takes the way that the first tag will take: a module proxy has it, it is embedded, the go command
// fetches it, the tree builds, and it is taken out again.
func TestReleaseGoesInAndOut(t *testing.T) {
	t.Parallel()

	version, proxy := publish(t)
	root := buildable(t)
	before := read(t, root.FS())

	apply(t, root, &embed.Options{Version: version})

	// What rebound embed says to do next.
	env := append(os.Environ(), "GOPROXY=file://"+proxy+","+goEnv(t, "GOPROXY"), "GOFLAGS=-modcacherw", "GONOSUMDB="+embed.Module, "GOWORK=off")
	forget(t, version)
	run(t, root.Name(), env, "go", "get", embed.Module+"@"+version)
	run(t, root.Name(), env, "go", "build", "./...")
	assert.Contains(t, run(t, root.Name(), env, "go", "list", "-deps", "./..."), embed.Module+"/pkg/controllers/recovery")
	assert.Contains(t, read(t, root.FS())["go.sum"], embed.Module+" "+version)

	apply(t, root, nil)
	assert.Equal(t, before, read(t, root.FS()))
}

// publish puts what is committed into a module proxy of files, as a tag would. The version is the commit's own, so that the
// go command's cache cannot have another one under its name.
func publish(t *testing.T) (version, proxy string) {
	t.Helper()

	repository, err := filepath.Abs("../..")
	require.NoError(t, err)

	commit, err := exec.CommandContext(t.Context(), "git", "-C", repository, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Skip("this is no checkout: what would be tagged is unknown")
	}

	// A worktree is no checkout to the module's own tools.
	checkout := t.TempDir()
	run(t, ".", nil, "git", "clone", "--quiet", repository, checkout)

	version = "v0.0.1-test.g" + strings.TrimSpace(string(commit))
	proxy = t.TempDir()
	versions := filepath.Join(proxy, filepath.FromSlash(embed.Module), "@v")
	require.NoError(t, os.MkdirAll(versions, 0o700))

	archive, err := os.Create(filepath.Join(versions, version+".zip"))
	require.NoError(t, err)
	require.NoError(t, zip.CreateFromVCS(archive, module.Version{Path: embed.Module, Version: version}, checkout, "HEAD", ""))
	require.NoError(t, archive.Close())

	for name, text := range map[string]string{
		"list":            version + "\n",
		version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
		version + ".mod":  run(t, repository, nil, "git", "show", "HEAD:go.mod"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(versions, name), []byte(text), 0o600))
	}

	return version, proxy
}

// forget takes the version out of the go command's cache when the test is over.
func forget(t *testing.T, version string) {
	t.Helper()

	cache := goEnv(t, "GOMODCACHE")

	t.Cleanup(func() {
		require.NoError(t, os.RemoveAll(filepath.Join(cache, filepath.FromSlash(embed.Module)+"@"+version)))

		downloads, err := filepath.Glob(filepath.Join(cache, "cache", "download", filepath.FromSlash(embed.Module), "@v", version+".*"))
		require.NoError(t, err)

		for _, path := range downloads {
			require.NoError(t, os.Remove(path))
		}
	})
}

func goEnv(t *testing.T, name string) string {
	t.Helper()

	return strings.TrimSpace(run(t, ".", nil, "go", "env", name))
}

// run runs a command and returns what it prints.
func run(t *testing.T, folder string, env []string, name string, args ...string) string {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = folder, env

	var complaint strings.Builder

	cmd.Stderr = &complaint

	out, err := cmd.Output()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), complaint.String())

	return string(out)
}
