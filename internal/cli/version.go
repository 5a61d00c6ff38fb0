// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/talos-rebound/rebound/internal/embed"
)

// version and commit are set by the linker where hack/release builds. A release must not depend on what the go command
// knows of git: it knows nothing in a work tree, and a source archive has no git.
var version, commit string

// pins are the modules that decide what this binary can talk to.
var pins = []struct{ name, path string }{
	{"Talos machinery", "github.com/siderolabs/talos/pkg/machinery"},
	{"client-go", "k8s.io/client-go"},
	{"COSI runtime", "github.com/cosi-project/runtime"},
}

// Version prints what this binary was built from. Modules that are not linked have no line.
func Version(out io.Writer) {
	builtVersion, builtCommit := builtFrom()

	fmt.Fprintf(out, "rebound %s\ncommit %s\n", builtVersion, builtCommit)

	if info, ok := debug.ReadBuildInfo(); ok {
		for _, pin := range pins {
			for _, module := range info.Deps {
				if module.Path == pin.path {
					fmt.Fprintf(out, "%s %s\n", pin.name, module.Version)
				}
			}
		}
	}

	fmt.Fprintf(out, "%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// builtFrom is the version of rebound that this binary is, and the commit. What the linker was told goes first, then
// what the go command has found out.
func builtFrom() (builtVersion, builtCommit string) {
	builtVersion, builtCommit = "(unknown)", "(unknown)"

	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == embed.Module {
		builtVersion = info.Main.Version

		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				builtCommit = setting.Value
			}
		}
	}

	if version != "" {
		builtVersion = version
	}

	if commit != "" {
		builtCommit = commit
	}

	return builtVersion, builtCommit
}
