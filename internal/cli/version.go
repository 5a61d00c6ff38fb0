// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// machinery is the module whose version tells which Talos API this binary speaks.
const machinery = "github.com/siderolabs/talos/pkg/machinery"

// Version prints what this binary was built from.
func Version(out io.Writer) {
	rebound, talos := "(unknown)", "(unknown)"

	if info, ok := debug.ReadBuildInfo(); ok {
		rebound = info.Main.Version

		for _, module := range info.Deps {
			if module.Path == machinery {
				talos = module.Version
			}
		}
	}

	fmt.Fprintf(out, "rebound %s\nTalos machinery %s\n%s %s/%s\n", rebound, talos, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
