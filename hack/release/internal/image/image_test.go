// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/release/internal/image"
)

var (
	created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	labels  = image.Labels{
		Source: "https://example.com/rebound", Version: "v0.1.0", Revision: strings.Repeat("0123456789", 4), Licenses: "MPL-2.0",
	}
	plain = map[string]string{
		"org.opencontainers.image.source":   labels.Source,
		"org.opencontainers.image.version":  labels.Version,
		"org.opencontainers.image.revision": labels.Revision,
		"org.opencontainers.image.licenses": labels.Licenses,
	}
	entry         = image.Entry{Path: "/rebound", User: "65532:65532"}
	architectures = []string{"amd64", "arm64"}
)

// TestPushedAndPulled pushes the tarballs to a registry the way crane does, and looks at what a node would pull.
func TestPushedAndPulled(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)

	folder := t.TempDir()
	reference := newTag(t, strings.TrimPrefix(server.URL, "http://")+"/rebound:v0.1.0")
	index := writeAll(t, folder, reference)

	unpacked := filepath.Join(folder, "layout")
	unpack(t, filepath.Join(folder, "index.tar"), unpacked)

	onDisk, err := layout.ImageIndexFromPath(unpacked)
	require.NoError(t, err)

	// What crane push takes from a layout: the only entry.
	entries, err := onDisk.IndexManifest()
	require.NoError(t, err)
	require.Len(t, entries.Manifests, 1)

	pushed, err := onDisk.ImageIndex(entries.Manifests[0].Digest)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(reference, pushed))

	want, err := index.Digest()
	require.NoError(t, err)

	pulled, err := remote.Index(reference)
	require.NoError(t, err)
	require.NoError(t, validate.Index(pulled))

	got, err := pulled.Digest()
	require.NoError(t, err)
	assert.Equal(t, want, got)

	manifest, err := pulled.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, manifest.MediaType)
	assert.Equal(t, plain, manifest.Annotations)
	assert.Len(t, manifest.Manifests, len(architectures))

	for _, architecture := range architectures {
		one, err := remote.Image(reference, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		require.NoError(t, err)
		assertImage(t, one, architecture)

		oneManifest, err := one.Manifest()
		require.NoError(t, err)
		assert.Equal(t, types.OCIManifestSchema1, oneManifest.MediaType)
		assert.Equal(t, plain, oneManifest.Annotations)

		// The other tarball has no manifest of its own, but the same configuration and the same layer.
		saved, err := crane.Load(filepath.Join(folder, architecture+".tar"))
		require.NoError(t, err)

		single := reference.Context().Tag("v0.1.0-" + architecture)
		require.NoError(t, remote.Write(single, saved))

		savedPulled, err := remote.Image(single)
		require.NoError(t, err)
		assertImage(t, savedPulled, architecture)

		wantID, err := one.ConfigName()
		require.NoError(t, err)

		gotID, err := savedPulled.ConfigName()
		require.NoError(t, err)
		assert.Equal(t, wantID, gotID)
	}
}

// TestDockerArchive checks what docker load reads: the name in it, and the files that it names.
func TestDockerArchive(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	writeAll(t, folder, newTag(t, "example.com/rebound:v0.1.0"))

	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(filepath.Join(folder, "arm64.tar")) })
	require.NoError(t, err)
	require.Len(t, manifest, 1)
	assert.Equal(t, []string{"example.com/rebound:v0.1.0"}, manifest[0].RepoTags)

	unpack(t, filepath.Join(folder, "arm64.tar"), filepath.Join(folder, "unpacked"))

	for _, file := range append(manifest[0].Layers, manifest[0].Config) {
		assert.FileExists(t, filepath.Join(folder, "unpacked", file))
	}
}

func TestSameBytesAgain(t *testing.T) {
	t.Parallel()

	first, second := t.TempDir(), t.TempDir()
	reference := newTag(t, "example.com/rebound:v0.1.0")

	writeAll(t, first, reference)
	writeAll(t, second, reference)

	for _, file := range []string{"index.tar", "amd64.tar", "arm64.tar"} {
		want, err := os.ReadFile(filepath.Join(first, file))
		require.NoError(t, err)

		got, err := os.ReadFile(filepath.Join(second, file))
		require.NoError(t, err)
		assert.True(t, string(want) == string(got), "%s differs", file)
	}
}

func TestNoBinary(t *testing.T) {
	t.Parallel()

	_, err := image.New(filepath.Join(t.TempDir(), "away"), entry, v1.Platform{OS: "linux"}, labels, created)
	assert.ErrorContains(t, err, "failed to read binary")
}

// assertImage checks what a container runtime makes of the image.
func assertImage(t *testing.T, one v1.Image, architecture string) {
	t.Helper()

	require.NoError(t, validate.Image(one))

	config, err := one.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux", config.OS)
	assert.Equal(t, architecture, config.Architecture)
	assert.Equal(t, created, config.Created.Time)
	assert.Equal(t, v1.Config{Entrypoint: []string{"/rebound"}, User: "65532:65532", WorkingDir: "/", Labels: plain}, config.Config)

	files := mutate.Extract(one)
	defer func() { assert.NoError(t, files.Close()) }()

	archive := tar.NewReader(files)

	header, err := archive.Next()
	require.NoError(t, err)
	assert.Equal(t, "rebound", header.Name)
	assert.EqualValues(t, 0o755, header.Mode)
	assert.Equal(t, []int{0, 0}, []int{header.Uid, header.Gid})
	assert.Equal(t, created, header.ModTime.UTC())

	content, err := io.ReadAll(archive)
	require.NoError(t, err)
	assert.Equal(t, standIn(architecture), string(content))

	_, err = archive.Next()
	assert.ErrorIs(t, err, io.EOF, "there is more in the image than the binary")
}

// standIn is a binary for one architecture: what is in it does not matter here.
func standIn(architecture string) string { return "rebound for " + architecture }

// writeAll writes all tarballs of an image for two architectures.
func writeAll(t *testing.T, folder string, reference name.Tag) v1.ImageIndex {
	t.Helper()

	images := make([]v1.Image, 0, len(architectures))

	for _, architecture := range architectures {
		// Modes of files that were copied around must not matter.
		binary := filepath.Join(t.TempDir(), "rebound")
		require.NoError(t, os.WriteFile(binary, []byte(standIn(architecture)), 0o600))

		one, err := image.New(binary, entry, v1.Platform{OS: "linux", Architecture: architecture}, labels, created)
		require.NoError(t, err)
		require.NoError(t, image.WriteArchive(filepath.Join(folder, architecture+".tar"), reference, one))

		images = append(images, one)
	}

	index, err := image.Index(labels, images...)
	require.NoError(t, err)
	require.NoError(t, image.WriteLayout(filepath.Join(folder, "index.tar"), reference, index))

	return index
}

func newTag(t *testing.T, text string) name.Tag {
	t.Helper()

	tag, err := name.NewTag(text)
	require.NoError(t, err)

	return tag
}

// unpack does what tar does.
func unpack(t *testing.T, file, folder string) {
	t.Helper()

	in, err := os.Open(file)
	require.NoError(t, err)

	defer func() { assert.NoError(t, in.Close()) }()

	archive := tar.NewReader(in)

	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}

		require.NoError(t, err)

		content, err := io.ReadAll(archive)
		require.NoError(t, err)

		target := filepath.Join(folder, filepath.FromSlash(header.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o700))
		require.NoError(t, os.WriteFile(target, content, 0o600))
	}
}
