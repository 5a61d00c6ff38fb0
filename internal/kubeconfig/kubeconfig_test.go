// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubeconfig_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/kubeconfig"
)

const (
	first  = "{current-context: a, contexts: [{name: a, context: {cluster: a}}], clusters: [{name: a, cluster: {server: 'https://a:6443'}}]}"
	second = "{current-context: b, contexts: [{name: b, context: {cluster: b}}], clusters: [{name: b, cluster: {server: 'https://b:6443'}}]}"
)

func write(t *testing.T, name, text string) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

	return path
}

func TestWithoutAPathTheFilesOfKubectlAreRead(t *testing.T) {
	t.Setenv("KUBECONFIG", write(t, "first", first)+string(filepath.ListSeparator)+write(t, "second", second))

	config, err := kubeconfig.Load("", "")
	require.NoError(t, err)
	assert.Equal(t, "https://a:6443", config.Host, "the first file counts")

	config, err = kubeconfig.Load("", "b")
	require.NoError(t, err)
	assert.Equal(t, "https://b:6443", config.Host)
}

func TestAPathIsTheOnlyFileThatIsRead(t *testing.T) {
	t.Setenv("KUBECONFIG", write(t, "first", first))

	path := write(t, "second", second)

	config, err := kubeconfig.Load(path, "")
	require.NoError(t, err)
	assert.Equal(t, "https://b:6443", config.Host)

	_, err = kubeconfig.Load(path, "a")
	require.EqualError(t, err, `context "a" is not in kubeconfig "`+path+`", which has "b"; choose one with --kube-context`)
}

// TestAPodHasNoClusterOfItsOwn is about a pod whose service account clientcmd would take.
func TestAPodHasNoClusterOfItsOwn(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	t.Setenv("KUBECONFIG", "missing")

	_, err := kubeconfig.Load("", "")
	require.EqualError(t, err, `kubeconfig "missing" has no contexts; name another with --kubeconfig`)
}
