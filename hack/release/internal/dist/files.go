// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/talos-rebound/rebound/hack/release/internal/revision"
)

// checksums is the file that sha256sum --check reads. It is written last.
const checksums = "SHA256SUMS"

// manifests are the platforms of rebound manifest, and the files for them.
var manifests = []struct{ platform, file string }{
	{"talos", "rebound-talos.yaml"},
	{"kubeadm", "rebound-kubeadm.yaml"},
	{"k3s", "rebound-k3s.yaml"},
	{"rke2", "rebound-rke2.yaml"},
	{"systemd", "rebound.service"},
}

// renderNodes writes what rebound's binary of this machine prints for each platform.
func renderNodes(ctx context.Context, _ Options, reference name.Tag, folder string) error {
	for _, manifest := range manifests {
		args := []string{"manifest", "--platform", manifest.platform}

		// A unit has no image.
		if manifest.platform != "systemd" {
			args = append(args, "--image", reference.Name())
		}

		text, err := output(ctx, command(ctx, filepath.Join(folder, binaryName(reboundName, host())), args...))
		if err != nil {
			return fmt.Errorf("failed to render the manifest for %s: %w", manifest.platform, err)
		}

		if err = os.WriteFile(filepath.Join(folder, manifest.file), []byte(text), fileMode); err != nil {
			return err
		}
	}

	return nil
}

// dockerfileFor gives the Dockerfile's arguments the values of this release.
func dockerfileFor(dockerfile string, revision revision.Revision) string {
	return strings.NewReplacer(
		"ARG VERSION\n", "ARG VERSION="+revision.Version+"\n", "ARG REVISION\n", "ARG REVISION="+revision.Commit+"\n",
	).Replace(dockerfile)
}

// writeChecksums writes the checksums of every file in the folder, and names them in log.
func writeChecksums(folder string, log io.Writer) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}

	var sums strings.Builder

	for _, entry := range entries {
		sum, size, err := checksum(filepath.Join(folder, entry.Name()))
		if err != nil {
			return fmt.Errorf("failed to add up %s: %w", entry.Name(), err)
		}

		fmt.Fprintf(&sums, "%x  %s\n", sum, entry.Name())
		fmt.Fprintf(log, "%11d  %s\n", size, entry.Name())
	}

	return os.WriteFile(filepath.Join(folder, checksums), []byte(sums.String()), fileMode)
}

func checksum(file string) (sum []byte, size int64, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}

	defer func() { err = errors.Join(err, in.Close()) }()

	hash := sha256.New()

	size, err = io.Copy(hash, in)

	return hash.Sum(nil), size, err
}
