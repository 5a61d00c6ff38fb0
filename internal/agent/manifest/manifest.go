// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest

import (
	"bytes"
	"fmt"

	"github.com/talos-rebound/rebound/internal/agent/platform"
)

// mark begins everything that is rendered.
const mark = "# Written by rebound "

// IsOurs tells whether a file was rendered by this package, of whatever version.
func IsOurs(content []byte) bool { return bytes.HasPrefix(content, []byte(mark)) }

// Render is the text of the static pod, or of the machine config patch on Talos, or of the unit on Systemd. The same
// options give the same text. An error says what to change in the options.
func Render(on platform.Platform, options Options) ([]byte, error) {
	options, err := options.complete(on)
	if err != nil {
		return nil, err
	}

	var text bytes.Buffer

	switch on.Name {
	case platform.Talos:
		fmt.Fprintf(&text, "%s%s: a patch of the machine config, for talosctl patch machineconfig --patch @FILE\n"+
			"# A later patch adds to the list, and the last pod of a name is the one that counts.\n", mark, options.Version)

		err = writePatch(&text, newPod(on, options))
	case platform.Systemd:
		fmt.Fprintf(&text, "%s%s: rebound install replaces this file, rebound uninstall removes it.\n", mark, options.Version)
		fmt.Fprint(&text, unit(options.Binary, options.args(on), options.Reboots.SentinelCommand != "" || options.Reboots.Command != ""))
	default:
		fmt.Fprintf(&text, "%s%s: rebound install replaces this file, rebound uninstall removes it.\n", mark, options.Version)

		err = writePod(&text, newPod(on, options))
	}

	return text.Bytes(), err
}
