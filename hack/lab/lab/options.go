// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"github.com/talos-rebound/rebound/hack/lab/component"
)

type options struct {
	temp  string
	flags map[component.Name][]string
}

// Option changes how a lab is started.
type Option func(*options)

// WithTempFolder sets the folder in which the state folder is created, in
// place of the system's folder for temporary files. Its path must be short:
// unix sockets lie deep inside.
func WithTempFolder(path string) Option {
	return func(o *options) { o.temp = path }
}

// WithFlags appends flags to the command line of a control plane component.
func WithFlags(name component.Name, flags ...string) Option {
	return func(o *options) { o.flags[name] = append(o.flags[name], flags...) }
}
