// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
)

// TestVersionIsTheOneAskedFor compares what the API server and a kubelet say about
// themselves with the modules that they were to be built from.
func TestVersionIsTheOneAskedFor(t *testing.T) {
	s := newScenario(t, "version")
	node := s.addNode("")

	asked := labtest.KubernetesVersion()
	path := filepath.Join("..", "..", "kubernetes", asked+".mod")

	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(filepath.Dir(path), "go.mod")
		content, err = os.ReadFile(path)
	}

	require.NoError(t, err)

	parsed, err := modfile.ParseLax(path, content, nil)
	require.NoError(t, err)

	var wanted string

	for _, required := range parsed.Require {
		if required.Mod.Path == "k8s.io/kubernetes" {
			wanted = required.Mod.Version
		}
	}

	require.True(t, strings.HasPrefix(wanted+".", "v"+asked) && wanted != "", "%s has %q", path, wanted)

	version, err := s.cluster.Client().Discovery().ServerVersion()
	require.NoError(t, err)
	t.Logf("Kubernetes %s", version.GitVersion)
	assert.Equal(t, wanted, version.GitVersion)

	object, err := s.cluster.Client().CoreV1().Nodes().Get(s.ctx, node.Name(), metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, wanted, object.Status.NodeInfo.KubeletVersion)
}
