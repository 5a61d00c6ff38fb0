// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package platform_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

func TestNames(t *testing.T) {
	t.Parallel()

	assert.Equal(t, []string{"auto", "talos", "kubeadm", "k3s", "rke2", "systemd"}, platform.Names())

	for _, name := range platform.Names()[1:] {
		found, err := platform.Lookup(platform.Name(name), "")
		require.NoError(t, err)

		assert.Equal(t, name, string(found.Name))
		assert.Equal(t, "http://127.0.0.1:10248/healthz", found.Healthz)
		assert.NoError(t, platform.CheckPath(found.Kubeconfig))
	}
}

// TestTalos keeps to what Talos itself says.
func TestTalos(t *testing.T) {
	t.Parallel()

	talos, err := platform.Lookup(platform.Talos, "")
	require.NoError(t, err)

	assert.Equal(t, constants.KubeletKubeconfig, talos.Kubeconfig)
	assert.Equal(t, []string{constants.KubeletPKIDir}, talos.PKI)
	assert.Empty(t, talos.Manifests, "its static pods are in the machine config")
}

// TestLogindIsLeftToTheKubelet guards the one D-Bus client that Talos serves.
func TestLogindIsLeftToTheKubelet(t *testing.T) {
	t.Parallel()

	for _, name := range platform.Names()[1:] {
		found, err := platform.Lookup(platform.Name(name), "")
		require.NoError(t, err)

		assert.Equal(t, found.Name == platform.Systemd, found.Logind, name)
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()

	rke2, err := platform.Lookup(platform.RKE2, "/data/rke2")
	require.NoError(t, err)

	assert.Equal(t, platform.Platform{
		Name:       platform.RKE2,
		Kubeconfig: "/data/rke2/agent/kubelet.kubeconfig",
		PKI:        []string{"/data/rke2/agent"},
		Manifests:  "/data/rke2/agent/pod-manifests",
		Healthz:    "http://127.0.0.1:10248/healthz",
	}, rke2)

	k3s, err := platform.Lookup(platform.K3s, "")
	require.NoError(t, err)
	assert.Equal(t, "/var/lib/rancher/k3s/agent/kubelet.kubeconfig", k3s.Kubeconfig)
}

func TestLookupRefuses(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		name    platform.Name
		dataDir string
		want    string
	}{
		"an unknown platform":             {"eks", "", `unknown platform "eks": use one of talos, kubeadm, k3s, rke2, systemd`},
		"auto, which is none":             {platform.Auto, "", `unknown platform "auto"`},
		"a data directory of kubeadm":     {platform.Kubeadm, "/data", "platform kubeadm has no data directory: only k3s and rke2 have one"},
		"a relative data directory":       {platform.K3s, "data", `"data" is not an absolute path`},
		"a data directory with dots":      {platform.K3s, "/data/../k3s", `"/data/../k3s" has to be written as "/k3s"`},
		"a slash at the end":              {platform.K3s, "/data/", `has to be written as "/data"`},
		"the root folder":                 {platform.K3s, "/", `"/" cannot be mounted`},
		"what a container cannot mount":   {platform.RKE2, "/da:ta", "no colon and no space"},
		"what a command line would break": {platform.RKE2, "/da\nta", "no colon and no space"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := platform.Lookup(test.name, test.dataDir)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()

	for _, name := range platform.Names()[1:] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			want, err := platform.Lookup(platform.Name(name), "")
			require.NoError(t, err)

			root := t.TempDir()
			touch(t, root, want.Kubeconfig)

			found, err := platform.Detect(root)
			require.NoError(t, err)
			assert.Equal(t, want, found)
		})
	}
}

func TestDetectRefuses(t *testing.T) {
	t.Parallel()

	_, err := platform.Detect(t.TempDir())
	require.ErrorContains(t, err, "looked for /etc/kubernetes/kubeconfig-kubelet, /etc/kubernetes/kubelet.conf, "+
		"/var/lib/rancher/k3s/agent/kubelet.kubeconfig, /var/lib/rancher/rke2/agent/kubelet.kubeconfig, /var/lib/kubelet/kubeconfig: ")

	root := t.TempDir()
	touch(t, root, "/etc/kubernetes/kubelet.conf")
	touch(t, root, "/var/lib/kubelet/kubeconfig")

	_, err = platform.Detect(root)
	require.EqualError(t, err, "this host looks like kubeadm (/etc/kubernetes/kubelet.conf) and systemd (/var/lib/kubelet/kubeconfig): "+
		"say which it is with --platform")

	root = t.TempDir()
	touch(t, root, "/etc/kubernetes")

	_, err = platform.Detect(root)
	require.ErrorContains(t, err, "no kubeconfig of a kubelet found", "a file where a folder should be is a host without it")
}

func touch(t *testing.T, root, name string) {
	t.Helper()

	name = filepath.Join(root, name)

	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, nil, 0o600))
}
