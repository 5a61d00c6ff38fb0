// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package nodemeta_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/kube"
	"github.com/talos-rebound/rebound/internal/kube/nodemeta"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const node = "worker-1"

func open(t *testing.T, api *ctest.NodeAPI) *nodemeta.Client {
	t.Helper()

	client, err := nodemeta.Open(api.Config())
	require.NoError(t, err)
	t.Cleanup(client.Close)

	return client
}

// follow watches the Node until ctx ends. It returns what is seen, and why the watch ended.
func follow(ctx context.Context, client *nodemeta.Client) (seen <-chan *metav1.PartialObjectMetadata, ended <-chan error) {
	nodes, end := make(chan *metav1.PartialObjectMetadata, 100), make(chan error, 1)

	go func() {
		end <- client.WatchNode(ctx, node, func(node *metav1.PartialObjectMetadata) { nodes <- node })
	}()

	return nodes, end
}

func refusal(code int) *apierrors.StatusError {
	return apierrors.NewGenericServerResponse(code, "get", schema.GroupResource{Resource: "nodes"}, node, "no", 0, true)
}

func TestANodeIsSeenFromBeforeItExists(t *testing.T) {
	t.Parallel()

	api := ctest.NewNodeAPI(t, node)
	client := open(t, api)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	seen, ended := follow(ctx, client)
	assert.Nil(t, <-seen)

	api.Annotate(map[string]string{"theirs": "stays"})
	assert.Equal(t, map[string]string{"theirs": "stays"}, (<-seen).Annotations)

	now, err := client.AnnotateNode(t.Context(), node, "ours", "1")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"theirs": "stays", "ours": "1"}, now.Annotations)
	assert.Equal(t, now.ResourceVersion, (<-seen).ResourceVersion)

	api.Delete()
	assert.Nil(t, <-seen)

	cancel()
	require.NoError(t, <-ended, "that it was ended is no error")
}

func TestAWatchThatBreaksSaysWhy(t *testing.T) {
	t.Parallel()

	for name, breaks := range map[string]func(*ctest.NodeAPI){
		"it is refused":   func(api *ctest.NodeAPI) { api.Refuse("watch", refusal(http.StatusForbidden)) },
		"it is closed":    func(api *ctest.NodeAPI) { api.EndWatches() },
		"nobody is there": func(api *ctest.NodeAPI) { api.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			api := ctest.NewNodeAPI(t, node)
			seen, ended := follow(t.Context(), open(t, api))
			assert.Nil(t, <-seen)

			api.Annotate(nil)
			require.NotNil(t, <-seen, "the watch is there")

			breaks(api)
			require.ErrorContains(t, <-ended, `failed to watch node "worker-1": the connection was closed`)
		})
	}
}

func TestAWatchThatIsDeafDoesNotLast(t *testing.T) {
	t.Parallel()

	api := ctest.NewNodeAPI(t, node)
	client := open(t, api)
	client.SetWatchTime(100*time.Millisecond, time.Second)

	seen, ended := follow(t.Context(), client)
	assert.Nil(t, <-seen)
	require.NoError(t, <-ended, "there was nothing wrong with it that could be seen")
}

func TestANodeThatCannotBeReadOrWatchedIsAnError(t *testing.T) {
	t.Parallel()

	for _, verb := range []string{"list", "watch"} {
		for code, identity := range map[int]bool{http.StatusForbidden: false, http.StatusUnauthorized: true} {
			api := ctest.NewNodeAPI(t, node)
			api.Refuse(verb, refusal(code))

			err := open(t, api).WatchNode(t.Context(), node, func(*metav1.PartialObjectMetadata) {})
			require.ErrorContains(t, err, `failed to watch node "worker-1": `)
			assert.Equal(t, identity, kube.IsIdentity(err), err)
		}
	}
}

func TestANodeThatIsNotThereCannotBeAnnotated(t *testing.T) {
	t.Parallel()

	api := ctest.NewNodeAPI(t, node)

	_, err := open(t, api).AnnotateNode(t.Context(), node, "ours", "1")
	require.ErrorContains(t, err, `failed to annotate node "worker-1": nodes "worker-1" not found`)
	assert.Empty(t, api.Patches())
}
