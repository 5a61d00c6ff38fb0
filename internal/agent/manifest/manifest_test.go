// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/merge"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/talos-rebound/rebound/internal/agent/manifest"
	"github.com/talos-rebound/rebound/internal/agent/platform"
)

const image = "ghcr.io/talos-rebound/rebound:v0.1.0"

func lookup(t *testing.T, name platform.Name) platform.Platform {
	t.Helper()

	found, err := platform.Lookup(name, "")
	require.NoError(t, err)

	return found
}

// authority is one as a kubeconfig has it.
func authority(t *testing.T) string {
	t.Helper()

	ca, err := x509.NewSelfSignedCertificateAuthority(x509.ECDSA(true))
	require.NoError(t, err)

	return base64.StdEncoding.EncodeToString(ca.CrtPEM)
}

// renderPod renders a static pod, from Talos' machine config too.
func renderPod(t *testing.T, on platform.Platform, options manifest.Options) *corev1.Pod {
	t.Helper()

	options.Image = image

	text, err := manifest.Render(on, options)
	require.NoError(t, err)

	var plain map[string]any

	require.NoError(t, yaml.Unmarshal(text, &plain))

	if machine, ok := plain["machine"].(map[string]any); ok {
		plain = machine["pods"].([]any)[0].(map[string]any)
	}

	pod := &corev1.Pod{}
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(plain, pod, true))

	return pod
}

// TestPodText is what rebound manifest prints, to the letter: it is read and compared by people.
func TestPodText(t *testing.T) {
	t.Parallel()

	want, err := os.ReadFile(filepath.Join("testdata", "kubeadm.yaml"))
	require.NoError(t, err)

	text, err := manifest.Render(lookup(t, platform.Kubeadm), manifest.Options{
		Version: "v0.1.0", Image: image, Args: []string{"--metrics-listen=127.0.0.1:9100"},
	})
	require.NoError(t, err)

	assert.Equal(t, string(want), string(text))
}

// TestPodIsSafe holds what agent and node rely on, on every platform.
func TestPodIsSafe(t *testing.T) {
	t.Parallel()

	for _, name := range []platform.Name{platform.Talos, platform.Kubeadm, platform.K3s, platform.RKE2} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()

			on := lookup(t, name)
			pod := renderPod(t, on, manifest.Options{})
			container := pod.Spec.Containers[0]

			assert.Equal(t, "kube-system", pod.Namespace)
			assert.True(t, pod.Spec.HostNetwork)
			assert.Equal(t, corev1.RestartPolicyAlways, pod.Spec.RestartPolicy)
			assert.Equal(t, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Spec.Tolerations)
			assert.Equal(t, "system-node-critical", pod.Spec.PriorityClassName)
			assert.Nil(t, pod.Spec.Priority, "with a priority it is stopped in the last group of a shutdown, and sees no sign of it")
			assert.Empty(t, pod.Spec.ServiceAccountName, "a static pod cannot name one")
			assert.False(t, *pod.Spec.AutomountServiceAccountToken)

			assert.Equal(t, []string{"agent", "--platform=" + string(name), "--socket=/run/rebound/agent.sock"}, container.Args)
			assert.Equal(t, "spec.nodeName", container.Env[0].ValueFrom.FieldRef.FieldPath)
			assert.Equal(t, corev1.PullIfNotPresent, container.ImagePullPolicy)
			assert.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
			assert.Empty(t, container.SecurityContext.Capabilities.Add)
			assert.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
			assert.False(t, *container.SecurityContext.Privileged)
			assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
			assert.Zero(t, *container.SecurityContext.RunAsUser, "the kubelet's key is root's")
			assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.Spec.SecurityContext.SeccompProfile.Type)
			assert.False(t, pod.Spec.HostPID || pod.Spec.HostIPC)
			assert.Len(t, pod.Spec.Containers, 1)

			assert.True(t, readable(pod, on.Kubeconfig))

			for _, folder := range on.PKI {
				assert.True(t, readable(pod, folder), "rotated files are found in folders only")
			}
		})
	}
}

// readable tells whether a path of the host is at the same place in the pod, and whether everything but the socket's
// folder is read-only.
func readable(pod *corev1.Pod, name string) bool {
	found := false

	for i, mount := range pod.Spec.Containers[0].VolumeMounts {
		host := pod.Spec.Volumes[i]

		if host.Name != mount.Name || host.HostPath.Path != mount.MountPath || !mount.ReadOnly && mount.MountPath != "/run/rebound" {
			return false
		}

		found = found || mount.MountPath == name || strings.HasPrefix(name, mount.MountPath+"/")
	}

	return found
}

func TestKubeconfigElsewhere(t *testing.T) {
	t.Parallel()

	pod := renderPod(t, lookup(t, platform.Kubeadm), manifest.Options{Kubeconfig: "/srv/kubelet.conf"})

	assert.Contains(t, pod.Spec.Containers[0].Args, "--kubeconfig=/srv/kubelet.conf")
	assert.True(t, readable(pod, "/srv/kubelet.conf"))
	assert.False(t, readable(pod, "/etc/kubernetes/kubelet.conf"))

	elsewhere, err := platform.Lookup(platform.K3s, "/data/k3s")
	require.NoError(t, err)

	pod = renderPod(t, elsewhere, manifest.Options{})

	assert.Contains(t, pod.Spec.Containers[0].Args, "--kubeconfig=/data/k3s/agent/kubelet.kubeconfig")
	assert.True(t, readable(pod, "/data/k3s/agent"))
}

func TestSELinuxType(t *testing.T) {
	t.Parallel()

	pod := renderPod(t, lookup(t, platform.RKE2), manifest.Options{SELinuxType: "spc_t"})
	assert.Equal(t, &corev1.SELinuxOptions{Type: "spc_t"}, pod.Spec.SecurityContext.SELinuxOptions)

	pod = renderPod(t, lookup(t, platform.RKE2), manifest.Options{})
	assert.Nil(t, pod.Spec.SecurityContext.SELinuxOptions)
}

// TestNoKubeconfig is Talos with SELinux enforcing, where pods may read /var/lib/kubelet but not /etc/kubernetes.
func TestNoKubeconfig(t *testing.T) {
	t.Parallel()

	ca := authority(t)
	pod := renderPod(t, lookup(t, platform.Talos), manifest.Options{CAData: ca})

	assert.Equal(t, []string{
		"agent", "--platform=talos",
		"--server=https://127.0.0.1:7445", "--ca-data=" + ca, "--client-cert=/var/lib/kubelet/pki/kubelet-client-current.pem",
		"--socket=/run/rebound/agent.sock",
	}, pod.Spec.Containers[0].Args)
	assert.False(t, readable(pod, "/etc/kubernetes/kubeconfig-kubelet"))
	assert.True(t, readable(pod, "/var/lib/kubelet/pki"))
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()

	ca := authority(t)

	for name, test := range map[string]struct {
		on      platform.Name
		options manifest.Options
		want    string
	}{
		"no image":              {platform.Kubeadm, manifest.Options{}, "give --image, or --version"},
		"an image without tag":  {platform.Talos, manifest.Options{Image: "ghcr.io/talos-rebound/rebound"}, "has no version"},
		"a port is no tag":      {platform.Talos, manifest.Options{Image: "registry:5000/rebound"}, "has no version"},
		"latest":                {platform.K3s, manifest.Options{Image: "rebound:latest"}, "has no version"},
		"an image with a space": {platform.K3s, manifest.Options{Image: "rebound:v1 "}, "is not the name of an image"},
		"an upper-case image":   {platform.K3s, manifest.Options{Image: "ghcr.io/Rebound:v1"}, "is not the name of an image"},
		"a relative kubeconfig": {platform.Kubeadm, manifest.Options{Image: image, Kubeconfig: "kubelet.conf"}, "is not an absolute path"},
		"a kubeconfig with dots": {
			platform.Kubeadm, manifest.Options{Image: image, Kubeconfig: "/etc/../kubelet.conf"}, "has to be written as",
		},
		"a kubeconfig with a colon": {platform.Kubeadm, manifest.Options{Image: image, Kubeconfig: "/etc/a:b"}, "cannot be mounted"},
		"a kubeconfig that is a folder": {
			platform.Kubeadm, manifest.Options{Image: image, Kubeconfig: "/var/lib/kubelet/pki"}, "is a folder that the agent needs besides",
		},
		"a label for a type":   {platform.RKE2, manifest.Options{Image: image, SELinuxType: "system_u:spc_t"}, "is not an SELinux type"},
		"a relative binary":    {platform.Systemd, manifest.Options{Binary: "rebound"}, "is not an absolute path"},
		"a line break":         {platform.Systemd, manifest.Options{Args: []string{"a\nExecStartPre=/bin/b"}}, "cannot be printed"},
		"a version of lines":   {platform.Systemd, manifest.Options{Version: "v1\n[Service]"}, "cannot be printed"},
		"broken text":          {platform.K3s, manifest.Options{Image: image, Args: []string{"\xff"}}, "cannot be printed"},
		"an authority alone":   {platform.Kubeadm, manifest.Options{Image: image, CAData: ca}, "give all of them"},
		"a server alone":       {platform.Talos, manifest.Options{Image: image, Server: "https://10.5.0.2:6443"}, "on talos --ca-data is enough"},
		"a server without TLS": {platform.Talos, manifest.Options{Image: image, Server: "http://a", CAData: ca}, "is not the URL of an API server"},
		"a broken authority":   {platform.Talos, manifest.Options{Image: image, CAData: "bm90aGluZw=="}, "give certificate-authority-data"},
		"no base64":            {platform.Talos, manifest.Options{Image: image, CAData: "-----"}, "failed to read --ca-data"},
		"both ways": {
			platform.Talos, manifest.Options{Image: image, CAData: ca, Kubeconfig: "/etc/kubernetes/kubelet.conf"}, "give it or them",
		},
		"a certificate that the pod does not see": {
			platform.Talos, manifest.Options{Image: image, CAData: ca, ClientCert: "/etc/kubernetes/kubelet.pem"}, "is not in /var/lib/kubelet/pki",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := manifest.Render(lookup(t, test.on), test.options)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestImagesThatStayTheSame(t *testing.T) {
	t.Parallel()

	digest := "@sha256:" + strings.Repeat("0f", 32)

	for _, image := range []string{
		"rebound:v1", "rebound" + digest, "rebound:latest" + digest, "localhost:5000/a/b_c/rebound:v0.1.0-rc.1", "10.0.0.1/rebound:1",
	} {
		_, err := manifest.Render(lookup(t, platform.RKE2), manifest.Options{Image: image})
		assert.NoError(t, err, image)
	}
}

func TestIsOurs(t *testing.T) {
	t.Parallel()

	for _, name := range platform.Names()[1:] {
		text, err := manifest.Render(lookup(t, platform.Name(name)), manifest.Options{Version: "v0.1.0", Image: image})
		require.NoError(t, err)

		assert.True(t, manifest.IsOurs(text), name)
	}

	assert.False(t, manifest.IsOurs([]byte("apiVersion: v1\nkind: Pod\n")))
	assert.False(t, manifest.IsOurs(nil))
}

// TestTalosTakesThePatch is what talosctl patch machineconfig does, but for the way there.
func TestTalosTakesThePatch(t *testing.T) {
	t.Parallel()

	talos := lookup(t, platform.Talos)

	for name, options := range map[string]manifest.Options{
		"with the kubeconfig": {Image: image},
		"without it":          {Image: image, CAData: authority(t)},
		"with arguments":      {Image: image, Args: []string{"--log-format=json", `--node-name="a: b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			text, err := manifest.Render(talos, options)
			require.NoError(t, err)

			machine, err := configloader.NewFromBytes([]byte("version: v1alpha1\nmachine:\n  type: worker\n  pods:\n" +
				"    - {apiVersion: v1, kind: Pod, metadata: {name: other}}\n"))
			require.NoError(t, err)

			pods := patched(t, machine, text, 2)

			assert.Equal(t, []string{"other", "rebound"}, names(t, pods))
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(pods[1], &corev1.Pod{}, true))
		})
	}
}

// TestLaterPatchCounts is why the first lines of the patch say so. Talos keys static pods by their name and has the
// last one of a name (Talos v1.13.9 internal/app/machined/pkg/controllers/k8s/static_pod_config.go:101).
func TestLaterPatchCounts(t *testing.T) {
	t.Parallel()

	machine, err := configloader.NewFromBytes([]byte("version: v1alpha1\nmachine:\n  type: worker\n"))
	require.NoError(t, err)

	for i, version := range []string{"v0.1.0", "v0.2.0"} {
		text, err := manifest.Render(lookup(t, platform.Talos), manifest.Options{Image: manifest.Repository + ":" + version})
		require.NoError(t, err)

		pods := patched(t, machine, text, i+1)
		last := pods[len(pods)-1]["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)

		assert.Equal(t, manifest.Repository+":"+version, last["image"])
	}
}

// patched merges the patch into the machine config as talosctl does and returns its pods.
func patched(t *testing.T, machine interface {
	Documents() []config.Document
	Machine() config.MachineConfig
}, patch []byte, want int,
) []map[string]any {
	t.Helper()

	loaded, err := configloader.NewFromBytes(patch, configloader.WithAllowPatchDelete())
	require.NoError(t, err)
	require.Len(t, loaded.Documents(), 1)

	require.NoError(t, merge.Merge(machine.Documents()[0], loaded.Documents()[0]))

	pods := machine.Machine().Pods()
	require.Len(t, pods, want)

	return pods
}

func names(t *testing.T, pods []map[string]any) []string {
	t.Helper()

	names := make([]string, 0, len(pods))

	for _, pod := range pods {
		names = append(names, pod["metadata"].(map[string]any)["name"].(string))
	}

	return names
}

// TestSystemdTakesTheUnit asks systemd itself, which does not have to run for it.
func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze on this machine")
	}

	folder := t.TempDir()
	binary := filepath.Join(folder, "rebound")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o700))

	text, err := manifest.Render(lookup(t, platform.Systemd), manifest.Options{
		Binary: binary, Kubeconfig: "/etc/kubelet.conf", Args: []string{`--node-name=a "b" 100% $HOME \ ' ;`},
		Reboots: platform.Reboots{Enabled: true, SentinelCommand: "! false", Command: "systemctl reboot"},
	})
	require.NoError(t, err)

	unit := filepath.Join(folder, "rebound-agent.service")
	require.NoError(t, os.WriteFile(unit, text, 0o600))

	output, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Empty(t, string(output), "a directive that systemd does not know is only a warning")
}

// TestUnit holds what agent and host rely on.
func TestUnit(t *testing.T) {
	t.Parallel()

	text, err := manifest.Render(lookup(t, platform.Systemd), manifest.Options{
		Version: "v0.1.0", Kubeconfig: "/etc/kubelet.conf", Args: []string{`--node-name=a "b" 100% $HOME \`},
	})
	require.NoError(t, err)

	lines := strings.Split(string(text), "\n")

	for _, want := range []string{
		`ExecStart=/usr/local/bin/rebound agent --platform=systemd --kubeconfig=/etc/kubelet.conf --socket=/run/rebound/agent.sock ` +
			`"--node-name=a \"b\" 100%% $$HOME \\"`,
		"Restart=always", "RuntimeDirectory=rebound", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict",
		"WantedBy=multi-user.target",
	} {
		assert.Contains(t, lines, want)
	}

	after := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "After=") })
	require.GreaterOrEqual(t, after, 0)

	for _, kubelet := range []string{"kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service"} {
		assert.Contains(t, strings.Fields(lines[after]), kubelet, "a shutdown stops the agent before the kubelet")
	}
}
