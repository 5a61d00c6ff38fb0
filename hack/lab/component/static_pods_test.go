// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package component_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/talos-rebound/rebound/internal/agent/install"
	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const (
	nodeName = "worker-a"
	image    = "ghcr.io/talos-rebound/rebound:v0.1.0"
	// sourceTimeout bounds the wait for a source on a busy machine.
	sourceTimeout = time.Minute
)

// apiServer is the static pod that must not suffer.
const apiServer = `
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  hostNetwork: true
  containers: [{name: kube-apiserver, image: "registry.k8s.io/kube-apiserver:v1.36.3"}]
`

// variants are what the flags of rebound manifest can make of a pod.
func variants(t *testing.T) map[string]manifest.Options {
	t.Helper()

	return map[string]manifest.Options{
		"plain":                {Image: image},
		"a digest":             {Image: "rebound@sha256:" + strings.Repeat("0f", 32)},
		"a kubeconfig":         {Image: image, Kubeconfig: "/srv/kubelet.conf"},
		"a kubeconfig in pki":  {Image: image, Kubeconfig: "/var/lib/kubelet/pki/kubelet.conf"},
		"an agent's arguments": {Image: image, Args: []string{"--metrics-listen=127.0.0.1:9100", "--log-format=json", "--dry-run"}},
		"an SELinux type":      {Image: image, SELinuxType: "spc_t"},
		"odd arguments":        {Image: image, Args: []string{"--node-name=a: b # {c} $(NODE_NAME) \u2028 é", "", "-", "*x", "yes"}},
		"reboots":              {Image: image, Reboots: platform.Reboots{Enabled: true, Sentinel: platform.RebootSentinel}},
		"another sentinel":     {Image: image, Reboots: platform.Reboots{Enabled: true, Sentinel: "/run/reboot"}},
		"no sentinel":          {Image: image, Reboots: platform.Reboots{Enabled: true}},
		"a sentinel in pki":    {Image: image, Reboots: platform.Reboots{Enabled: true, Sentinel: "/var/lib/kubelet/pki/reboot"}},
		"no kubeconfig": {
			Image: image, Server: "https://127.0.0.1:7445", CAData: authority(t), ClientCert: "/var/lib/kubelet/pki/kubelet-client-current.pem",
		},
	}
}

func authority(t *testing.T) string {
	t.Helper()

	ca, err := x509.NewSelfSignedCertificateAuthority(x509.ECDSA(true))
	require.NoError(t, err)

	return base64.StdEncoding.EncodeToString(ca.CrtPEM)
}

// platforms are those with static pods, at the usual places and elsewhere.
func platforms(t *testing.T) map[string]platform.Platform {
	t.Helper()

	platforms := map[string]platform.Platform{}

	for name, place := range map[string]struct {
		name    platform.Name
		dataDir string
	}{
		"talos": {platform.Talos, ""}, "kubeadm": {platform.Kubeadm, ""}, "k3s": {platform.K3s, ""}, "rke2": {platform.RKE2, ""},
		"k3s elsewhere": {platform.K3s, "/data/k3s"}, "rke2 with a long path": {platform.RKE2, "/" + strings.Repeat("long/", 100) + "rke2"},
	} {
		on, err := platform.Lookup(place.name, place.dataDir)
		require.NoError(t, err)

		platforms[name] = on
	}

	return platforms
}

// TestKubeletTakesEveryManifest gives everything that rebound manifest prints to the kubelet's own sources: the folder, as
// on most platforms, and the list, as on Talos, beside a pod that must not suffer.
func TestKubeletTakesEveryManifest(t *testing.T) {
	t.Parallel()

	for name, on := range platforms(t) {
		for variant, options := range variants(t) {
			// The flags in place of a kubeconfig name a file that only these platforms give to the pod.
			if options.CAData != "" && !slices.Contains(on.PKI, "/var/lib/kubelet/pki") {
				continue
			}

			// Nor is there an agent that reboots Talos.
			if options.Reboots.Enabled && on.Name == platform.Talos {
				continue
			}

			t.Run(name+" with "+variant, func(t *testing.T) {
				t.Parallel()

				text, err := manifest.Render(on, options)
				require.NoError(t, err)

				pods := []staticPod{fromList(t, 2, plainPod(t, text), []byte(apiServer))["rebound-"+nodeName]}

				if on.Name != platform.Talos {
					pods = append(pods, fromFolder(t, text))
				}

				for _, made := range pods {
					pod := made.Pod
					require.NotNil(t, pod)
					assert.Equal(t, "kube-system", pod.Namespace)
					assert.Equal(t, nodeName, pod.Spec.NodeName)
					assert.Nil(t, pod.Spec.Priority)
					assert.True(t, made.Static)
					assert.True(t, made.NodeCritical, "the kubelet would evict it")

					// The manifest says it for the sake of lists, whose pods are not given it.
					assert.Contains(t, pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})

					assert.Empty(t, made.Invalid, "the API server would not take its mirror")
				}
			})
		}
	}
}

// TestNoOptionVoidsTheList is about values that nobody should give: what is not refused is taken by the kubelet.
func TestNoOptionVoidsTheList(t *testing.T) {
	t.Parallel()

	const refusedAtLeast = 20

	nasty := []string{
		" ", "x y", "/a:b", "/a/../b", "/a//b", "/", "a", "\n", "\x00", "\xff", "/a\nb", "a: [", "- -", "{{.}}", `"`, "'", "/é", "/run/rebound",
		"/var/lib/kubelet/pki", "/var/lib/kubelet", "%s", "$(X)", strings.Repeat("x", 5000), "/" + strings.Repeat("x", 5000), "REBOUND:v1", "rebound:latest",
		"rebound:v1", "null", "~", "!!binary eA==",
	}

	refused, taken := 0, []string{}
	list := [][]byte{[]byte(apiServer)}

	for _, value := range nasty {
		for field, options := range map[string]manifest.Options{
			"image":      {Image: value},
			"version":    {Image: image, Version: value},
			"kubeconfig": {Image: image, Kubeconfig: value},
			"argument":   {Image: image, Args: []string{value}},
			"SELinux":    {Image: image, SELinuxType: value},
			"server":     {Image: image, CAData: authority(t), Server: "https://" + value},
			"client":     {Image: image, CAData: authority(t), ClientCert: value},
			"authority":  {Image: image, CAData: value},
		} {
			on, err := platform.Lookup(platform.Talos, "")
			require.NoError(t, err)

			text, err := manifest.Render(on, options)
			if err != nil {
				refused++

				continue
			}

			taken = append(taken, fmt.Sprintf("%s %.20q", field, value))

			// Names are all that has to differ.
			list = append(list, []byte(strings.Replace(string(plainPod(t, text)), "\n  name: rebound\n", fmt.Sprintf("\n  name: rebound-%d\n", len(list)), 1)))
		}

		for _, name := range []platform.Name{platform.K3s, platform.RKE2} {
			on, err := platform.Lookup(name, value)
			if err != nil {
				refused++

				continue
			}

			text, err := manifest.Render(on, manifest.Options{Image: image})
			require.NoError(t, err)

			taken = append(taken, fmt.Sprintf("data directory %.20q", value))
			list = append(list, []byte(strings.Replace(string(plainPod(t, text)), "\n  name: rebound\n", fmt.Sprintf("\n  name: rebound-%d\n", len(list)), 1)))
		}
	}

	assert.Greater(t, refused, refusedAtLeast)

	assert.Contains(t, fromList(t, len(list), list...), "kube-apiserver-"+nodeName, "one of these voids it: %s", strings.Join(taken, ", "))
}

// TestOneBadPodVoidsTheList is why TestKubeletTakesEveryManifest is needed: on Talos, where static pods come as a list,
// kube-apiserver is not started either. A folder has no such rule.
func TestOneBadPodVoidsTheList(t *testing.T) {
	t.Parallel()

	on, err := platform.Lookup(platform.Talos, "")
	require.NoError(t, err)

	text, err := manifest.Render(on, manifest.Options{Image: image})
	require.NoError(t, err)

	good := plainPod(t, text)

	for name, change := range map[string][2]string{
		"no name":             {"\n  name: rebound\n", "\n"},
		"a service account":   {"\nspec:\n", "\nspec:\n  serviceAccountName: rebound\n"},
		"a path with dots":    {" path: /run/rebound", " path: /run/../rebound"},
		"two mounts at once":  {"mountPath: /run/rebound", "mountPath: /var/lib/kubelet/pki"},
		"no toleration":       {"operator: Exists", "operator: Whatever"},
		"an image of nothing": {"image: " + image, `image: ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			bad := []byte(strings.Replace(string(good), change[0], change[1], 1))
			require.NotEqual(t, string(good), string(bad))

			// The first list that the kubelet makes anything of has to be the good one.
			const badAnswers = 3

			var asked atomic.Int32

			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				pods := [][]byte{[]byte(apiServer), good}
				if asked.Add(1) <= badAnswers {
					pods[1] = bad
				}

				_, writeErr := w.Write(podList(t, pods...))
				assert.NoError(t, writeErr)
			}))
			defer server.Close()

			sources := newSources(t)
			sources.list(t, server.URL)

			first := sources.next(t)

			assert.Greater(t, asked.Load(), int32(badAnswers), "the kubelet took something of the bad list")
			assert.Len(t, first.Pods, 2)

			folder := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, "bad.yaml"), bad, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(folder, "kube-apiserver.yaml"), []byte(apiServer), 0o600))

			sources = newSources(t)
			sources.folder(t, folder)
			sources.await(t, "kube-apiserver-"+nodeName)
		})
	}
}

// TestKubeletSeesInstallAndUninstall holds that the kubelet never sees half a file, or one beside it.
func TestKubeletSeesInstallAndUninstall(t *testing.T) {
	t.Parallel()

	on, err := platform.Lookup(platform.Kubeadm, "")
	require.NoError(t, err)

	on.Manifests = t.TempDir()
	sources := newSources(t)
	sources.folder(t, on.Manifests)

	var before types.UID

	for _, version := range []string{"v0.1.0", "v0.2.0"} {
		content, err := manifest.Render(on, manifest.Options{Image: manifest.Repository + ":" + version})
		require.NoError(t, err)

		_, err = install.Host{}.Install(t.Context(), on, content)
		require.NoError(t, err)

		sources.awaitPods(t, func(pods []staticPod) bool {
			return len(pods) == 1 && pods[0].Pod.Spec.Containers[0].Image == manifest.Repository+":"+version
		})

		pod := sources.await(t, "rebound-"+nodeName)
		assert.NotEqual(t, before, pod.Pod.UID, "the kubelet would go on with the pod of the old version")

		before = pod.Pod.UID
	}

	_, err = install.Host{}.Uninstall(t.Context(), on)
	require.NoError(t, err)

	sources.awaitPods(t, func(pods []staticPod) bool { return len(pods) == 0 })
}

// plainPod is the pod of a manifest, from Talos' machine config patch too.
func plainPod(t *testing.T, text []byte) []byte {
	t.Helper()

	var patch struct {
		Machine *struct {
			Pods []map[string]any `json:"pods"`
		} `json:"machine"`
	}

	require.NoError(t, yaml.Unmarshal(text, &patch))

	if patch.Machine == nil {
		return text
	}

	require.Len(t, patch.Machine.Pods, 1)

	pod, err := yaml.Marshal(patch.Machine.Pods[0])
	require.NoError(t, err)

	return pod
}

// podList is what Talos serves to the kubelet (Talos v1.13.9
// internal/app/machined/pkg/controllers/k8s/static_pod_server.go:95).
func podList(t *testing.T, pods ...[]byte) []byte {
	t.Helper()

	items := make([]map[string]any, len(pods))

	for i, pod := range pods {
		assert.NoError(t, yaml.Unmarshal(pod, &items[i]))
	}

	list, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "PodList", "items": items})
	assert.NoError(t, err)

	return list
}

// fromList are the pods that the kubelet makes of a list, by name.
func fromList(t *testing.T, want int, pods ...[]byte) map[string]staticPod {
	t.Helper()

	list := podList(t, pods...)

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(list)
		assert.NoError(t, err)
	}))
	defer server.Close()

	sources := newSources(t)
	sources.list(t, server.URL)
	sources.awaitPods(t, func(pods []staticPod) bool { return len(pods) == want })

	return sources.byName()
}

// fromFolder is the pod that the kubelet makes of a file.
func fromFolder(t *testing.T, text []byte) staticPod {
	t.Helper()

	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "rebound.yaml"), text, 0o600))

	sources := newSources(t)
	sources.folder(t, folder)

	return sources.await(t, "rebound-"+nodeName)
}
