// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	deployFolder = "cmd/rebound-coordinator/deploy"
	// publishedImage is what the base calls the image.
	publishedImage = "ghcr.io/talos-rebound/rebound-coordinator"
	// overlayFolder lies beside deployFolder in memory.
	overlayFolder = "release"
)

// deployments are the folders of the coordinator's manifests, and the files for them. The CRDs are in all three, and alone in
// one: kubectl applies no object of a kind that it has not found on the server when it begins.
var deployments = []struct {
	folder, file string
	hasImage     bool
}{
	{"base/crds", "rebound-crds.yaml", false},
	{"base", "rebound-coordinator.yaml", true},
	{"examples/talos", "rebound-coordinator-talos.yaml", true},
}

// renderDeployments writes what kubectl apply -k would apply, with the image of this release. The overlay that names it is
// in memory: the source stays as it is.
func renderDeployments(_ context.Context, options Options, reference name.Tag, folder string) error {
	files := filesys.MakeFsInMemory()

	if err := copyInto(files, filepath.Join(options.Source, filepath.FromSlash(deployFolder))); err != nil {
		return fmt.Errorf("failed to read the coordinator's manifests: %w", err)
	}

	for _, deployment := range deployments {
		overlay := fmt.Sprintf("resources: [../%s/%s]\nimages: [{name: %s, newName: %s, newTag: %s}]\n",
			deployFolder, deployment.folder, publishedImage, reference.Repository.Name(), reference.TagStr())

		if err := files.WriteFile(overlayFolder+"/kustomization.yaml", []byte(overlay)); err != nil {
			return err
		}

		resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, overlayFolder)
		if err != nil {
			return fmt.Errorf("failed to render %s: %w", deployment.folder, err)
		}

		text, err := resources.AsYaml()
		if err != nil {
			return fmt.Errorf("failed to render %s: %w", deployment.folder, err)
		}

		if deployment.hasImage && !bytes.Contains(text, []byte(reference.Name()+"\n")) {
			return fmt.Errorf("failed to render %s: it has no image %q to replace", deployment.folder, publishedImage)
		}

		if err = os.WriteFile(filepath.Join(folder, deployment.file), text, fileMode); err != nil {
			return err
		}
	}

	return nil
}

// copyInto copies the manifests to where they lie in the source.
func copyInto(files filesys.FileSystem, folder string) error {
	return filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
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

		return files.WriteFile(deployFolder+"/"+filepath.ToSlash(relative), content)
	})
}
