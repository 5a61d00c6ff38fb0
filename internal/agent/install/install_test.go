// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package install_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/install"
	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

var errSystemd = errors.New("job for rebound-agent.service failed")

// recorder stands for systemctl.
type recorder struct {
	calls []string
	// failing are the beginnings of calls that fail.
	failing []string
}

func (r *recorder) systemctl(_ context.Context, args ...string) error {
	call := strings.Join(args, " ")
	r.calls = append(r.calls, call)

	for _, failing := range r.failing {
		if strings.HasPrefix(call, failing) {
			return errSystemd
		}
	}

	return nil
}

func (r *recorder) taken() []string {
	calls := r.calls
	r.calls = nil

	return calls
}

// folderOfPods is a platform whose static pods are in a folder of the test, on the host itself.
func folderOfPods(t *testing.T) platform.Platform {
	t.Helper()

	on, err := platform.Lookup(platform.Kubeadm, "")
	require.NoError(t, err)

	on.Manifests = filepath.Join(t.TempDir(), "manifests")

	return on
}

func systemd(t *testing.T) platform.Platform {
	t.Helper()

	on, err := platform.Lookup(platform.Systemd, "")
	require.NoError(t, err)

	return on
}

func render(t *testing.T, on platform.Platform, version string) []byte {
	t.Helper()

	content, err := manifest.Render(on, manifest.Options{Version: version, Image: manifest.Repository + ":" + version})
	require.NoError(t, err)

	return content
}

// list is every name in a folder.
func list(t *testing.T, folder string) []string {
	t.Helper()

	entries, err := os.ReadDir(folder)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}

	names := make([]string, 0, len(entries))

	for _, entry := range entries {
		names = append(names, entry.Name())
	}

	return names
}

func TestStaticPod(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host := install.Host{Systemctl: systemctl.systemctl}
	on := folderOfPods(t)

	for _, step := range []struct {
		version string
		want    install.Change
	}{{"v0.1.0", install.Created}, {"v0.1.0", install.Unchanged}, {"v0.2.0", install.Updated}} {
		dry := host
		dry.DryRun = true

		before := list(t, on.Manifests)

		for _, host := range []install.Host{dry, host} {
			change, err := host.Install(t.Context(), on, render(t, on, step.version))
			require.NoError(t, err)
			assert.Equal(t, step.want, change)

			if host.DryRun {
				assert.Equal(t, before, list(t, on.Manifests))
			}
		}

		content, err := os.ReadFile(install.Host{}.Path(on))
		require.NoError(t, err)
		assert.Equal(t, render(t, on, step.version), content)
		assert.Equal(t, []string{"rebound.yaml"}, list(t, on.Manifests), "the kubelet reads everything in it")
	}

	info, err := os.Stat(install.Host{}.Path(on))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())

	dry := host
	dry.DryRun = true

	for _, step := range []struct {
		host install.Host
		want install.Change
	}{{dry, install.Removed}, {host, install.Removed}, {host, install.Unchanged}} {
		change, err := step.host.Uninstall(t.Context(), on)
		require.NoError(t, err)
		assert.Equal(t, step.want, change)
	}

	assert.Empty(t, list(t, on.Manifests))
	assert.Empty(t, systemctl.calls, "the kubelet is all that a static pod needs")
}

// TestForeignFiles are left as they are.
func TestForeignFiles(t *testing.T) {
	t.Parallel()

	for name, put := range map[string]func(t *testing.T, path string){
		"a manifest of somebody else": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, []byte("kind: Pod\n"), 0o600))
		},
		"an empty file": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, nil, 0o600))
		},
		"a folder": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.Mkdir(path, 0o700))
		},
		"a link to a file of ours": func(t *testing.T, path string) {
			t.Helper()

			ours := filepath.Join(filepath.Dir(path), "ours")
			require.NoError(t, os.WriteFile(ours, []byte("# Written by rebound v0.1.0"), 0o600))
			require.NoError(t, os.Symlink(ours, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			on := folderOfPods(t)
			require.NoError(t, os.Mkdir(on.Manifests, 0o700))
			put(t, install.Host{}.Path(on))

			before, err := os.Lstat(install.Host{}.Path(on))
			require.NoError(t, err)

			var refused *install.RefusedError

			_, err = install.Host{}.Install(t.Context(), on, render(t, on, "v0.1.0"))
			require.ErrorAs(t, err, &refused)
			assert.ErrorContains(t, err, "was not written by rebound: move it away first")

			_, err = install.Host{}.Uninstall(t.Context(), on)
			require.ErrorAs(t, err, &refused)

			after, err := os.Lstat(install.Host{}.Path(on))
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, before.ModTime(), after.ModTime())
		})
	}
}

// TestKilledRun is about a file that a run that was killed has left beside.
func TestKilledRun(t *testing.T) {
	t.Parallel()

	on := folderOfPods(t)
	require.NoError(t, os.Mkdir(on.Manifests, 0o700))

	precious := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(precious, filepath.Join(on.Manifests, ".rebound.yaml.new")))

	_, err := install.Host{}.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.NoError(t, err)
	assert.Equal(t, []string{"rebound.yaml"}, list(t, on.Manifests))

	content, err := os.ReadFile(precious)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(content))
}

func TestTalosTakesNoFiles(t *testing.T) {
	t.Parallel()

	talos, err := platform.Lookup(platform.Talos, "")
	require.NoError(t, err)

	_, err = install.Host{}.Install(t.Context(), talos, render(t, talos, "v0.1.0"))
	require.EqualError(t, err, "a node with talos takes no files: use rebound manifest --platform talos with talosctl patch machineconfig")

	_, err = install.Host{}.Uninstall(t.Context(), talos)
	require.ErrorContains(t, err, "talosctl edit machineconfig")
}

// TestImage is a host that does not run.
func TestImage(t *testing.T) {
	t.Parallel()

	systemctl := &recorder{}
	host := install.Host{Root: t.TempDir(), Systemctl: systemctl.systemctl}
	unit := filepath.Join(host.Root, "etc", "systemd", "system", "rebound-agent.service")

	change, err := host.Install(t.Context(), systemd(t), render(t, systemd(t), "v0.1.0"))
	require.NoError(t, err)
	assert.Equal(t, install.Created, change)
	assert.FileExists(t, unit)
	assert.Equal(t, []string{"--root=" + host.Root + " enable rebound-agent.service"}, systemctl.taken())

	change, err = host.Uninstall(t.Context(), systemd(t))
	require.NoError(t, err)
	assert.Equal(t, install.Removed, change)
	assert.NoFileExists(t, unit)
	assert.Equal(t, []string{"--root=" + host.Root + " disable rebound-agent.service"}, systemctl.taken())

	_, err = install.Host{Root: filepath.Join(host.Root, "none")}.Install(t.Context(), systemd(t), nil)

	var refused *install.RefusedError

	require.ErrorAs(t, err, &refused, "a folder that was mistyped is not made")
}

// TestImageKeepsToItself is about links in an image that lead to the machine that it is made on.
func TestImageKeepsToItself(t *testing.T) {
	t.Parallel()

	outside := t.TempDir()
	host := install.Host{Root: t.TempDir()}

	require.NoError(t, os.MkdirAll(filepath.Join(host.Root, "etc", "kubernetes"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(host.Root, "etc", "kubernetes", "manifests")))

	on, err := platform.Lookup(platform.Kubeadm, "")
	require.NoError(t, err)

	_, err = host.Install(t.Context(), on, render(t, on, "v0.1.0"))
	require.Error(t, err)
	assert.Empty(t, list(t, outside))
}
