// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package image makes the OCI image of a static binary, without a container engine, and writes it as the tarballs that
// container runtimes and registries' tools take. The same input gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	binaryMode = 0o755
	fileMode   = 0o644
)

// Entry is how a container starts the binary.
type Entry struct {
	// Path is where the binary is in the image, from the root on.
	Path string
	// User is whose process it is, as uid:gid.
	User string
}

// Labels are what the image says of itself, with the keys of the OCI image specification. They are labels of its
// configuration and annotations of its manifests.
type Labels struct {
	Source, Version, Revision, Licenses string
}

func (labels Labels) plain() map[string]string {
	plain := map[string]string{}

	for key, value := range map[string]string{
		"source": labels.Source, "version": labels.Version, "revision": labels.Revision, "licenses": labels.Licenses,
	} {
		if value != "" {
			plain["org.opencontainers.image."+key] = value
		}
	}

	return plain
}

// New is the image for one platform, of the binary in a file. Everything in it is dated created.
func New(binary string, entry Entry, platform v1.Platform, labels Labels, created time.Time) (v1.Image, error) {
	packed, err := pack(binary, entry, created)
	if err != nil {
		return nil, err
	}

	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("failed to make the layer of %q: %w", binary, err)
	}

	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)

	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "COPY " + entry.Path[1:] + " " + entry.Path},
	})
	if err != nil {
		return nil, fmt.Errorf("failed to make the image of %q: %w", binary, err)
	}

	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("failed to make the image of %q: %w", binary, err)
	}

	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = v1.Time{Time: created}
	config.Config = v1.Config{Entrypoint: []string{entry.Path}, User: entry.User, WorkingDir: "/", Labels: labels.plain()}

	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("failed to configure the image of %q: %w", binary, err)
	}

	return mutate.Annotations(image, labels.plain()).(v1.Image), nil
}

// pack is a layer with nothing but the binary.
func pack(binary string, entry Entry, created time.Time) ([]byte, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("failed to read binary: %w", err)
	}

	var packed bytes.Buffer

	archive := tar.NewWriter(&packed)

	if err = writeFile(archive, entry.Path[1:], content, binaryMode, created); err == nil {
		err = archive.Close()
	}

	if err != nil {
		return nil, fmt.Errorf("failed to pack %q: %w", binary, err)
	}

	return packed.Bytes(), nil
}

// Index is the image for all the platforms of the images, in their order.
func Index(labels Labels, images ...v1.Image) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)

	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("failed to add an image to the index: %w", err)
		}

		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: config.Platform()},
		})
	}

	return mutate.Annotations(index, labels.plain()).(v1.ImageIndex), nil
}

// WriteLayout writes an OCI layout as a tarball. containerd takes it (ctr images import, the image folders of K3s and
// RKE2), and so does docker load where Docker keeps its images in containerd; unpacked, crane push does.
func WriteLayout(file string, reference name.Tag, index v1.ImageIndex) (err error) {
	folder, err := os.MkdirTemp("", "rebound-layout-")
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("failed to write OCI layout: %w", err)
	}

	// containerd names the image after the first, with the repository; others read the second, where the specification
	// has the tag alone.
	names := map[string]string{
		"io.containerd.image.name": reference.Name(), "org.opencontainers.image.ref.name": reference.TagStr(),
	}

	if err = path.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return fmt.Errorf("failed to write OCI layout: %w", err)
	}

	if err = archiveFolder(file, folder); err != nil {
		return fmt.Errorf("failed to archive OCI layout: %w", err)
	}

	return nil
}

// WriteArchive writes the image of one platform as docker save does. Every docker load takes it, and so do crane push,
// containerd and whatever takes a layout but not one with an index in it.
func WriteArchive(file string, reference name.Tag, image v1.Image) error {
	if err := tarball.WriteToFile(file, reference, image); err != nil {
		return fmt.Errorf("failed to write %q: %w", file, err)
	}

	return nil
}

// archiveFolder writes the files of a folder, sorted and without what tells where and when they were made.
func archiveFolder(file, folder string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, out.Close()) }()

	archive := tar.NewWriter(out)

	if err = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}

		return writeFile(archive, filepath.ToSlash(relative), content, fileMode, time.Unix(0, 0))
	}); err != nil {
		return err
	}

	return archive.Close()
}

func writeFile(archive *tar.Writer, name string, content []byte, mode int64, modified time.Time) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode, ModTime: modified, Format: tar.FormatUSTAR,
	}

	if err := archive.WriteHeader(header); err != nil {
		return err
	}

	_, err := archive.Write(content)

	return err
}
