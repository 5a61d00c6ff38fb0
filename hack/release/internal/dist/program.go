// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package dist

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/talos-rebound/rebound/hack/release/internal/image"
)

// reboundName begins the names of rebound's files, and its binary renders its manifests.
const reboundName = "rebound"

// program is a binary that is released, and an image with it.
type program struct {
	// name begins the names of its binaries and tarballs.
	name string
	// folder has its module, and main is its package in there.
	folder, main string
	// stamped has the variables version and commit that the linker sets. It does not tell when it finds none.
	stamped string
	// suffix is what its image's repository has after that of the release.
	suffix string
	// entry is how its image starts it.
	entry image.Entry
	// dockerfile is the file's name.
	dockerfile string
	// render writes the manifests that it is deployed with, into a folder that has the binaries.
	render func(ctx context.Context, options Options, reference name.Tag, folder string) error
}

// programs are what is released.
var programs = []program{
	{
		name: reboundName, folder: ".", main: "./cmd/rebound", stamped: "github.com/talos-rebound/rebound/internal/cli",
		// The agent reads the kubelet's key, which is root's.
		entry:      image.Entry{Path: "/rebound", User: "0:0"},
		dockerfile: "Dockerfile", render: renderNodes,
	},
	{
		name: "rebound-coordinator", folder: "cmd/rebound-coordinator", main: ".", stamped: "main", suffix: "-coordinator",
		// It needs nothing of the machine that it runs on.
		entry:      image.Entry{Path: "/rebound-coordinator", User: "65532:65532"},
		dockerfile: "coordinator.Dockerfile", render: renderDeployments,
	},
}

// binary is the name of the program's binary for a target.
func (p program) binary(target Target) string { return binaryName(p.name, target) }

func binaryName(program string, target Target) string {
	return program + "-" + target.OS + "-" + target.Arch
}

// reference is the name of the program's image.
func (p program) reference(options Options) (name.Tag, error) {
	reference, err := name.NewTag(options.Repository+p.suffix+":"+options.Revision.Tag(), name.StrictValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("failed to name the image: %w", err)
	}

	return reference, nil
}
