// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

//go:build linux

package host

// MappingsOf is how many mappings of a file there are.
func MappingsOf(path string, smaps []byte) int { return len(mappingsOf(path, smaps)) }
