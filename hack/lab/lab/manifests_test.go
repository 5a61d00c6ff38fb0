// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/yaml"
)

// establishTimeout bounds the time until the API server serves a CRD.
const establishTimeout = 30 * time.Second

var (
	// deployFolder has the coordinator's manifests.
	deployFolder = filepath.Join("..", "..", "..", "cmd", "rebound-coordinator", "deploy")

	crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// establish installs the CRDs of coordinated reboots, and returns when the API
// server serves them.
func establish(t *testing.T, client dynamic.Interface) {
	t.Helper()

	files, err := filepath.Glob(filepath.Join(deployFolder, "base", "crds", "*_*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, len(kinds))

	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)

		crd := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal(text, &crd.Object))

		_, err = client.Resource(crds).Apply(t.Context(), crd.GetName(), crd, metav1.ApplyOptions{FieldManager: "lab"})
		require.NoError(t, err)
		awaitEstablished(t, client, crd.GetName())
	}
}

func awaitEstablished(t *testing.T, client dynamic.Interface, name string) {
	t.Helper()

	only := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			only(&options)

			return client.Resource(crds).List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			only(&options)

			return client.Resource(crds).Watch(ctx, options)
		},
	}

	_, err := watchtools.UntilWithSync(within(t, establishTimeout), source, &unstructured.Unstructured{}, nil, func(event apiwatch.Event) (bool, error) {
		crd, ok := event.Object.(*unstructured.Unstructured)

		return ok && hasCondition(crd, "Established"), nil
	})
	require.NoError(t, err, "the API server does not serve %s", name)
}

// hasCondition says whether a condition of the object is True.
func hasCondition(object *unstructured.Unstructured, wanted string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")

	for _, condition := range conditions {
		if condition, ok := condition.(map[string]any); ok && condition["type"] == wanted && condition["status"] == "True" {
			return true
		}
	}

	return false
}
