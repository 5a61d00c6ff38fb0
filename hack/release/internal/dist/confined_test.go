// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/talos-rebound/rebound/hack/release/internal/dist"
)

// TestImagesRunAsTheManifestsSay compares the users of the images with those of the pods. With another one the coordinator could
// not read its talosconfig, and the agent not the kubelet's key.
func TestImagesRunAsTheManifestsSay(t *testing.T) {
	t.Parallel()

	options := newOptions(t, nil)
	require.NoError(t, dist.Write(t.Context(), options, io.Discard))

	user := func(program string) v1.Config {
		image, err := crane.Load(filepath.Join(options.Out, program+"-image-amd64.tar"))
		require.NoError(t, err)

		config, err := image.ConfigFile()
		require.NoError(t, err)

		layers, err := image.Layers()
		require.NoError(t, err)
		assert.Len(t, layers, 1, "there is nothing but the binary in it")

		return config.Config
	}

	content, err := os.ReadFile(filepath.Join(top, "cmd", "rebound-coordinator", "deploy", "base", "deployment.yaml"))
	require.NoError(t, err)

	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					SecurityContext struct {
						RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
						RunAsUser      int                   `yaml:"runAsUser"`
						RunAsGroup     int                   `yaml:"runAsGroup"`
						SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
					} `yaml:"securityContext"`
					HostNetwork bool `yaml:"hostNetwork"`
					HostPID     bool `yaml:"hostPID"`
					HostIPC     bool `yaml:"hostIPC"`
					Volumes     []any
					Containers  []struct {
						SecurityContext struct {
							AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
							ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
							Privileged               bool
							Capabilities             struct{ Add, Drop []string }
						} `yaml:"securityContext"`
					}
				}
			}
		}
	}

	require.NoError(t, yaml.Unmarshal(content, &deployment))

	pod := deployment.Spec.Template.Spec
	require.Len(t, pod.Containers, 1)

	container := pod.Containers[0].SecurityContext

	assert.Equal(t, fmt.Sprintf("%d:%d", pod.SecurityContext.RunAsUser, pod.SecurityContext.RunAsGroup), user("rebound-coordinator").User)
	assert.Positive(t, pod.SecurityContext.RunAsUser)
	assert.True(t, pod.SecurityContext.RunAsNonRoot)
	assert.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
	assert.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC || container.Privileged)
	assert.Empty(t, pod.Volumes, "it needs no file of a host")
	assert.True(t, container.ReadOnlyRootFilesystem)
	require.NotNil(t, container.AllowPrivilegeEscalation)
	assert.False(t, *container.AllowPrivilegeEscalation)
	assert.Equal(t, []string{"ALL"}, container.Capabilities.Drop)
	assert.Empty(t, container.Capabilities.Add)

	assert.Equal(t, "0:0", user("rebound").User, "as in the static pod, which internal/agent/manifest tests")

	for _, program := range []string{"rebound", "rebound-coordinator"} {
		assert.Empty(t, user(program).Volumes)
		assert.Empty(t, user(program).Env)
		assert.Empty(t, user(program).ExposedPorts)
	}
}
