// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package image_test

import (
	"os"
	"path/filepath"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestContainerdImports has containerd's own code import every tarball: what ctr images import runs, and K3s and RKE2
// with the same option (K3s pkg/agent/containerd/containerd.go, preloadFile).
func TestContainerdImports(t *testing.T) {
	t.Parallel()

	const image = "ghcr.io/talos-rebound/rebound:v0.1.0"

	folder := t.TempDir()
	writeAll(t, folder, newTag(t, image))

	for file, imported := range map[string][]string{
		"index.tar": architectures, "amd64.tar": {"amd64"}, "arm64.tar": {"arm64"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()

			client := newContainerd(t)
			ctx := namespaces.WithNamespace(t.Context(), "k8s.io")

			tarball, err := os.Open(filepath.Join(folder, file))
			require.NoError(t, err)

			defer func() { assert.NoError(t, tarball.Close()) }()

			got, err := client.Import(ctx, tarball, containerd.WithAllPlatforms(true))
			require.NoError(t, err)
			require.Len(t, got, 1)
			assert.Equal(t, image, got[0].Name)

			for _, architecture := range imported {
				platform := platforms.Only(platforms.MustParse("linux/" + architecture))

				available, _, _, missing, err := images.Check(ctx, client.ContentStore(), got[0].Target, platform)
				require.NoError(t, err)
				assert.True(t, available)
				assert.Empty(t, missing)

				config, err := containerd.NewImageWithPlatform(client, got[0], platform).Spec(ctx)
				require.NoError(t, err)
				assert.Equal(t, architecture, config.Architecture)
				assert.Equal(t, []string{"/rebound"}, config.Config.Entrypoint)
			}
		})
	}
}

// newContainerd is containerd's client with the stores of a containerd, and no daemon.
func newContainerd(t *testing.T) *containerd.Client {
	t.Helper()

	folder := t.TempDir()

	content, err := local.NewStore(filepath.Join(folder, "content"))
	require.NoError(t, err)

	bolt, err := bbolt.Open(filepath.Join(folder, "meta.db"), 0o600, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, bolt.Close()) })

	db := metadata.NewDB(bolt, content, nil)
	require.NoError(t, db.Init(t.Context()))

	client, err := containerd.New("", containerd.WithServices(
		containerd.WithContentStore(db.ContentStore()),
		containerd.WithImageStore(metadata.NewImageStore(db)),
		containerd.WithLeasesService(metadata.NewLeaseManager(db)),
	))
	require.NoError(t, err)

	return client
}
